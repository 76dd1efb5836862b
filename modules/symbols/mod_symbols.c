/*
 * mod_symbols: symbol archives in, symbol files out.
 *
 *   SetHandler symbols-upload      POST of a zip, guarded by mod_auth_crash_token
 *   SetHandler symbols-download    GET <prefix><debug_file>/<debug_id>/<leaf>
 *   SetHandler symbols-api         lists and tokens for programs
 *   SetHandler symbols-pages       the same for people
 *   SetHandler symbols-debuginfod  GET /buildid/<id>/..., /metadata
 *   SetHandler symbols-metrics     GET /metrics
 *
 * A thin layer over lib/symbols: uploads need the database, downloads answer from the disk alone.
 */
#include "symbols_private.h"

#include <apr_hash.h>
#include <ap_expr.h>
#include <apr_strings.h>

#include "base/log.h"
#include "common/watchdog.h"
#include "upload/session.h"

#define WATCHDOG "_salvage_symbols_"
#define FLUSH_SECONDS 10

symbols_missing_t *symbols_missing;
symbols_usage_t *symbols_usage;
symbols_metas_t *symbols_metas;

const symbols_conf_t *symbols_conf(request_rec *r)
{
    return ap_get_module_config(r->server->module_config, &symbols_module);
}

static int symbols_handler(request_rec *r)
{
    static const struct {
        const char *name;
        int (*run)(request_rec *r);
    } handlers[] = { { "symbols-download", symbols_download }, /* the one that is in a hurry */
                     { "symbols-upload", symbols_upload },
                     { "symbols-upload-v2", symbols_upload_v2 },
                     { "symbols-auth-info", symbols_auth_info },
                     { "symbols-session", symbols_session },
                     { "symbols-session-list", symbols_session_list },
                     { "symbols-tus", symbols_tus },
                     { "symbols-symupload", symbols_symupload },
                     { "symbols-api", symbols_api },
                     { "symbols-pages", symbols_pages },
                     { "symbols-debuginfod", symbols_debuginfod },
                     { "symbols-metrics", symbols_metrics } };

    for (size_t i = 0; r->handler && i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (!strcmp(r->handler, handlers[i].name)) {
            return handlers[i].run(r);
        }
    }
    return DECLINED;
}

/* A debug file called "aux" or one of 255 bytes must not run into the file system's rules. */
static int no_translation(request_rec *r)
{
    return web_name_no_file(r, "symbols-");
}

/* ---- start ---- */

static void flush_missing(void *unused, apr_pool_t *p)
{
    (void)unused;
    symbols_missing_flush(symbols_missing, p);
    symbols_usage_flush(symbols_usage, p);
}

static void start_watchdog(server_rec *s, apr_pool_t *p)
{
    apr_status_t rv = web_watchdog(WATCHDOG, FLUSH_SECONDS, false, flush_missing, NULL, p);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, rv, s,
                     "SAL2024: missing symbols are not recorded: "
                     "mod_watchdog is not loaded, or refused");
    }
}

/* Templates of the servers' configurations; servers with equal folders share them. */
static apr_status_t load_templates(symbols_conf_t *sc, apr_hash_t *seen, apr_pool_t *p,
                                   sal_error_t *err)
{
    const char *dir = sal_conf_get(sc->shared, "templates", "/usr/share/salvage/templates");
    apr_status_t rv = APR_SUCCESS;

    sc->templates = apr_hash_get(seen, dir, APR_HASH_KEY_STRING);
    if (!sc->templates && (rv = sal_templates_load(&sc->templates, dir, p, err)) == APR_SUCCESS) {
        apr_hash_set(seen, dir, APR_HASH_KEY_STRING, sc->templates);
    }
    return rv;
}

static int symbols_post_config(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_hash_t *seen = apr_hash_make(ptemp);

    (void)plog;
    if (web_is_rehearsal()) {
        return OK;
    }
    web_log_to(s);
    for (server_rec *v = s; v; v = v->next) {
        symbols_conf_t *sc = ap_get_module_config(v->module_config, &symbols_module);
        const char *root = sc->shared ? sal_conf_get(sc->shared, "symbol-store", NULL) : NULL;
        sal_error_t err = { 0 };

        if (sc->shared && load_templates(sc, seen, p, &err) != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, v, "SAL2043: %s", err.message);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
        if (root && web_make_store_root(root, ptemp, &err) != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, v, "SAL2025: symbol store: %s", err.message);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    symbols_counts_make(p, s);
    start_watchdog(s, p);
    return OK;
}

/* Servers that cannot be asked are no reason to refuse what is stored here. */
static void open_upstream(symbols_conf_t *sc, apr_pool_t *p, server_rec *s)
{
    sal_error_t err = { 0 };

    if (sal_upstream_from_conf(&sc->upstream, sc->shared,
                               sc->upstreams ? (const char *const *)sc->upstreams->elts : NULL, p,
                               &err) != APR_SUCCESS) {
        sc->upstream = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL2030: no upstream servers: %s", err.message);
    }
    if (sc->upstream) {
        sal_upstream_stops_if(sc->upstream, web_is_stopping);
    }
}

static void symbols_child_init(apr_pool_t *p, server_rec *s)
{
    apr_pool_t *scratch;

    web_log_to(s);
    apr_pool_create(&scratch, p);
    for (server_rec *v = s; v; v = v->next) {
        symbols_conf_t *sc = ap_get_module_config(v->module_config, &symbols_module);
        const char *root = sc->shared ? sal_conf_get(sc->shared, "symbol-store", NULL) : NULL;
        sal_error_t err = { 0 };

        if (!root) {
            continue;
        }
        if (sal_symbol_store_open(&sc->store, root, p, &err) != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, v, "SAL2026: symbol store: %s", err.message);
        } else {
            sal_symbol_store_sweep(sc->store, scratch);
            sal_session_sweep(sc->store, scratch);
        }
        open_upstream(sc, p, v);
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    symbols_missing = symbols_missing_make(p);
    symbols_usage = symbols_usage_make(p);
    symbols_metas = symbols_metas_make(p);
}

/* ---- configuration ---- */

static void *make_conf(apr_pool_t *p, server_rec *s)
{
    symbols_conf_t *sc = apr_pcalloc(p, sizeof(*sc));

    (void)s;
    sc->strict_header = sc->fetch_any = sc->fetch_private = -1;
    return sc;
}

static void *merge_conf(apr_pool_t *p, void *base, void *vhost)
{
    const symbols_conf_t *b = base, *v = vhost;
    symbols_conf_t *sc = make_conf(p, NULL);

    sc->shared = v->shared ? v->shared : b->shared;
    sc->max_upload = v->max_upload ? v->max_upload : b->max_upload;
    sc->snippets = v->snippets ? v->snippets : b->snippets;
    sc->upstreams = v->upstreams ? v->upstreams : b->upstreams;
    sc->uploads_per_token = v->uploads_per_token ? v->uploads_per_token : b->uploads_per_token;
    sc->strict_header = v->strict_header >= 0 ? v->strict_header : b->strict_header;
    sc->fetch_domains = v->fetch_domains ? v->fetch_domains : b->fetch_domains;
    sc->fetch_any = v->fetch_any >= 0 ? v->fetch_any : b->fetch_any;
    sc->fetch_private = v->fetch_private >= 0 ? v->fetch_private : b->fetch_private;
    sc->fetch_ca = v->fetch_ca ? v->fetch_ca : b->fetch_ca;
    return sc;
}

static void *make_dir_conf(apr_pool_t *p, char *dir)
{
    symbols_dir_conf_t *dc = apr_pcalloc(p, sizeof(*dc));

    (void)dir;
    dc->always_gzip = -1;
    dc->two_tier = -1;
    dc->delivery = -1;
    return dc;
}

static void *merge_dir_conf(apr_pool_t *p, void *outer, void *inner)
{
    const symbols_dir_conf_t *o = outer, *i = inner;
    symbols_dir_conf_t *dc = apr_pcalloc(p, sizeof(*dc));

    dc->prefix = i->prefix ? i->prefix : o->prefix;
    dc->always_gzip = i->always_gzip >= 0 ? i->always_gzip : o->always_gzip;
    dc->two_tier = i->two_tier >= 0 ? i->two_tier : o->two_tier;
    dc->delivery = i->delivery >= 0 ? i->delivery : o->delivery;
    return dc;
}

static const char *set_shared(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    return web_read_shared_conf(cmd, arg, &sc->shared);
}

static const char *set_max_upload(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    return web_arg_size(cmd, arg, 1 << 10, INT64_C(1) << 40, &sc->max_upload);
}

static const char *add_snippet(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    if (!sc->snippets) {
        sc->snippets = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    if (strcasecmp(arg, "none")) {
        APR_ARRAY_PUSH(sc->snippets, const char *) = arg;
    }
    /* Requests read the elements as a NULL-terminated list. */
    APR_ARRAY_PUSH(sc->snippets, const char *) = NULL;
    apr_array_pop(sc->snippets);
    return NULL;
}

static const char *set_prefix(cmd_parms *cmd, void *conf, const char *arg)
{
    symbols_dir_conf_t *dc = conf;
    size_t n = strlen(arg);

    if (n == 0 || arg[0] != '/' || arg[n - 1] != '/') {
        return apr_psprintf(cmd->pool,
                            "%s: \"%s\" must begin and end with a slash, as in "
                            "/symbols/ or /",
                            cmd->cmd->name, arg);
    }
    dc->prefix = arg;
    return NULL;
}

static const char *set_delivery(cmd_parms *cmd, void *conf, const char *arg)
{
    static const char *const names[] = { "redirect", "stream", "sendfile" };
    symbols_dir_conf_t *dc = conf;

    for (int i = 0; i < 3; i++) {
        if (!strcasecmp(arg, names[i])) {
            dc->delivery = i;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "%s: \"%s\" is none of redirect, stream, sendfile",
                        cmd->cmd->name, arg);
}

static const char *add_upstream(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);
    sal_upstream_server_t server;
    sal_error_t err = { 0 };

    (void)unused;
    if (sal_upstream_server_parse(&server, arg, cmd->temp_pool, &err) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, err.message);
    }
    if (!sc->upstreams) {
        sc->upstreams = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(sc->upstreams, const char *) = arg;
    /* Read as a NULL-terminated list. */
    APR_ARRAY_PUSH(sc->upstreams, const char *) = NULL;
    apr_array_pop(sc->upstreams);
    return NULL;
}

static const char *set_uploads_per_token(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    return web_arg_int(cmd, arg, 1, 1000, &sc->uploads_per_token);
}

static const char *set_header_check(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    if (strcasecmp(arg, "strict") && strcasecmp(arg, "warn")) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is neither strict nor warn", cmd->cmd->name,
                            arg);
    }
    sc->strict_header = !strcasecmp(arg, "strict");
    return NULL;
}

static const char *add_fetch_domain(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    if (!sc->fetch_domains) {
        sc->fetch_domains = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(sc->fetch_domains, const char *) = arg;
    return NULL;
}

static const char *set_fetch_flag(cmd_parms *cmd, void *unused, int on)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    *(cmd->info ? &sc->fetch_private : &sc->fetch_any) = on;
    return NULL;
}

static const char *set_fetch_ca(cmd_parms *cmd, void *unused, const char *arg)
{
    symbols_conf_t *sc = ap_get_module_config(cmd->server->module_config, &symbols_module);

    (void)unused;
    sc->fetch_ca = ap_server_root_relative(cmd->pool, arg);
    return NULL;
}

static const command_rec symbols_cmds[] = {
    AP_INIT_TAKE1("SalvageConfig", set_shared, NULL, RSRC_CONF,
                  "file of the settings shared with the daemon and the tool"),
    AP_INIT_TAKE1("SymbolsMaxUpload", set_max_upload, NULL, RSRC_CONF,
                  "largest accepted archive, e.g. 8G (1k..1024G)"),
    AP_INIT_ITERATE("SymbolsForbiddenNames", add_snippet, NULL, RSRC_CONF,
                    "texts that no name in an archive may contain, or none; "
                    "default qcom/proprietary"),
    AP_INIT_TAKE1("SymbolsUploadsPerToken", set_uploads_per_token, NULL, RSRC_CONF,
                  "uploads that one token may have running at once, 1..1000; default 8"),
    AP_INIT_TAKE1("SymbolsHeaderCheck", set_header_check, NULL, RSRC_CONF,
                  "strict: a .sym whose header does not match its key refuses the upload; "
                  "warn (default): it is noted"),
    AP_INIT_ITERATE("SymbolsFetchDomains", add_fetch_domain, NULL, RSRC_CONF,
                    "hosts that archives may be downloaded from, and redirected to; default none"),
    AP_INIT_FLAG("SymbolsFetchAnyDomain", set_fetch_flag, NULL, RSRC_CONF,
                 "on: archives may be downloaded from any host, and without TLS"),
    AP_INIT_FLAG("SymbolsFetchPrivate", set_fetch_flag, (void *)1, RSRC_CONF,
                 "on: also from loopback, private and link-local addresses"),
    AP_INIT_TAKE1("SymbolsFetchCA", set_fetch_ca, NULL, RSRC_CONF,
                  "file of the authorities that sign for those hosts; default the system's"),
    AP_INIT_TAKE1("SymbolsPrefix", set_prefix, NULL, RSRC_CONF | ACCESS_CONF,
                  "what stands before <debug_file> in download URLs; default /symbols/"),
    AP_INIT_FLAG("SymbolsAlwaysGzip", ap_set_flag_slot,
                 (void *)APR_OFFSETOF(symbols_dir_conf_t, always_gzip), RSRC_CONF | ACCESS_CONF,
                 "on: send gzip even to clients that do not accept it, as Tecken does"),
    AP_INIT_TAKE1("SymbolsDelivery", set_delivery, NULL, RSRC_CONF | ACCESS_CONF,
                  "redirect (default): to <prefix>v1/<key>; stream or sendfile: answer at once"),
    AP_INIT_FLAG("SymbolsTwoTier", ap_set_flag_slot,
                 (void *)APR_OFFSETOF(symbols_dir_conf_t, two_tier), RSRC_CONF | ACCESS_CONF,
                 "on: serve index2.txt, and paths with the first two letters of the name in front"),
    AP_INIT_RAW_ARGS("SymbolsUpstream", add_upstream, NULL, RSRC_CONF,
                     "another server to ask: URL [layout=...] [ask=...] [header-file=...]"),
    { NULL }
};

static void symbols_hooks(apr_pool_t *p)
{
    static const char *const before_watchdog[] = { "mod_watchdog.c", NULL };
    static const char *const before_core[] = { "core.c", NULL };

    (void)p;
    ap_hook_post_config(symbols_post_config, NULL, before_watchdog, APR_HOOK_MIDDLE);
    ap_hook_child_init(symbols_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    /* After those who rewrite and alias, before the core, which has the DocumentRoot in mind. */
    ap_hook_translate_name(no_translation, NULL, before_core, APR_HOOK_LAST);
    ap_hook_map_to_storage(web_names_no_file, NULL, before_core, APR_HOOK_MIDDLE);
    symbols_metrics_hook();
    symbols_flush_hooks();
    ap_hook_handler(symbols_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(symbols) = { STANDARD20_MODULE_STUFF,
                               make_dir_conf,
                               merge_dir_conf,
                               make_conf,
                               merge_conf,
                               symbols_cmds,
                               symbols_hooks,
                               AP_MODULE_FLAG_NONE };
