# lib/search
libsalvage_core_la_SOURCES += lib/search/fields.c lib/search/fields.h lib/search/values.c \
              lib/search/values.h lib/search/term_cache.c lib/search/term_cache.h \
              lib/search/terms.c lib/search/terms.h lib/search/index.c lib/search/index.h \
              lib/search/query.c lib/search/query.h lib/search/query_sql.c \
              lib/search/query_private.h lib/search/query_ids.c lib/search/query_ids.h \
              lib/search/lookup.c lib/search/lookup.h
libsalvage_core_la_SOURCES += lib/search/products.c lib/search/products.h
EXTRA_DIST += lib/search/fields.def

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_search_fields tests/unit/test_search_db
tests_unit_test_search_fields_SOURCES = tests/unit/test_search_fields.c
tests_unit_test_search_fields_LDADD = $(UNIT_LIBS)
tests_unit_test_search_db_SOURCES = tests/unit/test_search_db.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_search_db_LDADD = $(UNIT_LIBS)
endif
EXTRA_DIST += docs/search.md
