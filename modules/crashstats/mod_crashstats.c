/*
 * mod_crashstats: pages for people and the API for programs, under `SetHandler crashstats` on /.
 *
 * Templates are parsed once in the parent; the crash store is opened by each child. Every reply
 * gets the security headers here. Thread rule: what a handler reaches through its configuration
 * is read-only or locked by the library.
 */
#include "crashstats/crashstats.h"

#include <ctype.h>

#include <apr_strings.h>

#include "admin/access.h"
#include "base/log.h"
#include "base/text.h"
#include "common/person.h"
#include "db/token.h"
#include "search/super.h"

extern module AP_MODULE_DECLARE_DATA crashstats_module;

static void *create_conf(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return apr_pcalloc(p, sizeof(crashstats_conf_t));
}

static void *merge_conf(apr_pool_t *p, void *base, void *add)
{
    crashstats_conf_t *a = add, *merged = apr_pmemdup(p, base, sizeof(crashstats_conf_t));

    if (a->shared) {
        merged->shared = a->shared;
    }
    if (a->cors_headers) {
        merged->cors_headers = a->cors_headers;
    }
    merged->api_rate = a->api_rate.anonymous ? a->api_rate : merged->api_rate;
    merged->search_rate = a->search_rate.anonymous ? a->search_rate : merged->search_rate;
    return merged;
}

static const char *set_shared(cmd_parms *cmd, void *unused, const char *arg)
{
    crashstats_conf_t *cf = ap_get_module_config(cmd->server->module_config, &crashstats_module);

    (void)unused;
    return web_read_shared_conf(cmd, arg, &cf->shared);
}

static const char *set_api_rate(cmd_parms *cmd, void *unused, const char *a, const char *b)
{
    crashstats_conf_t *cf = ap_get_module_config(cmd->server->module_config, &crashstats_module);

    (void)unused;
    return crashstats_rate_set(cmd, &cf->api_rate, a, b);
}

static const char *set_search_rate(cmd_parms *cmd, void *unused, const char *a, const char *b)
{
    crashstats_conf_t *cf = ap_get_module_config(cmd->server->module_config, &crashstats_module);

    (void)unused;
    return crashstats_rate_set(cmd, &cf->search_rate, a, b);
}

/* Names of headers; several directives add up. */
static const char *add_cors_header(cmd_parms *cmd, void *unused, const char *arg)
{
    crashstats_conf_t *cf = ap_get_module_config(cmd->server->module_config, &crashstats_module);

    (void)unused;
    for (const char *c = arg; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '-') {
            return apr_psprintf(cmd->pool, "%s: \"%s\" is not the name of a header", cmd->cmd->name,
                                arg);
        }
    }
    cf->cors_headers =
        cf->cors_headers ? apr_pstrcat(cmd->pool, cf->cors_headers, ", ", arg, NULL) : arg;
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE12("CrashStatsApiRate", set_api_rate, NULL, RSRC_CONF,
                   "calls of the API a minute: of an address (100/min), of who is known "
                   "(1000/min); or off"),
    AP_INIT_TAKE12("CrashStatsSearchRate", set_search_rate, NULL, RSRC_CONF,
                   "the same of /search/results/ (10/min 100/min)"),
    AP_INIT_ITERATE("CrashStatsCorsHeader", add_cors_header, NULL, RSRC_CONF,
                    "headers that scripts of other origins may send besides, e.g. auth-token"),
    AP_INIT_TAKE1("SalvageConfig", set_shared, NULL, RSRC_CONF,
                  "settings shared with the daemon, e.g. /etc/salvage/salvage.conf"),
    { NULL }
};

/* Templates of the servers' configurations; servers with equal folders share them. */
static apr_status_t load_templates(crashstats_conf_t *cf, apr_hash_t *seen, apr_pool_t *p,
                                   sal_error_t *err)
{
    const char *dir = sal_conf_get(cf->shared, "templates", "/usr/share/salvage/templates");
    apr_status_t rv;

    cf->templates = apr_hash_get(seen, dir, APR_HASH_KEY_STRING);
    if (cf->templates) {
        return APR_SUCCESS;
    }
    rv = sal_templates_load(&cf->templates, dir, p, err);
    if (rv == APR_SUCCESS) {
        apr_hash_set(seen, dir, APR_HASH_KEY_STRING, cf->templates);
    }
    return rv;
}

/* What is not configured, and what is only needed by some: an error is for later. */
static void complete(crashstats_conf_t *cf, server_rec *s, apr_pool_t *p)
{
    const char *dir = sal_conf_get(cf->shared, "siglists", SAL_SIGLISTS_DIR);
    sal_error_t err = { 0 };

    sal_super_configure(cf->shared);
    if (!cf->api_rate.anonymous) {
        cf->api_rate = (crashstats_rate_t){ 100, 1000 };
    }
    if (!cf->search_rate.anonymous) {
        cf->search_rate = (crashstats_rate_t){ 10, 100 };
    }
    if (sal_siglists_load(&cf->siglists, dir, p, &err) != APR_SUCCESS) {
        cf->siglists = NULL;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "SAL4041: no signatures by the API: %s",
                     err.message);
    }
}

static int post_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s)
{
    apr_hash_t *seen = apr_hash_make(temp);

    (void)log;
    if (web_is_rehearsal()) {
        return OK;
    }
    web_log_to(s);
    for (server_rec *each = s; each; each = each->next) {
        crashstats_conf_t *cf = ap_get_module_config(each->module_config, &crashstats_module);
        sal_error_t err = { 0 };

        if (cf->shared && (load_templates(cf, seen, p, &err) != APR_SUCCESS ||
                           sal_process_data_read(&cf->data, cf->shared, p, &err) != APR_SUCCESS ||
                           crashstats_links_read(&cf->links, cf->shared, p, &err) != APR_SUCCESS)) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "SAL4001: %s", err.message);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
        if (cf->shared) {
            complete(cf, s, p);
        }
    }
    crashstats_limits_make(p, s);
    return OK;
}

static void child_init(apr_pool_t *p, server_rec *s)
{
    apr_hash_t *seen = apr_hash_make(p);

    web_log_to(s);
    for (server_rec *each = s; each; each = each->next) {
        crashstats_conf_t *cf = ap_get_module_config(each->module_config, &crashstats_module);
        const char *root = cf->shared ? sal_conf_get(cf->shared, "crash-store", NULL) : NULL;
        sal_error_t err = { 0 };

        if (cf->links) {
            crashstats_links_child(cf->links, cf->shared, s, p);
        }
        if (!root || (cf->store = apr_hash_get(seen, root, APR_HASH_KEY_STRING))) {
            continue;
        }
        if (sal_crash_store_open(&cf->store, root, sal_conf_on(cf->shared, "store-unsafe-fs", 0), p,
                                 &err) != APR_SUCCESS) {
            cf->store = NULL;
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL4002: %s", err.message);
            continue;
        }
        apr_hash_set(seen, root, APR_HASH_KEY_STRING, cf->store);
    }
}

/* ---- who was shown protected data ---- */

typedef struct {
    const web_identity_t *who;
    const char *what;
} access_t;

static apr_status_t note_access(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const access_t *a = baton;

    return sal_access_note(a->who->user, a->who->token_id, a->what, db, p, err);
}

/* Places whose answers hold protected values for those who may see them. */
static bool shows_protected(const char *uri)
{
    static const char *const places[] = { "/api/",    "/ping/",      "/report/",
                                          "/search/", "/signature/", "/about/intake/" };

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (!strncmp(uri, places[i], strlen(places[i])) && uri[strlen(places[i])]) {
            return true;
        }
    }
    return !strcmp(uri, "/search/") || !strcmp(uri, "/signature/") ||
           !strcmp(uri, "/about/intake/");
}

static void keep_access(crashstats_req_t *q)
{
    request_rec *r = q->r;
    access_t a = { .who = &q->who,
                   .what = apr_pstrcat(r->pool, r->method, " ",
                                       sal_utf8_clean(r->uri, strlen(r->uri), r->pool), NULL) };
    sal_error_t err = { 0 };

    if (r->status >= 300 || !q->who.user || !shows_protected(r->uri)) {
        return;
    }
    if (web_with_db(r, note_access, &a, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL4061: %s by %s is in no table: %s",
                      a.what, q->who.user, err.message);
    }
}

static int handler(request_rec *r)
{
    int rc;

    crashstats_req_t q = { .r = r };
    sal_error_t err = { 0 };

    if (!r->handler || strcmp(r->handler, "crashstats") != 0) {
        return DECLINED;
    }
    q.conf = ap_get_module_config(r->server->module_config, &crashstats_module);
    if (!q.conf->templates) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "SAL4003: SetHandler crashstats needs SalvageConfig in this server");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    web_page_headers(r);
    if (web_person(r, &q.who, &err) != APR_SUCCESS) {
        /* Rights that cannot be had are not there; the public part is served without them. */
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL4020: no rights of %s: %s", r->user,
                      err.message);
    }
    q.pii = (q.who.permissions & SAL_PERM_VIEW_PII) != 0;
    q.rawdump = (q.who.permissions & SAL_PERM_VIEW_RAWDUMP) != 0;
    q.query = web_query(r);
    rc = crashstats_route(&q);
    if (rc == OK && (q.pii || q.rawdump)) {
        keep_access(&q);
    }
    return rc;
}

static void hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(crashstats) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, create_conf, merge_conf, commands, hooks,
#ifdef AP_MODULE_FLAG_NONE
    AP_MODULE_FLAG_NONE
#endif
};
