# lib/minidump
libsalvage_core_la_SOURCES +=
