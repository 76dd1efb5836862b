/*
 * Running aggregations level by level: first the outermost buckets, then, for the chosen ones
 * alone, what is inside them. A statement counts all of a level's fields in one pass; fields with
 * several values a crash have a pass of their own.
 *
 * Chosen buckets travel as parameters: arrays of their keys and their numbers, which the statement
 * of the next level joins and groups by.
 */
#include "search/agg.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

enum {
    MAX_DEPTH = 4,
    MAX_ROWS = 200000, /* buckets of one statement */
    MAX_SETS = 8       /* fields counted in one pass */
};

typedef struct {
    const char *key[MAX_DEPTH]; /* as SQL text, outermost first */
    json_t *facets;             /* to be filled; borrowed */
} bucket_t;

/* Where a level stands: inside which buckets of which keys. */
typedef struct {
    int depth;
    sal_key_t key[MAX_DEPTH];
    apr_array_header_t *buckets; /* bucket_t */
} level_t;

typedef struct {
    const sal_aggs_t *aggs;
    const sal_where_t *where;
    json_t *errors;
    sal_run_t *run;
    int64_t *total;
    sal_error_t *err;
} work_t;

/* ---- putting statements together ---- */

/* A key of a list whose elements differ by case alone is several ids: one row each. */
static void add_rows(const char **columns[], int64_t *numbers, int *n, const bucket_t *b,
                     const level_t *l, int number, int at, const char **chosen, apr_pool_t *p)
{
    if (at == l->depth) {
        for (int i = 0; i < l->depth; i++) {
            columns[i][*n] = chosen[i];
        }
        numbers[(*n)++] = number;
        return;
    }
    if (l->key[at].kind != SAL_KEY_FOLDED) {
        chosen[at] = b->key[at];
        add_rows(columns, numbers, n, b, l, number, at + 1, chosen, p);
        return;
    }
    for (char *last, *id = apr_strtok(apr_pstrdup(p, b->key[at]), "{,}", &last); id;
         id = apr_strtok(NULL, "{,}", &last)) {
        chosen[at] = id;
        add_rows(columns, numbers, n, b, l, number, at + 1, chosen, p);
    }
}

static int count_rows(const level_t *l)
{
    int sum = 0;

    for (int i = 0; i < l->buckets->nelts; i++) {
        const bucket_t *b = &APR_ARRAY_IDX(l->buckets, i, bucket_t);
        int n = 1;

        for (int k = 0; k < l->depth; k++) {
            if (l->key[k].kind == SAL_KEY_FOLDED) {
                int ids = 1;

                for (const char *s = b->key[k]; *s; s++) {
                    ids += *s == ',';
                }
                n *= ids;
            }
        }
        sum += n;
    }
    return sum;
}

/* "WITH m AS (...), " or nothing at the outermost level. */
static void add_buckets(sal_sql_t *sql, const level_t *l, apr_pool_t *p)
{
    int rows = count_rows(l), n = 0;
    const char **columns[MAX_DEPTH], *chosen[MAX_DEPTH];
    int64_t *numbers = apr_palloc(p, sizeof *numbers * (apr_size_t)(rows + 1));

    if (l->depth == 0) {
        return;
    }
    for (int k = 0; k < l->depth; k++) {
        columns[k] = apr_palloc(p, sizeof **columns * (apr_size_t)(rows + 1));
    }
    for (int i = 0; i < l->buckets->nelts; i++) {
        add_rows(columns, numbers, &n, &APR_ARRAY_IDX(l->buckets, i, bucket_t), l, i, 0, chosen, p);
    }
    sal_sql_add(sql, "m AS (SELECT b");
    for (int k = 0; k < l->depth; k++) {
        sal_sql_addf(sql, ", k%d::%s AS k%d", k, l->key[k].type, k);
    }
    sal_sql_add(sql, " FROM unnest(");
    sal_sql_param(sql, SAL_V_INTS(numbers, (apr_size_t)n), "::int[]");
    for (int k = 0; k < l->depth; k++) {
        sal_sql_add(sql, ", ");
        sal_sql_param(sql, SAL_V_TEXTS(columns[k], (apr_size_t)n), "::text[]");
    }
    sal_sql_add(sql, ") m(b");
    for (int k = 0; k < l->depth; k++) {
        sal_sql_addf(sql, ", k%d", k);
    }
    sal_sql_add(sql, ")), ");
}

/* " FROM crash c ... WHERE ...", with what the keys of the level and of `key` need. */
static void add_from(sal_sql_t *sql, const work_t *w, const level_t *l, const sal_key_t *key)
{
    sal_sql_add(sql, " FROM crash c");
    for (int k = 0; k < l->depth; k++) {
        sal_sql_add(sql, l->key[k].from);
    }
    sal_sql_add(sql, key->from);
    if (l->depth > 0) {
        sal_sql_add(sql, " JOIN m ON ");
    }
    for (int k = 0; k < l->depth; k++) {
        sal_sql_add(sql, k ? " AND " : "");
        sal_sql_put(sql, l->key[k].expr);
        sal_sql_addf(sql, " = m.k%d", k);
    }
    sal_sql_add(sql, " WHERE ");
    sal_sql_put(sql, w->where->sql);
    if (w->run->sample > 1) {
        sal_sql_addf(sql, " AND uuid_hash(c.uuid) %% %d = 0", w->run->sample);
    }
}

/* "g AS (SELECT b, x0, x1 ..., s, n ...)": the counts of n keys in one pass. */
static void add_counts(sal_sql_t *sql, const work_t *w, const level_t *l, const sal_key_t *key,
                       int n)
{
    const char *b = l->depth ? "b, " : "";

    sal_sql_addf(sql, "g AS (SELECT %s", l->depth ? "b, " : "0 AS b, ");
    for (int i = 0; i < n; i++) {
        sal_sql_addf(sql, "x%d, ", i);
    }
    sal_sql_add(sql, n > 1 ? "grouping(" : "0");
    for (int i = 0; n > 1 && i < n; i++) {
        sal_sql_addf(sql, "%sx%d", i ? ", " : "", i);
    }
    sal_sql_addf(sql, "%s AS s, count(*) AS n FROM (SELECT ", n > 1 ? ")" : "");
    sal_sql_add(sql, l->depth ? "m.b, " : "");
    for (int i = 0; i < n; i++) {
        sal_sql_add(sql, i ? ", " : "");
        sal_sql_put(sql, key[i].expr);
        sal_sql_addf(sql, " AS x%d", i);
    }
    add_from(sql, w, l, &key[0]);
    sal_sql_add(sql, n > 1 ? ") f GROUP BY GROUPING SETS (" : ") f GROUP BY ");
    for (int i = 0; i < n; i++) {
        sal_sql_addf(sql, n > 1 ? "%s(%sx%d)" : "%s%sx%d", i ? ", " : "", b, i);
    }
    sal_sql_add(sql, n > 1 ? "))" : ")");
}

/* grouping()'s mask of the set that holds x<i> alone. */
static int mask(int i, int n)
{
    return n > 1 ? ((1 << n) - 1) & ~(1 << (n - 1 - i)) : 0;
}

/*
 * The first `size` of a key's groups in every bucket, by count, then by text: groups that tie with
 * the last one are kept until their texts are known.
 */
static void add_top(sal_sql_t *sql, const sal_key_t *key, int i, int n, int size)
{
    /* no join: the planner, which cannot know how few are chosen, would read the whole dictionary
     */
    const char *value = key->kind == SAL_KEY_TERM     ? "(SELECT value FROM term WHERE id = r.k)"
                        : key->kind == SAL_KEY_STACK  ? "coalesce(t.value, '')"
                        : key->kind == SAL_KEY_FOLDED ? "v"
                                                      : sal_key_shown(key);
    const char *tie = key->kind == SAL_KEY_PLAIN ? "k" : "v";

    sal_sql_addf(sql,
                 "SELECT %d AS f, b, k, v, n, q FROM (SELECT b, k::text, v, n, row_number() OVER "
                 "(PARTITION BY b ORDER BY n DESC, %s) AS q FROM (SELECT b, k, %s AS v, n FROM ",
                 i, tie, value);
    if (key->kind == SAL_KEY_FOLDED) {
        sal_sql_add(sql, "(SELECT b, k, v, n, rank() OVER (PARTITION BY b ORDER BY n DESC) AS r "
                         "FROM h) r");
    } else {
        sal_sql_addf(sql,
                     "(SELECT b, x%d AS k, n, rank() OVER (PARTITION BY b ORDER BY n DESC) AS r "
                     "FROM g WHERE s = %d AND x%d IS NOT NULL) r",
                     i, mask(i, n), i);
    }
    if (key->kind == SAL_KEY_STACK) {
        sal_sql_add(sql, " CROSS JOIN LATERAL (SELECT string_agg(t.value, ' | ' ORDER BY u.o) AS "
                         "value FROM unnest(r.k) WITH ORDINALITY u(i, o) JOIN term t ON t.id = "
                         "u.i) t");
    }
    sal_sql_addf(sql, " WHERE r <= %d) y) z WHERE q <= %d", size, size);
}

static void add_histogram(sal_sql_t *sql, const sal_key_t *key, int i, int n)
{
    sal_sql_addf(sql,
                 "SELECT %d AS f, b, k::text, %s AS v, n, row_number() OVER (PARTITION BY b ORDER "
                 "BY k) AS q FROM (SELECT b, x%d AS k, n FROM g WHERE s = %d AND x%d IS NOT NULL) "
                 "r",
                 i, sal_key_shown(key), i, mask(i, n), i);
}

/* ---- results ---- */

static bucket_t *add_bucket(apr_array_header_t *to, const bucket_t *parent, int depth,
                            const char *key, json_t *facets)
{
    bucket_t *b = &APR_ARRAY_PUSH(to, bucket_t);

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

/* Rows of (which key, bucket, key, shown, count) become buckets; next[i] collects key i's. */
static void take_rows(const work_t *w, const sal_rows_t *rows, const level_t *l,
                      const sal_key_t *key, apr_array_header_t **next)
{
    for (int r = 0; r < sal_rows_count(rows); r++) {
        int f = (int)sal_rows_int(rows, r, 0);
        const bucket_t *parent;
        json_t *one;
        const sal_agg_t *agg;
        int64_t n = sal_rows_int(rows, r, 4) * (w->run->sample > 1 ? w->run->sample : 1);

        if (f < 0) {
            *w->total = sal_rows_int(rows, r, 4);
            continue;
        }
        agg = key[f].agg;
        parent = &APR_ARRAY_IDX(l->buckets, sal_rows_int(rows, r, 1), bucket_t);
        one = json_pack("{s:o, s:I}", "term", sal_key_json(agg, sal_rows_text(rows, r, 3)), "count",
                        (json_int_t)n);
        json_array_append_new(json_object_get(parent->facets, agg->name), one);
        if (agg->children->nelts > 0) {
            json_t *facets = json_object();

            json_object_set_new(one, "facets", facets);
            put_empty(agg->children, facets);
            add_bucket(next[f], parent, l->depth, sal_rows_text(rows, r, 2), facets);
        }
    }
}

/* ---- statements ---- */

static void name_partial(const work_t *w, const sal_agg_t *agg)
{
    json_array_append_new(w->errors,
                          json_pack("{s:s, s:s}", "type", "partial", "facet", agg->name));
}

static apr_status_t run_level(work_t *w, const level_t *l, const apr_array_header_t *children);

static apr_status_t run_inner(work_t *w, const level_t *l, const sal_key_t *key, int n,
                              apr_array_header_t **next)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        level_t inner = *l;

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

static sal_sql_t *counting(const work_t *w, const level_t *l, const sal_key_t *key, int n)
{
    sal_sql_t *sql = sal_sql_make(w->run->p);

    sal_sql_add(sql, "WITH ");
    add_buckets(sql, l, w->run->p);
    add_counts(sql, w, l, key, n);
    if (key->kind == SAL_KEY_FOLDED) {
        sal_sql_add(sql, ", h AS (SELECT b, v, array_agg(x0)::text AS k, sum(n) AS n FROM (SELECT "
                         "b, x0, n, (SELECT lower(value) FROM term WHERE id = x0) AS v FROM g "
                         "WHERE x0 IS NOT NULL) g GROUP BY 1, 2)");
    }
    sal_sql_add(sql, " ");
    for (int i = 0; i < n; i++) {
        sal_sql_add(sql, i ? " UNION ALL " : "");
        if (key[i].agg->kind == SAL_AGG_HISTOGRAM) {
            add_histogram(sql, &key[i], i, n);
        } else {
            add_top(sql, &key[i], i, n, w->aggs->size);
        }
    }
    return sql;
}

/* Counts by n keys, which share a pass, inside the buckets of the level. */
static apr_status_t run_counts(work_t *w, const level_t *l, const sal_key_t *key, int n)
{
    sal_sql_t *sql = counting(w, l, key, n);
    apr_array_header_t *next[MAX_SETS];
    sal_rows_t *rows;
    apr_status_t rv;

    if (l->depth == 0 && w->total && *key->from == '\0') {
        sal_sql_addf(sql,
                     " UNION ALL SELECT -1, 0, NULL, NULL, coalesce(sum(n), 0), 0 FROM g WHERE s = "
                     "%d",
                     mask(0, n));
    }
    sal_sql_addf(sql, " ORDER BY f, b, q LIMIT %d", MAX_ROWS + 1);
    rv = sal_sql_run_within(sql, key->agg->name, &rows, w->run, w->err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) > MAX_ROWS) {
        return sal_fail(w->err, SAL_E_MALFORMED,
                        "The aggregation of '%s' has too many buckets: lower _facets_size, take "
                        "longer intervals or a shorter range of dates",
                        key->agg->name);
    }
    for (int i = 0; i < n; i++) {
        next[i] = apr_array_make(w->run->p, 8, sizeof(bucket_t));
    }
    take_rows(w, rows, l, key, next);
    if (l->depth == 0 && *key->from == '\0') {
        w->total = NULL;
    }
    return run_inner(w, l, key, n, next);
}

/* Distinct values in every bucket. */
static apr_status_t run_cardinality(work_t *w, const level_t *l, const sal_agg_t *agg)
{
    sal_sql_t *sql = sal_sql_make(w->run->p);
    sal_rows_t *rows;
    sal_key_t key;
    apr_status_t rv;

    sal_key_make(&key, agg, l->depth, w->run);
    sal_sql_add(sql, "WITH ");
    add_buckets(sql, l, w->run->p);
    sal_sql_addf(sql, "x AS (SELECT %s AS b, ", l->depth ? "m.b" : "0");
    sal_sql_put(sql, key.expr);
    sal_sql_add(sql, " AS x");
    add_from(sql, w, l, &key);
    sal_sql_add(sql, ") SELECT b, count(DISTINCT ");
    if (key.kind == SAL_KEY_FOLDED) {
        sal_sql_add(sql, "lower(t.value)) FROM (SELECT DISTINCT b, x FROM x) x JOIN term t ON "
                         "t.id = x GROUP BY b");
    } else if (l->depth > 0) {
        sal_sql_add(sql, "x) FROM x GROUP BY b");
    } else {
        sal_sql_add(sql, "x) FROM (SELECT b, x FROM x GROUP BY 1, 2) x GROUP BY b");
    }
    rv = sal_sql_run_within(sql, agg->name, &rows, w->run, w->err);
    for (int r = 0; rv == APR_SUCCESS && r < sal_rows_count(rows); r++) {
        const bucket_t *b = &APR_ARRAY_IDX(l->buckets, sal_rows_int(rows, r, 0), bucket_t);

        json_object_set_new(json_object_get(b->facets, agg->name), "value",
                            json_integer(sal_rows_int(rows, r, 1)));
    }
    return rv;
}

/* A part that takes too long is left out; the rest of the answer stands. */
static apr_status_t excuse(work_t *w, apr_status_t rv, const level_t *l, const sal_key_t *key,
                           int n)
{
    if (rv != APR_TIMEUP || !w->run->txn) {
        return rv;
    }
    for (int i = 0; i < n; i++) {
        name_partial(w, key[i].agg);
        for (int b = 0; b < l->buckets->nelts; b++) {
            json_object_del(APR_ARRAY_IDX(l->buckets, b, bucket_t).facets, key[i].agg->name);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t run_level(work_t *w, const level_t *l, const apr_array_header_t *children)
{
    sal_key_t shared[MAX_SETS];
    int n = 0;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < children->nelts; i++) {
        const sal_agg_t *agg = APR_ARRAY_IDX(children, i, const sal_agg_t *);
        sal_key_t key;

        sal_key_make(&key, agg, l->depth, w->run);
        if (agg->kind == SAL_AGG_CARDINALITY) {
            rv = excuse(w, run_cardinality(w, l, agg), l, &key, 1);
        } else if (*key.from) {
            rv = excuse(w, run_counts(w, l, &key, 1), l, &key, 1);
        } else {
            shared[n++] = key;
            if (n == MAX_SETS) {
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
    work_t w = { aggs, where, errors, run, total, err };
    level_t root = { .buckets = apr_array_make(run->p, 1, sizeof(bucket_t)) };
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
