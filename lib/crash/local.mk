# lib/crash
libsalvage_core_la_SOURCES +=
