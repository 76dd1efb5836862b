# lib/analysis
libsalvage_core_la_SOURCES +=
