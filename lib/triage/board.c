/*
 * Counts of a window, put together from counted days and live ranges.
 *
 * Every source tells its 10,000 most frequent signatures; the sums are exact as long as no source
 * has more, and beyond that for all that could stand near the top.
 */
#include "triage/board_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

typedef struct gather_t {
    const sal_board_filter_t *filter;
    bool details;
    const sal_super_reader_t *reader;
    apr_hash_t *counts;    /* signature -> sal_board_count_t with platforms by number */
    apr_hash_t *platforms; /* name -> number_t */
    int64_t total;
    apr_pool_t *p;
} gather_t;

/* Crashes of a platform, and of each signature on it: as there are few platforms and many
 * signatures, the latter are kept by platform. */
typedef struct platform_t {
    const char *name;
    int64_t n;
    apr_hash_t *by_signature; /* of int64_t */
} platform_t;

static sal_board_count_t *count_of(gather_t *g, const char *signature)
{
    sal_board_count_t *c = apr_hash_get(g->counts, signature, APR_HASH_KEY_STRING);

    if (!c) {
        c = apr_pcalloc(g->p, sizeof(*c));
        c->signature = signature;
        apr_hash_set(g->counts, signature, APR_HASH_KEY_STRING, c);
    }
    return c;
}

static void add_platform(gather_t *g, const char *signature, const char *name, int64_t n)
{
    platform_t *f = apr_hash_get(g->platforms, name, APR_HASH_KEY_STRING);
    int64_t *each;

    if (!f) {
        f = apr_pcalloc(g->p, sizeof(*f));
        f->name = name;
        f->by_signature = apr_hash_make(g->p);
        apr_hash_set(g->platforms, name, APR_HASH_KEY_STRING, f);
    }
    f->n += n;
    each = apr_hash_get(f->by_signature, signature, APR_HASH_KEY_STRING);
    if (!each) {
        each = apr_pcalloc(g->p, sizeof(*each));
        apr_hash_set(f->by_signature, signature, APR_HASH_KEY_STRING, each);
    }
    *each += n;
}

/* ---- counted days ---- */

static apr_status_t add_counted(gather_t *g, const board_parts_t *parts, sal_db_t *db,
                                sal_error_t *err)
{
    sal_rows_t *rows;
    board_ids_t ids;
    apr_status_t rv = board_ids(&ids, g->filter, db, g->p, err);

    if (rv != APR_SUCCESS || ids.none || !parts->n_days) {
        return rv;
    }
    rv = sal_db_exec(db, &sal_s_board_count, &rows, g->p, err,
                     SAL_V_TEXTS(parts->days, (apr_size_t)parts->n_days), ids.product, ids.versions,
                     ids.platform, ids.process_types, SAL_V_BOOL(ids.other), ids.report_type,
                     SAL_V_BOOL(g->details), SAL_V_INT(SAL_BOARD_SIGNATURES));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        sal_board_count_t *c;

        g->total += i == 0 ? sal_rows_int(rows, 0, 7) : 0;
        if (sal_rows_null(rows, i, 0)) {
            continue;
        }
        c = count_of(g, sal_rows_text(rows, i, 0));
        c->n += sal_rows_int(rows, i, 2);
        c->startup += sal_rows_int(rows, i, 3);
        c->gc += sal_rows_int(rows, i, 4);
        c->early += sal_rows_int(rows, i, 5);
        c->plugin += sal_rows_int(rows, i, 6);
        if (g->details && !sal_rows_null(rows, i, 1)) {
            add_platform(g, c->signature, sal_rows_text(rows, i, 1), sal_rows_int(rows, i, 2));
        }
    }
    return rv;
}

/* ---- live ranges ---- */

/* The count of a term among the rows of a facet. */
static int64_t of_term(const json_t *facet, const char *term)
{
    const json_t *row;
    size_t i;

    json_array_foreach(facet, i, row)
    {
        if (!strcmp(board_term(row), term)) {
            return board_n(row);
        }
    }
    return 0;
}

static void add_details(gather_t *g, sal_board_count_t *c, const json_t *row)
{
    const json_t *one;
    size_t i;

    c->startup += of_term(board_facet(row, "startup_crash"), "T");
    c->gc += of_term(board_facet(row, "is_garbage_collecting"), "T");
    c->plugin += of_term(board_facet(row, "process_type"), "plugin");
    json_array_foreach(board_facet(row, "platform"), i, one)
    {
        add_platform(g, c->signature, board_term(one), board_n(one));
    }
}

static apr_status_t add_live(gather_t *g, board_range_t range, sal_db_t *db, sal_error_t *err)
{
    static const char *const brief[] = { "_facets", "signature", NULL };
    static const char *const full[] = {
        "_aggs.signature",       "platform",        "_aggs.signature",
        "is_garbage_collecting", "_aggs.signature", "startup_crash",
        "_aggs.signature",       "process_type",    NULL
    };
    static const char *const early[] = { "uptime", "<60", "_facets", "signature", NULL };
    board_ask_t ask = { .filter = g->filter,
                        .range = range,
                        .reader = g->reader,
                        .extra = g->details ? full : brief,
                        .size = SAL_BOARD_SIGNATURES };
    json_t *result, *row;
    apr_status_t rv = board_ask(&result, &ask, db, g->p, err);
    size_t i;

    json_array_foreach(rv == APR_SUCCESS ? board_facet(result, "signature") : NULL, i, row)
    {
        sal_board_count_t *c = count_of(g, board_term(row));

        c->n += board_n(row);
        if (g->details) {
            add_details(g, c, row);
        }
    }
    g->total += rv == APR_SUCCESS ? json_integer_value(json_object_get(result, "total")) : 0;
    if (rv == APR_SUCCESS && g->details) {
        ask.extra = early;
        rv = board_ask(&result, &ask, db, g->p, err);
    }
    json_array_foreach(rv == APR_SUCCESS && g->details ? board_facet(result, "signature") : NULL, i,
                       row)
    {
        count_of(g, board_term(row))->early += board_n(row);
    }
    return rv;
}

/* ---- the whole ---- */

static int most_first(const void *a, const void *b)
{
    const sal_board_count_t *x = a, *y = b;

    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->signature, y->signature);
}

static int commonest_first(const void *a, const void *b)
{
    const platform_t *x = *(const platform_t *const *)a, *y = *(const platform_t *const *)b;

    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->name, y->name);
}

/* One column a platform, the commonest first; what does not fit is "others". */
static void put_platforms(sal_board_t *out, const gather_t *g)
{
    int n = (int)apr_hash_count(g->platforms), k = 0;
    const platform_t **all = apr_palloc(g->p, sizeof(*all) * ((apr_size_t)n + 1));

    for (apr_hash_index_t *i = apr_hash_first(g->p, g->platforms); i; i = apr_hash_next(i)) {
        all[k++] = apr_hash_this_val(i);
    }
    qsort(all, (size_t)n, sizeof(*all), commonest_first);
    for (k = 0; k < n; k++) {
        bool rest = n > SAL_BOARD_PLATFORMS && k >= SAL_BOARD_PLATFORMS - 1;
        int column = rest ? SAL_BOARD_PLATFORMS - 1 : k;

        out->platforms[column] = rest ? "others" : all[k]->name;
        for (int i = 0; i < out->n; i++) {
            const int64_t *each =
                apr_hash_get(all[k]->by_signature, out->list[i].signature, APR_HASH_KEY_STRING);

            out->list[i].platforms[column] += each ? *each : 0;
        }
    }
}

static void finish(sal_board_t *out, const gather_t *g)
{
    int n = (int)apr_hash_count(g->counts), k = 0;

    *out = (sal_board_t){ .total = g->total,
                          .n = n,
                          .list = apr_palloc(g->p, sizeof(*out->list) * ((apr_size_t)n + 1)),
                          .by_signature = apr_hash_make(g->p) };
    for (apr_hash_index_t *i = apr_hash_first(g->p, g->counts); i; i = apr_hash_next(i)) {
        const sal_board_count_t *c = apr_hash_this_val(i);

        out->list[k++] = *c;
    }
    qsort(out->list, (size_t)n, sizeof(*out->list), most_first);
    for (k = 0; k < n; k++) {
        out->list[k].rank = k + 1;
        apr_hash_set(out->by_signature, out->list[k].signature, APR_HASH_KEY_STRING, &out->list[k]);
    }
    put_platforms(out, g);
}

apr_status_t sal_board_read(sal_board_t *out, const sal_board_filter_t *filter, bool details,
                            const sal_super_reader_t *reader, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    gather_t g = { filter, details, reader, apr_hash_make(p), apr_hash_make(p), 0, p };
    board_parts_t parts;
    apr_status_t rv = board_cut(&parts, filter->from, filter->to, !filter->build_to, db, p, err);

    if (rv == APR_SUCCESS) {
        rv = add_counted(&g, &parts, db, err);
    }
    for (int i = 0; rv == APR_SUCCESS && i < parts.live->nelts; i++) {
        rv = add_live(&g, APR_ARRAY_IDX(parts.live, i, board_range_t), db, err);
    }
    if (rv == APR_SUCCESS) {
        finish(out, &g);
    }
    return rv;
}

apr_status_t sal_board_versions(sal_rows_t **out, const char *product,
                                const char *const *signatures, int n, apr_time_t now, sal_db_t *db,
                                apr_pool_t *p, sal_error_t *err)
{
    const sal_board_filter_t f = { .product = product };
    board_ids_t ids;
    apr_status_t rv = board_ids(&ids, &f, db, p, err);

    return rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_board_versions, out, p, err, ids.product,
                                           SAL_V_TEXTS((const char **)signatures, (apr_size_t)n),
                                           SAL_V_TIME(now), SAL_V_INT(SAL_BOARD_DAYS))
                             : rv;
}
