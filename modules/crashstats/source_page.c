/*
 * /sources/highlight/?url=/buildid/<id>/source/<path>&line=N: a source file out of our own symbol
 * store, with numbered lines. Nothing is fetched from anywhere else: addresses of other hosts get
 * the answers they have always got when they were not allowed.
 *
 * Whoever may not read /buildid/ may not read it here: httpd is asked.
 */
#include "crashstats/report.h"

#include <apr_strings.h>

#include "base/text.h"
#include "render/source.h"
#include "symbols/module_id.h"
#include "symbols/symbol_index.h"
#include "symbols/symbol_source.h"

enum { SOURCE_MAX = 4 * 1024 * 1024 };

#define BUILD_ID "/buildid/"
#define SOURCE "/source/"

typedef struct {
    const char *id, *path; /* path: absolute */
} place_t;

/* "/buildid/<id>/source/<path>" taken apart. */
static bool split(place_t *out, const char *url, apr_pool_t *p)
{
    const char *id, *mark;

    if (strncmp(url, BUILD_ID, strlen(BUILD_ID)) != 0) {
        return false;
    }
    id = url + strlen(BUILD_ID);
    mark = strchr(id, '/');
    if (!mark || strncmp(mark, SOURCE, strlen(SOURCE)) != 0 || !mark[strlen(SOURCE)]) {
        return false;
    }
    out->id = apr_pstrmemdup(p, id, (apr_size_t)(mark - id));
    out->path = mark + strlen(SOURCE);
    return sal_build_id_valid(out->id);
}

static int refuse(crashstats_req_t *q, int status, const char *text)
{
    return crashstats_message(q, status, "No source is shown", text);
}

/* Whether this reader would get the file from the address that serves it. */
static bool allowed(request_rec *r, const place_t *at)
{
    const char *path = apr_pstrcat(r->pool, BUILD_ID, at->id, SOURCE, NULL);
    request_rec *sub = ap_sub_req_lookup_uri(path, r, NULL);
    bool may =
        sub->status == HTTP_OK && sub->handler && strcmp(sub->handler, "symbols-debuginfod") == 0;

    ap_destroy_sub_req(sub);
    return may;
}

static const char *bundle_of(crashstats_req_t *q, const char *id)
{
    sal_symbol_store_t *store = q->conf->links->symbols;
    const char *path, *debug_id;

    if (!store) {
        return NULL;
    }
    if (sal_symbol_store_by_build(&path, NULL, store, id, SAL_BUILD_SOURCE, false, q->r->pool,
                                  NULL) == APR_SUCCESS) {
        return path;
    }
    debug_id = sal_debug_id_of_hex(id, q->r->pool);
    return debug_id && sal_symbol_store_by_build(&path, NULL, store, debug_id, SAL_BUILD_SOURCE,
                                                 false, q->r->pool, NULL) == APR_SUCCESS
               ? path
               : NULL;
}

/* ---- the content ---- */

typedef struct {
    char *text;
    apr_size_t size, used;
} content_t;

static apr_status_t take(void *baton, const void *data, apr_size_t size)
{
    content_t *c = baton;

    if (size > c->size - c->used) {
        return SAL_E_TOOBIG;
    }
    memcpy(c->text + c->used, data, size);
    c->used += size;
    return APR_SUCCESS;
}

static apr_status_t read_source(content_t *c, crashstats_req_t *q, const place_t *at,
                                sal_error_t *err)
{
    const char *bundle = bundle_of(q, at->id);
    sal_source_t *source;
    apr_status_t rv;

    if (!bundle) {
        return APR_ENOENT;
    }
    rv = sal_source_open(&source, bundle, at->path, q->r->pool, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_source_size(source) > SOURCE_MAX) {
        return sal_fail(err, SAL_E_TOOBIG, "%s is larger than this page shows", at->path);
    }
    c->size = (apr_size_t)sal_source_size(source);
    c->text = apr_palloc(q->r->pool, c->size + 1);
    return sal_source_read(source, take, c, err);
}

static int show(crashstats_req_t *q, const place_t *at, const content_t *c)
{
    const char *text = sal_utf8_clean(c->text, c->used, q->r->pool);
    const char *line = web_param(q->query, "line");
    int64_t number = 0;
    json_t *view;

    if (line && !sal_parse_int(line, 0, INT32_MAX, &number)) {
        number = 0;
    }
    view = json_pack("{s:s, s:b, s:s}", "title", sal_basename(at->path), "plain_title", 1, "build",
                     at->id);
    json_object_set_new(view, "path", json_string(at->path));
    sal_source_view(view, text, number, q->r->pool);
    return crashstats_page(q, HTTP_OK, "source", NULL, view);
}

/* What upstream answers to addresses it would not fetch. */
static int elsewhere(crashstats_req_t *q, const char *url)
{
    bool http = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;

    if (http || strncmp(url, "//", 2) == 0) {
        return refuse(q, HTTP_FORBIDDEN, "Document at disallowed host.");
    }
    if (*url != '/') {
        return refuse(q, HTTP_FORBIDDEN, "Document at disallowed scheme.");
    }
    return refuse(q, HTTP_NOT_FOUND, "Document at URL does not exist.");
}

int crashstats_sources(crashstats_req_t *q, const char *rest)
{
    const char *url = web_param(q->query, "url");
    content_t c = { 0 };
    sal_error_t err = { 0 };
    place_t at;
    apr_status_t rv;

    (void)rest;
    if (!url || !*url) {
        return refuse(q, HTTP_BAD_REQUEST, "No url specified.");
    }
    if (!split(&at, url, q->r->pool)) {
        return elsewhere(q, url);
    }
    if (!allowed(q->r, &at)) {
        return refuse(q, HTTP_FORBIDDEN, "Sources of this server are not open to you.");
    }
    rv = read_source(&c, q, &at, &err);
    if (rv == SAL_E_TOOBIG) {
        return refuse(q, HTTP_REQUEST_ENTITY_TOO_LARGE, "The file is larger than this page shows.");
    }
    if (rv != APR_SUCCESS) {
        if (!APR_STATUS_IS_ENOENT(rv)) {
            ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, q->r, "SAL4192: source %s of %s: %s",
                          at.path, at.id, err.message);
        }
        return refuse(q, HTTP_NOT_FOUND, "Document at URL does not exist.");
    }
    return show(q, &at, &c);
}
