/*
 * Overview and search: lists of crashes.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "base/text.h"
#include "render/format.h"
#include "render/list.h"
#include "search/query.h"

enum { PER_PAGE = 50, MAX_PAGE = 200 };

/* What a list page asks the database, in one unit of work. */
typedef struct {
    sal_query_t *query;
    bool ever; /* also ask whether there is any crash at all */
    json_t *hits, *signatures, *platforms, *versions, *products;
    int64_t total;
    bool any;
} list_t;

static apr_status_t any_crash(list_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_query_t *year = sal_query_make(apr_time_now() + apr_time_from_sec(86400), false, p);
    int64_t n;
    apr_status_t rv;

    (void)sal_query_filter(
        year, "date",
        apr_pstrcat(
            p, ">=", sal_time_iso(apr_time_now() - apr_time_from_sec(APR_INT64_C(363) * 86400), p),
            NULL),
        NULL);
    rv = sal_query_count(&n, year, db, p, err);
    l->any = n > 0;
    return rv;
}

static apr_status_t run_list(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    list_t *l = baton;
    const struct {
        json_t **out;
        const char *field;
        int size;
    } facets[] = { { &l->signatures, "signature", 10 },
                   { &l->products, "product", 8 },
                   { &l->versions, "version", 8 },
                   { &l->platforms, "platform_pretty_version", 8 } };
    const char *const *columns;
    apr_status_t rv;
    int n;

    columns = sal_list_columns(&n);
    rv = sal_query_count(&l->total, l->query, db, p, err);
    if (rv == APR_SUCCESS) {
        rv = sal_query_rows(&l->hits, l->query, columns, n, db, p, err);
    }
    for (apr_size_t i = 0; rv == APR_SUCCESS && i < sizeof facets / sizeof facets[0]; i++) {
        rv = sal_query_facet(facets[i].out, l->query, facets[i].field, facets[i].size, db, p, err);
    }
    if (rv == APR_SUCCESS && l->ever && l->total == 0) {
        rv = any_crash(l, db, p, err);
    }
    return rv;
}

static void drop_list(list_t *l)
{
    json_decref(l->hits);
    json_decref(l->signatures);
    json_decref(l->products);
    json_decref(l->versions);
    json_decref(l->platforms);
}

static void add_facet(json_t *facets, const json_t *values, const char *title, int code,
                      const char *prefix, const list_t *l, apr_pool_t *p)
{
    json_t *one = sal_list_facet(values, title, code, prefix, l->total, p);

    if (one) {
        json_array_append_new(facets, one);
    }
}

/* Rows and facets; links of facets narrow `base`, an address ending in '?' or '&'. */
static void put_list(json_t *data, const list_t *l, const char *base, apr_pool_t *p)
{
    json_t *facets = json_array();

    add_facet(facets, l->signatures, "Signature", 1, apr_pstrcat(p, base, "signature=%3D", NULL), l,
              p);
    add_facet(facets, l->products, "Product", 0, apr_pstrcat(p, base, "product=", NULL), l, p);
    add_facet(facets, l->versions, "Version", 0, apr_pstrcat(p, base, "version=", NULL), l, p);
    add_facet(facets, l->platforms, "System", 0,
              apr_pstrcat(p, base, "platform_pretty_version=%3D", NULL), l, p);
    json_object_set_new(data, "facets", facets);
    json_object_set_new(data, "rows", sal_list_rows(l->hits, p));
    json_object_set_new(data, "any_rows", json_boolean(json_array_size(l->hits) > 0));
    json_object_set_new(data, "total", json_string(sal_format_count(l->total, p)));
    json_object_set_new(data, "single", json_boolean(l->total == 1));
}

/* ---- the overview ---- */

static int welcome(crashstats_req_t *q)
{
    request_rec *r = q->r;
    const char *url = ap_construct_url(r->pool, "", r);
    json_t *data = json_pack("{s:s, s:b, s:s}", "title", "Welcome", "plain_title", 1, "url", url);

    return crashstats_page(q, HTTP_OK, "welcome", "Overview", data);
}

int crashstats_overview(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    list_t l = { .ever = true };
    sal_error_t err = { 0 };
    json_t *data;

    (void)rest;
    l.query = sal_query_make(apr_time_now() + apr_time_from_sec(1), q->pii, p);
    (void)sal_query_page(l.query, PER_PAGE, 0, NULL);
    if (web_with_db(q->r, run_list, &l, &err) != APR_SUCCESS) {
        drop_list(&l);
        return crashstats_sick(q, &err);
    }
    if (l.total == 0 && !l.any) {
        drop_list(&l);
        return welcome(q);
    }
    data = json_pack("{s:s, s:b}", "title", "Overview", "plain_title", 1);
    put_list(data, &l, "/search/?", p);
    json_object_set_new(data, "more", json_boolean(l.total > PER_PAGE));
    drop_list(&l);
    return crashstats_page(q, HTTP_OK, "overview", "Overview", data);
}

/* ---- search ---- */

/* The query string without its nth pair and without `page`, "" or ending in '&'. */
static const char *query_without(crashstats_req_t *q, int drop)
{
    const apr_array_header_t *a = apr_table_elts(q->query);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_pool_t *p = q->r->pool;
    apr_array_header_t *out = apr_array_make(p, a->nelts + 1, sizeof(const char *));

    for (int i = 0; i < a->nelts && i < 100; i++) {
        if (i != drop && strcmp(e[i].key, "page") != 0 && *e[i].val) {
            APR_ARRAY_PUSH(out, const char *) =
                apr_pstrcat(p, sal_format_urlencode(e[i].key, p), "=",
                            sal_format_urlencode(e[i].val, p), "&", NULL);
        }
    }
    return apr_array_pstrcat(p, out, 0);
}

/* A date of the form: the whole day is meant. */
static apr_status_t form_day(sal_query_t *query, const char *text, bool end, apr_pool_t *p,
                             sal_error_t *err)
{
    apr_time_t t;

    if (!*text) {
        return APR_SUCCESS;
    }
    if (strlen(text) != 10 || !sal_time_parse(apr_pstrcat(p, text, "T00:00:00", NULL), &t)) {
        return sal_fail(err, SAL_E_MALFORMED, "“%s” is not a date; write YYYY-MM-DD", text);
    }
    return sal_query_filter(
        query, "date",
        apr_pstrcat(p, end ? "<" : ">=", sal_time_iso(t + (end ? apr_time_from_sec(86400) : 0), p),
                    NULL),
        err);
}

/* Every parameter that is a search field is a condition; a form's empty fields are none. */
static apr_status_t read_query(crashstats_req_t *q, sal_query_t *query, sal_error_t *err)
{
    const apr_array_header_t *a = apr_table_elts(q->query);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < a->nelts && i < 100; i++) {
        if (strcmp(e[i].key, "from") == 0 || strcmp(e[i].key, "to") == 0) {
            rv = form_day(query, e[i].val, e[i].key[0] == 't', q->r->pool, err);
        } else if (strcmp(e[i].key, "_sort") == 0) {
            sal_query_sort(query, e[i].val);
        } else if (*e[i].val) {
            rv = sal_query_filter(query, e[i].key, e[i].val, err);
        }
    }
    return rv;
}

static void put_chips(crashstats_req_t *q, json_t *data)
{
    const apr_array_header_t *a = apr_table_elts(q->query);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_pool_t *p = q->r->pool;
    json_t *chips = json_array();

    for (int i = 0; i < a->nelts && i < 100; i++) {
        sal_query_t *one = sal_query_make(0, q->pii, p);
        json_t *list, *chip;

        if (!*e[i].val || sal_query_filter(one, e[i].key, e[i].val, NULL) != APR_SUCCESS) {
            continue;
        }
        list = sal_query_conditions(one);
        chip = json_array_get(list, 0);
        if (chip) {
            json_object_set_new(
                chip, "drop", json_string(apr_pstrcat(p, "/search/?", query_without(q, i), NULL)));
            json_array_append(chips, chip);
        }
        json_decref(list);
    }
    json_object_set_new(data, "any_chips", json_boolean(json_array_size(chips) > 0));
    json_object_set_new(data, "chips", chips);
}

static void put_form(crashstats_req_t *q, json_t *data, const sal_query_t *query)
{
    static const char *const names[] = { "product",      "version",
                                         "signature",    "platform_pretty_version",
                                         "process_type", "reason" };
    apr_pool_t *p = q->r->pool;
    json_t *form = json_object();
    apr_time_t from, to;

    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = web_param(q->query, names[i]);

        json_object_set_new(form, names[i], json_string(value ? value : ""));
    }
    if (sal_query_window(query, &from, &to, NULL) == APR_SUCCESS) {
        json_object_set_new(form, "from",
                            json_string(apr_pstrndup(p, sal_format_time(from, 1, p), 10)));
        json_object_set_new(form, "to",
                            json_string(apr_pstrndup(p, sal_format_time(to - 1, 1, p), 10)));
        json_object_set_new(data, "window",
                            json_string(apr_psprintf(p, "%s to %s", sal_format_time(from, 1, p),
                                                     sal_format_time(to, 1, p))));
    }
    json_object_set_new(data, "form", form);
}

static int bad_search(crashstats_req_t *q, const sal_query_t *query, const sal_error_t *err)
{
    json_t *data = json_pack("{s:s, s:b, s:s, s:b}", "title", "Search", "plain_title", 1, "problem",
                             err->message, "open", 1);

    put_chips(q, data);
    put_form(q, data, query);
    return crashstats_page(q, HTTP_BAD_REQUEST, "search", "Search", data);
}

/* 1..200, or 0 for what is no number. */
static int page_number(crashstats_req_t *q)
{
    const char *text = web_param(q->query, "page");
    int64_t n;

    if (!text || !*text) {
        return 1;
    }
    if (!sal_parse_int(text, INT64_MIN, INT64_MAX, &n)) {
        return 0;
    }
    return n < 1 ? 1 : n > MAX_PAGE ? MAX_PAGE : (int)n;
}

static void put_pager(crashstats_req_t *q, json_t *data, const list_t *l, int page)
{
    apr_pool_t *p = q->r->pool;
    const char *prefix = apr_pstrcat(p, "/search/?", query_without(q, -1), "page=", NULL);
    int64_t pages = (l->total + PER_PAGE - 1) / PER_PAGE;
    int64_t from = (int64_t)(page - 1) * PER_PAGE + 1;
    int64_t to = from - 1 + (int64_t)json_array_size(l->hits);

    if (l->total > 0) {
        json_object_set_new(data, "pager",
                            sal_list_pager(page, (int)(pages > MAX_PAGE ? MAX_PAGE : pages), from,
                                           to, l->total, prefix, p));
    }
}

int crashstats_search(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    int page = page_number(q);
    sal_error_t err = { 0 };
    apr_status_t rv;
    list_t l = { 0 };
    json_t *data;

    (void)rest;
    l.query = sal_query_make(apr_time_now() + apr_time_from_sec(1), q->pii, p);
    rv = page ? read_query(q, l.query, &err) : sal_fail(&err, SAL_E_MALFORMED, "Invalid page");
    if (rv == APR_SUCCESS) {
        rv = sal_query_page(l.query, PER_PAGE, (page - 1) * PER_PAGE, &err);
    }
    if (rv == APR_SUCCESS) {
        rv = web_with_db(q->r, run_list, &l, &err);
    }
    if (rv != APR_SUCCESS) {
        drop_list(&l);
        return rv == SAL_E_MALFORMED ? bad_search(q, l.query, &err) : crashstats_sick(q, &err);
    }
    data = json_pack("{s:s, s:b}", "title", "Search", "plain_title", 1);
    put_list(data, &l, apr_pstrcat(p, "/search/?", query_without(q, -1), NULL), p);
    put_chips(q, data);
    put_form(q, data, l.query);
    put_pager(q, data, &l, page);
    drop_list(&l);
    return crashstats_page(q, HTTP_OK, "search", "Search", data);
}

int crashstats_quick(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    const char *trimmed = crashstats_trimmed(web_param(q->query, "query"), p);

    (void)rest;
    if (!*trimmed) {
        return web_redirect(q->r, HTTP_MOVED_TEMPORARILY, "/search/");
    }
    if (crashstats_id(trimmed) == CRASHSTATS_ID_OK ||
        crashstats_id(trimmed) == CRASHSTATS_ID_PREFIXED) {
        const char *id = strncmp(trimmed, "bp-", 3) == 0 ? trimmed + 3 : trimmed;

        return web_redirect(q->r, HTTP_MOVED_TEMPORARILY,
                            apr_pstrcat(p, "/report/index/", id, NULL));
    }
    return web_redirect(
        q->r, HTTP_MOVED_TEMPORARILY,
        apr_pstrcat(p, "/search/?signature=~", sal_format_urlencode(trimmed, p), NULL));
}
