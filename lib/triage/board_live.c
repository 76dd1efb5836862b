/*
 * What the board asks of Super Search: facets of one product in a range of time.
 */
#include "triage/board_private.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"

#define DAY apr_time_from_sec(24 * 3600)

json_t *board_facet(const json_t *row, const char *name)
{
    return json_object_get(json_object_get(row, "facets"), name);
}

const char *board_term(const json_t *row)
{
    const char *term = sal_json_str(row, "term");

    return term ? term : "";
}

int64_t board_n(const json_t *row)
{
    return json_integer_value(json_object_get(row, "count"));
}

static const char *build_text(const char *op, apr_time_t t, apr_pool_t *p)
{
    apr_time_exp_t x;

    apr_time_exp_gmt(&x, t);
    return apr_psprintf(p, "%s%04d%02d%02d%02d%02d%02d", op, x.tm_year + 1900, x.tm_mon + 1,
                        x.tm_mday, x.tm_hour, x.tm_min, x.tm_sec);
}

static void put_process_type(sal_super_t *s, const char *type, apr_pool_t *p)
{
    if (type && strcmp(type, "other")) {
        sal_super_param(s, "process_type", type);
    }
    for (int i = 0; type && !strcmp(type, "other") && board_known_types[i]; i++) {
        sal_super_param(s, "process_type", apr_pstrcat(p, "!", board_known_types[i], NULL));
    }
}

static void put_filter(sal_super_t *s, const board_ask_t *ask, apr_pool_t *p)
{
    const sal_board_filter_t *f = ask->filter;

    if (f->product) {
        sal_super_is(s, "product", f->product);
    }
    for (int i = 0; f->versions && f->versions[i]; i++) {
        sal_super_param(s, "version", f->versions[i]);
    }
    put_process_type(s, f->process_type, p);
    if (f->platform) {
        sal_super_param(s, "platform", f->platform);
    }
    if (f->report_type) {
        sal_super_param(s, "report_type", f->report_type);
    }
    for (int i = 0; i < ask->n_signatures; i++) {
        sal_super_is(s, "signature", ask->signatures[i]);
    }
    sal_super_param(s, "date", apr_pstrcat(p, ">=", sal_time_iso(ask->range.from, p), NULL));
    sal_super_param(s, "date", apr_pstrcat(p, "<", sal_time_iso(ask->range.to, p), NULL));
    if (f->build_to) {
        sal_super_param(s, "build_id", build_text(">=", f->build_from, p));
        sal_super_param(s, "build_id", build_text("<", f->build_to, p));
    }
}

apr_status_t board_ask(json_t **result, const board_ask_t *ask, sal_db_t *db, apr_pool_t *p,
                       sal_error_t *err)
{
    sal_super_t *s = sal_super_make(ask->reader, apr_time_now(), p);
    apr_status_t rv;

    *result = NULL;
    put_filter(s, ask, p);
    sal_super_param(s, "_results_number", "0");
    sal_super_param(s, "_facets_size", apr_itoa(p, ask->size));
    if (!ask->filter->product) {
        sal_super_param(s, "_facets", "product");
    }
    for (const char *const *e = ask->extra; e && *e; e += 2) {
        sal_super_param(s, e[0], e[1]);
    }
    if ((rv = sal_super_run(result, s, db, p, err)) == APR_SUCCESS) {
        sal_json_own(*result, p);
    }
    return rv;
}

/* ---- installations ---- */

/* Of a row, or of all: {"value": n}. */
static int64_t cardinality_of(const json_t *facets)
{
    return json_integer_value(
        json_object_get(json_object_get(facets, "cardinality_install_time"), "value"));
}

static int64_t cardinality(const json_t *row)
{
    return cardinality_of(json_object_get(row, "facets"));
}

/* What a result tells of the signatures; what it does not tell stays. */
static void take_installs(int64_t *each, const json_t *result, const char *const *signatures, int n,
                          apr_pool_t *p)
{
    apr_hash_t *found = apr_hash_make(p);
    const json_t *row;
    size_t i;

    json_array_foreach(board_facet(result, "signature"), i, row)
    {
        apr_hash_set(found, board_term(row), APR_HASH_KEY_STRING, row);
    }
    for (int k = 0; k < n; k++) {
        row = apr_hash_get(found, signatures[k], APR_HASH_KEY_STRING);
        each[k] = row ? cardinality(row) : each[k];
    }
}

/*
 * The signatures are mostly those with the most crashes, so that the first question need not name
 * them; a second one is about those that it did not tell of.
 */
apr_status_t sal_board_installs(int64_t *all, int64_t *each, const sal_board_filter_t *filter,
                                const char *const *signatures, int n,
                                const sal_super_reader_t *reader, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    static const char *const extra[] = { "_facets", "_cardinality.install_time", "_aggs.signature",
                                         "_cardinality.install_time", NULL };
    const char **rest = apr_palloc(p, sizeof(char *) * ((apr_size_t)n + 1));
    board_ask_t ask = { .filter = filter,
                        .range = { filter->from, filter->to },
                        .extra = extra,
                        .size = n < 1 ? 1 : n,
                        .reader = reader };
    json_t *result;
    apr_status_t rv = board_ask(&result, &ask, db, p, err);

    *all = rv == APR_SUCCESS ? cardinality_of(json_object_get(result, "facets")) : 0;
    for (int k = 0; k < n; k++) {
        each[k] = -1;
    }
    if (rv == APR_SUCCESS) {
        take_installs(each, result, signatures, n, p);
    }
    for (int k = 0; k < n; k++) {
        if (each[k] < 0) {
            rest[ask.n_signatures++] = signatures[k];
            each[k] = 0;
        }
    }
    if (rv == APR_SUCCESS && ask.n_signatures) {
        ask.signatures = rest;
        ask.extra = extra + 2;
        rv = board_ask(&result, &ask, db, p, err);
        if (rv == APR_SUCCESS) {
            take_installs(each, result, signatures, n, p);
        }
    }
    return rv;
}

/* ---- days ---- */

typedef struct days_t {
    int64_t *days;    /* [signature * 28 + day] */
    apr_hash_t *rows; /* signature -> its first */
    apr_time_t from;
} days_t;

static void add_day(days_t *d, const char *signature, apr_time_t t, int64_t n)
{
    int64_t *row = apr_hash_get(d->rows, signature, APR_HASH_KEY_STRING);
    apr_int64_t day = (t - d->from) / DAY;

    if (row && t >= d->from && day < SAL_BOARD_DAYS) {
        row[day] += n;
    }
}

static apr_status_t live_days(days_t *d, board_ask_t *ask, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    static const char *const extra[] = { "_aggs.signature", "_histogram.date", NULL };
    json_t *result, *row, *bucket;
    apr_status_t rv;
    apr_time_t t;
    size_t i, k;

    ask->extra = extra;
    rv = board_ask(&result, ask, db, p, err);
    json_array_foreach(rv == APR_SUCCESS ? board_facet(result, "signature") : NULL, i, row)
    {
        json_array_foreach(board_facet(row, "histogram_date"), k, bucket)
        {
            if (sal_time_parse(board_term(bucket), &t)) {
                add_day(d, board_term(row), t, board_n(bucket));
            }
        }
    }
    return rv;
}

/* A range inside one day needs no histogram, and no naming of signatures: these go to the day. */
static apr_status_t live_day(days_t *d, board_ask_t *ask, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    static const char *const extra[] = { "_facets", "signature", NULL };
    json_t *result, *row;
    apr_status_t rv;
    size_t i;

    ask->extra = extra;
    ask->n_signatures = 0;
    ask->size = SAL_BOARD_SIGNATURES;
    rv = board_ask(&result, ask, db, p, err);
    json_array_foreach(rv == APR_SUCCESS ? board_facet(result, "signature") : NULL, i, row)
    {
        add_day(d, board_term(row), ask->range.from, board_n(row));
    }
    return rv;
}

static apr_status_t counted_days(days_t *d, const board_parts_t *parts, const sal_board_filter_t *f,
                                 const char *const *signatures, int n, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    sal_rows_t *rows;
    board_ids_t ids;
    apr_time_t t;
    apr_status_t rv = board_ids(&ids, f, db, p, err);

    if (rv == APR_SUCCESS && !ids.none && parts->n_days) {
        rv = sal_db_exec(db, &sal_s_board_days, &rows, p, err,
                         SAL_V_TEXTS(parts->days, (apr_size_t)parts->n_days), ids.product,
                         ids.versions, ids.platform, ids.process_types, SAL_V_BOOL(ids.other),
                         ids.report_type, SAL_V_TEXTS((const char **)signatures, (apr_size_t)n));
        for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
            if (sal_time_parse(apr_pstrcat(p, sal_rows_text(rows, i, 1), "T00:00:00", NULL), &t)) {
                add_day(d, sal_rows_text(rows, i, 0), t, sal_rows_int(rows, i, 2));
            }
        }
    }
    return rv;
}

apr_status_t sal_board_days(int64_t *days, const sal_board_filter_t *filter,
                            const char *const *signatures, int n, apr_time_t now,
                            const sal_super_reader_t *reader, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_board_filter_t f = *filter;
    days_t d = { days, apr_hash_make(p), now - now % DAY - (SAL_BOARD_DAYS - 1) * DAY };
    board_parts_t parts;
    apr_status_t rv;

    memset(days, 0, sizeof(*days) * SAL_BOARD_DAYS * (size_t)n);
    for (int i = 0; i < n; i++) {
        apr_hash_set(d.rows, signatures[i], APR_HASH_KEY_STRING, &days[i * SAL_BOARD_DAYS]);
    }
    f.build_from = f.build_to = 0;
    rv = n ? board_cut(&parts, d.from, now, true, db, p, err) : APR_SUCCESS;
    if (rv == APR_SUCCESS && n) {
        rv = counted_days(&d, &parts, &f, signatures, n, db, p, err);
    }
    for (int i = 0; n && rv == APR_SUCCESS && i < parts.live->nelts; i++) {
        board_ask_t ask = { .filter = &f,
                            .range = APR_ARRAY_IDX(parts.live, i, board_range_t),
                            .signatures = signatures,
                            .n_signatures = n,
                            .size = n < 50 ? 50 : n,
                            .reader = reader };

        rv = (ask.range.to - 1) / DAY == ask.range.from / DAY ? live_day(&d, &ask, db, p, err)
                                                              : live_days(&d, &ask, db, p, err);
    }
    return rv;
}
