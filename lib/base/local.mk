# lib/base
libsalvage_core_la_SOURCES += lib/base/error.c
