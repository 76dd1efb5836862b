/*
 * Products and their versions, and what calls for somebody to act.
 */
#include "triage/overview_private.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "queue/queue.h"
#include "search/fields.h"
#include "triage/signatures.h"

enum { WEEK = 7, TERMS = 100, BACK = 3 };

/* ---- asking ---- */

apr_status_t overview_ask(json_t **products, const overview_t *o, board_range_t range,
                          const char *const *extra, int size, const char *const *signatures,
                          int n_signatures)
{
    const sal_board_filter_t filter = { .product = o->only };
    const board_ask_t ask = { .filter = &filter,
                              .range = range,
                              .signatures = signatures,
                              .n_signatures = n_signatures,
                              .extra = extra,
                              .size = size,
                              .reader = o->reader };
    json_t *result;
    apr_status_t rv = board_ask(&result, &ask, o->db, o->p, o->err);

    *products = board_facet(result, "product");
    return rv;
}

int overview_day(const overview_t *o, const char *text)
{
    apr_time_t t;

    if (strlen(text) == 10) {
        text = apr_pstrcat(o->p, text, "T00:00:00", NULL);
    }
    return sal_time_parse(text, &t) && t >= o->first && t < o->first + SAL_BOARD_DAYS * DAY
               ? (int)((t - o->first) / DAY)
               : -1;
}

static sal_overview_product_t *product_of(const overview_t *o, const char *name)
{
    for (int i = 0; i < o->out->n_products; i++) {
        if (!strcmp(o->out->products[i].page.name, name)) {
            return &o->out->products[i];
        }
    }
    return NULL;
}

/* "4.3b" stands for all its betas, so that a version may count on two lines. */
static bool is_of(const char *version, const char *line)
{
    apr_size_t len = strlen(line);

    return !strcmp(version, line) || (len && line[len - 1] == 'b' && !strncmp(version, line, len));
}

typedef void (*add_fn)(sal_overview_line_t *line, int64_t n, int day);

static void add_to_day(sal_overview_line_t *line, int64_t n, int day)
{
    (void)day;
    line->day += n;
}

static void add_to_week_ago(sal_overview_line_t *line, int64_t n, int day)
{
    (void)day;
    line->week_ago += n;
}

static void add_to_days(sal_overview_line_t *line, int64_t n, int day)
{
    if (day >= 0) {
        line->days[day] += n;
    }
}

static void add(sal_overview_product_t *product, const char *version, int64_t n, int day, add_fn fn)
{
    for (int i = 0; i < product->n; i++) {
        if (is_of(version, product->lines[i].version)) {
            fn(&product->lines[i], n, day);
        }
    }
}

/* ---- which products, which versions ---- */

static apr_status_t read_products(overview_t *o)
{
    sal_overview_t *out = o->out;
    sal_product_page_t *pages = apr_palloc(o->p, sizeof(*pages));
    apr_status_t rv;
    int n = 1;

    rv = o->only ? sal_product_page(pages, o->only, o->db, o->p, o->err)
                 : sal_product_pages(&pages, &n, o->db, o->p, o->err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->products = apr_pcalloc(o->p, sizeof(*out->products) * (SAL_OVERVIEW_PRODUCTS + 1));
    for (int i = 0; i < n; i++) {
        if (out->n_products < SAL_OVERVIEW_PRODUCTS) {
            out->products[out->n_products++].page = pages[i];
        } else {
            out->more_products++;
        }
    }
    return APR_SUCCESS;
}

/* Products that are so young that no table has them: those of the last 24 hours. */
static void add_young(overview_t *o)
{
    const json_t *row;
    size_t i;

    json_array_foreach(o->today, i, row)
    {
        if (!product_of(o, board_term(row)) && o->out->n_products < SAL_OVERVIEW_PRODUCTS) {
            o->out->products[o->out->n_products++].page =
                (sal_product_page_t){ .name = board_term(row),
                                      .description = "",
                                      .sort = SAL_PRODUCT_SORT,
                                      .featured = apr_pcalloc(o->p, sizeof(char *)) };
        }
    }
}

static json_t *today_of(const overview_t *o, const char *product)
{
    json_t *row;
    size_t i;

    json_array_foreach(o->today, i, row)
    {
        if (!strcmp(board_term(row), product)) {
            return row;
        }
    }
    return NULL;
}

static void add_line(sal_overview_product_t *product, const char *version, bool featured)
{
    for (int i = 0; i < product->n; i++) {
        if (!strcmp(product->lines[i].version, version)) {
            return;
        }
    }
    product->lines[product->n++] =
        (sal_overview_line_t){ .version = version, .featured = featured };
}

/* Featured versions; else the first active ones; else those that crashed today. */
static apr_status_t read_versions(overview_t *o, sal_overview_product_t *product)
{
    const json_t *today = board_facet(today_of(o, product->page.name), "version"), *row;
    sal_product_version_row_t *rows;
    bool featured = false;
    size_t i;
    int n;
    apr_status_t rv = sal_product_versions(&rows, &n, &product->page, o->db, o->p, o->err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    product->lines =
        apr_pcalloc(o->p, sizeof(*product->lines) * ((apr_size_t)n + SAL_OVERVIEW_VERSIONS + 1));
    for (int k = 0; k < n; k++) {
        featured = featured || rows[k].featured;
    }
    for (int k = 0; k < n; k++) {
        if (featured ? rows[k].featured : product->n < SAL_OVERVIEW_VERSIONS) {
            add_line(product, rows[k].version, featured);
        }
    }
    for (int k = 0; o->version && k < n; k++) {
        if (!strcmp(rows[k].version, o->version)) {
            add_line(product, rows[k].version, false);
            o->out->has_version = true;
        }
    }
    today = product->n ? NULL : today;
    json_array_foreach(today, i, row)
    {
        if (product->n < SAL_OVERVIEW_VERSIONS) {
            add_line(product, board_term(row), false);
        }
        o->out->has_version =
            o->out->has_version || (o->version && !strcmp(board_term(row), o->version));
    }
    return APR_SUCCESS;
}

/* ---- counts ---- */

static void take_row(overview_t *o, const json_t *row, add_fn fn)
{
    sal_overview_product_t *product = product_of(o, board_term(row));
    const json_t *version;
    size_t i;

    if (!product) {
        return;
    }
    fn(&product->all, board_n(row), 0);
    json_array_foreach(board_facet(row, "version"), i, version)
    {
        add(product, board_term(version), board_n(version), 0, fn);
    }
}

static apr_status_t read_today(overview_t *o)
{
    static const char *const extra[] = {
        "_aggs.product", "version", "_aggs.product", "signature", "_aggs.product",
        "process_type",  NULL
    };
    apr_time_t now = o->out->now;
    const json_t *row;
    size_t i;
    apr_status_t rv =
        overview_ask(&o->today, o, (board_range_t){ now - DAY, now }, extra, TERMS, NULL, 0);

    json_array_foreach(rv == APR_SUCCESS ? o->today : NULL, i, row)
    {
        o->out->day += board_n(row);
    }
    return rv;
}

static apr_status_t read_week_ago(overview_t *o)
{
    static const char *const extra[] = { "_aggs.product", "version", NULL };
    apr_time_t to = o->out->now - WEEK * DAY;
    json_t *rows, *row;
    size_t i;
    apr_status_t rv =
        overview_ask(&rows, o, (board_range_t){ to - DAY, to }, extra, TERMS, NULL, 0);

    json_array_foreach(rv == APR_SUCCESS ? rows : NULL, i, row)
    {
        take_row(o, row, add_to_week_ago);
    }
    json_array_foreach(rv == APR_SUCCESS ? o->today : NULL, i, row)
    {
        take_row(o, row, add_to_day);
    }
    return rv;
}

/* Live days: of each version by day. */
static apr_status_t read_live_days(overview_t *o, board_range_t range)
{
    static const char *const extra[] = { "_aggs.product.version", "_histogram.date", NULL };
    json_t *rows, *row, *version, *day;
    apr_status_t rv = overview_ask(&rows, o, range, extra, TERMS, NULL, 0);
    size_t i, k, m;

    json_array_foreach(rv == APR_SUCCESS ? rows : NULL, i, row)
    {
        sal_overview_product_t *product = product_of(o, board_term(row));

        json_array_foreach(product ? board_facet(row, "version") : NULL, k, version)
        {
            json_array_foreach(board_facet(version, "histogram_date"), m, day)
            {
                int at = overview_day(o, board_term(day));

                add(product, board_term(version), board_n(day), at, add_to_days);
                add_to_days(&product->all, board_n(day), at);
            }
        }
    }
    return rv;
}

static const char **names_of(const overview_t *o)
{
    const char **names = apr_palloc(o->p, sizeof(char *) * ((apr_size_t)o->out->n_products + 1));

    for (int i = 0; i < o->out->n_products; i++) {
        names[i] = o->out->products[i].page.name;
    }
    return names;
}

static apr_status_t read_days(overview_t *o)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(o->db, &sal_s_overview_days, &rows, o->p, o->err,
                                  SAL_V_TEXTS(o->parts.days, (apr_size_t)o->parts.n_days),
                                  SAL_V_TEXTS(names_of(o), (apr_size_t)o->out->n_products),
                                  SAL_V_INT(sal_search_field("product")->number));

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        sal_overview_product_t *product = product_of(o, sal_rows_text(rows, i, 0));
        int day = overview_day(o, sal_rows_text(rows, i, 2));

        if (product) {
            add(product, sal_rows_text(rows, i, 1), sal_rows_int(rows, i, 3), day, add_to_days);
            add_to_days(&product->all, sal_rows_int(rows, i, 3), day);
        }
    }
    for (int i = 0; rv == APR_SUCCESS && i < o->parts.live->nelts; i++) {
        rv = read_live_days(o, APR_ARRAY_IDX(o->parts.live, i, board_range_t));
    }
    return rv;
}

static void add_to_pings(sal_overview_line_t *line, int64_t n, int day)
{
    (void)day;
    line->pings += n;
}

/* Of the seven whole days before today: crash pings, and the reports that came of them. */
static apr_status_t read_pings(overview_t *o)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(o->db, &sal_s_overview_pings, &rows, o->p, o->err, SAL_V_TIME(o->out->now),
                    SAL_V_TEXTS(names_of(o), (apr_size_t)o->out->n_products));

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        sal_overview_product_t *product = product_of(o, sal_rows_text(rows, i, 0));

        if (product) {
            add(product, sal_rows_text(rows, i, 1), sal_rows_int(rows, i, 2), 0, add_to_pings);
        }
    }
    for (int i = 0; i < o->out->n_products; i++) {
        for (int k = 0; k < o->out->products[i].n; k++) {
            sal_overview_line_t *line = &o->out->products[i].lines[k];

            for (int day = SAL_BOARD_DAYS - 1 - WEEK; day < SAL_BOARD_DAYS - 1; day++) {
                line->reports += line->days[day];
            }
        }
    }
    return rv;
}

/* ---- what calls for action ---- */

static apr_status_t read_action(overview_t *o)
{
    sal_overview_t *out = o->out;
    sal_queue_stats_t stats;
    sal_rows_t *rows;
    apr_status_t rv = sal_queue_stats(&stats, o->db, o->p, o->err);

    if (rv == APR_SUCCESS) {
        out->waiting = stats.all.ready;
        out->oldest = (int64_t)stats.all.oldest_ready_seconds;
        rv = sal_db_exec(o->db, &sal_s_overview_back, &rows, o->p, o->err,
                         SAL_V_TIME(out->now - WEEK * DAY), SAL_V_INT(BACK));
    }
    out->n_back = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    out->back = apr_pcalloc(o->p, sizeof(*out->back) * ((apr_size_t)out->n_back + 1));
    for (int i = 0; i < out->n_back; i++) {
        out->back[i] =
            (sal_overview_back_t){ sal_rows_text(rows, i, 0), sal_rows_text(rows, i, 1),
                                   sal_rows_text(rows, i, 2), sal_rows_text(rows, i, 3) };
    }
    return rv;
}

/* ---- the whole ---- */

static void put_process_types(overview_t *o)
{
    for (int i = 0; i < o->out->n_products; i++) {
        sal_overview_product_t *product = &o->out->products[i];
        const json_t *list = board_facet(today_of(o, product->page.name), "process_type"), *row;
        size_t k;
        int n = 0;

        product->process_types = apr_pcalloc(o->p, sizeof(char *) * 5);
        json_array_foreach(list, k, row)
        {
            if (n < 4) {
                product->process_types[n++] = board_term(row);
            }
        }
    }
}

static apr_status_t read_lines(overview_t *o)
{
    apr_status_t rv = APR_SUCCESS;

    if (!o->only) {
        add_young(o);
    }
    for (int i = 0; rv == APR_SUCCESS && i < o->out->n_products; i++) {
        rv = read_versions(o, &o->out->products[i]);
    }
    put_process_types(o);
    return rv;
}

static apr_status_t cut(overview_t *o)
{
    return board_cut(&o->parts, o->first, o->out->now, true, o->db, o->p, o->err);
}

apr_status_t sal_overview_read(sal_overview_t *out, const char *only, const char *version,
                               apr_time_t now, const sal_super_reader_t *reader, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    static apr_status_t (*const steps[])(overview_t *) = { read_products, read_today, read_lines,
                                                           read_week_ago, cut,        read_days,
                                                           read_pings };
    overview_t o = {
        .out = out, .only = only, .version = version, .reader = reader, .db = db, .p = p, .err = err
    };
    apr_time_t oldest;
    apr_status_t rv = sal_triage_span(&oldest, &out->newest, db, p, err);

    *out = (sal_overview_t){ .now = now - now % APR_USEC_PER_SEC, .newest = out->newest };
    out->empty = rv == APR_SUCCESS && !oldest;
    o.first = now - now % DAY - (SAL_BOARD_DAYS - 1) * DAY;
    if (rv == APR_SUCCESS && (out->empty || !only)) {
        rv = read_action(&o);
    }
    if (rv != APR_SUCCESS || (out->empty && !only)) {
        return rv;
    }
    for (apr_size_t i = 0; rv == APR_SUCCESS && i < sizeof steps / sizeof steps[0]; i++) {
        rv = steps[i](&o);
    }
    return rv == APR_SUCCESS && !only ? overview_moves(&o) : rv;
}
