/*
 * /pings/: which crash pings there are, and which signatures have many of them and few reports.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "ping/ping_search.h"
#include "render/format.h"
#include "render/list.h"

enum { PER_PAGE = 50, MAX_PAGE = 200, FACET = 8, GAPS = 10, GAP_PINGS = 10, CONDITIONS = 100 };

static const char *const columns[] = { "document_id", "date",    "signature",  "product",
                                       "version",     "os",      "os_version", "process_type",
                                       "reason",      "crash_id" };

static const struct {
    const char *field, *title;
    bool code;
} facets[] = { { "signature", "Signature", true }, { "product", "Product", false },
               { "version", "Version", false },    { "channel", "Channel", false },
               { "os", "System", false },          { "process_type", "Process", false },
               { "state", "State", false } };

typedef struct pings_t {
    crashstats_req_t *q;
    sal_ping_query_t *query;
    int page;
    json_t *found, *gaps;
} pings_t;

static apr_status_t ask(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    pings_t *g = baton;
    apr_time_t now = apr_time_now();
    sal_ping_gap_t gap = { .from = now - apr_time_from_sec(6 * 86400), /* days are whole */
                           .to = now + apr_time_from_sec(86400),
                           .min_pings = GAP_PINGS,
                           .max_reports = 0,
                           .limit = GAPS };
    apr_status_t rv = sal_ping_query_run(&g->found, g->query, db, p, err);

    gap.product = web_param(g->q->query, "product");
    gap.product =
        gap.product && *gap.product && !strchr("=~^$@!_", *gap.product) ? gap.product : NULL;
    return rv == APR_SUCCESS ? sal_ping_gaps(&g->gaps, &gap, db, p, err) : rv;
}

static bool is_condition(const apr_table_entry_t *e)
{
    return *e->val && strcmp(e->key, "page") != 0;
}

/* The conditions without the nth, "" or ending in '&'. */
static const char *without(crashstats_req_t *q, int drop)
{
    const apr_array_header_t *a = apr_table_elts(q->query);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_pool_t *p = q->r->pool;
    apr_array_header_t *out = apr_array_make(p, a->nelts + 1, sizeof(const char *));

    for (int i = 0; i < a->nelts && i < CONDITIONS; i++) {
        if (i != drop && is_condition(&e[i])) {
            APR_ARRAY_PUSH(out, const char *) =
                apr_pstrcat(p, sal_format_urlencode(e[i].key, p), "=",
                            sal_format_urlencode(e[i].val, p), "&", NULL);
        }
    }
    return apr_array_pstrcat(p, out, 0);
}

/* Reads the address: conditions, and each as a chip that drops it. */
static apr_status_t read_conditions(pings_t *g, json_t *chips, sal_error_t *err)
{
    const apr_array_header_t *a = apr_table_elts(g->q->query);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_pool_t *p = g->q->r->pool;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < a->nelts && i < CONDITIONS; i++) {
        if (is_condition(&e[i])) {
            const char *field = sal_utf8_clean(e[i].key, strlen(e[i].key), p);
            const char *value = sal_utf8_clean(e[i].val, strlen(e[i].val), p);

            rv = sal_ping_query_filter(g->query, field, value, err);
            json_array_append_new(chips,
                                  json_pack("{s:s, s:s, s:b, s:s}", "field", field, "value",
                                            value + (*value == '!'), "not", *value == '!', "drop",
                                            apr_pstrcat(p, "/pings/?", without(g->q, i), NULL)));
        }
    }
    return rv;
}

static apr_status_t read_request(pings_t *g, json_t *chips, sal_error_t *err)
{
    const char *page = web_param(g->q->query, "page");
    int64_t n = 1;
    apr_status_t rv;

    if (page && *page && !sal_parse_int(page, INT64_MIN, INT64_MAX, &n)) {
        return sal_fail(err, SAL_E_MALFORMED, "page is not a number");
    }
    g->page = n < 1 ? 1 : n > MAX_PAGE ? MAX_PAGE : (int)n;
    rv = read_conditions(g, chips, err);
    for (apr_size_t i = 0; rv == APR_SUCCESS && i < sizeof columns / sizeof columns[0]; i++) {
        rv = sal_ping_query_column(g->query, columns[i], err);
    }
    for (apr_size_t i = 0; rv == APR_SUCCESS && i < sizeof facets / sizeof facets[0]; i++) {
        rv = sal_ping_query_facet(g->query, facets[i].field, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_ping_query_sort(g->query, "-date", err);
    }
    return rv == APR_SUCCESS ? sal_ping_query_page(g->query, PER_PAGE,
                                                   (int64_t)(g->page - 1) * PER_PAGE, FACET, err)
                             : rv;
}

static void put_text(json_t *to, const char *key, const char *text)
{
    json_object_set_new(to, key, json_string(text ? text : ""));
}

static json_t *row_of(const json_t *hit, apr_pool_t *p)
{
    const char *signature = sal_json_str(hit, "signature"), *date = sal_json_str(hit, "date");
    const char *id = sal_json_str(hit, "document_id"), *crash = sal_json_str(hit, "crash_id");
    static const char *const same[] = { "product",    "version",      "os",
                                        "os_version", "process_type", "reason" };
    json_t *row = json_object();
    apr_time_t t = 0;

    for (apr_size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        put_text(row, same[i], sal_json_str(hit, same[i]));
    }
    put_text(row, "id", id);
    put_text(row, "short_id", id ? sal_format_short_id(id, p) : "");
    put_text(row, "datetime", date);
    put_text(row, "date", date && sal_time_parse(date, &t) ? sal_format_time(t, 1, p) : "");
    if (signature) {
        json_object_set_new(row, "signature", sal_format_signature(signature));
        put_text(row, "signature_link",
                 apr_pstrcat(p, "/pings/?signature=%3D", sal_format_urlencode(signature, p), NULL));
    }
    if (crash) {
        json_object_set_new(
            row, "report",
            json_pack("{s:s, s:s}", "crash_id", crash, "short_id", sal_format_short_id(crash, p)));
    }
    return row;
}

static void put_rows(json_t *data, const pings_t *g, apr_pool_t *p)
{
    const json_t *hits = json_object_get(g->found, "hits"), *hit;
    json_t *rows = json_array();
    size_t i;

    json_array_foreach((json_t *)hits, i, hit)
    {
        json_array_append_new(rows, row_of(hit, p));
    }
    json_object_set_new(data, "any_rows", json_boolean(json_array_size(rows) > 0));
    json_object_set_new(data, "rows", rows);
}

static void put_facets(json_t *data, const pings_t *g, int64_t total, apr_pool_t *p)
{
    const json_t *found = json_object_get(g->found, "facets");
    json_t *list = json_array();

    for (apr_size_t i = 0; i < sizeof facets / sizeof facets[0]; i++) {
        const char *prefix =
            apr_pstrcat(p, "/pings/?", without(g->q, -1), facets[i].field, "=%3D", NULL);
        json_t *one = sal_list_facet(json_object_get(found, facets[i].field), facets[i].title,
                                     facets[i].code, prefix, total, p);

        if (one) {
            json_array_append_new(list, one);
        }
    }
    json_object_set_new(data, "facets", list);
}

static void put_gaps(json_t *data, const pings_t *g, apr_pool_t *p)
{
    json_t *list = json_array(), *gap;
    size_t i;

    json_array_foreach(g->gaps, i, gap)
    {
        const char *signature = sal_json_str(gap, "signature");

        json_array_append_new(
            list,
            json_pack(
                "{s:o, s:s, s:s}", "signature", sal_format_signature(signature), "link",
                apr_pstrcat(p, "/pings/?signature=%3D", sal_format_urlencode(signature, p), NULL),
                "pings", sal_format_count(json_integer_value(json_object_get(gap, "pings")), p)));
    }
    json_object_set_new(data, "any_gaps", json_boolean(json_array_size(list) > 0));
    json_object_set_new(data, "gaps", list);
}

static void put_found(json_t *data, const pings_t *g)
{
    apr_pool_t *p = g->q->r->pool;
    int64_t total = json_integer_value(json_object_get(g->found, "total"));
    int64_t pages = (total + PER_PAGE - 1) / PER_PAGE, from = (int64_t)(g->page - 1) * PER_PAGE;
    int64_t shown = (int64_t)json_array_size(json_object_get(g->found, "hits"));

    put_rows(data, g, p);
    put_facets(data, g, total, p);
    put_gaps(data, g, p);
    put_text(data, "total", sal_format_count(total, p));
    json_object_set_new(data, "single", json_boolean(total == 1));
    if (total > 0) {
        json_object_set_new(
            data, "pager",
            sal_list_pager(g->page, (int)(pages > MAX_PAGE ? MAX_PAGE : pages), from + 1,
                           from + shown, total,
                           apr_pstrcat(p, "/pings/?", without(g->q, -1), "page=", NULL), p));
    }
}

int crashstats_pings(crashstats_req_t *q, const char *rest)
{
    pings_t g = { .q = q, .query = sal_ping_query_make(apr_time_now(), q->pii, q->r->pool) };
    json_t *chips = json_array();
    json_t *data = json_pack("{s:s, s:b}", "title", "Crash pings", "plain_title", 1);
    sal_error_t err = { 0 };
    apr_status_t rv = read_request(&g, chips, &err);
    int status = HTTP_OK;

    (void)rest;
    json_object_set_new(data, "any_chips", json_boolean(json_array_size(chips) > 0));
    json_object_set_new(data, "chips", chips);
    if (rv == APR_SUCCESS) {
        rv = web_with_db(q->r, ask, &g, &err);
    }
    if (rv == APR_SUCCESS) {
        put_found(data, &g);
    } else if (rv == SAL_E_MALFORMED || rv == APR_ENOENT || rv == SAL_E_DENIED) {
        status = rv == SAL_E_DENIED ? HTTP_FORBIDDEN : HTTP_BAD_REQUEST;
        put_text(data, "problem", err.message);
    }
    json_decref(g.found);
    json_decref(g.gaps);
    if (rv != APR_SUCCESS && status == HTTP_OK) {
        json_decref(data);
        return crashstats_sick(q, &err);
    }
    return crashstats_page(q, status, "pings", NULL, data);
}
