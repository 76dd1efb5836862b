# lib/store
libsalvage_core_la_SOURCES +=
