/*
 * Directives of mod_symbolicate: what they set, and how a <Location> takes over from what is around
 * it. The settings themselves are read elsewhere.
 */
#include "symbolicate_private.h"

#include <apr_strings.h>
#include "upstream/pipe.h"

void *symbolicate_make_server(apr_pool_t *p, server_rec *s)
{
    symbolicate_server_t *cf = apr_pcalloc(p, sizeof(*cf));

    (void)s;
    cf->limits.all = cf->limits.client = -1;
    cf->map_idle = -1;
    return cf;
}

void *symbolicate_merge_server(apr_pool_t *p, void *base, void *over)
{
    symbolicate_server_t *cf = apr_pmemdup(p, over, sizeof(*cf));

    if (!cf->shared) {
        cf->shared = ((symbolicate_server_t *)base)->shared;
    }
    if (!cf->upstreams) {
        cf->upstreams = ((symbolicate_server_t *)base)->upstreams;
    }
    if (cf->map_idle < 0) {
        cf->map_idle = ((symbolicate_server_t *)base)->map_idle;
    }
    if (cf->limits.all < 0) {
        cf->limits.all = ((symbolicate_server_t *)base)->limits.all;
    }
    if (cf->limits.client < 0) {
        cf->limits.client = ((symbolicate_server_t *)base)->limits.client;
    }
    return cf;
}

void *symbolicate_make_dir(apr_pool_t *p, char *path)
{
    symbolicate_dir_t *cf = apr_pcalloc(p, sizeof(*cf));
    apr_size_t len;

    path = path && *path == '^' ? path + 1 : path; /* <LocationMatch "^/symbolicate/"> */
    len = path && *path == '/' && !path[strcspn(path, "$()[]{}*+?|\\")] ? strlen(path) : 0;
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    cf->base = len ? apr_pstrmemdup(p, path, len) : NULL;
    cf->max_body = cf->max_jobs = cf->build_wait = -1;
    cf->strict_names = cf->extensions = cf->extend_lines = -1;
    return cf;
}

void *symbolicate_merge_dir(apr_pool_t *p, void *base, void *over)
{
    symbolicate_dir_t *b = base;
    symbolicate_dir_t *cf = apr_pmemdup(p, over, sizeof(*cf));

    cf->base = cf->base ? cf->base : b->base;
    cf->max_body = cf->max_body >= 0 ? cf->max_body : b->max_body;
    cf->max_jobs = cf->max_jobs >= 0 ? cf->max_jobs : b->max_jobs;
    cf->build_wait = cf->build_wait >= 0 ? cf->build_wait : b->build_wait;
    cf->strict_names = cf->strict_names >= 0 ? cf->strict_names : b->strict_names;
    cf->extensions = cf->extensions >= 0 ? cf->extensions : b->extensions;
    cf->extend_lines = cf->extend_lines >= 0 ? cf->extend_lines : b->extend_lines;
    return cf;
}

static const char *set_shared(cmd_parms *cmd, void *unused, const char *arg)
{
    symbolicate_server_t *cf =
        ap_get_module_config(cmd->server->module_config, &symbolicate_module);

    (void)unused;
    return web_read_shared_conf(cmd, arg, &cf->shared);
}

/* The directive is mod_symbols' too; httpd gives it to both. */
static const char *add_upstream(cmd_parms *cmd, void *unused, const char *line)
{
    symbolicate_server_t *cf =
        ap_get_module_config(cmd->server->module_config, &symbolicate_module);
    sal_upstream_server_t server;
    sal_error_t err;

    (void)unused;
    if (sal_upstream_server_parse(&server, line, cmd->temp_pool, &err) != APR_SUCCESS) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", err.message, NULL);
    }
    if (!cf->upstreams) {
        cf->upstreams = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(cf->upstreams, const char *) = apr_pstrdup(cmd->pool, line);
    return NULL;
}

static const char *set_max_body(cmd_parms *cmd, void *conf, const char *arg)
{
    return web_arg_size(cmd, arg, 1024, INT64_C(1) << 30, &((symbolicate_dir_t *)conf)->max_body);
}

static const char *set_max_jobs(cmd_parms *cmd, void *conf, const char *arg)
{
    return web_arg_int(cmd, arg, 1, 10000, &((symbolicate_dir_t *)conf)->max_jobs);
}

static const char *set_build_wait(cmd_parms *cmd, void *conf, const char *arg)
{
    return web_arg_int(cmd, arg, 0, 3600, &((symbolicate_dir_t *)conf)->build_wait);
}

static const char *set_map_idle(cmd_parms *cmd, void *unused, const char *arg)
{
    symbolicate_server_t *cf =
        ap_get_module_config(cmd->server->module_config, &symbolicate_module);

    (void)unused;
    return web_arg_int(cmd, arg, 0, 86400, &cf->map_idle);
}

static const char *set_limit(cmd_parms *cmd, void *unused, const char *arg)
{
    symbolicate_server_t *cf =
        ap_get_module_config(cmd->server->module_config, &symbolicate_module);

    (void)unused;
    return web_arg_int(cmd, arg, 0, SYMBOLICATE_MOST_PLACES,
                       cmd->info ? &cf->limits.client : &cf->limits.all);
}

static const char *set_strict(cmd_parms *cmd, void *conf, int on)
{
    (void)cmd;
    ((symbolicate_dir_t *)conf)->strict_names = on;
    return NULL;
}

static const char *set_extensions(cmd_parms *cmd, void *conf, int on)
{
    (void)cmd;
    ((symbolicate_dir_t *)conf)->extensions = on;
    return NULL;
}

static const char *set_line_gaps(cmd_parms *cmd, void *conf, const char *arg)
{
    symbolicate_dir_t *cf = conf;

    if (strcasecmp(arg, "extend") != 0 && strcasecmp(arg, "none") != 0) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is neither none nor extend", cmd->cmd->name,
                            arg);
    }
    cf->extend_lines = strcasecmp(arg, "extend") == 0;
    return NULL;
}

const command_rec symbolicate_commands[] = {
    AP_INIT_TAKE1("SalvageConfig", set_shared, NULL, RSRC_CONF, "path of salvage.conf"),
    AP_INIT_RAW_ARGS("SymbolsUpstream", add_upstream, NULL, RSRC_CONF,
                     "a server that missing symbols are pulled from: URL "
                     "[layout=tecken|symstore|debuginfod] [ask=sym,pdb,...] [header-file=FILE]"),
    AP_INIT_TAKE1("SymbolicateMaxBody", set_max_body, NULL, RSRC_CONF | ACCESS_CONF,
                  "largest accepted request body, e.g. 64M (1k..1G)"),
    AP_INIT_TAKE1("SymbolicateMaxJobs", set_max_jobs, NULL, RSRC_CONF | ACCESS_CONF,
                  "most jobs of one request (1..10000)"),
    AP_INIT_TAKE1("SymbolicateBuildWait", set_build_wait, NULL, RSRC_CONF | ACCESS_CONF,
                  "seconds that a request waits for symbols that are being prepared (0..3600); "
                  "default 10"),
    AP_INIT_TAKE1("SymbolicateMapIdle", set_map_idle, NULL, RSRC_CONF,
                  "seconds after which symbols that nobody asked for are unmapped (0..86400); "
                  "default 60; 0: they stay"),
    AP_INIT_TAKE1("SymbolicateMaxInflight", set_limit, NULL, RSRC_CONF,
                  "most requests under way in all of httpd (1..65536); more are answered 503; "
                  "default 0: no limit"),
    AP_INIT_TAKE1("SymbolicateMaxPerClient", set_limit, "", RSRC_CONF,
                  "most requests under way of one client address (1..65536); more are answered "
                  "429; default 0: no limit"),
    AP_INIT_FLAG("SymbolicateStrictNames", set_strict, NULL, RSRC_CONF | ACCESS_CONF,
                 "on: a module name or id of a wrong form fails the whole request, as upstream; "
                 "off: it is only not found"),
    AP_INIT_FLAG("SymbolicateExtensions", set_extensions, NULL, RSRC_CONF | ACCESS_CONF,
                 "on: function_size, multiple and module_errors in v5 answers; default: the "
                 "opposite of SymbolicateStrictNames"),
    AP_INIT_TAKE1("SymbolicateLineGaps", set_line_gaps, NULL, RSRC_CONF | ACCESS_CONF,
                  "an address between line records: none, a function without a line (default), or "
                  "extend, the line of the record before it, as upstream"),
    { NULL }
};
