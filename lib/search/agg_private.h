/*
 * Aggregations between their run (agg.c) and their statements (agg_sql.c).
 */
#ifndef SAL_SEARCH_AGG_PRIVATE_H
#define SAL_SEARCH_AGG_PRIVATE_H

#include "search/agg.h"

enum {
    SAL_AGG_MAX_DEPTH = 4,
    SAL_AGG_MAX_ROWS = 200000, /* buckets of one statement */
    SAL_AGG_MAX_SETS = 8       /* fields counted in one pass */
};

typedef struct {
    const char *key[SAL_AGG_MAX_DEPTH]; /* as SQL text, outermost first */
    json_t *facets;                     /* to be filled; borrowed */
} sal_bucket_t;

/* Where a level stands: inside which buckets of which keys. */
typedef struct {
    int depth;
    sal_key_t key[SAL_AGG_MAX_DEPTH];
    apr_array_header_t *buckets; /* sal_bucket_t */
} sal_level_t;

typedef struct {
    const sal_aggs_t *aggs;
    const sal_where_t *where;
    json_t *errors;
    sal_run_t *run;
    int64_t *total;
    sal_error_t *err;
} sal_agg_work_t;

/*
 * Rows of (f, bucket, key, shown text, count, place): counts by n keys that share a pass, inside
 * the buckets of the level; f is the key's index. with_total: a row with f -1 has the count of all.
 */
sal_sql_t *sal_agg_counts(const sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *key,
                          int n, bool with_total);

/*
 * The same for a histogram and what is inside it, in one pass: rows with f -2 are the histogram's
 * buckets, whose numbers are those of the other rows. At the outermost level.
 */
sal_sql_t *sal_agg_spread(const sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *histogram,
                          const sal_key_t *key, int n, bool with_total);

/* Rows of (bucket, distinct values). */
sal_sql_t *sal_agg_distinct(const sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *key);

#endif
