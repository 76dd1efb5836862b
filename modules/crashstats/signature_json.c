/*
 * What scripts ask of a signature: graphs, and correlations at the two paths of upstream.
 */
#include "crashstats/signature.h"

#include <apr_strings.h>

#include "base/json.h"
#include "crash/products.h"
#include "render/format.h"
#include "triage/correlate.h"

/* ---- graphs ---- */

/* The field's terms by their number, and how often each was met on each day. */
int signature_graph(crashstats_req_t *q, const char *field)
{
    signature_t s;
    json_t *counts = json_object(), *facets, *one;
    int rc = OK;
    size_t i;

    sal_json_own(counts, q->r->pool);
    if (!signature_read(&s, q, SIGNATURE_GRAPHS, &rc)) {
        return rc;
    }
    if (!signature_may_use(q, field)) {
        return signature_not_allowed(q, "group by", field);
    }
    s.graph = field;
    if (!signature_find(&s, &rc)) {
        return rc;
    }
    facets = json_object_get(s.main, "facets");
    json_array_foreach(json_object_get(facets, field), i, one)
    {
        json_object_set(counts, sal_sigview_text(json_object_get(one, "term"), s.p),
                        json_object_get(one, "count"));
    }
    one = json_object_get(facets, "histogram_date");
    return crashstats_api_reply(q, HTTP_OK,
                                json_pack("{s:s, s:O, s:O}", "aggregation", field, "aggregates",
                                          one ? one : sal_json_own(json_array(), s.p),
                                          "term_counts", counts));
}

/* ---- correlations ---- */

static bool ends_with(const char *text, const char *end)
{
    apr_size_t n = strlen(text), m = strlen(end);

    return n >= m && !strcmp(text + n - m, end);
}

static bool all_versions(const sal_ask_t *ask, const char *mark)
{
    bool any = false;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (!strcmp(one->name, "version")) {
            any = true;
            if (!strstr(one->value, mark)) {
                return false;
            }
        }
    }
    return any;
}

const char *signature_channel(const sal_ask_t *ask, apr_pool_t *p)
{
    const char *channel = NULL;
    int n = 0;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (!strcmp(one->name, "release_channel")) {
            channel = one->value + (*one->value == '=');
            n++;
        }
    }
    if (n == 1) {
        return apr_pstrdup(p, channel);
    }
    return all_versions(ask, "a1")    ? "nightly"
           : all_versions(ask, "esr") ? "esr"
           : all_versions(ask, "b")   ? "beta"
                                      : "release";
}

apr_status_t signature_correlate(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    apr_status_t rv;

    s->channel = signature_channel(s->ask, s->p);
    if (!s->product) {
        return APR_SUCCESS;
    }
    rv = sal_correlate_totals(&s->totals, s->product, db, s->p, err);
    if (rv == APR_SUCCESS) {
        sal_json_own(s->totals, s->p);
        rv = sal_correlate_get(&s->correlations, s->product, s->channel, s->signature, db, s->p,
                               err);
    }
    if (rv == APR_SUCCESS) {
        sal_json_own(s->correlations, s->p);
    }
    return rv;
}

typedef struct file_t {
    const char *product, *channel, *sha1; /* channel NULL: the totals */
    json_t *doc;
} file_t;

static apr_status_t read_file(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    file_t *f = baton;

    if (!f->product) {
        sal_products_t products;
        apr_status_t rv = sal_products_load(&products, db, p, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        f->product = products.n ? products.list[0].name : "Firefox";
    }
    return f->channel ? sal_correlate_get(&f->doc, f->product, f->channel, f->sha1, db, p, err)
                      : sal_correlate_totals(&f->doc, f->product, db, p, err);
}

/* "all.json.gz", "CHANNEL/SHA1.json.gz"; the same without ".gz". */
static bool parse_path(file_t *f, const char *rest, apr_pool_t *p)
{
    char *path = apr_pstrdup(p, rest), *slash;
    apr_size_t n = strlen(path);

    n -= ends_with(path, ".json.gz") ? 8 : ends_with(path, ".json") ? 5 : n;
    path[n] = '\0';
    slash = strchr(path, '/');
    if (!slash) {
        return !strcmp(path, "all");
    }
    *slash = '\0';
    f->channel = path;
    f->sha1 = slash + 1;
    return *path && strlen(f->sha1) == 40 && strspn(f->sha1, "0123456789abcdef") == 40;
}

int crashstats_correlations(crashstats_req_t *q, const char *rest)
{
    file_t f = { .product = web_param(q->query, "product") };
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!parse_path(&f, rest, q->r->pool)) {
        return crashstats_api_error(q, HTTP_NOT_FOUND, "Page not found");
    }
    rv = web_with_db(q->r, read_file, &f, &err);
    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(q, rv, &err);
    }
    if (!f.doc) {
        return crashstats_api_error(q, HTTP_NOT_FOUND, "There are no correlations of it");
    }
    return crashstats_api_reply(q, HTTP_OK, f.doc);
}
