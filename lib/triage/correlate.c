/*
 * Correlations of a day: which products and channels, which signatures, and where results go.
 */
#include "triage/correlate_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_sha1.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "search/fields.h"

typedef struct group_t {
    int first, n;     /* crashes */
    int signature;    /* term */
    const char *text; /* NULL: the dictionary has lost it */
} group_t;

typedef struct report_t {
    const channel_t *channel;
    const char *day;
    int64_t total;
    double share;
    const char **signatures, **sha1, **results;
    int64_t *totals;
    apr_size_t n;
} report_t;

/* ---- groups ---- */

static int by_signature(const void *a, const void *b)
{
    const crash_t *x = a, *y = b;

    return (x->signature > y->signature) - (x->signature < y->signature);
}

static int largest_first(const void *a, const void *b)
{
    const group_t *x = a, *y = b;

    if (x->n != y->n || !x->text || !y->text) {
        return x->n != y->n ? y->n - x->n : (y->text != NULL) - (x->text != NULL);
    }
    return strcmp(x->text, y->text);
}

static apr_status_t name_groups(apr_array_header_t *groups, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    int64_t *terms = apr_palloc(p, sizeof(*terms) * ((apr_size_t)groups->nelts + 1));
    group_t *g = (group_t *)groups->elts;
    sal_rows_t *rows;
    apr_status_t rv;

    for (int i = 0; i < groups->nelts; i++) {
        terms[i] = g[i].signature;
    }
    rv = sal_db_exec(db, &sal_s_triage_terms, &rows, p, err,
                     SAL_V_INTS(terms, (apr_size_t)groups->nelts));
    /* both are in the order of terms */
    for (int i = 0, r = 0; rv == APR_SUCCESS && i < groups->nelts; i++) {
        while (r < sal_rows_count(rows) && sal_rows_int(rows, r, 0) < g[i].signature) {
            r++;
        }
        g[i].text = r < sal_rows_count(rows) && sal_rows_int(rows, r, 0) == g[i].signature
                        ? sal_rows_text(rows, r, 1)
                        : NULL;
    }
    return rv;
}

/* Signatures with enough crashes, those with the most first. Sorts the crashes. */
static apr_status_t groups_of(apr_array_header_t **out, const crashes_t *all, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    crash_t *list = (crash_t *)all->list->elts;
    apr_status_t rv;

    *out = apr_array_make(p, 100, sizeof(group_t));
    qsort(list, (size_t)all->list->nelts, sizeof(*list), by_signature);
    for (int from = 0, to; from < all->list->nelts; from = to) {
        for (to = from + 1; to < all->list->nelts && list[to].signature == list[from].signature;
             to++) {
        }
        if (list[from].signature && to - from >= CORRELATE_GROUP) {
            APR_ARRAY_PUSH(*out, group_t) =
                (group_t){ from, to - from, list[from].signature, NULL };
        }
    }
    rv = name_groups(*out, db, p, err);
    qsort((*out)->elts, (size_t)(*out)->nelts, sizeof(group_t), largest_first);
    return rv;
}

/* ---- one product and channel ---- */

static const char *sha1_of(const char *text, apr_pool_t *p)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    char *hex = apr_palloc(p, 2 * sizeof(digest) + 1);
    apr_sha1_ctx_t sha;

    apr_sha1_init(&sha);
    apr_sha1_update_binary(&sha, (const unsigned char *)text, (unsigned)strlen(text));
    apr_sha1_final(digest, &sha);
    sal_hex(hex, digest, sizeof(digest));
    return hex;
}

static apr_status_t store_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const report_t *r = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_triage_correlate_lock, NULL, 0, NULL, p, err);

    rv = rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_triage_correlate_drop, NULL, p, err,
                                         SAL_V_TEXT(r->channel->product_name),
                                         SAL_V_TEXT(r->channel->channel_name), SAL_V_TEXT(r->day))
                           : rv;
    rv = rv == APR_SUCCESS
             ? sal_db_exec(db, &sal_s_triage_correlate_add, &rows, p, err,
                           SAL_V_TEXT(r->channel->product_name),
                           SAL_V_TEXT(r->channel->channel_name), SAL_V_TEXT(r->day),
                           SAL_V_INT(r->channel->days), SAL_V_INT(r->total), SAL_V_DOUBLE(r->share))
             : rv;
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_triage_correlate_put, NULL, p, err,
                             SAL_V_INT(sal_rows_int(rows, 0, 0)), SAL_V_TEXTS(r->signatures, r->n),
                             SAL_V_TEXTS(r->sha1, r->n), SAL_V_INTS(r->totals, r->n),
                             SAL_V_TEXTS(r->results, r->n))
               : rv;
}

static void report(report_t *r, const crashes_t *all, const apr_array_header_t *groups, int most,
                   const int *reference, apr_pool_t *p)
{
    const group_t *g = (const group_t *)groups->elts;
    apr_size_t room = (apr_size_t)groups->nelts + 1;
    apr_pool_t *scratch;

    r->signatures = apr_palloc(p, sizeof(char *) * room);
    r->sha1 = apr_palloc(p, sizeof(char *) * room);
    r->results = apr_palloc(p, sizeof(char *) * room);
    r->totals = apr_palloc(p, sizeof(int64_t) * room);
    apr_pool_create(&scratch, p);
    for (int i = 0; i < groups->nelts && r->n < (apr_size_t)most; i++) {
        json_t *found;

        if (!g[i].text) {
            continue;
        }
        found = correlate_find(all, reference, g[i].first, g[i].n, scratch);
        r->signatures[r->n] = g[i].text;
        r->sha1[r->n] = sha1_of(g[i].text, p);
        r->totals[r->n] = g[i].n;
        r->results[r->n++] = sal_json_text(found, p);
        json_decref(found);
        apr_pool_clear(scratch);
    }
}

static apr_status_t correlate_one(int64_t *n, const channel_t *channel, const char *day, int most,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    report_t r = { .channel = channel, .day = day };
    apr_array_header_t *groups;
    crashes_t all;
    apr_status_t rv;

    if ((rv = correlate_load(&all, channel, db, p, err)) != APR_SUCCESS ||
        (rv = groups_of(&groups, &all, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    r.total = all.list->nelts;
    r.share = all.share;
    report(&r, &all, groups, most,
           correlate_count((const crash_t *)all.list->elts, all.list->nelts, all.items->nelts, p),
           p);
    rv = sal_db_txn(db, store_txn, &r, p, err);
    *n += rv == APR_SUCCESS ? (int64_t)r.n : 0;
    return rv;
}

/* ---- all of them ---- */

apr_status_t sal_correlate_run(int64_t *n, const sal_correlate_opts_t *opts, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    const apr_time_t day_long = apr_time_from_sec(86400);
    const char *day = apr_pstrndup(p, sal_time_iso(opts->now, p), 10);
    const char *from = apr_pstrndup(p, sal_time_iso(opts->now - opts->days * day_long, p), 10);
    sal_rows_t *rows;
    apr_pool_t *sub;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_correlate_channels, &rows, p, err, SAL_V_TEXT(from),
                    SAL_V_TEXT(day), SAL_V_INT(CORRELATE_GROUP), SAL_V_INT(CORRELATE_CHANNELS));

    *n = 0;
    apr_pool_create(&sub, p);
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        channel_t channel = { (int)sal_rows_int(rows, i, 0),
                              (int)sal_rows_int(rows, i, 1),
                              sal_rows_text(rows, i, 2),
                              sal_rows_text(rows, i, 3),
                              sal_rows_int(rows, i, 4),
                              from,
                              opts->days };

        if (opts->deadline && apr_time_now() >= opts->deadline) {
            rv = sal_fail(err, APR_TIMEUP, "the time was up before all channels were looked at");
            break;
        }
        rv = correlate_one(n, &channel, day, opts->signatures, db, sub, err);
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_triage_correlate_clean, NULL, p, err, SAL_V_TEXT(from),
                             SAL_V_TEXT(day), SAL_V_INT(CORRELATE_GROUP),
                             SAL_V_INT(CORRELATE_CHANNELS))
               : rv;
}
