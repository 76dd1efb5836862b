/*
 * What downloads asked for in vain, as JSON and CSV; for everybody, as the programs that fetch
 * missing symbols from elsewhere have no token.
 */
#include "symbols_books.h"

#include <apr_strings.h>

#include "base/text.h"

APLOG_USE_MODULE(symbols);

enum { CSV_BATCH = 2000, DAYS_MAX = 90 };

#define DAY apr_time_from_sec(86400)

/* ---- JSON ---- */

static const char *param(symbols_req_t *q, const char *name)
{
    const char *value = web_param(q->query, name);

    return value && *value ? value : NULL;
}

static void read_dates(apr_array_header_t **out, json_t **errors, symbols_req_t *q,
                       const char *name)
{
    sal_error_t err = { 0 };

    if (sal_books_dates(out, web_param(q->query, name), q->r->request_time, q->r->pool, &err) !=
        APR_SUCCESS) {
        symbols_form_error(errors, name, "%s", err.message);
    }
}

/* -1: not asked for; 0: an error. */
static int64_t read_days(json_t **errors, symbols_req_t *q)
{
    const char *text = param(q, "days");
    int64_t days = -1;

    if (text && !sal_parse_int(text, 1, DAYS_MAX, &days)) {
        symbols_form_error(errors, "days", "Invalid number of days (%s)",
                           sal_upload_repr(text, q->r->pool));
        days = 0;
    }
    return days;
}

static void read_sort(sal_books_missing_t *find, json_t **errors, symbols_req_t *q)
{
    static const char *const sorts[] = { "symbol",  "debugid", "filename",    "code_file",
                                         "code_id", "count",   "modified_at", "created_at" };
    const char *sort = param(q, "sort"), *reverse = param(q, "reverse");

    for (size_t i = 0; sort && i < sizeof(sorts) / sizeof(sorts[0]); i++) {
        if (!strcmp(sort, sorts[i])) {
            find->sort = sorts[i];
        }
    }
    if (sort && !find->sort) {
        symbols_form_error(errors, "sort", "Invalid sort %s", sal_upload_repr(sort, q->r->pool));
    }
    find->ascending = reverse ? strcasecmp(reverse, "true") && strcmp(reverse, "1") : sort != NULL;
}

void symbols_read_missing(sal_books_missing_t *find, json_t **errors, symbols_req_t *q)
{
    int64_t days;

    *find = (sal_books_missing_t){ .page = symbols_read_page(errors, q),
                                   .per_page = SYMBOLS_PER_PAGE_MISSING,
                                   .debug_file = param(q, "symbol"),
                                   .debug_id = param(q, "debugid"),
                                   .leaf = param(q, "filename") };
    read_dates(&find->created, errors, q, "created_at");
    read_dates(&find->modified, errors, q, "modified_at");
    read_sort(find, errors, q);
    days = read_days(errors, q);
    if (days > 0 && find->modified) {
        APR_ARRAY_PUSH(find->modified, sal_books_cond_t) =
            (sal_books_cond_t){ .cmp = SAL_CMP_GE, .value = q->r->request_time - days * DAY };
    }
}

apr_status_t symbols_work_missing(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    symbols_missing_work_t *w = baton;

    return sal_books_missing(&w->page, &w->find, db, p, err);
}

int symbols_missing_json(symbols_req_t *q)
{
    symbols_missing_work_t w = { 0 };
    json_t *errors = NULL;
    sal_error_t err = { 0 };

    symbols_read_missing(&w.find, &errors, q);
    if (errors) {
        return symbols_form_errors(q, errors);
    }
    if (web_with_db(q->r, symbols_work_missing, &w, &err) != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    return web_reply_json(q->r, HTTP_OK,
                          json_pack("{s:{s:s, s:b}, s:i, s:I, s:I, s:b, s:o}", "order_by", "sort",
                                    w.find.sort ? w.find.sort : "modified_at", "reverse",
                                    !w.find.ascending, "batch_size", w.find.per_page, "page",
                                    (json_int_t)w.find.page, "total_count",
                                    (json_int_t)w.page.total, "has_next", (int)w.page.has_next,
                                    "records", w.page.rows));
}

/* ---- CSV ---- */

typedef struct {
    apr_time_t since;
    bool all;
    int64_t after;
    sal_missing_row_t *rows;
    int n;
    apr_pool_t *p;
} batch_t;

static apr_status_t work_batch(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    batch_t *b = baton;

    (void)p;
    return sal_books_missing_rows(&b->rows, &b->n, &b->after, b->since, b->all, CSV_BATCH, db, b->p,
                                  err);
}

static void put_field(request_rec *r, const char *text, const char *end)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        ap_rputs(text, r);
    } else {
        ap_rputc('"', r);
        for (; *text; text++) {
            if (*text == '"') {
                ap_rputc('"', r);
            }
            ap_rputc(*text, r);
        }
        ap_rputc('"', r);
    }
    ap_rputs(end, r);
}

static void put_rows(request_rec *r, const batch_t *b)
{
    for (int i = 0; i < b->n; i++) {
        put_field(r, b->rows[i].debug_file, ",");
        put_field(r, b->rows[i].debug_id, ",");
        put_field(r, b->rows[i].code_file, ",");
        put_field(r, b->rows[i].code_id, "\r\n");
    }
}

static void csv_headers(request_rec *r, apr_time_t since)
{
    apr_time_exp_t x;

    apr_time_exp_gmt(&x, since);
    ap_set_content_type(r, "text/csv");
    apr_table_setn(r->headers_out, "Content-Disposition",
                   apr_psprintf(r->pool,
                                "attachment; filename=\"missing-symbols-%04d-%02d-%02d.csv\"",
                                x.tm_year + 1900, x.tm_mon + 1, x.tm_mday));
}

/* "win" (as Tecken: what has a .pdb) or "all". */
static int read_platform(bool *all, json_t **errors, symbols_req_t *q)
{
    const char *platform = param(q, "platform");

    *all = platform && !strcmp(platform, "all");
    if (platform && !*all && strcmp(platform, "win")) {
        symbols_form_error(errors, "platform",
                           "Select a valid choice. %s is not one of the available choices.",
                           platform);
    }
    return *errors == NULL;
}

/*
 * The first batch decides about the status; what fails behind it ends the connection, so that half
 * a list is not taken for a whole one.
 */
static int send_csv(symbols_req_t *q, batch_t *b)
{
    request_rec *r = q->r;
    sal_error_t err = { 0 };

    apr_pool_create(&b->p, r->pool);
    if (web_with_db(r, work_batch, b, &err) != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    csv_headers(r, b->since);
    ap_rputs("debug_file,debug_id,code_file,code_id\r\n", r);
    put_rows(r, b);
    while (b->n == CSV_BATCH) {
        apr_pool_clear(b->p);
        if (web_with_db(r, work_batch, b, &err) != APR_SUCCESS) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL2041: missing symbols cut short: %s",
                          err.message);
            r->connection->aborted = 1;
            return OK;
        }
        put_rows(r, b);
    }
    return OK;
}

int symbols_missing_csv(symbols_req_t *q)
{
    json_t *errors = NULL;
    int64_t days = read_days(&errors, q);
    batch_t b = { 0 };

    if (!read_platform(&b.all, &errors, q)) {
        return symbols_form_errors(q, errors);
    }
    b.since = q->r->request_time - (days > 0 ? days : 1) * DAY;
    if (param(q, "today")) {
        b.since = q->r->request_time; /* for debugging, as Tecken has it */
    }
    return send_csv(q, &b);
}
