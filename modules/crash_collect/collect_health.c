/*
 * Dockerflow's endpoints: /__lbheartbeat__ (this process answers), /__heartbeat__ (what it depends
 * on works, really tried), /__version__, and /__broken__ where it is asked for; mod_status.
 *
 * The heartbeat has a database connection of its own, kept open: what it says does not depend on
 * mod_dbd's pool having one left, and many who ask cost one question.
 */
#include "collect_private.h"

#include <pthread.h>
#include <mod_status.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/json.h"
#include "db/watch.h"

APLOG_USE_MODULE(crash_collect);

#define VERSION_MAX 65536
#define PING_MS 2000
#define FRESH apr_time_from_sec(1) /* an answer of the database that is asked for again */
#define PENDING_AGE_DEFAULT 600

/* The child's question to the database. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static apr_pool_t *db_pool;
static sal_db_t *db;
static apr_time_t asked;
static apr_status_t answer;
static sal_error_t answer_err;

static apr_status_t close_database(void *unused)
{
    (void)unused;
    if (db_pool) {
        apr_pool_destroy(db_pool);
    }
    db_pool = NULL;
    db = NULL;
    return APR_SUCCESS;
}

void collect_health_child(apr_pool_t *pchild)
{
    db_pool = web_own_pool();
    db = NULL;
    asked = 0;
    apr_pool_cleanup_register(pchild, NULL, close_database, apr_pool_cleanup_null);
}

/* A connection that was kept may have been closed by the server since: it is tried twice. */
static apr_status_t ask_database(const char *conninfo, sal_error_t *err)
{
    apr_status_t rv = db ? sal_db_ping(db, PING_MS, err) : SAL_E_NODB;

    if (rv == APR_SUCCESS) {
        return rv;
    }
    apr_pool_clear(db_pool);
    db = NULL;
    rv = sal_db_connect(&db, sal_db_conninfo(conninfo, "salvage-heartbeat", 2, db_pool), db_pool,
                        err);
    return rv == APR_SUCCESS ? sal_db_ping(db, PING_MS, err) : rv;
}

static apr_status_t ask_once(const char *conninfo, sal_error_t *err)
{
    apr_status_t rv;

    pthread_mutex_lock(&lock);
    if (!db_pool) {
        rv = sal_fail(err, APR_ENOMEM, "no memory");
    } else {
        if (apr_time_now() - asked > FRESH) {
            answer = ask_database(conninfo, &answer_err);
            asked = apr_time_now();
        }
        rv = answer;
        *err = answer_err;
    }
    pthread_mutex_unlock(&lock);
    return rv;
}

/* ---- checks ---- */

static void add_error(json_t *errors, const char *name, const char *message)
{
    json_array_append_new(errors, json_pack("{s:s, s:s}", "name", name, "msg", message));
}

/* What is said to the world is short; the log has the rest. */
static void fail_store(request_rec *r, json_t *errors, const char *name, const char *message,
                       const sal_error_t *err)
{
    if (collect_log_may(r, apr_pstrcat(r->pool, "SAL1013 ", name, NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL1013: heartbeat: %s", err->message);
    }
    add_error(errors, name, message);
}

static void check_pending(request_rec *r, sal_crash_store_t *store, json_t *errors)
{
    apr_int64_t most = collect_server(r->server)->health.pending_age;
    int n, oldest;
    sal_error_t err;

    most = most ? most : PENDING_AGE_DEFAULT;
    if (sal_pending_count(&n, &oldest, store, 100000, &err) != APR_SUCCESS) {
        fail_store(r, errors, "pending", "cannot be listed", &err);
    } else if (oldest > most) {
        add_error(errors, "pending",
                  apr_psprintf(r->pool, "%d crashes wait for the database, the oldest for %d s", n,
                               oldest));
    }
}

static void check_store(request_rec *r, json_t *errors)
{
    collect_site_t *site = collect_server(r->server)->site;
    sal_error_t err;
    apr_status_t rv;

    if (!site || !site->store) {
        add_error(errors, "store", "not open");
        return;
    }
    rv = sal_crash_store_admit(site->store, &err);
    if (APR_STATUS_IS_ENOSPC(rv)) {
        fail_store(r, errors, "disk", "less than the watermark is free", &err);
    } else if (rv != APR_SUCCESS || sal_crash_store_probe(site->store, &err) != APR_SUCCESS) {
        fail_store(r, errors, "store", "takes no crashes", &err);
    }
    check_pending(r, site->store, errors);
}

static void check_database(request_rec *r, json_t *errors)
{
    collect_site_t *site = collect_server(r->server)->site;
    const char *conninfo = site ? sal_conf_get(site->conf, "database", NULL) : NULL;
    sal_error_t err;

    if (!conninfo) {
        add_error(errors, "database", "not configured");
    } else if (ask_once(conninfo, &err) != APR_SUCCESS) {
        if (collect_log_may(r, "SAL1014")) {
            ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL1014: heartbeat: %s", err.message);
        }
        add_error(errors, "database", "does not answer");
    }
}

static int reply_json_text(request_rec *r, int status, const char *text)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    return web_reply(r, status, "application/json; charset=utf-8", text, strlen(text));
}

static int heartbeat(request_rec *r)
{
    json_t *errors = json_array();
    int status;
    const char *text;

    check_store(r, errors);
    check_database(r, errors);
    status = json_array_size(errors) ? HTTP_SERVICE_UNAVAILABLE : HTTP_OK;
    text = sal_json_python(sal_json_own(json_pack("{s:o}", "errors", errors), r->pool), r->pool);
    return reply_json_text(r, status, text);
}

/* The file of the deployment as it is, or what this build knows of itself. */
static int version(request_rec *r)
{
    const char *path = collect_dir(r)->version_file;
    char *text;
    apr_size_t size;
    json_t *doc;

    if (path) {
        if (sal_file_read(&text, &size, path, VERSION_MAX, r->pool, NULL) != APR_SUCCESS) {
            return reply_json_text(r, HTTP_OK, "{}");
        }
        return reply_json_text(r, HTTP_OK, text);
    }
    doc = json_pack("{s:s, s:s, s:s, s:s}", "source", "", "version", SALVAGE_VERSION, "commit", "",
                    "build", "");
    return reply_json_text(r, HTTP_OK, sal_json_python(sal_json_own(doc, r->pool), r->pool));
}

int collect_health_handler(request_rec *r)
{
    const char *leaf;
    int rc;

    if (!r->handler || strcmp(r->handler, "crash-health")) {
        return DECLINED;
    }
    if ((rc = web_allow(r, "GET, HEAD")) != OK) {
        return rc;
    }
    leaf = strrchr(r->uri, '/');
    leaf = leaf ? leaf + 1 : r->uri;
    if (!strcmp(leaf, "__lbheartbeat__")) {
        collect_count(COLLECT_HEALTH, "lbheartbeat");
        return reply_json_text(r, HTTP_OK, "");
    }
    if (!strcmp(leaf, "__heartbeat__")) {
        collect_count(COLLECT_HEALTH, "heartbeat");
        return heartbeat(r);
    }
    if (!strcmp(leaf, "__version__")) {
        collect_count(COLLECT_HEALTH, "version");
        return version(r);
    }
    if (!strcmp(leaf, "__broken__") && collect_server(r->server)->health.broken == 1) {
        collect_count(COLLECT_HEALTH, "broken");
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL1029: broken on purpose");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return HTTP_NOT_FOUND;
}

/* ---- mod_status ---- */

static int show_status(request_rec *r, int flags)
{
    int children = collect_gauge_sum(COLLECT_ROWS_AWAY);

    if (flags & AP_STATUS_SHORT) {
        ap_rprintf(r, "CrashInFlight: %d\nCrashSaved: %" APR_UINT64_T_FMT "\n",
                   collect_gauge_sum(COLLECT_IN_FLIGHT), collect_counted(COLLECT_SAVED));
        return OK;
    }
    ap_rprintf(
        r,
        "<hr>\n<h2>Crash collector</h2>\n<dl><dt>%d reports being taken in, %d rows waiting, "
        "%s</dt>\n<dt>%" APR_UINT64_T_FMT " saved, %" APR_UINT64_T_FMT
        " malformed, %" APR_UINT64_T_FMT " sent away with 503, %" APR_UINT64_T_FMT
        " pings</dt></dl>\n",
        collect_gauge_sum(COLLECT_IN_FLIGHT), collect_gauge_sum(COLLECT_ROWS_WAITING),
        children ? "database away" : "database reached", collect_counted(COLLECT_SAVED),
        collect_counted(COLLECT_MALFORMED), collect_counted(COLLECT_BUSY),
        collect_counted(COLLECT_PINGS));
    return OK;
}

void collect_health_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(collect_health_handler, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, show_status, NULL, NULL, APR_HOOK_MIDDLE);
}

/* ---- configuration ---- */

void collect_health_merge(collect_health_server_t *out, const collect_health_server_t *base,
                          const collect_health_server_t *add)
{
    out->pending_age = add->pending_age ? add->pending_age : base->pending_age;
    out->broken = add->broken ? add->broken : base->broken;
}

const char *collect_set_pending_age(cmd_parms *cmd, void *unused, const char *arg)
{
    (void)unused;
    return web_arg_duration(cmd, arg, 1, INT64_C(86400) * 365,
                            &collect_server(cmd->server)->health.pending_age);
}

const char *collect_set_broken(cmd_parms *cmd, void *unused, int on)
{
    (void)unused;
    collect_server(cmd->server)->health.broken = on ? 1 : -1;
    return NULL;
}
