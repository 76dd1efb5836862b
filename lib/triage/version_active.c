/*
 * Which versions are in use, out of the counts by day; and which of them are featured.
 */
#include "triage/versions.h"

#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

enum { DAYS = 60, LEAST = 50, MOST = 1000, FEATURED = 3 };

typedef struct active_t {
    const char *version, *key;
    int64_t n;
} active_t;

/* ---- one product ---- */

static void add(apr_array_header_t *list, const char *version, int64_t n)
{
    char key[SAL_VERSION_KEY];
    active_t *a;

    if (!sal_version_key(key, version)) {
        return;
    }
    a = apr_array_push(list);
    *a = (active_t){ version, apr_pstrdup(list->pool, key), n };
}

static int newest_first(const void *a, const void *b)
{
    const active_t *x = a, *y = b;
    int c = strcmp(y->key, x->key);

    return c ? c : strcmp(x->version, y->version);
}

/* The name of all betas of a version: "108.0b" of "108.0b3"; NULL for others. */
static const char *all_betas(const char *version, apr_pool_t *p)
{
    const char *b = strchr(version, 'b');

    return b ? apr_pstrmemdup(p, version, (apr_size_t)(b - version) + 1) : NULL;
}

/* Each "X.Yb" once, with the crashes of its betas. */
static void add_all_betas(apr_array_header_t *list, const char *version, int64_t n)
{
    const char *name = all_betas(version, list->pool);
    active_t *a = (active_t *)list->elts;

    if (!name || !strcmp(name, version)) {
        return;
    }
    for (int i = 0; i < list->nelts; i++) {
        if (!strcmp(a[i].version, name)) {
            a[i].n += n;
            return;
        }
    }
    add(list, name, n);
}

static apr_array_header_t *active_of(const sal_rows_t *rows, int from, int to, apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, 64, sizeof(active_t));

    for (int i = from; i < to; i++) {
        const char *version = sal_rows_text(rows, i, 1);

        if (strncmp(version, "1024", 4)) {
            add(list, version, sal_rows_int(rows, i, 2));
        }
    }
    for (int i = 0, n = list->nelts; i < n; i++) {
        active_t a = ((active_t *)list->elts)[i];

        add_all_betas(list, a.version, a.n);
    }
    qsort(list->elts, (size_t)list->nelts, sizeof(active_t), newest_first);
    return list;
}

/* ---- all of them ---- */

typedef struct learning_t {
    apr_time_t now;
    int64_t n;
} learning_t;

typedef struct table_t {
    const char **product, **version;
    int64_t *position, *count;
    apr_size_t n, room;
} table_t;

static void put_rows(table_t *t, const char *product, const apr_array_header_t *list)
{
    const active_t *a = (const active_t *)list->elts;

    for (int i = 0; i < list->nelts && t->n < t->room; i++, t->n++) {
        t->product[t->n] = product;
        t->version[t->n] = a[i].version;
        t->position[t->n] = i + 1;
        t->count[t->n] = a[i].n;
    }
}

static apr_status_t make_active(const sal_rows_t *rows, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    table_t t = { .room = 2 * (apr_size_t)sal_rows_count(rows) + 1 };

    t.product = apr_palloc(p, sizeof(char *) * t.room);
    t.version = apr_palloc(p, sizeof(char *) * t.room);
    t.position = apr_palloc(p, sizeof(int64_t) * t.room);
    t.count = apr_palloc(p, sizeof(int64_t) * t.room);
    for (int from = 0, to; from < sal_rows_count(rows); from = to) {
        const char *product = sal_rows_text(rows, from, 0);

        for (to = from + 1;
             to < sal_rows_count(rows) && !strcmp(sal_rows_text(rows, to, 0), product); to++) {
        }
        put_rows(&t, product, active_of(rows, from, to, p));
    }
    return sal_db_exec(db, &sal_s_triage_active_put, NULL, p, err, SAL_V_TEXTS(t.product, t.n),
                       SAL_V_INTS(t.position, t.n), SAL_V_TEXTS(t.version, t.n),
                       SAL_V_INTS(t.count, t.n));
}

static apr_status_t learn_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    learning_t *l = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_triage_versions_lock, NULL, 0, NULL, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_db_run(db, &sal_s_triage_versions_learn, NULL, 0, &rows, p, err);
    }
    l->n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_triage_active, &rows, p, err, SAL_V_TIME(l->now),
                         SAL_V_INT(DAYS), SAL_V_INT(LEAST), SAL_V_INT(MOST));
    }
    return rv == APR_SUCCESS ? make_active(rows, db, p, err) : rv;
}

apr_status_t sal_versions_learn(int64_t *n, apr_time_t now, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    learning_t l = { now, 0 };
    apr_status_t rv = sal_db_txn(db, learn_txn, &l, p, err);

    *n = l.n;
    return rv;
}

/* ---- reading ---- */

apr_status_t sal_versions_active(sal_rows_t **out, const char *product, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_active_list, out, p, err, SAL_V_TEXT(product));
}

/* Bytes of a key that stand for major and minor: a letter says how many digits follow. */
static size_t series_of(const char *key)
{
    size_t major = 1 + (size_t)(key[0] - 'a');

    return major + 1 + (size_t)(key[major] - 'a');
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && !strcmp(text + n - k, end);
}

apr_status_t sal_versions_featured(const char ***out, const char *product, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err)
{
    const char **list = apr_pcalloc(p, sizeof(char *) * (FEATURED + 1));
    char keys[FEATURED + 1][SAL_VERSION_KEY];
    sal_rows_t *rows;
    apr_status_t rv = sal_versions_active(&rows, product, db, p, err);
    int n = 0;

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows) && n < FEATURED; i++) {
        const char *version = sal_rows_text(rows, i, 0);
        bool known =
            ends_in(version, "b") || ends_in(version, "esr") || !sal_version_key(keys[n], version);

        for (int k = 0; k < n && !known; k++) {
            known = !strncmp(keys[k], keys[n], series_of(keys[n]));
        }
        if (!known) {
            list[n++] = version;
        }
    }
    *out = list;
    return rv;
}
