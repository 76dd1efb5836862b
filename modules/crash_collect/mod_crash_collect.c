/*
 * mod_crash_collect: takes in crash reports from Breakpad, Crashpad, Electron and Firefox.
 *
 * Life: post_config proves that the store keeps its promises, or httpd does not start; each child
 * opens the store for itself and starts one row thread, which is joined before the child ends.
 */
#include "collect_private.h"
#include "collect_sweep.h"

typedef apr_status_t (*site_fn)(collect_site_t *site, server_rec *s, apr_pool_t *p);

/* Calls fn once for each salvage.conf that some server uses. */
static apr_status_t each_site(server_rec *s, site_fn fn, apr_pool_t *p)
{
    for (; s; s = s->next) {
        collect_site_t *site = collect_server(s)->site;
        apr_status_t rv;

        if (!site || site->tried) {
            continue;
        }
        site->tried = 1;
        rv = fn(site, s, p);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

static void forget_tries(server_rec *s)
{
    for (; s; s = s->next) {
        collect_site_t *site = collect_server(s)->site;

        if (site) {
            site->tried = 0;
        }
    }
}

static int unsafe_allowed(const collect_site_t *site)
{
    return sal_conf_on(site->conf, "store-unsafe-fs", 0);
}

static apr_status_t prove_site(collect_site_t *site, server_rec *s, apr_pool_t *p)
{
    const char *root = sal_conf_get(site->conf, "crash-store", NULL);
    sal_crash_store_t *store;
    sal_error_t err;
    apr_status_t rv;

    if (!root) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL1001: salvage.conf has no crash-store");
        return APR_EINVAL;
    }
    rv = web_make_store_root(root, p, &err);
    if (rv == APR_SUCCESS) {
        rv = sal_crash_store_open(&store, root, unsafe_allowed(site), p, &err);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL1002: %s", err.message);
        return rv;
    }
    if (sal_crash_store_doubt(store)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "SAL1003: crash store %s is on %s: a power cut may lose acknowledged crashes "
                     "(store-unsafe-fs is on)",
                     root, sal_crash_store_doubt(store));
    }
    return APR_SUCCESS;
}

static int collect_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                               server_rec *s)
{
    apr_status_t rv;

    (void)plog;
    if (web_is_rehearsal()) {
        return OK;
    }
    web_log_to(s);
    rv = each_site(s, prove_site, ptemp);
    forget_tries(s);
    collect_metrics_make(s);
    collect_sweep_start(s, pconf);
    collect_limits_make(s);
    collect_throttle_places_make(s, pconf);
    return rv == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* A child that cannot open the store stays: it answers 503, which clients understand. */
static apr_status_t open_site(collect_site_t *site, server_rec *s, apr_pool_t *pchild)
{
    const char *root = sal_conf_get(site->conf, "crash-store", "");
    const char *database = sal_conf_get(site->conf, "database", NULL);
    sal_error_t err;

    site->store = NULL;
    site->rows = NULL;
    if (sal_crash_store_open(&site->store, root, unsafe_allowed(site), pchild, &err) !=
        APR_SUCCESS) {
        site->store = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL1006: this child takes no crashes: %s",
                     err.message);
        return APR_SUCCESS;
    }
    sal_crash_store_min_free(site->store, collect_server(s)->min_free);
    if (!database) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "SAL1007: salvage.conf has no database: crashes are stored, not queued");
    } else if (sal_row_thread_start(&site->rows, database, site->store, pchild, &err) !=
               APR_SUCCESS) {
        site->rows = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL1008: %s; the sweep will queue crashes",
                     err.message);
    }
    collect_keeper_start(site, s, pchild);
    return APR_SUCCESS;
}

static void collect_child_init(apr_pool_t *pchild, server_rec *s)
{
    web_log_to(s);
    collect_metrics_child(s, pchild);
    collect_health_child(pchild);
    each_site(s, open_site, pchild);
    collect_throttle_child(s, pchild);
}

static int collect_no_translation(request_rec *r)
{
    return web_name_no_file(r, "crash-");
}

static void collect_hooks(apr_pool_t *p)
{
    static const char *const before_core[] = { "core.c", NULL };

    ap_hook_post_config(collect_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(collect_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    /* After those who rewrite and alias. */
    ap_hook_translate_name(collect_no_translation, NULL, before_core, APR_HOOK_LAST);
    ap_hook_map_to_storage(web_names_no_file, NULL, before_core, APR_HOOK_MIDDLE);
    ap_hook_handler(collect_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(collect_sentry_handler, NULL, NULL, APR_HOOK_MIDDLE);
    collect_health_hooks(p);
    collect_metrics_hooks(p);
    collect_limits_hooks(p);
    collect_ledger_hooks(p);
    collect_sweep_hooks(p);
    collect_throttle_expr_hooks(p);
    collect_throttle_places_hooks(p);
    collect_throttle_trial_hooks(p);
}

AP_DECLARE_MODULE(crash_collect) = { STANDARD20_MODULE_STUFF, collect_make_dir,
                                     collect_merge_dir,       collect_make_server,
                                     collect_merge_server,    collect_directives,
                                     collect_hooks,           AP_MODULE_FLAG_NONE };
