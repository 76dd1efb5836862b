# lib/symbols
libsalvage_core_la_SOURCES +=
