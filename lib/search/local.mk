# lib/search
libsalvage_core_la_SOURCES += lib/search/agg.c lib/search/agg.h lib/search/agg_private.h \
    lib/search/agg_sql.c lib/search/condition.c \
    lib/search/condition.h lib/search/fields.c lib/search/fields.h lib/search/guard.c \
    lib/search/guard.h lib/search/hits.c lib/search/hits.h lib/search/index.c \
    lib/search/index.h lib/search/key.c lib/search/lookup.c lib/search/lookup.h \
    lib/search/match.c lib/search/match.h lib/search/products.c lib/search/products.h \
    lib/search/query.c lib/search/query.h lib/search/query_ids.c lib/search/query_ids.h \
    lib/search/query_private.h lib/search/regex.c \
    lib/search/regex.h lib/search/resolve.c lib/search/resolve.h lib/search/run.c \
    lib/search/sql.c lib/search/sql.h lib/search/super.c lib/search/super.h \
    lib/search/super_aggs.c lib/search/super_private.h lib/search/super_read.c \
    lib/search/term_cache.c lib/search/term_cache.h lib/search/terms.c lib/search/terms.h \
    lib/search/values.c lib/search/values.h lib/search/where.c lib/search/words.c \
    lib/search/words.h
EXTRA_DIST += lib/search/fields.def

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_search_fields tests/unit/test_search_db \
    tests/unit/test_search_regex tests/unit/test_search_super
tests_unit_test_search_super_SOURCES = tests/unit/test_search_super.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_search_super_LDADD = $(UNIT_LIBS)
tests_unit_test_search_regex_SOURCES = tests/unit/test_search_regex.c
tests_unit_test_search_regex_LDADD = $(UNIT_LIBS)
tests_unit_test_search_fields_SOURCES = tests/unit/test_search_fields.c
tests_unit_test_search_fields_LDADD = $(UNIT_LIBS)
tests_unit_test_search_db_SOURCES = tests/unit/test_search_db.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_search_db_LDADD = $(UNIT_LIBS)
endif
EXTRA_DIST += docs/search.md
