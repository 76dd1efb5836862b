/*
 * Hints to clients. They are a courtesy: a database that is away costs a report nothing but the
 * hint, and is not asked again for a while. Neither ids of clients nor hints are logged.
 */
#include "collect_report.h"

#include <stdatomic.h>
#include <apr_strings.h>
#include "crash/crash_id.h"
#include "db/people.h"
#include "hint/hint.h"

APLOG_USE_MODULE(crash_collect);

#define PAUSE apr_time_from_sec(30)
#define RETRY 60
#define TOLD_NOTE "crash-hint"

/* Of this child: the installation's secret once it is known, and when to ask the database again. */
static unsigned char secret[32];
static atomic_int have_secret;
static _Atomic apr_time_t not_before;

/* ---- configuration ---- */

void collect_hint_make(collect_hint_t *c)
{
    *c = (collect_hint_t){ .mode = -1 };
}

void collect_hint_merge(collect_hint_t *out, const collect_hint_t *base, const collect_hint_t *add)
{
    out->mode = add->mode < 0 ? base->mode : add->mode;
    out->client = add->client ? add->client : base->client;
}

const char *collect_hint_set_mode(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const names[] = { "off", "on", "always" };

    for (int i = 0; i < 3; i++) {
        if (!strcasecmp(arg, names[i])) {
            ((collect_dir_t *)dir)->hint.mode = i;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "%s: \"%s\" is none of off, on, always", cmd->cmd->name, arg);
}

const char *collect_hint_add_client(cmd_parms *cmd, void *dir, const char *arg)
{
    collect_hint_t *c = &((collect_dir_t *)dir)->hint;

    if (!c->client) {
        c->client = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(c->client, const char *) = arg;
    return NULL;
}

static bool is_on(const collect_dir_t *dir)
{
    return dir->hint.mode > COLLECT_HINTS_OFF;
}

static apr_int64_t period_of(request_rec *r)
{
    const collect_site_t *site = collect_server(r->server)->site;
    sal_hint_rules_t rules;

    sal_hint_rules(&rules, site->conf, r->pool);
    return rules.period;
}

/* ---- the database ---- */

static apr_status_t ask(request_rec *r, web_db_fn fn, void *baton)
{
    sal_error_t err = { .message = "" };
    apr_status_t rv;

    if (apr_time_now() < atomic_load(&not_before)) {
        return SAL_E_NODB;
    }
    rv = web_with_db(r, fn, baton, &err);
    if (rv != APR_SUCCESS) {
        atomic_store(&not_before, apr_time_now() + PAUSE);
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL1055: no hints for a while: %s",
                      err.message);
    }
    return rv;
}

static apr_status_t read_secret(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_web_secret(baton, db, p, err);
}

/* Threads may read it at the same time: each writes the same bytes, the flag comes after them. */
static bool learn_secret(request_rec *r)
{
    unsigned char bytes[32];

    if (atomic_load(&have_secret)) {
        return true;
    }
    if (ask(r, read_secret, bytes) != APR_SUCCESS) {
        return false;
    }
    memcpy(secret, bytes, sizeof(secret));
    atomic_store(&have_secret, 1);
    return true;
}

/* ---- the client ---- */

static const char *client_id(const collect_report_t *q)
{
    static const char *const ours[] = { "TelemetryClientId", "GleanClientId", "guid", "ClientID" };
    const sal_annotations_t *a = sal_intake_annotations(q->intake);
    const apr_array_header_t *names = q->dir->hint.client;
    int n = names ? names->nelts : (int)(sizeof(ours) / sizeof(ours[0]));

    for (int i = 0; i < n; i++) {
        const char *id =
            sal_annotations_get(a, names ? APR_ARRAY_IDX(names, i, const char *) : ours[i]);

        if (id && *id) {
            return id;
        }
    }
    return NULL;
}

/* ---- what clients do with a reply ---- */

/* Crashpad, Electron and Breakpad keep the whole body as the id of the report. */
static bool keeps_body(const collect_report_t *q)
{
    const sal_annotations_t *a = sal_intake_annotations(q->intake);
    const char *agent = apr_table_get(q->r->headers_in, "User-Agent");
    const char *type = apr_table_get(q->r->headers_in, "Content-Type");

    return (agent && (strstr(agent, "Crashpad") || strstr(agent, "Breakpad"))) ||
           (type && strstr(type, "---MultipartBoundary-")) || sal_annotations_get(a, "guid") ||
           sal_annotations_get(a, "_productName");
}

/* Firefox and what is made of it: lines of key=value, of which it knows some. */
static bool reads_lines(const collect_report_t *q)
{
    const sal_annotations_t *a = sal_intake_annotations(q->intake);
    const char *agent = apr_table_get(q->r->headers_in, "User-Agent");

    return (agent && !strncmp(agent, "crashreporter/", 14)) || sal_annotations_had_json(a) ||
           sal_annotations_get(a, "SubmittedFrom");
}

/* Asked before annotations are removed. */
static bool may_be_told(const collect_report_t *q)
{
    return collect_style(q) == COLLECT_STYLE_SOCORRO && !keeps_body(q) &&
           (q->dir->hint.mode == COLLECT_HINTS_ALWAYS || reads_lines(q));
}

const char *collect_hint_client(collect_report_t *q)
{
    char name[SAL_HINT_CLIENT_HEX + 1];
    const char *id = is_on(q->dir) ? client_id(q) : NULL;

    if (!id || !learn_secret(q->r) || !sal_hint_client(name, secret, id)) {
        return NULL;
    }
    if (may_be_told(q)) {
        apr_table_setn(q->r->notes, TOLD_NOTE, "1");
    }
    return apr_pstrdup(q->r->pool, name);
}

/* ---- in replies ---- */

typedef struct next_t {
    const char *client, *crash_id, *text;
    apr_int64_t period;
} next_t;

static apr_status_t next_hint(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    next_t *n = baton;

    return sal_hint_next(&n->text, n->client, n->period, db, p, err);
}

void collect_hint_lines(collect_report_t *q, const char *client)
{
    next_t n = { .client = client };

    if (!client || !apr_table_get(q->r->notes, TOLD_NOTE)) {
        return;
    }
    n.period = period_of(q->r);
    if (ask(q->r, next_hint, &n) == APR_SUCCESS && n.text) {
        collect_add_line(q, "Hint", sal_hint_line(n.text, q->r->pool));
    }
}

/* ---- by crash id ---- */

static apr_status_t poll_hint(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    next_t *n = baton;

    return sal_hint_poll(&n->text, n->crash_id, n->period, db, p, err);
}

static int reply(request_rec *r, int status, const char *body)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    return web_reply(r, status, "text/plain; charset=UTF-8", body, strlen(body));
}

/* A crash that is not known, has no hint, or none yet: all answer alike. */
int collect_hint_poll(request_rec *r, const char *crash_id)
{
    next_t n = { .text = NULL };

    if (!is_on(collect_dir(r)) || !collect_server(r->server)->site) {
        return HTTP_NOT_FOUND;
    }
    if (r->method_number != M_GET) {
        return collect_method(r, r->method_number == M_OPTIONS ? "GET" : "GET, HEAD, OPTIONS");
    }
    n.crash_id = sal_crash_id_clean(crash_id, r->pool);
    if (!n.crash_id) {
        return reply(r, HTTP_BAD_REQUEST, "not a crash id\n");
    }
    n.period = period_of(r);
    if (ask(r, poll_hint, &n) != APR_SUCCESS) {
        apr_table_setn(r->headers_out, "Retry-After", apr_psprintf(r->pool, "%d", RETRY));
        return reply(r, HTTP_SERVICE_UNAVAILABLE, "");
    }
    return n.text ? reply(r, HTTP_OK,
                          apr_pstrcat(r->pool, "Hint=", sal_hint_line(n.text, r->pool), "\n", NULL))
                  : reply(r, HTTP_NO_CONTENT, "");
}
