# lib/signature
libsalvage_core_la_SOURCES +=
