# lib/admin
libsalvage_core_la_SOURCES += \
    lib/admin/access.c lib/admin/access.h \
    lib/admin/frame.c lib/admin/frame.h
