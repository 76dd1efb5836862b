# lib/search
libsalvage_core_la_SOURCES += lib/search/fields.c lib/search/values.c lib/search/term_cache.c \
              lib/search/terms.c lib/search/index.c lib/search/query.c \
              lib/search/query_sql.c lib/search/lookup.c
EXTRA_DIST += lib/search/fields.def
