# lib/reprocess
libsalvage_core_la_SOURCES += \
    lib/reprocess/control.c \
    lib/reprocess/expand.c \
    lib/reprocess/foreground.c lib/reprocess/foreground.h \
    lib/reprocess/missing.c lib/reprocess/missing.h \
    lib/reprocess/rebuild.c lib/reprocess/rebuild.h \
    lib/reprocess/reprocess_private.h \
    lib/reprocess/request.c lib/reprocess/reprocess.h
