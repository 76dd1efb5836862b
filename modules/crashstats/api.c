/*
 * /api/<Name>/: from a request to the endpoint that answers it, by the order of checks that
 * clients know: name, rate, permission, method, parameters, call (docs/api.md).
 */
#include "crashstats/api.h"

#include <ctype.h>

#include <apr_strings.h>

#include "base/text.h"
#include "db/token.h"
#include "render/format.h"
#include "render/wire.h"

#define JSON_MODEL "application/json; charset=UTF-8"
#define JSON_PLAIN "application/json"

enum { FORM_MAX = 4 * 1024 * 1024 };

/* Paths and queries are bytes; documents are UTF-8. */
static const char *utf8(crashstats_req_t *q, const char *text)
{
    return text ? sal_utf8_clean(text, strlen(text), q->r->pool) : "";
}

/* ---- answers ---- */

static int reply(crashstats_req_t *q, int status, const char *type, json_t *steals)
{
    const char *pretty = web_param(q->query, "pretty");
    const char *text;

    if (!steals) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (q->answer) {
        q->answer->status = status;
        q->answer->doc = steals;
        return OK;
    }
    text = sal_wire_json(steals, pretty && strcmp(pretty, "print") == 0, q->r->pool);
    json_decref(steals);
    if ((q->pii || q->who.user) && !apr_table_get(q->r->headers_out, "Cache-Control")) {
        apr_table_setn(q->r->headers_out, "Cache-Control", "private, no-store");
    }
    apr_table_setn(q->r->headers_out, "Vary", "Auth-Token, Authorization, Origin");
    return web_reply(q->r, status, type, text, strlen(text));
}

int crashstats_api_reply(crashstats_req_t *q, int status, json_t *steals)
{
    return reply(q, status, status == HTTP_OK ? JSON_MODEL : JSON_PLAIN, steals);
}

int crashstats_api_error(crashstats_req_t *q, int status, const char *text)
{
    return reply(q, status, JSON_PLAIN, json_pack("{s:s}", "error", text));
}

static int lost(crashstats_req_t *q, int status, const char *text)
{
    return reply(q, status, JSON_PLAIN,
                 json_pack("{s:s, s:s, s:s}", "error", text, "path", utf8(q, q->r->uri),
                           "query_string", utf8(q, q->r->args)));
}

/* 500 or 503 in a JSON view; the log has the reason. */
int crashstats_api_failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    int status = web_status_of(rv) == HTTP_SERVICE_UNAVAILABLE ? HTTP_SERVICE_UNAVAILABLE
                                                               : HTTP_INTERNAL_SERVER_ERROR;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL4008: %s", err->message);
    if (status == HTTP_SERVICE_UNAVAILABLE) {
        apr_table_setn(q->r->headers_out, "Retry-After", "10");
    }
    return lost(q, status,
                status == HTTP_SERVICE_UNAVAILABLE ? "Service Unavailable"
                                                   : "Internal Server Error");
}

int api_bad_request(api_call_t *c, const char *message)
{
    return crashstats_api_error(
        c->q, HTTP_BAD_REQUEST,
        apr_pstrcat(c->q->r->pool, "Bad request: BadArgumentError: ", utf8(c->q, message), NULL));
}

int api_bad_argument(api_call_t *c, const char *text)
{
    return api_bad_request(
        c, apr_pstrcat(c->q->r->pool, "Bad value for parameter(s) '", text, "'", NULL));
}

int api_not_found(api_call_t *c, const char *crash_id)
{
    return crashstats_api_error(
        c->q, HTTP_NOT_FOUND,
        apr_pstrcat(c->q->r->pool, "Not found: CrashIDNotFound ", crash_id, NULL));
}

int api_param_errors(api_call_t *c, json_t *errors)
{
    return reply(c->q, HTTP_BAD_REQUEST, JSON_PLAIN, json_pack("{s:o}", "errors", errors));
}

const char *crashstats_trimmed(const char *text, apr_pool_t *p)
{
    char *s = apr_pstrdup(p, text ? text : "");
    apr_size_t len;

    while (isspace((unsigned char)*s)) {
        s++;
    }
    for (len = strlen(s); len > 0 && isspace((unsigned char)s[len - 1]); len--) {
        s[len - 1] = '\0';
    }
    return s;
}

/* ---- limits ---- */

static int too_many(crashstats_req_t *q, const api_endpoint_t *e, int wait)
{
    request_rec *r = q->r;
    const char *with = apr_table_get(r->headers_in, "X-Requested-With");
    const char *accept = apr_table_get(r->headers_in, "Accept");

    apr_table_setn(r->err_headers_out, "Retry-After", apr_itoa(r->pool, wait));
    if (e->bucket != CRASHSTATS_BUCKET_API || q->answer) {
        return reply(q, HTTP_TOO_MANY_REQUESTS, JSON_PLAIN,
                     json_pack("{s:s}", "detail", "Request was throttled."));
    }
    if ((with && strcmp(with, "XMLHttpRequest") == 0) || !accept ||
        !ap_strcasestr(accept, "text/html")) {
        return web_reply(r, HTTP_TOO_MANY_REQUESTS, "text/plain", "Too Many Requests", 17);
    }
    return crashstats_message(q, HTTP_TOO_MANY_REQUESTS, "Too many requests",
                              "This address has asked too often. Try again in a minute.");
}

/* ---- calls ---- */

static bool may(const crashstats_req_t *q, const api_endpoint_t *e)
{
    return !e->needs || (q->who.permissions & e->needs) != 0;
}

static const char *title_of(int permission)
{
    sal_permission_t x;

    for (int i = 0; sal_permission_at(&x, i); i++) {
        if (x.bit == permission) {
            return x.title;
        }
    }
    return "";
}

static bool has_method(const api_endpoint_t *e, const char *method)
{
    return strstr(e->methods, strcmp(method, "HEAD") == 0 ? "GET" : method) != NULL;
}

static int no_method(crashstats_req_t *q, const api_endpoint_t *e)
{
    bool get = strstr(e->methods, "GET") != NULL;

    apr_table_setn(q->r->headers_out, "Allow",
                   apr_pstrcat(q->r->pool, e->methods, get ? ", HEAD" : "", ", OPTIONS", NULL));
    return crashstats_api_error(q, HTTP_METHOD_NOT_ALLOWED, "Method not allowed");
}

int api_serve(crashstats_req_t *q, const api_endpoint_t *e, apr_table_t *given, const char *source,
              const char *method)
{
    api_call_t c = { .q = q, .endpoint = e, .given = given, .source = source };
    int wait = crashstats_limit(q->r, e->bucket, &q->conf->api_rate, q->who.user != NULL);
    json_t *errors;

    if (wait) {
        return too_many(q, e, wait);
    }
    if (!may(q, e)) {
        return crashstats_api_error(q, HTTP_FORBIDDEN,
                                    apr_psprintf(q->r->pool,
                                                 "Use of this endpoint requires the '%s' "
                                                 "permission",
                                                 title_of(e->needs)));
    }
    if (!has_method(e, method)) {
        return no_method(q, e);
    }
    if (!given) { /* a body is read once it is wanted */
        c.source = e->flags & API_BODY ? "" : web_form_text(q->r, FORM_MAX);
        c.given = web_pairs(c.source, q->r->pool);
    }
    if ((errors = api_check(&c))) {
        return api_param_errors(&c, errors);
    }
    if ((e->flags & API_STORE) && !q->conf->store) {
        sal_error_t err = { 0 };

        (void)sal_fail(&err, SAL_E_SICK, "the crash store is not open");
        return crashstats_api_failed(q, SAL_E_SICK, &err);
    }
    if ((e->flags & API_CACHED) && !q->answer) {
        apr_table_setn(q->r->headers_out, "Cache-Control", "private, max-age=300");
    }
    return e->serve(&c);
}

/* ---- the way in ---- */

/* Browsers ask whether a page of another origin may send what it wants to send. */
static int preflight(crashstats_req_t *q)
{
    static const char headers[] = "accept, authorization, content-type, user-agent, x-csrftoken, "
                                  "x-requested-with";
    request_rec *r = q->r;

    apr_table_setn(r->headers_out, "Access-Control-Allow-Methods",
                   "DELETE, GET, OPTIONS, PATCH, POST, PUT");
    apr_table_setn(r->headers_out, "Access-Control-Allow-Headers",
                   q->conf->cors_headers
                       ? apr_pstrcat(r->pool, headers, ", ", q->conf->cors_headers, NULL)
                       : headers);
    apr_table_setn(r->headers_out, "Access-Control-Max-Age", "86400");
    apr_table_setn(r->headers_out, "Vary", "Origin");
    return web_reply(r, HTTP_OK, "text/plain; charset=UTF-8", "", 0);
}

static int no_slash(request_rec *r, const char *name)
{
    return web_redirect(r, HTTP_MOVED_PERMANENTLY,
                        apr_pstrcat(r->pool, "/api/", sal_format_urlencode(name, r->pool), "/",
                                    r->args ? "?" : "", r->args ? r->args : "", NULL));
}

int crashstats_api(crashstats_req_t *q, const char *rest)
{
    request_rec *r = q->r;
    const char *slash = strchr(rest, '/');
    const char *name = slash ? apr_pstrndup(r->pool, rest, slash - rest) : rest;
    const api_endpoint_t *e = api_find(name);
    bool options = r->method_number == M_OPTIONS;

    if (apr_table_get(r->headers_in, "Origin") || (e && (e->flags & API_OPEN))) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", "*");
    }
    if (options && apr_table_get(r->headers_in, "Access-Control-Request-Method")) {
        return preflight(q);
    }
    if (!*rest) {
        return api_page(q);
    }
    if (slash && slash[1]) {
        return lost(q, HTTP_NOT_FOUND, "Page not found");
    }
    if (!slash) {
        return no_slash(r, name);
    }
    if (!e) {
        return crashstats_api_error(q, HTTP_NOT_FOUND,
                                    apr_psprintf(r->pool, "No service called '%s'", utf8(q, name)));
    }
    if (options) {
        return web_reply(r, HTTP_OK, "text/plain; charset=UTF-8", "", 0);
    }
    return r->method_number == M_POST ? api_serve(q, e, NULL, NULL, "POST")
                                      : api_serve(q, e, q->query, r->args, r->method);
}
