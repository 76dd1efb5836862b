# lib/admin
libsalvage_core_la_SOURCES += \
    lib/admin/frame.c lib/admin/frame.h
