# lib/export
libsalvage_core_la_SOURCES += lib/export/outbox.c lib/export/outbox.h lib/export/outbox_look.c
