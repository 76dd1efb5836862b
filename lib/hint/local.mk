# lib/hint
libsalvage_core_la_SOURCES += lib/hint/hint.c lib/hint/hint.h
