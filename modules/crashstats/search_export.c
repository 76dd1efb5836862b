/*
 * /search/export/: the rows of a search as CSV, JSON or lines of JSON, sent as they come.
 *
 * Rows come in portions of the database's connection, so that a slow reader holds none. Newest
 * first the next portion begins behind the last row of the one before; in another order the
 * limit of the search's offset holds.
 */
#include "crashstats/search.h"

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"
#include "render/wire.h"

enum { PORTION = 1000, MOST = 100000, MOST_STRANGER = 10000 };

typedef enum { CSV, JSON, NDJSON } form_t;

typedef struct export_t {
    crashstats_req_t *q;
    sal_ask_t *ask;
    apr_time_t now;
    form_t form;
    const char *const *columns;
    int n_columns;
    bool newest_first;
    int64_t most, sent, total;
    const char *after; /* "date,uuid" of the last row */
    json_t *hits;      /* of this portion */
} export_t;

/* ---- asking ---- */

static apr_status_t portion(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    export_t *x = baton;
    sal_super_t *s = crashstats_super(x->q, x->ask, x->now, p);
    int64_t left = x->most - x->sent;
    json_t *result;
    apr_status_t rv;

    sal_super_param(s, "_columns", "uuid");
    sal_super_param(s, "_columns", "date");
    for (int i = 0; i < x->n_columns; i++) {
        sal_super_param(s, "_columns", x->columns[i]);
    }
    for (int i = 0; i < x->ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(x->ask->pairs, i, sal_ask_pair_t);

        if (strcmp(one->name, "_sort") == 0) {
            sal_super_param(s, "_sort", one->value);
        }
    }
    if (x->newest_first && !sal_ask_value(x->ask, "_sort")) {
        sal_super_param(s, "_sort", "-date");
    }
    sal_super_param(s, "_facets_size", "0");
    sal_super_param(s, "_results_number", apr_itoa(p, left < PORTION ? (int)left : PORTION));
    if (x->newest_first && x->after) {
        sal_super_param(s, "_after", x->after);
    } else {
        sal_super_param(s, "_results_offset", apr_itoa(p, (int)x->sent));
    }
    rv = sal_super_run(&result, s, db, p, err);
    if (rv == APR_SUCCESS) {
        x->total = x->sent ? x->total : json_integer_value(json_object_get(result, "total"));
        x->hits = json_incref(json_object_get(result, "hits"));
        json_decref(result);
    }
    return rv;
}

/* ---- writing ---- */

static const char *plain(const json_t *v, apr_pool_t *p)
{
    if (json_is_string(v)) {
        return json_string_value(v);
    }
    return !v || json_is_null(v) ? "" : sal_wire_json(v, false, p);
}

/*
 * A spreadsheet takes what begins with one of these for a formula, unless it is a number; an
 * apostrophe in front makes it a text.
 */
static const char *harmless(const json_t *v, const char *text, apr_pool_t *p)
{
    return !json_is_number(v) && *text && strchr("=+-@\t\r\n|%", *text)
               ? apr_pstrcat(p, "'", text, NULL)
               : text;
}

static void csv_cell(request_rec *r, const json_t *v, bool first, apr_pool_t *p)
{
    const char *text = harmless(v, plain(v, p), p), *quote;

    if (!first) {
        ap_rputc(',', r);
    }
    if (!strpbrk(text, ",\"\r\n ")) {
        ap_rputs(text, r);
        return;
    }
    ap_rputc('"', r);
    while ((quote = strchr(text, '"'))) {
        ap_rwrite(text, (int)(quote - text) + 1, r);
        ap_rputc('"', r);
        text = quote + 1;
    }
    ap_rputs(text, r);
    ap_rputc('"', r);
}

static const char *column(const export_t *x, int i)
{
    return i == 0 ? "uuid" : x->columns[i - 1];
}

static void write_row(export_t *x, const json_t *hit, apr_pool_t *p)
{
    request_rec *r = x->q->r;
    json_t *row;

    if (x->form == CSV) {
        for (int i = 0; i <= x->n_columns; i++) {
            csv_cell(r, json_object_get(hit, column(x, i)), i == 0, p);
        }
        ap_rputs("\r\n", r);
        return;
    }
    row = json_object();
    for (int i = 0; i <= x->n_columns; i++) {
        json_t *v = json_object_get(hit, column(x, i));

        json_object_set_new(row, column(x, i), v ? json_incref(v) : json_null());
    }
    ap_rputs(x->form == NDJSON || x->sent == 0 ? "" : ",\n", r);
    ap_rputs(sal_wire_json(row, false, p), r);
    ap_rputs(x->form == NDJSON ? "\n" : "", r);
    json_decref(row);
}

static void write_head(export_t *x)
{
    request_rec *r = x->q->r;

    if (x->form == JSON) {
        ap_rprintf(r, "{\"total\": %" APR_INT64_T_FMT ", \"hits\": [\n", (apr_int64_t)x->total);
    }
    for (int i = 0; x->form == CSV && i <= x->n_columns; i++) {
        ap_rprintf(r, "%s%s", i ? "," : "", column(x, i));
    }
    ap_rputs(x->form == CSV ? "\r\n" : "", r);
}

static void write_hits(export_t *x, apr_pool_t *p)
{
    const json_t *last = json_array_get(x->hits, json_array_size(x->hits) - 1);
    json_t *hit;
    size_t i;

    if (last) {
        x->after = apr_pstrcat(x->ask->p, sal_json_str(last, "date"), ",",
                               sal_json_str(last, "uuid"), NULL);
    }
    json_array_foreach(x->hits, i, hit)
    {
        write_row(x, hit, p);
        x->sent++;
    }
}

static void put_headers(export_t *x)
{
    static const char *const types[] = { "text/csv; charset=UTF-8; header=present",
                                         "application/json; charset=UTF-8",
                                         "application/x-ndjson; charset=UTF-8" };
    static const char *const names[] = { "crashes.csv", "crashes.json", "crashes.ndjson" };
    request_rec *r = x->q->r;

    ap_set_content_type(r, types[x->form]);
    apr_table_setn(r->headers_out, "Content-Disposition",
                   apr_psprintf(r->pool, "attachment; filename=\"%s\"", names[x->form]));
    apr_table_setn(r->headers_out, "X-Total-Count",
                   apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (apr_int64_t)x->total));
    if (x->total > x->most) {
        apr_table_setn(r->headers_out, "X-Salvage-Cut-At",
                       apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (apr_int64_t)x->most));
    }
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-store");
}

/* ---- the whole ---- */

static int refuse(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    if (rv == SAL_E_MALFORMED || rv == APR_TIMEUP) {
        return crashstats_message(q, HTTP_BAD_REQUEST, "This search cannot be exported",
                                  err->message);
    }
    if (rv == SAL_E_BUSY) {
        apr_table_setn(q->r->err_headers_out, "Retry-After", "5");
        return crashstats_message(q, HTTP_SERVICE_UNAVAILABLE, "Too many searches run at once",
                                  "Try again in a few seconds.");
    }
    return crashstats_sick(q, err);
}

/* After the first portion the status is sent: what fails then ends the file before its end. */
static void stream(export_t *x)
{
    request_rec *r = x->q->r;
    sal_error_t err = { 0 };
    apr_pool_t *p;

    apr_pool_create(&p, r->pool);
    write_head(x);
    for (;;) {
        size_t n = json_array_size(x->hits);

        write_hits(x, p);
        json_decref(x->hits);
        x->hits = NULL;
        apr_pool_clear(p);
        if (n == 0 || x->sent >= x->most || x->sent >= x->total || r->connection->aborted) {
            break;
        }
        if (web_with_db(r, portion, x, &err) != APR_SUCCESS) {
            ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                          "SAL4095: an export ends after %" APR_INT64_T_FMT " rows: %s",
                          (apr_int64_t)x->sent, err.message);
            r->connection->keepalive = AP_CONN_CLOSE;
            r->connection->aborted = 1; /* no last chunk: the reader sees that it is cut */
            break;
        }
    }
    ap_rputs(x->form == JSON ? "\n]}\n" : "", r);
    apr_pool_destroy(p);
}

static bool read_form(const char *text, form_t *out)
{
    static const char *const names[] = { "csv", "json", "ndjson" };

    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (form_t)i;
            return true;
        }
    }
    return false;
}

int crashstats_search_export(crashstats_req_t *q, const char *rest)
{
    export_t x = { .q = q, .now = apr_time_now() + apr_time_from_sec(1) };
    const char *format = web_param(q->query, "_format"), *sort;
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc = crashstats_search_limit(q);

    (void)rest;
    if (rc != DECLINED) {
        return rc;
    }
    if (!read_form(format ? format : "csv", &x.form)) {
        return crashstats_message(q, HTTP_BAD_REQUEST, "There is no such format",
                                  "_format is csv, json or ndjson.");
    }
    rv = crashstats_ask(&x.ask, q, q->query, &err);
    if (rv == APR_SUCCESS) {
        rv = sal_ask_check(x.ask, &err);
    }
    if (rv != APR_SUCCESS) {
        return refuse(q, rv, &err);
    }
    sort = sal_ask_value(x.ask, "_sort");
    x.newest_first = !sort || strcmp(sort, "-date") == 0;
    x.most = x.newest_first && q->who.user ? MOST : MOST_STRANGER;
    x.columns = sal_ask_columns(x.ask, &x.n_columns);
    rv = web_with_db(q->r, portion, &x, &err);
    if (rv != APR_SUCCESS) {
        return refuse(q, rv, &err);
    }
    put_headers(&x);
    if (!q->r->header_only) {
        stream(&x);
    }
    json_decref(x.hits);
    return OK;
}
