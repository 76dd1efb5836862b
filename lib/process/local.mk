# lib/process
libsalvage_core_la_SOURCES +=
