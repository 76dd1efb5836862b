# lib/render
libsalvage_core_la_SOURCES +=
