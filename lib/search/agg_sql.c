/*
 * Statements of aggregations.
 *
 * Chosen buckets travel as parameters: arrays of their keys and their numbers, which the statement
 * of the next level joins and groups by.
 */
#include "search/agg_private.h"

#include <string.h>
#include <apr_strings.h>

/* A key of a list whose elements differ by case alone is several ids: one row each. */
static void add_rows(const char **columns[], int64_t *numbers, int *n, const sal_bucket_t *b,
                     const sal_level_t *l, int number, int at, const char **chosen, apr_pool_t *p)
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

static int count_rows(const sal_level_t *l)
{
    int sum = 0;

    for (int i = 0; i < l->buckets->nelts; i++) {
        const sal_bucket_t *b = &APR_ARRAY_IDX(l->buckets, i, sal_bucket_t);
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
static void add_buckets(sal_sql_t *sql, const sal_level_t *l, apr_pool_t *p)
{
    int rows = count_rows(l), n = 0;
    const char **columns[SAL_AGG_MAX_DEPTH], *chosen[SAL_AGG_MAX_DEPTH];
    int64_t *numbers = apr_palloc(p, sizeof *numbers * (apr_size_t)(rows + 1));

    if (l->depth == 0) {
        return;
    }
    for (int k = 0; k < l->depth; k++) {
        columns[k] = apr_palloc(p, sizeof **columns * (apr_size_t)(rows + 1));
    }
    for (int i = 0; i < l->buckets->nelts; i++) {
        add_rows(columns, numbers, &n, &APR_ARRAY_IDX(l->buckets, i, sal_bucket_t), l, i, 0, chosen,
                 p);
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
static void add_from(sal_sql_t *sql, const sal_agg_work_t *w, const sal_level_t *l,
                     const sal_key_t *key)
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

/* Which of the n keys a group is of. */
static void add_mask(sal_sql_t *sql, int n)
{
    sal_sql_add(sql, n > 1 ? "grouping(" : "0");
    for (int i = 0; n > 1 && i < n; i++) {
        sal_sql_addf(sql, "%sx%d", i ? ", " : "", i);
    }
    sal_sql_add(sql, n > 1 ? ")" : "");
}

/* The end of "(SELECT ... FROM (SELECT ..."; first: what every group has, "" or "b, ". */
static void add_group_by(sal_sql_t *sql, const char *first, int n)
{
    sal_sql_add(sql, n > 1 ? ") f GROUP BY GROUPING SETS (" : ") f GROUP BY ");
    for (int i = 0; i < n; i++) {
        sal_sql_addf(sql, n > 1 ? "%s(%sx%d)" : "%s%sx%d", i ? ", " : "", first, i);
    }
    sal_sql_add(sql, n > 1 ? "))" : ")");
}

/* "g AS (SELECT b, x0, x1 ..., s, n ...)": the counts of n keys in one pass. */
static void add_counts(sal_sql_t *sql, const sal_agg_work_t *w, const sal_level_t *l,
                       const sal_key_t *key, int n)
{
    const char *b = l->depth ? "b, " : "";

    sal_sql_addf(sql, "g AS (SELECT %s", l->depth ? "b, " : "0 AS b, ");
    for (int i = 0; i < n; i++) {
        sal_sql_addf(sql, "x%d, ", i);
    }
    add_mask(sql, n);
    sal_sql_add(sql, " AS s, count(*) AS n FROM (SELECT ");
    sal_sql_add(sql, l->depth ? "m.b, " : "");
    for (int i = 0; i < n; i++) {
        sal_sql_add(sql, i ? ", " : "");
        sal_sql_put(sql, key[i].expr);
        sal_sql_addf(sql, " AS x%d", i);
    }
    add_from(sql, w, l, &key[0]);
    add_group_by(sql, b, n);
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
    /* no join: the planner, which cannot know how few are chosen, would read all the dictionary */
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

/* What is shown of the counts in "g": a part for every key, and the count of all. */
static void add_parts(sal_sql_t *sql, const sal_agg_work_t *w, const sal_key_t *key, int n,
                      const char *total_from)
{
    for (int i = 0; i < n; i++) {
        sal_sql_add(sql, i ? " UNION ALL " : "");
        if (key[i].agg->kind == SAL_AGG_HISTOGRAM) {
            add_histogram(sql, &key[i], i, n);
        } else {
            add_top(sql, &key[i], i, n, w->aggs->size);
        }
    }
    if (total_from) {
        sal_sql_addf(
            sql,
            " UNION ALL SELECT -1, 0, NULL, NULL, coalesce(sum(n), 0), 0 FROM %s WHERE s = "
            "%d",
            total_from, mask(0, n));
    }
    sal_sql_addf(sql, " ORDER BY f, b, q LIMIT %d", SAL_AGG_MAX_ROWS + 1);
}

sal_sql_t *sal_agg_counts(const sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *key,
                          int n, bool with_total)
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
    add_parts(sql, w, key, n, with_total ? "g" : NULL);
    return sql;
}

sal_sql_t *sal_agg_spread(const sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *histogram,
                          const sal_key_t *key, int n, bool with_total)
{
    sal_sql_t *sql = sal_sql_make(w->run->p);

    sal_sql_add(sql, "WITH c AS (SELECT h, ");
    for (int i = 0; i < n; i++) {
        sal_sql_addf(sql, "x%d, ", i);
    }
    add_mask(sql, n);
    sal_sql_add(sql, " AS s, count(*) AS n FROM (SELECT ");
    sal_sql_put(sql, histogram->expr);
    sal_sql_add(sql, " AS h");
    for (int i = 0; i < n; i++) {
        sal_sql_add(sql, ", ");
        sal_sql_put(sql, key[i].expr);
        sal_sql_addf(sql, " AS x%d", i);
    }
    add_from(sql, w, l, &key[0]);
    add_group_by(sql, "h, ", n);
    sal_sql_addf(sql,
                 ", p AS (SELECT h, row_number() OVER (ORDER BY h) - 1 AS b, sum(n) AS n FROM c "
                 "WHERE s = %d AND h IS NOT NULL GROUP BY h), g AS (SELECT p.b, c.s, c.n",
                 mask(0, n));
    for (int i = 0; i < n; i++) {
        sal_sql_addf(sql, ", c.x%d", i);
    }
    sal_sql_addf(sql,
                 " FROM c JOIN p ON p.h = c.h) SELECT -2 AS f, b, k::text, %s AS v, n, b AS q FROM "
                 "(SELECT b, h AS k, n FROM p) p UNION ALL ",
                 sal_key_shown(histogram));
    add_parts(sql, w, key, n, with_total ? "c" : NULL);
    return sql;
}

sal_sql_t *sal_agg_distinct(const sal_agg_work_t *w, const sal_level_t *l, const sal_key_t *key)
{
    sal_sql_t *sql = sal_sql_make(w->run->p);

    sal_sql_add(sql, "WITH ");
    add_buckets(sql, l, w->run->p);
    sal_sql_addf(sql, "x AS (SELECT %s AS b, ", l->depth ? "m.b" : "0");
    sal_sql_put(sql, key->expr);
    sal_sql_add(sql, " AS x");
    add_from(sql, w, l, key);
    sal_sql_add(sql, ") SELECT b, count(DISTINCT ");
    if (key->kind == SAL_KEY_FOLDED) {
        sal_sql_add(sql, "lower(t.value)) FROM (SELECT DISTINCT b, x FROM x) x JOIN term t ON "
                         "t.id = x GROUP BY b");
    } else if (l->depth > 0) {
        sal_sql_add(sql, "x) FROM x GROUP BY b");
    } else {
        sal_sql_add(sql, "x) FROM (SELECT b, x FROM x GROUP BY 1, 2) x GROUP BY b");
    }
    return sql;
}
