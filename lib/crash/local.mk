# lib/crash
libsalvage_core_la_SOURCES += lib/crash/crash_id.c lib/crash/crash_id.h
