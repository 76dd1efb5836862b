# lib/symbols
libsalvage_core_la_SOURCES +=
libsalvage_core_la_SOURCES += lib/symbols/symbol_store.c lib/symbols/upload_zip.c lib/symbols/upload.c \
                 lib/symbols/upload_log.c lib/symbols/upload_digest.c lib/symbols/upload_stager.c \
                 lib/symbols/upload_adopt.c lib/symbols/upload_names.c lib/symbols/upload_stream.c \
                 lib/symbols/upload_central.c lib/symbols/upload_rows.c lib/symbols/upload_take.c lib/symbols/upload_slot.c \
                 lib/symbols/upload_session.c lib/symbols/upload_session_rows.c lib/symbols/upload_identity.c lib/symbols/upload_fetch.c \
                 lib/symbols/sym_header.c lib/symbols/symbol_rows.c
libsalvage_core_la_SOURCES += lib/symbols/module_id.c lib/symbols/module_id.h \
    lib/symbols/symfile.c lib/symbols/symfile.h lib/symbols/symfile_read.c \
    lib/symbols/symcache.c lib/symbols/symcache.h lib/symbols/symcache_format.h \
    lib/symbols/symcache_build.c lib/symbols/symcache_build.h lib/symbols/symcache_code.h lib/symbols/symcache_inline.c \
    lib/symbols/symcache_merge.c lib/symbols/symcache_part.c lib/symbols/symcache_stack.c lib/symbols/symcache_tables.c \
    lib/symbols/symcache_trim.c lib/symbols/symcache_write.c lib/symbols/supplier.c lib/symbols/supplier.h \
    lib/symbols/supplier_source.c lib/symbols/supplier_source.h lib/symbols/upstream.h \
    lib/symbols/upstream.c lib/symbols/upstream_cache.c lib/symbols/upstream_check.c \
    lib/symbols/upstream_conf.c lib/symbols/upstream_http.c lib/symbols/upstream_private.h \
    lib/symbols/upstream_names.c lib/symbols/upstream_open.c \
    lib/symbols/upstream_pipe.c lib/symbols/upstream_pipe.h lib/symbols/upstream_serve.c lib/symbols/upstream_server.c \
    lib/symbols/upstream_source.c \
    lib/symbols/upstream_trim.c

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_symcache tests/unit/test_symcache_damage \
    tests/unit/test_symfile tests/unit/test_supplier
tests_unit_test_symcache_damage_SOURCES = tests/unit/test_symcache_damage.c
tests_unit_test_symcache_damage_LDADD = $(UNIT_LIBS) $(XXHASH_LIBS)
tests_unit_test_symfile_SOURCES = tests/unit/test_symfile.c
tests_unit_test_symfile_LDADD = $(UNIT_LIBS)
tests_unit_test_supplier_SOURCES = tests/unit/test_supplier.c
tests_unit_test_supplier_LDADD = $(UNIT_LIBS) $(ZLIB_LIBS)
tests_unit_test_symcache_SOURCES = tests/unit/test_symcache.c tests/unit/sym_oracle.c \
    tests/unit/sym_oracle.h
tests_unit_test_symcache_LDADD = $(UNIT_LIBS) $(ZLIB_LIBS) $(ZSTD_LIBS)
endif

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_upstream
tests_unit_test_upstream_SOURCES = tests/unit/test_upstream.c
tests_unit_test_upstream_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_symbol_store tests/unit/test_upload_zip tests/unit/test_object_id
tests_unit_test_object_id_SOURCES = tests/unit/test_object_id.c
tests_unit_test_object_id_LDADD = $(UNIT_LIBS)
tests_unit_test_symbol_store_SOURCES = tests/unit/test_symbol_store.c
tests_unit_test_symbol_store_LDADD = $(UNIT_LIBS)
tests_unit_test_upload_zip_SOURCES = tests/unit/test_upload_zip.c tests/unit/zip_writer.c \
                 tests/unit/zip_writer.h
tests_unit_test_upload_zip_LDADD = $(UNIT_LIBS)
endif

EXTRA_DIST += docs/symcache.md docs/messages.d/symbols.md
dist_man_MANS += docs/man/salvage-symcache.1

libsalvage_core_la_SOURCES += lib/symbols/object_id.c lib/symbols/object_id.h \
    lib/symbols/object_private.h lib/symbols/elf_id.c lib/symbols/symbol_index.c \
    lib/symbols/symbol_index.h lib/symbols/symbol_store_private.h lib/symbols/symbol_jobs.c \
    lib/symbols/symbol_jobs.h lib/symbols/symbol_made.c lib/symbols/cab.c lib/symbols/cab.h \
    lib/symbols/symbol_gzip.c lib/symbols/symbol_gzip.h lib/symbols/symbol_source.c \
    lib/symbols/symbol_source.h

libsalvage_core_la_SOURCES += lib/symbols/books.c lib/symbols/books.h lib/symbols/books_filter.c \
    lib/symbols/books_filter.h lib/symbols/books_sql.c lib/symbols/books_sql.h \
    lib/symbols/books_stats.c

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_books_filter
tests_unit_test_books_filter_SOURCES = tests/unit/test_books_filter.c
tests_unit_test_books_filter_LDADD = $(UNIT_LIBS)
endif
libsalvage_core_la_SOURCES += lib/symbols/symbol_store_drop.c lib/symbols/keep_rules.c \
    lib/symbols/retention.c lib/symbols/retention.h lib/symbols/import.c lib/symbols/import.h
EXTRA_DIST += docs/messages.d/books.md
