# lib/unwind
libsalvage_core_la_SOURCES +=
