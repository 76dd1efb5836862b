# lib/symbols
libsalvage_core_la_SOURCES += lib/symbols/cab.c lib/symbols/cab.h lib/symbols/elf_id.c lib/symbols/gunzip.c lib/symbols/gunzip.h \
    lib/symbols/module_id.c lib/symbols/module_id.h lib/symbols/object_id.c \
    lib/symbols/object_id.h lib/symbols/object_private.h lib/symbols/packed_elf.c lib/symbols/supplier.c \
    lib/symbols/supplier.h lib/symbols/supplier_search.c lib/symbols/supplier_source.c \
    lib/symbols/supplier_source.h lib/symbols/supplier_table.c lib/symbols/supplier_table.h \
    lib/symbols/sym_header.c lib/symbols/sym_header.h lib/symbols/symbol_gzip.c \
    lib/symbols/symbol_gzip.h lib/symbols/symbol_index.c lib/symbols/symbol_index.h \
    lib/symbols/symbol_jobs.c lib/symbols/symbol_jobs.h lib/symbols/symbol_made.c \
    lib/symbols/symbol_rows.c lib/symbols/symbol_rows.h lib/symbols/symbol_source.c \
    lib/symbols/symbol_source.h lib/symbols/symbol_store.c lib/symbols/symbol_store.h \
    lib/symbols/symbol_store_drop.c lib/symbols/symbol_store_private.h lib/symbols/symcache.c lib/symbols/symcache_look.c lib/symbols/symcache_read.h \
    lib/symbols/symcache.h lib/symbols/symcache_build.c lib/symbols/symcache_build.h \
    lib/symbols/symcache_code.h lib/symbols/symcache_format.h lib/symbols/symcache_inline.c \
    lib/symbols/symcache_merge.c lib/symbols/symcache_part.c lib/symbols/symcache_stack.c \
    lib/symbols/symcache_tables.c lib/symbols/symcache_trim.c lib/symbols/symcache_write.c \
    lib/symbols/symfile.c lib/symbols/symfile.h lib/symbols/symfile_skim.h lib/symbols/symfile_read.c lib/symbols/symfile_skim.c

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_symcache tests/unit/test_symcache_damage \
    tests/unit/test_symfile tests/unit/test_supplier tests/unit/test_supplier_wait \
    tests/unit/test_symbol_store \
    tests/unit/test_object_id
tests_unit_test_symcache_damage_SOURCES = tests/unit/test_symcache_damage.c
tests_unit_test_symcache_damage_LDADD = $(UNIT_LIBS) $(XXHASH_LIBS)
tests_unit_test_symfile_SOURCES = tests/unit/test_symfile.c
tests_unit_test_symfile_LDADD = $(UNIT_LIBS)
tests_unit_test_supplier_SOURCES = tests/unit/test_supplier.c tests/unit/supplier_room.c \
    tests/unit/supplier_room.h
tests_unit_test_supplier_wait_SOURCES = tests/unit/test_supplier_wait.c tests/unit/supplier_room.c \
    tests/unit/supplier_room.h
tests_unit_test_supplier_wait_LDADD = $(UNIT_LIBS)
tests_unit_test_supplier_LDADD = $(UNIT_LIBS) $(ZLIB_LIBS)
tests_unit_test_symcache_SOURCES = tests/unit/test_symcache.c tests/unit/sym_oracle.c \
    tests/unit/sym_oracle.h
tests_unit_test_symcache_LDADD = $(UNIT_LIBS) $(ZLIB_LIBS) $(ZSTD_LIBS)
tests_unit_test_object_id_SOURCES = tests/unit/test_object_id.c
tests_unit_test_object_id_LDADD = $(UNIT_LIBS)
tests_unit_test_symbol_store_SOURCES = tests/unit/test_symbol_store.c
tests_unit_test_symbol_store_LDADD = $(UNIT_LIBS)
endif

EXTRA_DIST += docs/symcache.md docs/messages.d/symbols.md
dist_man_MANS += docs/man/salvage-symcache.1
