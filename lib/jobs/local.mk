# lib/jobs
libsalvage_core_la_SOURCES +=
