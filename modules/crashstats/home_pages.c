/*
 * The overview, and the home of a product.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "base/text.h"
#include "db/schema.h"
#include "render/format.h"
#include "render/overview.h"

typedef struct work_t {
    const char *product; /* NULL: the overview */
    const char *version;
    sal_super_reader_t reader;
    sal_overview_t overview;
} work_t;

static apr_status_t run(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_overview_read(&w->overview, w->product, w->version, apr_time_now(), &w->reader, db,
                             p, err);
}

static int failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    if (rv == APR_ENOENT) {
        return crashstats_message(q, HTTP_NOT_FOUND, "There is no such product",
                                  "No crash has come from a product of this name.");
    }
    return crashstats_sick(q, err);
}

/* How to begin. */
static int welcome(crashstats_req_t *q, const sal_overview_t *o)
{
    request_rec *r = q->r;
    json_t *data = json_pack("{s:s, s:b, s:s, s:i}", "title", "Welcome", "plain_title", 1, "url",
                             ap_construct_url(r->pool, "", r), "schema", sal_schema_version());

    json_object_set_new(data, "waiting",
                        o->waiting ? json_string(sal_format_count(o->waiting, r->pool))
                                   : json_null());
    return crashstats_page(q, HTTP_OK, "welcome", "Overview", data);
}

static void put_title(json_t *data, const char *title)
{
    json_object_set_new(data, "title", json_string(title));
    json_object_set_new(data, "plain_title", json_true());
}

int crashstats_overview(crashstats_req_t *q, const char *rest)
{
    work_t w = { .reader = { .pii = q->pii, .known = q->who.user != NULL } };
    sal_error_t err = { 0 };
    apr_status_t rv = web_with_db(q->r, run, &w, &err);
    json_t *data;

    (void)rest;
    if (rv != APR_SUCCESS) {
        return failed(q, rv, &err);
    }
    if (w.overview.empty) {
        return welcome(q, &w.overview);
    }
    data = sal_overview_view(&w.overview, q->r->pool);
    put_title(data, "Overview");
    return crashstats_page(q, HTTP_OK, "overview", "Overview", data);
}

/* The product as it stands in the path, which the server has decoded. */
int crashstats_product_home(crashstats_req_t *q, const char *rest)
{
    work_t w = { .product = rest,
                 .version = web_param(q->query, "version"),
                 .reader = { .pii = q->pii, .known = q->who.user != NULL } };
    const char *version = w.version;
    sal_error_t err = { 0 };
    apr_status_t rv;
    json_t *data;

    if (!*rest || strlen(rest) > 255 || !sal_utf8_valid(rest, strlen(rest))) {
        return failed(q, APR_ENOENT, NULL);
    }
    if ((rv = web_with_db(q->r, run, &w, &err)) != APR_SUCCESS) {
        return failed(q, rv, &err);
    }
    if (version && *version && !w.overview.has_version) {
        return web_redirect(q->r, HTTP_MOVED_TEMPORARILY,
                            apr_pstrcat(q->r->pool, "/home/product/",
                                        sal_format_urlencode(rest, q->r->pool), NULL));
    }
    data = sal_product_view(&w.overview, version, q->r->pool);
    put_title(data, rest);
    q->product = rest;
    q->version = version && *version ? version : NULL;
    q->report = "home";
    return crashstats_page(q, HTTP_OK, "product", "Overview", data);
}
