/*
 * Aggregations as a tree: what is counted, by what, inside what. Private to the room.
 */
#ifndef SAL_SEARCH_AGG_H
#define SAL_SEARCH_AGG_H

#include "search/query_private.h"

typedef enum { SAL_AGG_TERMS, SAL_AGG_HISTOGRAM, SAL_AGG_CARDINALITY } sal_agg_kind_t;

typedef struct sal_agg_t {
    sal_agg_kind_t kind;
    const sal_search_field_t *field;
    const char *name;             /* in the result: "product", "histogram_date" ... */
    const char *unit;             /* of a histogram of dates: "day" ..., or NULL: seconds */
    int64_t seconds;              /* its fixed length */
    double interval;              /* of a histogram of numbers */
    apr_array_header_t *children; /* sal_agg_t *; empty under a cardinality */
} sal_agg_t;

typedef struct sal_aggs_t {
    apr_array_header_t *roots; /* sal_agg_t * */
    int size;                  /* terms at every level; 0: run none */
} sal_aggs_t;

/*
 * The facets of q as an object (new reference), every aggregation by its name; *total as well,
 * unless the conditions are `nothing`. A facet that took too long is left out and named in errors
 * ({"type": "partial", "facet": name}).
 */
apr_status_t sal_agg_run(json_t **facets, int64_t *total, const sal_aggs_t *aggs,
                         const sal_where_t *where, json_t *errors, sal_run_t *run,
                         sal_error_t *err);

/* ---- keys: what one level groups by ---- */

typedef enum {
    SAL_KEY_TERM,   /* id of a term */
    SAL_KEY_FOLDED, /* id of a term of a list; ids that differ by case alone are one */
    SAL_KEY_STACK,  /* list of ids: the whole is one text */
    SAL_KEY_TEXT,   /* the text itself */
    SAL_KEY_PLAIN   /* number, truth value, time */
} sal_key_kind_t;

typedef struct sal_key_t {
    sal_key_kind_t kind;
    const sal_agg_t *agg;
    const char *type; /* in SQL */
    const char *from; /* what joins table crash (alias c), "" if nothing */
    sal_sql_t *expr;  /* over c and what joined */
} sal_key_t;

/* number: distinguishes the aliases of the levels of one statement. */
void sal_key_make(sal_key_t *key, const sal_agg_t *agg, int number, const sal_run_t *run);

/* The shown text of column `k` of a key that is no term, constant SQL. */
const char *sal_key_shown(const sal_key_t *key);

/* The term of a bucket: new reference. */
json_t *sal_key_json(const sal_agg_t *agg, const char *shown);

#endif
