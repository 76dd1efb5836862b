/*
 * mod_symbolicate: POST /symbolicate/v5 and /symbolicate/v4, as Eliot answers them.
 *
 *     <Location "/symbolicate">
 *         SetHandler symbolicate
 *     </Location>
 *
 * Symbols come from the process's one supplier, set up from salvage.conf. Every answer, errors too,
 * is JSON: clients take anything else for a passing failure.
 */
#include "symbolicate_private.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include "base/log.h"
#include "symbolicate/symbolicate.h"
#include "symbolicate_page.h"
#include "upstream/pipe.h"

#define DEFAULT_MAX_BODY (INT64_C(64) << 20)
#define DEFAULT_MAX_JOBS 10
#define DEFAULT_BUILD_WAIT 10
#define DEFAULT_MAP_IDLE 60
#define DEFAULT_DISK (INT64_C(20) << 30)
#define FETCH_WAIT 10 /* seconds for a download before the answer is "pending" */

static symbolicate_table_t *under_way; /* of this generation of children; NULL: not counted */

static struct { /* the child's; set once in child_init */
    sal_supplier_t *supplier;
    sal_error_t why_not;
} child;

/* ---- answers ---- */

static int reply_title(request_rec *r, int status, const char *title)
{
    const char *body = apr_psprintf(r->pool, "{\"title\": \"%s\"}", title);

    apr_table_mergen(r->headers_out, "Vary", "Accept");
    if (status == HTTP_SERVICE_UNAVAILABLE || status == HTTP_TOO_MANY_REQUESTS) {
        apr_table_setn(r->headers_out, "Retry-After", "5");
    }
    return web_reply(r, status, "application/json", body, strlen(body));
}

static void set_cors(request_rec *r)
{
    if (apr_table_get(r->headers_in, "Origin")) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", "*");
        apr_table_setn(r->headers_out, "Access-Control-Expose-Headers",
                       "accept, accept-encoding, authorization, content-type, dnt, origin, "
                       "user-agent, x-csrftoken, x-requested-with");
    }
}

static int reply_options(request_rec *r)
{
    const char *wanted = apr_table_get(r->headers_in, "Access-Control-Request-Headers");

    if (apr_table_get(r->headers_in, "Origin") &&
        apr_table_get(r->headers_in, "Access-Control-Request-Method")) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", "POST");
        apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", wanted ? wanted : "*");
        apr_table_setn(r->headers_out, "Access-Control-Max-Age", "86400");
    } else {
        apr_table_setn(r->headers_out, "Allow", "POST");
    }
    return web_reply(r, HTTP_OK, "application/json", "", 0);
}

static int reply_method(request_rec *r)
{
    apr_table_setn(r->headers_out, "Allow", "POST, OPTIONS");
    return reply_title(r, HTTP_METHOD_NOT_ALLOWED, "405 Method Not Allowed");
}

static int reply_body_error(request_rec *r, int status)
{
    switch (status) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return reply_title(r, status, "413 Payload Too Large");
    case HTTP_REQUEST_TIME_OUT:
        return reply_title(r, status, "408 Request Timeout");
    default:
        return reply_title(r, HTTP_BAD_REQUEST, "400 Bad Request");
    }
}

/* ---- the handler ---- */

/*
 * True if the path names an endpoint. httpd tells a module of its <Location> only if a directive of
 * the module stands in it; without, /symbolicate/vN at any depth and /vN one folder down will do.
 */
static bool is_endpoint(const char *uri, const char *base)
{
    static const char usual[] = "/symbolicate";
    apr_size_t folder = strlen(uri) - 3;

    if (base) { /* the Location may be the folder of both, or one of them */
        apr_size_t len = strlen(base);

        return strncmp(uri, base, len) == 0 && (folder == len || folder + 3 == len);
    }
    return (folder >= sizeof(usual) - 1 &&
            strncmp(uri + folder - (sizeof(usual) - 1), usual, sizeof(usual) - 1) == 0) ||
           !memchr(uri + 1, '/', folder > 0 ? folder - 1 : 0);
}

/* 4 or 5, 0 for a path that is nothing. */
static int version_of(const request_rec *r, const symbolicate_dir_t *cf)
{
    apr_size_t len = strlen(r->uri);

    if (len < 3 || strncmp(r->uri + len - 3, "/v", 2) != 0 ||
        (r->uri[len - 1] != '4' && r->uri[len - 1] != '5') || !is_endpoint(r->uri, cf->base)) {
        return 0;
    }
    return r->uri[len - 1] - '0';
}

static const symbolicate_dir_t *dir_conf(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &symbolicate_module);
}

static void log_request(request_rec *r, const sal_symbolicate_request_t *req, apr_time_t begun)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "SAL3001: symbolicated v%d: %d jobs, %d modules, %" APR_UINT64_T_FMT
                  " frames, %" APR_UINT64_T_FMT " with symbols, %" APR_TIME_T_FMT " us",
                  req->version, req->n_jobs, req->modules->nelts, req->n_frames, req->n_found,
                  apr_time_now() - begun);
}

/* A short answer gets its Content-Length. */
static bool send_piece(void *baton, const char *data, apr_size_t size, bool whole)
{
    request_rec *r = baton;

    if (whole) {
        ap_set_content_length(r, (apr_off_t)size);
    }
    return !r->connection->aborted && ap_rwrite(data, (int)size, r) >= 0;
}

/* "Prefer: wait" (RFC 7240): better no answer than one without symbols that will be there. */
static bool asks_to_wait(request_rec *r)
{
    const char *prefer = apr_table_get(r->headers_in, "Prefer");
    char *token;

    while (prefer && (token = ap_get_token(r->pool, &prefer, 1)) != NULL && *token) {
        if (!strncasecmp(token, "wait", 4) && (!token[4] || strchr("=; \t", token[4]))) {
            return true;
        }
        prefer += strcspn(prefer, ",");
        prefer += *prefer == ',';
    }
    return false;
}

/* A worker thread of httpd is scarce: it waits for builders and servers only so long. */
static apr_time_t patience(const request_rec *r, const symbolicate_dir_t *cf)
{
    apr_int64_t seconds = cf->build_wait < 0 ? DEFAULT_BUILD_WAIT : cf->build_wait;

    return r->request_time + apr_time_from_sec(seconds) + 1;
}

static int answer(request_rec *r, const symbolicate_dir_t *cf, sal_symbolicate_request_t *req)
{
    const char *debug = apr_table_get(r->headers_in, "Debug");
    bool strict = cf->strict_names != 0;
    sal_symbolicate_style_t style = { .extensions = cf->extensions >= 0 ? cf->extensions : !strict,
                                      .debug = debug && *debug,
                                      .extend_lines = cf->extend_lines > 0,
                                      .begun = r->request_time };

    if (!child.supplier) {
        return reply_title(r, HTTP_SERVICE_UNAVAILABLE, "503 Service Unavailable");
    }
    sal_symbolicate_fetch(req, child.supplier, patience(r, cf), r->pool);
    if (asks_to_wait(r) && sal_symbolicate_pending(req)) {
        sal_symbolicate_release(req, child.supplier);
        return reply_title(r, HTTP_SERVICE_UNAVAILABLE, "503 Service Unavailable");
    }
    r->status = HTTP_OK;
    ap_set_content_type(r, "application/json");
    sal_symbolicate_write(req, &style, send_piece, r, r->pool);
    sal_symbolicate_release(req, child.supplier);
    return OK;
}

static int post(request_rec *r, const symbolicate_dir_t *cf, int version)
{
    sal_symbolicate_limits_t limits = { cf->max_jobs < 0 ? DEFAULT_MAX_JOBS : (int)cf->max_jobs,
                                        cf->strict_names != 0 };
    sal_symbolicate_request_t req = { .version = version };
    apr_time_t begun = apr_time_now();
    const char *title;
    char *body;
    apr_size_t size;
    int rc = web_body_text(r, cf->max_body < 0 ? DEFAULT_MAX_BODY : cf->max_body, &body, &size);

    if (rc != OK) {
        return reply_body_error(r, rc);
    }
    title = sal_symbolicate_read(&req, body, size, &limits, r->pool);
    if (title) {
        return reply_title(r, HTTP_BAD_REQUEST, title);
    }
    rc = answer(r, cf, &req);
    log_request(r, &req, begun);
    return rc;
}

/* The same within the limits of requests under way. */
static int post_within(request_rec *r, const symbolicate_dir_t *cf, int version)
{
    const symbolicate_server_t *sc =
        ap_get_module_config(r->server->module_config, &symbolicate_module);
    int place;
    int rc = symbolicate_enter(&place, under_way, &sc->limits, r);

    if (rc != OK) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL3006: refused, %s",
                      rc == HTTP_TOO_MANY_REQUESTS ? "too many requests of this client"
                                                   : "too many requests");
        r->connection->keepalive = AP_CONN_CLOSE; /* no thread waits for a body of no use */
        return reply_title(r, rc,
                           rc == HTTP_TOO_MANY_REQUESTS ? "429 Too Many Requests"
                                                        : "503 Service Unavailable");
    }
    rc = post(r, cf, version);
    symbolicate_leave(under_way, place);
    return rc;
}

/* ---- the page ---- */

/* The folder of the endpoints, with its slash. */
static bool is_root(const char *uri, const char *base)
{
    static const char usual[] = "/symbolicate/";
    apr_size_t len = strlen(uri);

    if (base) {
        return len == strlen(base) + 1 && strncmp(uri, base, len - 1) == 0 && uri[len - 1] == '/';
    }
    return len >= sizeof(usual) - 1 && strcmp(uri + len - (sizeof(usual) - 1), usual) == 0;
}

static bool gather(void *baton, const char *data, apr_size_t size, bool whole)
{
    apr_array_header_t *text = baton;
    int at = text->nelts;

    (void)whole;
    while (text->nalloc - at < (int)size) { /* grows as APR lets it, then holds the piece */
        text->nelts = text->nalloc;
        apr_array_push(text);
    }
    memcpy(text->elts + at, data, size);
    text->nelts = at + (int)size;
    return true;
}

static const char *try_body(request_rec *r, const char *body, const char **problem)
{
    const symbolicate_dir_t *cf = dir_conf(r);
    sal_symbolicate_limits_t limits = { 1, false };
    sal_symbolicate_request_t req = { .version = 5 };
    sal_symbolicate_style_t style = { .extensions = true,
                                      .extend_lines = cf->extend_lines > 0,
                                      .begun = r->request_time };
    apr_array_header_t *text = apr_array_make(r->pool, 4096, 1);

    *problem = sal_symbolicate_read(&req, body, strlen(body), &limits, r->pool);
    if (*problem) {
        return NULL;
    }
    sal_symbolicate_fetch(&req, child.supplier, patience(r, cf), r->pool);
    sal_symbolicate_write(&req, &style, gather, text, r->pool);
    sal_symbolicate_release(&req, child.supplier);
    *(char *)apr_array_push(text) = '\0';
    return text->elts;
}

/* The same within the limits. */
static const char *try_within(request_rec *r, const char *body, const char **problem)
{
    const symbolicate_server_t *sc =
        ap_get_module_config(r->server->module_config, &symbolicate_module);
    const char *answer = NULL;
    int place;
    int rc = child.supplier ? symbolicate_enter(&place, under_way, &sc->limits, r)
                            : HTTP_SERVICE_UNAVAILABLE;

    if (rc == OK) {
        answer = try_body(r, body, problem);
        symbolicate_leave(under_way, place);
        return answer;
    }
    r->status = rc;
    apr_table_setn(r->headers_out, "Retry-After", "5");
    *problem = "The server has too much to do, or has no symbols. Try again soon.";
    return NULL;
}

static int symbolicate_handler(request_rec *r)
{
    const symbolicate_dir_t *cf;
    int version;

    if (!r->handler || strcmp(r->handler, "symbolicate") != 0) {
        return DECLINED;
    }
    cf = dir_conf(r);
    set_cors(r);
    version = version_of(r, cf);
    if (r->method_number == M_GET && is_root(r->uri, cf->base)) {
        const symbolicate_server_t *sc =
            ap_get_module_config(r->server->module_config, &symbolicate_module);

        if (sc->templates) {
            return symbolicate_page(r, sc->templates, sc->shared, try_within);
        }
    }
    if (!version) {
        return reply_title(r, HTTP_NOT_FOUND, "404 Not Found");
    }
    switch (r->method_number) {
    case M_POST:
        return post_within(r, cf, version);
    case M_OPTIONS:
        return reply_options(r);
    default:
        return reply_method(r);
    }
}

/* ---- start-up ---- */

/* The first server with a salvage.conf: the supplier is one a process. */
static symbolicate_server_t *any_conf(server_rec *s)
{
    for (; s; s = s->next) {
        symbolicate_server_t *cf = ap_get_module_config(s->module_config, &symbolicate_module);

        if (cf->shared) {
            return cf;
        }
    }
    return NULL;
}

/* A folder that children and, as another user, the daemon write to. */
static apr_status_t make_folder(const char *dir, server_rec *s, apr_pool_t *p)
{
    sal_error_t err;
    apr_status_t rv = dir ? web_make_store_root(dir, p, &err) : APR_SUCCESS;

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL3002: symcache: %s", err.message);
    }
    return rv;
}

/* As many places as any limit needs: the largest of all, else one for each thread there may be. */
static apr_status_t make_places(apr_pool_t *p, server_rec *s)
{
    apr_int64_t most = 0;
    int daemons = 0, threads = 0;
    bool clients = false;

    for (; s; s = s->next) {
        symbolicate_server_t *cf = ap_get_module_config(s->module_config, &symbolicate_module);

        cf->limits.all = cf->limits.all < 0 ? 0 : cf->limits.all;
        cf->limits.client = cf->limits.client < 0 ? 0 : cf->limits.client;
        most = cf->limits.all > most ? cf->limits.all : most;
        clients = clients || cf->limits.client;
    }
    if (clients) {
        ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &daemons);
        ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &threads);
        threads = threads > 0 ? threads : 1;
        daemons = daemons > SYMBOLICATE_MOST_PLACES / threads ? SYMBOLICATE_MOST_PLACES / threads
                                                              : daemons;
        most = daemons * threads > most ? daemons * threads : most;
    }
    return most ? symbolicate_table_make(&under_way, (unsigned)most, p) : APR_SUCCESS;
}

/* Without templates there is no page, and all else works. */
static void load_templates(apr_pool_t *p, server_rec *s)
{
    const symbolicate_server_t *first = NULL;

    for (; s; s = s->next) {
        symbolicate_server_t *cf = ap_get_module_config(s->module_config, &symbolicate_module);
        sal_error_t err;

        if (first && cf->shared == first->shared) {
            cf->templates = first->templates;
        } else if (cf->shared && sal_templates_load(&cf->templates,
                                                    sal_conf_get(cf->shared, "templates",
                                                                 "/usr/share/salvage/templates"),
                                                    p, &err) != APR_SUCCESS) {
            cf->templates = NULL;
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "SAL3008: no page for symbolication: %s",
                         err.message);
        }
        first = first ? first : cf;
    }
}

static int symbolicate_post_config(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp,
                                   server_rec *s)
{
    const symbolicate_server_t *cf = any_conf(s);
    apr_status_t rv;

    (void)plog;
    under_way = NULL;
    if (web_is_rehearsal() || !cf) {
        return OK;
    }
    load_templates(p, s);
    rv = make_places(p, s);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv, s,
                     "SAL3007: no memory to count the requests under way");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (make_folder(sal_conf_get(cf->shared, "symcache", NULL), s, ptemp) != APR_SUCCESS ||
        make_folder(sal_conf_get(cf->shared, "symbols-upstream-cache", NULL), s, ptemp) !=
            APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

/* Threads of downloads may outlive the child's pools by a moment, so what they use has its own. */
static const sal_sym_upstream_t *open_upstream(const symbolicate_server_t *cf, server_rec *s,
                                               apr_pool_t *child_pool)
{
    const char *const *lines = NULL;
    sal_upstream_t *u = NULL;
    sal_error_t err;
    apr_pool_t *pool;

    if (cf->upstreams) {
        APR_ARRAY_PUSH(cf->upstreams, const char *) = NULL;
        apr_array_pop(cf->upstreams);
        lines = (const char *const *)cf->upstreams->elts;
    }
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    if (sal_upstream_from_conf(&u, cf->shared, lines, pool, &err) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL3005: no symbols from upstream servers: %s",
                     err.message);
    }
    if (!u || !sal_upstream_asks(u, SAL_UPSTREAM_SYM)) {
        return NULL;
    }
    sal_upstream_stops_if(u, web_is_stopping);
    return sal_upstream_source(u, FETCH_WAIT, child_pool);
}

static void symbolicate_child_init(apr_pool_t *p, server_rec *s)
{
    const symbolicate_server_t *cf = any_conf(s);
    sal_supplier_opts_t opts = { 0 };

    if (!cf) {
        return; /* not used on this server */
    }
    web_log_to(s);
    if (under_way) {
        symbolicate_table_adopt(under_way);
    }
    opts.symcache_dir = sal_conf_get(cf->shared, "symcache", NULL);
    opts.symbol_store = sal_conf_get(cf->shared, "symbol-store", NULL);
    opts.paths = sal_conf_list(cf->shared, "symbols-path");
    opts.map_idle = cf->map_idle < 0 ? DEFAULT_MAP_IDLE : (int)cf->map_idle;
    opts.max_disk = (apr_uint64_t)sal_conf_int(cf->shared, "symcache-size", DEFAULT_DISK);
    if (!opts.symcache_dir) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "SAL3003: salvage.conf has no `symcache`: symbolication answers 503");
        return;
    }
    opts.upstream = open_upstream(cf, s, p);
    if (sal_supplier_shared(&child.supplier, &opts, &child.why_not) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL3004: symbolication answers 503: %s",
                     child.why_not.message);
    }
}

static void symbolicate_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_post_config(symbolicate_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(symbolicate_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(symbolicate_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(symbolicate) = { STANDARD20_MODULE_STUFF,  symbolicate_make_dir,
                                   symbolicate_merge_dir,    symbolicate_make_server,
                                   symbolicate_merge_server, symbolicate_commands,
                                   symbolicate_hooks,        0 };
