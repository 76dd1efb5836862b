# lib/symbols
libsalvage_core_la_SOURCES +=
libsalvage_core_la_SOURCES += lib/symbols/symbol_store.c lib/symbols/upload_zip.c lib/symbols/upload.c \
                 lib/symbols/sym_header.c
libsalvage_core_la_SOURCES += lib/symbols/module_id.c lib/symbols/symfile.c \
    lib/symbols/symfile_read.c lib/symbols/symcache.c lib/symbols/symcache_build.c \
    lib/symbols/symcache_inline.c lib/symbols/symcache_merge.c lib/symbols/symcache_stack.c \
    lib/symbols/symcache_tables.c lib/symbols/symcache_write.c lib/symbols/supplier.c \
    lib/symbols/supplier_source.c
