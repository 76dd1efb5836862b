# lib/base
libsalvage_core_la_SOURCES += \
    lib/base/api.h \
    lib/base/conf.c lib/base/conf.h \
    lib/base/error.c lib/base/error.h \
    lib/base/file.c lib/base/file.h \
    lib/base/json.c lib/base/json.h \
    lib/base/json_text.c \
    lib/base/log.c lib/base/log.h \
    lib/base/reader.h \
    lib/base/text.c lib/base/text.h \
    lib/base/time.c \
    lib/base/utf8.c
