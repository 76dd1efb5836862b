/*
 * Missing symbols, statistics, and the form of an upload.
 */
#include "symbols_books.h"

#include <apr_strings.h>

#include "render/format.h"

APLOG_USE_MODULE(symbols);

/* ---- missing symbols ---- */

static void show_missing(json_t *m, apr_pool_t *p)
{
    json_object_set_new(m, "module",
                        sal_format_pieces(json_string_value(json_object_get(m, "symbol"))));
    symbols_show_count(m, "count", "count_text", p);
    symbols_show_time(m, "modified_at", "modified", p);
    symbols_show_time(m, "created_at", "created", p);
}

static void put_days(symbols_req_t *q, json_t *data)
{
    static const char *const days[] = { "1", "7", "28", "90" };
    const char *now = web_param(q->query, "days");
    const char *prefix = symbols_query_without(q, "/uploads/missing/", "days");
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b}", "text", i == 3 ? "90 days" : days[i], "href",
                            apr_pstrcat(q->r->pool, prefix, "days=", days[i], NULL), "here",
                            now ? !strcmp(now, days[i]) : i == 3));
    }
    json_object_set_new(data, "days", list);
    json_object_set_new(
        data, "csv",
        json_string(apr_pstrcat(
            q->r->pool, "/missingsymbols.csv?platform=all&days=",
            now && strspn(now, "0123456789") == strlen(now) && *now ? now : "90", NULL)));
}

int symbols_page_missing(symbols_req_t *q)
{
    static const char *const names[] = { "symbol", "debugid", "filename" };
    symbols_missing_work_t w = { 0 };
    json_t *errors = NULL, *data, *row, *form = json_object();
    sal_error_t err = { 0 };
    size_t i;

    symbols_read_missing(&w.find, &errors, q);
    if (!errors && web_with_db(q->r, symbols_work_missing, &w, &err) != APR_SUCCESS) {
        json_decref(form);
        return symbols_page_sick(q, &err);
    }
    data = json_pack("{s:s, s:o, s:o}", "title", "Missing symbols", "tabs",
                     symbols_tabs(q, "Missing"), "form", form);
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = web_param(q->query, names[i]);

        json_object_set_new(form, names[i], json_string(value ? value : ""));
    }
    put_days(q, data);
    json_object_set_new(data, "url", json_string(ap_construct_url(q->r->pool, "", q->r)));
    if (errors) {
        symbols_put_problem(data, errors);
        return symbols_page(q, HTTP_BAD_REQUEST, "symbols-missing", data);
    }
    json_array_foreach(w.page.rows, i, row)
    {
        show_missing(row, q->r->pool);
    }
    symbols_put_pager(q, data, &w.page, w.find.page, w.find.per_page, "/uploads/missing/");
    json_object_set_new(data, "any_rows", json_boolean(json_array_size(w.page.rows) > 0));
    json_object_set_new(data, "rows", w.page.rows);
    json_object_set_new(data, "total", json_string(sal_format_count(w.page.total, q->r->pool)));
    json_object_set_new(data, "single", json_boolean(w.page.total == 1));
    return symbols_page(q, HTTP_OK, "symbols-missing", data);
}

/* ---- statistics ---- */

typedef struct {
    int64_t owner;
    apr_time_t now;
    bool all;
    json_t *stats, *totals;
} stats_t;

static apr_status_t work_stats(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    stats_t *s = baton;
    apr_status_t rv = sal_books_stats(&s->stats, s->owner, s->now, db, p, err);

    if (rv == APR_SUCCESS && s->all) {
        rv = sal_books_totals(&s->totals, db, p, err);
    }
    return rv;
}

static void put_tile(json_t *tiles, const json_t *stats, const char *name, const char *title,
                     apr_pool_t *p)
{
    const json_t *one = json_object_get(stats, name);

    json_array_append_new(
        tiles,
        json_pack("{s:s, s:s, s:s}", "title", title, "count",
                  sal_format_count(json_integer_value(json_object_get(one, "count")), p), "size",
                  sal_format_bytes(json_integer_value(json_object_get(one, "total_size")), p)));
}

static void show_numbers(json_t *list, apr_pool_t *p)
{
    static const char *const counts[] = { "files", "uploads", "hits" };
    static const char *const sizes[] = { "size", "stored" };
    size_t i;
    json_t *row;

    json_array_foreach(list, i, row)
    {
        for (size_t k = 0; k < 3; k++) {
            if (json_object_get(row, counts[k])) {
                symbols_show_count(row, counts[k], apr_pstrcat(p, counts[k], "_text", NULL), p);
            }
        }
        for (size_t k = 0; k < 2; k++) {
            if (json_object_get(row, sizes[k])) {
                symbols_show_size(row, sizes[k], apr_pstrcat(p, sizes[k], "_text", NULL), p);
            }
        }
        symbols_show_time(row, "last_access", "last", p);
    }
}

/* Bars of a chart of 30 days, in percent of its width and of the largest day. */
static void put_bars(json_t *totals, apr_pool_t *p)
{
    json_t *days = json_object_get(totals, "days"), *row, *bars = json_array();
    json_int_t most = 1, sum = 0;
    size_t i, n = json_array_size(days);

    json_array_foreach(days, i, row)
    {
        json_int_t v = json_integer_value(json_object_get(row, "uploads"));

        most = v > most ? v : most;
        sum += v;
    }
    json_array_foreach(days, i, row)
    {
        double h =
            92.0 * (double)json_integer_value(json_object_get(row, "uploads")) / (double)most;

        json_array_append_new(
            bars, json_pack("{s:s, s:s, s:s, s:s, s:O, s:O}", "x",
                            apr_psprintf(p, "%.2f%%", 100.0 * (double)i / (double)n), "w",
                            apr_psprintf(p, "%.2f%%", 80.0 / (double)n), "y",
                            apr_psprintf(p, "%.2f%%", 100.0 - h), "h", apr_psprintf(p, "%.2f%%", h),
                            "day", json_object_get(row, "day"), "count",
                            json_object_get(row, "uploads_text")));
    }
    json_object_set_new(totals, "bars", bars);
    json_object_set_new(
        totals, "chart_label",
        json_string(apr_psprintf(p, "%s uploads in 30 days, at most %s a day",
                                 sal_format_count(sum, p), sal_format_count(most, p))));
}

static void put_totals(json_t *data, json_t *totals, apr_pool_t *p)
{
    static const char *const lists[] = { "kinds", "days", "users", "popular" };

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        json_t *list = json_object_get(totals, lists[i]);

        show_numbers(list, p);
        json_object_set_new(totals, apr_pstrcat(p, "any_", lists[i], NULL),
                            json_boolean(json_array_size(list) > 0));
    }
    put_bars(totals, p);
    json_object_set_new(data, "totals", totals);
}

int symbols_page_statistics(symbols_req_t *q)
{
    stats_t s = { symbols_sees_all(q) ? 0 : q->who.user_id, q->r->request_time, symbols_sees_all(q),
                  NULL, NULL };
    apr_pool_t *p = q->r->pool;
    sal_error_t err = { 0 };
    json_t *data, *tiles = json_array();

    if (web_with_db(q->r, work_stats, &s, &err) != APR_SUCCESS) {
        json_decref(tiles);
        json_decref(s.stats);
        return symbols_page_sick(q, &err);
    }
    put_tile(tiles, s.stats, "today", "Today", p);
    put_tile(tiles, s.stats, "yesterday", "Yesterday", p);
    put_tile(tiles, s.stats, "last_30_days", "Last 30 days", p);
    json_decref(s.stats);
    data = json_pack("{s:s, s:o, s:o, s:b}", "title", "Symbol statistics", "tabs",
                     symbols_tabs(q, "Statistics"), "tiles", tiles, "sees_all", s.all);
    if (s.totals) {
        put_totals(data, s.totals, p);
    }
    return symbols_page(q, HTTP_OK, "symbols-statistics", data);
}

/* ---- upload now ---- */

int symbols_page_upload_now(symbols_req_t *q)
{
    int may = q->who.permissions & (SAL_PERM_UPLOAD_SYMBOLS | SAL_PERM_UPLOAD_TRY_SYMBOLS);
    sal_error_t err = { 0 };
    const char *csrf = web_form_token(q->r, &q->who, &err);
    json_t *data;

    if (!csrf) {
        return symbols_page_sick(q, &err);
    }
    data = json_pack("{s:s, s:o, s:b, s:b, s:b, s:s, s:s}", "title", "Upload symbols", "tabs",
                     symbols_tabs(q, "Upload now"), "may", may != 0, "regular",
                     (may & SAL_PERM_UPLOAD_SYMBOLS) != 0, "try",
                     (may & SAL_PERM_UPLOAD_TRY_SYMBOLS) != 0, "csrf", csrf, "url",
                     ap_construct_url(q->r->pool, "", q->r));
    return symbols_page(q, HTTP_OK, "symbols-upload-now", data);
}
