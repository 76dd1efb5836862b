# lib/db
libsalvage_core_la_SOURCES +=
