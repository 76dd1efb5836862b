# lib/symbols
libsalvage_core_la_SOURCES +=
libsalvage_core_la_SOURCES += lib/symbols/symbol_store.c lib/symbols/upload_zip.c lib/symbols/upload.c \
                 lib/symbols/sym_header.c
