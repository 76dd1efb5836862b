/*
 * The compiled table of search fields: names, columns, kinds, sources, who may see them.
 *
 * Search, pages, API and tests ask here and nowhere else; the list itself is lib/search/fields.def.
 * Constant data, safe in any thread. Knows neither SQL nor requests.
 */
#ifndef SAL_SEARCH_FIELDS_H
#define SAL_SEARCH_FIELDS_H

#include <stdbool.h>
#include "base/error.h"

typedef enum {
    SAL_TYPE_STRING,
    SAL_TYPE_ENUM,
    SAL_TYPE_BOOL,
    SAL_TYPE_INTEGER,
    SAL_TYPE_FLOAT,
    SAL_TYPE_DATE
} sal_search_type_t;

/* How values compare (docs/search.md). */
typedef enum {
    SAL_MATCH_KEYWORD, /* the whole value, case matters */
    SAL_MATCH_TEXT,    /* any of its words, or the exact copy */
    SAL_MATCH_LIST,    /* an element of a ';' list, case folded */
    SAL_MATCH_NUMBER,
    SAL_MATCH_BOOL,
    SAL_MATCH_DATE
} sal_search_match_t;

/* How the column keeps it. */
typedef enum {
    SAL_STORE_TERM,  /* id in the dictionary */
    SAL_STORE_TERMS, /* list of ids, in order */
    SAL_STORE_TEXT,  /* unbounded text, as it is */
    SAL_STORE_INT,
    SAL_STORE_DOUBLE,
    SAL_STORE_BOOL,
    SAL_STORE_TIME,
    SAL_STORE_UUID
} sal_search_column_t;

typedef struct sal_search_field_t {
    int number;       /* in term.field; never re-used */
    const char *name; /* also the name of the column */
    sal_search_type_t type;
    sal_search_match_t match;
    sal_search_column_t store;
    int bits;           /* of an INT: range -2^bits .. 2^bits-1 */
    const char *source; /* dotted path in the processed crash */
    bool is_protected;  /* needs view_pii */
} sal_search_field_t;

/* All fields sorted by name; *n is their number. */
SAL_API const sal_search_field_t *sal_search_fields(int *n);

/* By name, NULL if there is none. */
SAL_API const sal_search_field_t *sal_search_field(const char *name);

/* By number, NULL if there is none. */
SAL_API const sal_search_field_t *sal_search_field_numbered(int number);

/* A stack kept as its frames: one text to users, compared and counted as a whole. */
SAL_API bool sal_field_is_stack(const sal_search_field_t *f);

#endif
