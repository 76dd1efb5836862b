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
