# lib/queue
libsalvage_core_la_SOURCES +=
