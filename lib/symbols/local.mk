# lib/symbols
libsalvage_core_la_SOURCES +=
libsalvage_core_la_SOURCES += lib/symbols/symbol_store.c
