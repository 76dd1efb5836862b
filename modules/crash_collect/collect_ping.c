/*
 * One crash ping: path, body, row, reply. Durable before polite: `OK` is said when the row is
 * committed. While the database is away the answer is 503, and the client keeps the ping and sends
 * it again; statuses of 400 to 414 make it forget the ping (docs/pings.md). Nothing of a ping is
 * logged but its dialect, the app it names and why it was refused.
 */
#include "collect_private.h"

#include <stdatomic.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/text.h"
#include "crash/inflate.h"
#include "ping/ping_store.h"

APLOG_USE_MODULE(crash_collect);

#define MAX_BODY (APR_INT64_C(1) << 20)
#define MAX_INFLATED (APR_INT64_C(8) << 20)
#define MAX_RUNNING 16 /* a child: a parsed ping takes many times its size */
#define RETRY 60

static atomic_int running;

typedef struct ping_req_t {
    request_rec *r;
    const collect_ping_t *conf;
    sal_ping_path_t path;
    const char *product;
    sal_inflate_t *inflate;
    char *text;
    apr_size_t size, room, max;
    apr_off_t total; /* read from the wire */
    bool fresh;
    sal_ping_t ping;
    sal_error_t err;
} ping_req_t;

/* ---- configuration ---- */

typedef struct collect_ping_app_t {
    const char *name, *product;
} collect_ping_app_t;

void collect_ping_make(collect_ping_t *c)
{
    *c = (collect_ping_t){ .max_body = -1, .max_inflated = -1 };
}

void collect_ping_merge(collect_ping_t *out, const collect_ping_t *base, const collect_ping_t *add,
                        apr_pool_t *p)
{
    (void)p;
    out->apps = add->apps ? add->apps : base->apps;
    out->removed = add->removed ? add->removed : base->removed;
    out->max_body = add->max_body < 0 ? base->max_body : add->max_body;
    out->max_inflated = add->max_inflated < 0 ? base->max_inflated : add->max_inflated;
}

const char *collect_ping_set_app(cmd_parms *cmd, void *dir, const char *arg)
{
    collect_ping_t *c = &((collect_dir_t *)dir)->ping;
    const char *equals = strchr(arg, '=');
    collect_ping_app_t *app;

    if (!c->apps) {
        c->apps = apr_array_make(cmd->pool, 4, sizeof(collect_ping_app_t));
    }
    if (!strcasecmp(arg, "none")) {
        return NULL;
    }
    if (equals == arg || (equals && !equals[1])) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is neither NAME nor NAME=PRODUCT",
                            cmd->cmd->name, arg);
    }
    app = apr_array_push(c->apps);
    app->name = equals ? apr_pstrmemdup(cmd->pool, arg, (apr_size_t)(equals - arg)) : arg;
    app->product = equals ? equals + 1 : NULL;
    return NULL;
}

const char *collect_ping_set_removed(cmd_parms *cmd, void *dir, const char *arg)
{
    collect_ping_t *c = &((collect_dir_t *)dir)->ping;

    if (!c->removed) {
        c->removed = apr_array_make(cmd->pool, 8, sizeof(const char *));
    } else {
        apr_array_pop(c->removed);
    }
    if (strcasecmp(arg, "none")) {
        APR_ARRAY_PUSH(c->removed, const char *) = arg;
    }
    APR_ARRAY_PUSH(c->removed, const char *) = NULL;
    return NULL;
}

const char *collect_ping_set_size(cmd_parms *cmd, void *dir, const char *arg)
{
    collect_ping_t *c = &((collect_dir_t *)dir)->ping;

    return web_arg_size(cmd, arg, 1024, APR_INT64_C(64) << 20,
                        cmd->info ? &c->max_inflated : &c->max_body);
}

/* Products whose app ids are not their names; what has no entry is its own product. */
static const char *known_product(const char *app)
{
    static const char *const names[][2] = {
        { "firefox-desktop", "Firefox" },        { "firefox-crashreporter", "Firefox" },
        { "org-mozilla-firefox", "Fenix" },      { "org-mozilla-firefox-beta", "Fenix" },
        { "org-mozilla-fenix", "Fenix" },        { "org-mozilla-focus", "Focus" },
        { "thunderbird-desktop", "Thunderbird" }
    };

    for (apr_size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcasecmp(app, names[i][0])) {
            return names[i][1];
        }
    }
    return app;
}

/* Without a list of apps the products that may send crashes count: CrashProducts. */
static const char *listed_product(request_rec *r, const char *app)
{
    const char *product = known_product(app);
    collect_question_t ask = { .dir = &collect_dir(r)->throttle,
                               .site = collect_server(r->server)->site,
                               .r = r,
                               .pool = r->pool };
    const sal_products_t *list = collect_products(&ask);

    return !list->n || sal_products_find(list, product) ? product : NULL;
}

/* The product of an app, or NULL if pings of it are not taken. */
static const char *product_of(request_rec *r, const collect_ping_t *c, const char *app)
{
    for (int i = 0; c->apps && i < c->apps->nelts; i++) {
        const collect_ping_app_t *a = &APR_ARRAY_IDX(c->apps, i, collect_ping_app_t);

        if (!strcasecmp(a->name, app) || !strcasecmp(a->name, "any")) {
            return a->product && strcasecmp(a->name, "any") ? a->product : known_product(app);
        }
    }
    return c->apps ? NULL : listed_product(r, app);
}

/* ---- replies ---- */

static int reply(request_rec *r, int status, const char *body)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    return web_reply(r, status, "text/plain", body, strlen(body));
}

/* What the ledger says of a refusal: no words of the body. */
static const char *reason_of(int status)
{
    switch (status) {
    case HTTP_NOT_FOUND:
        return "ping_unknown";
    case HTTP_LENGTH_REQUIRED:
        return "ping_no_length";
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "ping_too_large";
    case HTTP_REQUEST_URI_TOO_LARGE:
        return "ping_long_path";
    default:
        return "ping_body";
    }
}

static int refuse(ping_req_t *q, int status, const char *why)
{
    request_rec *r = q->r;

    collect_ledger_ping(r, status, "malformed", reason_of(status), q->path.document_id, q->total);
    collect_count(COLLECT_PINGS, apr_psprintf(r->pool, "%d", status));
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL1050: crash ping refused with %d: %s", status,
                  why);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->connection->keepalive = AP_CONN_CLOSE; /* what is left of the body is not read */
    }
    return reply(r, status, why);
}

/* The client comes again. */
static int not_now(ping_req_t *q, const char *why)
{
    request_rec *r = q->r;

    collect_ledger_ping(r, HTTP_SERVICE_UNAVAILABLE, "busy",
                        apr_pstrcat(r->pool, "ping_", why, NULL), q->path.document_id, q->total);
    collect_count(COLLECT_PINGS, "503");
    collect_retry_after(r, RETRY);
    return reply(r, HTTP_SERVICE_UNAVAILABLE, "");
}

/* The client went away. */
static int lost(ping_req_t *q, int code)
{
    collect_ledger_ping(q->r, code, "lost", "ping", q->path.document_id, q->total);
    return code;
}

/* ---- body ---- */

static apr_status_t keep(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    ping_req_t *q = baton;

    if (size > q->max - q->size) {
        return sal_fail(err, SAL_E_TOOBIG, "too large");
    }
    if (q->size + size > q->room) {
        apr_size_t room = q->room ? q->room * 2 : 64 * 1024;
        char *more;

        room = room < q->size + size ? q->size + size : room;
        more = apr_palloc(q->r->pool, room);
        if (q->size) {
            memcpy(more, q->text, q->size);
        }
        q->text = more;
        q->room = room;
    }
    memcpy(q->text + q->size, data, size);
    q->size += size;
    return APR_SUCCESS;
}

static apr_status_t feed(void *baton, const char *data, apr_size_t size)
{
    ping_req_t *q = baton;

    return q->inflate ? sal_inflate_feed(q->inflate, data, size, &q->err)
                      : keep(q, data, size, &q->err);
}

/* False: *rc is what the handler returns. */
static bool read_headers(ping_req_t *q, apr_int64_t max, int *rc)
{
    request_rec *r = q->r;
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    const char *encoding = apr_table_get(r->headers_in, "Content-Encoding");
    bool gzip = encoding && (!strcasecmp(encoding, "gzip") || !strcasecmp(encoding, "x-gzip"));
    int64_t n;

    if (!apr_table_get(r->headers_in, "Transfer-Encoding")) {
        if (!length) {
            *rc = refuse(q, HTTP_LENGTH_REQUIRED, "there is no Content-Length");
            return false;
        }
        if (!sal_parse_int(length, 0, INT64_MAX, &n) || n == 0) {
            *rc = refuse(q, HTTP_BAD_REQUEST, "the body is empty");
            return false;
        }
        if (n > max) {
            *rc = refuse(q, HTTP_REQUEST_ENTITY_TOO_LARGE, "the body is too large");
            return false;
        }
    }
    if (encoding && *encoding && !gzip && strcasecmp(encoding, "identity")) {
        *rc = refuse(q, HTTP_BAD_REQUEST, "the content encoding is neither gzip nor identity");
        return false;
    }
    q->max =
        (apr_size_t)(gzip ? q->conf->max_inflated < 0 ? MAX_INFLATED : q->conf->max_inflated : max);
    if (gzip && sal_inflate_make(&q->inflate, q->max, keep, q, r->pool, &q->err) != APR_SUCCESS) {
        *rc = not_now(q, "memory");
        return false;
    }
    return true;
}

static bool read_body(ping_req_t *q, int *rc)
{
    apr_int64_t max = q->conf->max_body < 0 ? MAX_BODY : q->conf->max_body;
    apr_status_t rv = APR_SUCCESS;
    int code;

    if (!read_headers(q, max, rc)) {
        return false;
    }
    web_body_keep_packed(q->r);
    code = web_body_pump(q->r, max, feed, q, &q->total, &rv);
    if (rv == APR_SUCCESS && code == OK && q->inflate) {
        rv = sal_inflate_finish(q->inflate, &q->err);
    }
    if (rv == SAL_E_TOOBIG || code == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        *rc = refuse(q, HTTP_REQUEST_ENTITY_TOO_LARGE, "the body is too large");
    } else if (rv != APR_SUCCESS) {
        *rc = refuse(q, HTTP_BAD_REQUEST, "the body is not gzip");
    } else if (code == HTTP_REQUEST_TIME_OUT) {
        *rc = not_now(q, "late"); /* 408 would make the client forget the ping */
    } else if (code != OK) {
        *rc = code == HTTP_BAD_REQUEST ? refuse(q, code, "the body cannot be read") : lost(q, code);
    } else {
        return true;
    }
    return false;
}

/* ---- the row ---- */

static apr_status_t put(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ping_req_t *q = baton;

    return sal_ping_put(&q->fresh, &q->ping, q->product, db, p, err);
}

static int store(ping_req_t *q)
{
    request_rec *r = q->r;
    apr_status_t rv;

    sal_ping_remove(&q->ping, q->conf->removed ? (const char *const *)q->conf->removed->elts
                                               : sal_ping_personal());
    q->err.sqlstate[0] = '\0';
    rv = web_with_db(r, put, q, &q->err);
    if (rv == SAL_E_DB && !strncmp(q->err.sqlstate, "22", 2)) {
        return refuse(q, HTTP_BAD_REQUEST, "the body holds what cannot be stored");
    }
    if (rv != APR_SUCCESS) {
        /* a refused row may be quoted in the server's text: the state alone is said */
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "SAL1051: crash ping not stored, the client will send it again: %s",
                      rv == SAL_E_DB ? q->err.sqlstate : q->err.message);
        return not_now(q, "database");
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL1052: crash ping of %s %s", q->path.app,
                  q->fresh ? "stored" : "stored before");
    collect_count(COLLECT_PINGS, q->fresh ? "stored" : "duplicate");
    collect_ledger_ping(r, HTTP_OK, "accepted", q->fresh ? "ping" : "ping_duplicate",
                        q->path.document_id, q->total);
    return reply(r, HTTP_OK, "OK");
}

static int take_in(ping_req_t *q)
{
    int rc;

    if (!read_body(q, &rc)) {
        return rc;
    }
    if (sal_ping_parse(&q->ping, &q->path, q->text ? q->text : "", q->size, q->r->pool, &q->err) !=
        APR_SUCCESS) {
        return refuse(q, HTTP_BAD_REQUEST, q->err.message);
    }
    return store(q);
}

int collect_ping_handler(request_rec *r, const char *path)
{
    ping_req_t q = { .r = r, .conf = &collect_dir(r)->ping };
    apr_interval_time_t wait;
    const char *over;
    apr_status_t rv;
    int rc;

    if (!strncmp(path, "hint/", 5) && !strchr(path + 5, '/')) {
        return collect_hint_poll(r, path + 5);
    }
    rv = sal_ping_path(&q.path, path, r->pool, &q.err);
    if (rv != APR_SUCCESS) {
        return refuse(&q, rv == SAL_E_TOOBIG ? HTTP_REQUEST_URI_TOO_LARGE : HTTP_NOT_FOUND,
                      q.err.message);
    }
    if (r->method_number != M_POST) {
        return collect_method(r, r->method_number == M_OPTIONS ? "POST" : "POST, OPTIONS");
    }
    q.product = product_of(r, q.conf, q.path.app);
    if (!q.product) {
        return refuse(&q, HTTP_NOT_FOUND, "pings of this app are not taken");
    }
    apr_table_setn(r->notes, "crash-ping-app", q.path.app);
    over = collect_client_over(r, &wait);
    if (over) {
        return not_now(&q, over);
    }
    if (atomic_fetch_add(&running, 1) >= MAX_RUNNING) {
        rc = not_now(&q, "in_flight");
    } else {
        rc = take_in(&q);
    }
    atomic_fetch_sub(&running, 1);
    return rc;
}
