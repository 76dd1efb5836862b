/*
 * The directives of mod_crash_collect. Limits may differ per location; the store and what protects
 * the process belong to the server.
 */
#include "collect_private.h"

#include <stddef.h>
#include <apr_strings.h>

APLOG_USE_MODULE(crash_collect);

#define K INT64_C(1024)
#define M (K * K)
#define G (K * M)

/* field, directive, default, least, most, help */
#define COLLECT_DIR_SIZES(X)                                                                       \
    X(max_body, "CrashMaxBody", 25 * M, K, 4 * G, "largest body on the wire")                      \
    X(max_inflated, "CrashMaxInflated", 200 * M, K, 4 * G, "largest gzip body after inflating")    \
    X(max_dump, "CrashMaxDump", 200 * M, 1, 4 * G, "largest file part")                            \
    X(max_annotation, "CrashMaxAnnotation", 1 * M, 1, 20 * M, "largest ordinary annotation")

typedef struct number_t {
    size_t offset;
    apr_int64_t fallback, min, max;
} number_t;

#define ROW(field, name, fallback, min, max, help)                                                 \
    static const number_t number_##field = { offsetof(collect_dir_t, field), fallback, min, max };
COLLECT_DIR_SIZES(ROW)
#undef ROW

#define MAX_IN_FLIGHT_DEFAULT 64

/* Mozilla's list: personal, and of no use for a crash. */
static const char *const removed_default[] = { "Email", "TelemetryClientId", "TelemetryServerURL",
                                               "TelemetrySessionId", NULL };

static apr_int64_t number_of(const collect_dir_t *d, const number_t *n)
{
    apr_int64_t v = *(const apr_int64_t *)((const char *)d + n->offset);

    return v < 0 ? n->fallback : v;
}

/* ---- making and merging ---- */

void *collect_make_server(apr_pool_t *p, server_rec *s)
{
    collect_server_t *c = apr_pcalloc(p, sizeof(*c));

    (void)s;
    c->max_in_flight = c->min_free = -1;
    collect_throttle_init(NULL, &c->throttle);
    return c;
}

void *collect_merge_server(apr_pool_t *p, void *base, void *add)
{
    const collect_server_t *b = base, *a = add;
    collect_server_t *c = apr_pcalloc(p, sizeof(*c));

    c->site = a->site ? a->site : b->site;
    c->max_in_flight = a->max_in_flight < 0 ? b->max_in_flight : a->max_in_flight;
    c->min_free = a->min_free < 0 ? b->min_free : a->min_free;
    collect_metrics_merge(&c->metrics, &b->metrics, &a->metrics);
    collect_ledger_merge(&c->ledger, &b->ledger, &a->ledger);
    collect_health_merge(&c->health, &b->health, &a->health);
    collect_throttle_merge_server(&c->throttle, &b->throttle, &a->throttle);
    return c;
}

void *collect_make_dir(apr_pool_t *p, char *dir)
{
    collect_dir_t *d = apr_pcalloc(p, sizeof(*d));

    (void)dir;
#define ROW(field, name, fallback, min, max, help) d->field = -1;
    COLLECT_DIR_SIZES(ROW)
#undef ROW
    d->overwrite = -1;
    collect_throttle_init(&d->throttle, NULL);
    collect_dialect_make(&d->dialect);
    collect_ping_make(&d->ping);
    collect_hint_make(&d->hint);
    return d;
}

void *collect_merge_dir(apr_pool_t *p, void *base, void *add)
{
    const collect_dir_t *b = base, *a = add;
    collect_dir_t *d = apr_pcalloc(p, sizeof(*d));

#define ROW(field, name, fallback, min, max, help) d->field = a->field < 0 ? b->field : a->field;
    COLLECT_DIR_SIZES(ROW)
#undef ROW
    collect_throttle_merge_dir(&d->throttle, &b->throttle, &a->throttle, p);
    d->token = a->token ? a->token : b->token;
    d->overwrite = a->overwrite < 0 ? b->overwrite : a->overwrite;
    collect_dialect_merge(&d->dialect, &b->dialect, &a->dialect);
    d->removed = a->removed ? a->removed : b->removed;
    d->version_file = a->version_file ? a->version_file : b->version_file;
    collect_limits_merge(p, &d->limits, &b->limits, &a->limits);
    collect_ping_merge(&d->ping, &b->ping, &a->ping, p);
    collect_hint_merge(&d->hint, &b->hint, &a->hint);
    return d;
}

/* ---- reading ---- */

collect_server_t *collect_server(server_rec *s)
{
    return ap_get_module_config(s->module_config, &crash_collect_module);
}

collect_dir_t *collect_dir(request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &crash_collect_module);
}

apr_int64_t collect_max_in_flight(const collect_server_t *c)
{
    return c->max_in_flight < 0 ? MAX_IN_FLIGHT_DEFAULT : c->max_in_flight;
}

apr_int64_t collect_max_body(const collect_dir_t *d)
{
    return number_of(d, &number_max_body);
}

void collect_limits(const collect_dir_t *d, sal_intake_limits_t *out)
{
    sal_intake_limits_t limits = SAL_INTAKE_LIMITS;

    limits.inflated = (apr_uint64_t)number_of(d, &number_max_inflated);
    limits.dump = (apr_uint64_t)number_of(d, &number_max_dump);
    limits.annotation = (apr_size_t)number_of(d, &number_max_annotation);
    *out = limits;
}

const char *const *collect_removed(const collect_dir_t *d)
{
    return d->removed ? (const char *const *)d->removed->elts : removed_default;
}

/* ---- setting ---- */

static const char *set_shared(cmd_parms *cmd, void *unused, const char *arg)
{
    collect_server_t *c = collect_server(cmd->server);

    (void)unused;
    c->site = apr_pcalloc(cmd->pool, sizeof(*c->site));
    return web_read_shared_conf(cmd, arg, &c->site->conf);
}

static const char *set_size(cmd_parms *cmd, void *dir, const char *arg)
{
    const number_t *n = cmd->info;

    return web_arg_size(cmd, arg, n->min, n->max, (apr_int64_t *)((char *)dir + n->offset));
}

static const char *set_in_flight(cmd_parms *cmd, void *unused, const char *arg)
{
    (void)unused;
    return web_arg_int(cmd, arg, 1, 10000, &collect_server(cmd->server)->max_in_flight);
}

static const char *set_min_free(cmd_parms *cmd, void *unused, const char *arg)
{
    (void)unused;
    return web_arg_size(cmd, arg, 0, INT64_C(1) << 50, &collect_server(cmd->server)->min_free);
}

/* The array always ends in NULL, so that it can be handed out as it is. */
static const char *add_removed(cmd_parms *cmd, void *dir, const char *arg)
{
    collect_dir_t *d = dir;

    if (!d->removed) {
        d->removed = apr_array_make(cmd->pool, 8, sizeof(const char *));
    } else {
        apr_array_pop(d->removed);
    }
    if (strcasecmp(arg, "none")) {
        APR_ARRAY_PUSH(d->removed, const char *) = arg;
    }
    APR_ARRAY_PUSH(d->removed, const char *) = NULL;
    return NULL;
}

static const char *set_version_file(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);

    if (!path) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not a path", cmd->cmd->name, arg);
    }
    ((collect_dir_t *)dir)->version_file = path;
    return NULL;
}

const command_rec collect_directives[] = {
    AP_INIT_TAKE1("SalvageConfig", set_shared, NULL, RSRC_CONF,
                  "salvage.conf, shared with daemon and tools"),
#define ROW(field, name, fallback, min, max, help)                                                 \
    AP_INIT_TAKE1(name, set_size, (void *)&number_##field, RSRC_CONF | ACCESS_CONF, help),
    COLLECT_DIR_SIZES(ROW)
#undef ROW
        AP_INIT_TAKE1("CrashMaxInFlight", set_in_flight, NULL, RSRC_CONF,
                      "crash reports that a child takes in at the same time (64)"),
    AP_INIT_TAKE1("CrashMinFree", set_min_free, NULL, RSRC_CONF,
                  "free space below which crashes are refused (the larger of 1G and 2%)"),
    COLLECT_THROTTLE_DIRECTIVES,
    COLLECT_SUBMITTER_DIRECTIVES,
    COLLECT_DIALECT_DIRECTIVES,
    AP_INIT_ITERATE("CrashRemoveAnnotation", add_removed, NULL, RSRC_CONF | ACCESS_CONF,
                    "annotations that are not stored; none for none"),
    AP_INIT_TAKE1("CrashVersionFile", set_version_file, NULL, RSRC_CONF | ACCESS_CONF,
                  "version.json of the deployment, for /__version__"),
    COLLECT_METRICS_DIRECTIVES COLLECT_LIMITS_DIRECTIVES COLLECT_LEDGER_DIRECTIVES
        COLLECT_HEALTH_DIRECTIVES COLLECT_PING_DIRECTIVES COLLECT_HINT_DIRECTIVES{
            NULL, { NULL }, NULL, 0, TAKE1, NULL }
};
