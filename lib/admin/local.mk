# lib/admin
libsalvage_core_la_SOURCES += \
    lib/admin/access.c lib/admin/access.h \
    lib/admin/frame.c lib/admin/frame.h \
    lib/admin/site.c lib/admin/site.h lib/admin/site_people.c lib/admin/site_private.h \
    lib/admin/site_tables.c
