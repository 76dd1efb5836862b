# lib/search
libsalvage_core_la_SOURCES +=
