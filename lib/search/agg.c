/*
 * Running aggregations level by level: first the outermost buckets, then, for the chosen ones
 * alone, what is inside them. A statement counts all of a level's fields in one pass; fields with
 * several values a crash have a pass of their own. All buckets of a histogram are shown, so that
 * what is inside it is counted with it.
 */
#include "search/agg_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

/* ---- results ---- */

static sal_bucket_t *add_bucket(apr_array_header_t *to, const sal_bucket_t *parent, int depth,
                                const char *key, json_t *facets)
{
    sal_bucket_t *b = &APR_ARRAY_PUSH(to, sal_bucket_t);

    if (parent) {
        *b = *parent;
    }
    b->key[depth] = key;
    b->facets = facets;
    return b;
}

/* Every aggregation of the level answers something, also where there is nothing to count. */
static void put_empty(const apr_array_header_t *children, json_t *facets)
{
    for (int i = 0; i < children->nelts; i++) {
        const sal_agg_t *agg = APR_ARRAY_IDX(children, i, const sal_agg_t *);

        json_object_set_new(facets, agg->name,
                            agg->kind == SAL_AGG_CARDINALITY ? json_pack("{s:i}", "value", 0)
                                                             : json_array());
    }
}

/* A row of (f, bucket, key, shown, count) becomes a bucket, and one of `next` if it has children.
 */
static void take_bucket(const sal_agg_work_t *w, const sal_rows_t *rows, int r,
                        const sal_level_t *l, const sal_agg_t *agg, apr_array_header_t *next)
{
    /* the buckets of a histogram that is counted with its inside have numbers of their own */
    int64_t at = sal_rows_int(rows, r, 0) == -2 ? 0 : sal_rows_int(rows, r, 1);
    const sal_bucket_t *parent = &APR_ARRAY_IDX(l->buckets, at, sal_bucket_t);
    int64_t n = sal_rows_int(rows, r, 4) * (w->run->sample > 1 ? w->run->sample : 1);
    json_t *one = json_pack("{s:o, s:I}", "term", sal_key_json(agg, sal_rows_text(rows, r, 3)),
                            "count", (json_int_t)n);

    json_array_append_new(json_object_get(parent->facets, agg->name), one);
    if (agg->children->nelts > 0) {
        json_t *facets = json_object();

        json_object_set_new(one, "facets", facets);
        put_empty(agg->children, facets);
        add_bucket(next, parent, l->depth, sal_rows_text(rows, r, 2), facets);
    }
}

/* The rows of the level's keys; next[i] collects key i's buckets. */
static void take_rows(const sal_agg_work_t *w, const sal_rows_t *rows, const sal_level_t *l,
                      const sal_key_t *key, apr_array_header_t **next)
{
    for (int r = 0; r < sal_rows_count(rows); r++) {
        int64_t f = sal_rows_int(rows, r, 0);

        if (f == -1) {
            *w->total = sal_rows_int(rows, r, 4);
        } else if (f >= 0) {
            take_bucket(w, rows, r, l, key[f].agg, next[f]);
        }
    }
}

/* ---- statements ---- */

static void name_partial(const sal_agg_work_t *w, const sal_agg_t *agg)
{
    json_array_append_new(w->errors,
                          json_pack("{s:s, s:s}", "type", "partial", "facet", agg->name));
}

static apr_status_t run_level(sal_agg_work_t *w, const sal_level_t *l,
                              const apr_array_header_t *children);

static apr_status_t run_part(sal_agg_work_t *w, const sal_sql_t *sql, const sal_key_t *key,
                             sal_rows_t **rows)
{
    apr_status_t rv = sal_sql_run_within(sql, key->agg->name, rows, w->run, w->err);

    if (rv == APR_SUCCESS && sal_rows_count(*rows) > SAL_AGG_MAX_ROWS) {
        return sal_fail(w->err, SAL_E_MALFORMED,
                        "The aggregation of '%s' has too many buckets: lower _facets_size, take "
                        "longer intervals or a shorter range of dates",
                        key->agg->name);
    }
    return rv;
}

static apr_status_t run_inner(sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *key, int n,
                              apr_array_header_t **next)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        sal_level_t inner = *l;

        if (next[i]->nelts == 0) {
            continue;
        }
        sal_key_make(&inner.key[l->depth], key[i].agg, l->depth, w->run);
        inner.depth++;
        inner.buckets = next[i];
        rv = run_level(w, &inner, key[i].agg->children);
    }
    return rv;
}

/* Counts by n keys, which share a pass, inside the buckets of the level. */
static apr_status_t run_counts(sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *key, int n)
{
    bool with_total = l->depth == 0 && w->total && *key->from == '\0';
    apr_array_header_t *next[SAL_AGG_MAX_SETS];
    sal_rows_t *rows;
    apr_status_t rv = run_part(w, sal_agg_counts(w, l, key, n, with_total), key, &rows);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < n; i++) {
        next[i] = apr_array_make(w->run->p, 8, sizeof(sal_bucket_t));
    }
    take_rows(w, rows, l, key, next);
    w->total = with_total ? NULL : w->total;
    return run_inner(w, l, key, n, next);
}

/* Whether a histogram and all that is inside it can be counted in one pass; their keys. */
static bool can_spread(sal_key_t *key, int *n, const sal_agg_t *agg, const sal_level_t *l,
                       const sal_run_t *run)
{
    *n = agg->children->nelts;
    if (agg->kind != SAL_AGG_HISTOGRAM || l->depth > 0 || *n == 0 || *n > SAL_AGG_MAX_SETS) {
        return false;
    }
    for (int i = 0; i < *n; i++) {
        const sal_agg_t *child = APR_ARRAY_IDX(agg->children, i, const sal_agg_t *);

        sal_key_make(&key[i], child, 1, run);
        if (child->kind != SAL_AGG_TERMS || *key[i].from || child->children->nelts > 0) {
            return false;
        }
    }
    return true;
}

static apr_status_t run_spread(sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *histogram,
                               const sal_key_t *key, int n)
{
    bool with_total = w->total != NULL;
    sal_level_t inner = *l;
    apr_array_header_t *next[SAL_AGG_MAX_SETS] = { NULL };
    sal_rows_t *rows;
    apr_status_t rv =
        run_part(w, sal_agg_spread(w, l, histogram, key, n, with_total), histogram, &rows);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    inner.depth = 1;
    inner.key[0] = *histogram;
    inner.buckets = apr_array_make(w->run->p, 32, sizeof(sal_bucket_t));
    for (int r = 0; r < sal_rows_count(rows) && sal_rows_int(rows, r, 0) == -2; r++) {
        take_bucket(w, rows, r, l, histogram->agg, inner.buckets);
    }
    take_rows(w, rows, &inner, key, next);
    w->total = with_total ? NULL : w->total;
    return APR_SUCCESS;
}

/* Distinct values in every bucket. */
static apr_status_t run_cardinality(sal_agg_work_t *w, const sal_level_t *l, const sal_agg_t *agg)
{
    sal_rows_t *rows;
    sal_key_t key;
    apr_status_t rv;

    sal_key_make(&key, agg, l->depth, w->run);
    rv = sal_sql_run_within(sal_agg_distinct(w, l, &key), agg->name, &rows, w->run, w->err);
    for (int r = 0; rv == APR_SUCCESS && r < sal_rows_count(rows); r++) {
        const sal_bucket_t *b = &APR_ARRAY_IDX(l->buckets, sal_rows_int(rows, r, 0), sal_bucket_t);

        json_object_set_new(json_object_get(b->facets, agg->name), "value",
                            json_integer(sal_rows_int(rows, r, 1)));
    }
    return rv;
}

/* A part that takes too long is left out; the rest of the answer stands. */
static apr_status_t excuse(sal_agg_work_t *w, apr_status_t rv, const sal_level_t *l,
                           const sal_key_t *key, int n)
{
    if (rv != APR_TIMEUP || !w->run->txn) {
        return rv;
    }
    for (int i = 0; i < n; i++) {
        name_partial(w, key[i].agg);
        for (int b = 0; b < l->buckets->nelts; b++) {
            json_object_del(APR_ARRAY_IDX(l->buckets, b, sal_bucket_t).facets, key[i].agg->name);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t run_level(sal_agg_work_t *w, const sal_level_t *l,
                              const apr_array_header_t *children)
{
    sal_key_t shared[SAL_AGG_MAX_SETS], inside[SAL_AGG_MAX_SETS];
    int n = 0, m;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < children->nelts; i++) {
        const sal_agg_t *agg = APR_ARRAY_IDX(children, i, const sal_agg_t *);
        sal_key_t key;

        sal_key_make(&key, agg, l->depth, w->run);
        if (agg->kind == SAL_AGG_CARDINALITY) {
            rv = excuse(w, run_cardinality(w, l, agg), l, &key, 1);
        } else if (can_spread(inside, &m, agg, l, w->run)) {
            rv = excuse(w, run_spread(w, l, &key, inside, m), l, &key, 1);
        } else if (*key.from) {
            rv = excuse(w, run_counts(w, l, &key, 1), l, &key, 1);
        } else {
            shared[n++] = key;
            if (n == SAL_AGG_MAX_SETS) {
                rv = excuse(w, run_counts(w, l, shared, n), l, shared, n);
                n = 0;
            }
        }
    }
    if (rv == APR_SUCCESS && n > 0) {
        rv = excuse(w, run_counts(w, l, shared, n), l, shared, n);
    }
    return rv;
}

apr_status_t sal_agg_run(json_t **facets, int64_t *total, const sal_aggs_t *aggs,
                         const sal_where_t *where, json_t *errors, sal_run_t *run, sal_error_t *err)
{
    sal_agg_work_t w = { aggs, where, errors, run, total, err };
    sal_level_t root = { .buckets = apr_array_make(run->p, 1, sizeof(sal_bucket_t)) };
    apr_status_t rv = APR_SUCCESS;

    *facets = json_object();
    *total = -1;
    if (run->sample > 1) {
        w.total = NULL;
    }
    put_empty(aggs->roots, *facets);
    add_bucket(root.buckets, NULL, 0, NULL, *facets);
    if (!where->nothing) {
        rv = run_level(&w, &root, aggs->roots);
    }
    if (rv != APR_SUCCESS) {
        json_decref(*facets);
        *facets = NULL;
    }
    return rv;
}
