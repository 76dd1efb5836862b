/*
 * What salvaged reads from salvage.conf, opened and checked before anything is forked.
 */
#include "salvaged.h"

#include <unistd.h>
#include <apr_network_io.h>
#include <apr_strings.h>

#define LEASE 180
#define WALK_TIMEOUT 120
#define WALK_MEMORY (APR_INT64_C(2) << 30)
#define DUMP_TIMEOUT 1800
#define DUMP_MEMORY (APR_INT64_C(4) << 30)
#define DRAIN 150
#define PING_KEEP (APR_INT64_C(180) * 86400)
#define FETCH_TIME 60
#define SYMCACHE_SIZE (APR_INT64_C(20) << 30)

static apr_status_t needed(const char **out, const sal_conf_t *conf, const char *key,
                           const char *path, sal_error_t *err)
{
    *out = sal_conf_get(conf, key, NULL);
    return *out ? APR_SUCCESS : sal_fail(err, APR_EINVAL, "%s has no line `%s VALUE`", path, key);
}

static int in_range(apr_int64_t n, int min, int max)
{
    return n < min ? min : n > max ? max : (int)n;
}

static void read_numbers(settings_t *s, const sal_conf_t *conf, int workers)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char host[256] = "localhost";

    gethostname(host, sizeof(host) - 1);
    s->host = apr_pstrdup(s->pool, host);
    s->workers = in_range(workers ? workers : sal_conf_int(conf, "workers", cpus), 1, 256);
    s->lease = in_range(sal_conf_int(conf, "lease", LEASE), 3, 86400);
    s->walk_timeout = in_range(sal_conf_int(conf, "stackwalk-timeout", WALK_TIMEOUT), 1, 86400);
    s->walk_memory = (apr_uint64_t)sal_conf_int(conf, "stackwalk-memory", WALK_MEMORY);
    s->fetch_time = in_range(sal_conf_int(conf, "symbols-upstream-per-dump", FETCH_TIME), 1, 3600);
    s->dump_timeout = in_range(sal_conf_int(conf, "dump-timeout", DUMP_TIMEOUT), 1, 86400);
    s->dump_memory = (apr_uint64_t)sal_conf_int(conf, "dump-memory", DUMP_MEMORY);
    s->drain = in_range(sal_conf_int(conf, "drain", DRAIN), 0, 86400);
    sal_hint_rules(&s->hints, conf, s->pool);
    s->ping_keep = in_range(sal_conf_int(conf, "ping-keep", PING_KEEP) / 86400, 1, 36500);
}

/* PORT or HOST:PORT; without a host, this host only. */
static apr_status_t read_metrics(settings_t *s, const sal_conf_t *conf, sal_error_t *err)
{
    const char *at = sal_conf_get(conf, "metrics-listen", NULL);
    char *host, *scope;
    apr_port_t port;

    if (!at) {
        return APR_SUCCESS;
    }
    if (apr_parse_addr_port(&host, &scope, &port, at, s->pool) != APR_SUCCESS || !port || scope) {
        return sal_fail(err, APR_EINVAL, "metrics-listen: \"%s\" is not PORT or HOST:PORT", at);
    }
    s->metrics_host = host ? host : "127.0.0.1";
    s->metrics_port = port;
    return APR_SUCCESS;
}

/* Mistakes in the servers' lines are found now; the servers themselves when they are needed. */
static apr_status_t check_upstream(settings_t *s, const sal_conf_t *conf, sal_error_t *err)
{
    const char *const *line = sal_conf_list(conf, "symbols-upstream");
    sal_error_t why = { .message = "" };

    for (; *line; line++) {
        sal_upstream_server_t server;
        apr_status_t rv = sal_upstream_server_parse(&server, *line, s->pool, &why);

        if (rv != APR_SUCCESS) {
            return sal_fail(err, rv, "symbols-upstream: %s", why.message);
        }
        s->upstream = s->upstream || (server.ask & SAL_UPSTREAM_SYM);
    }
    return APR_SUCCESS;
}

static apr_status_t open_symbols(settings_t *s, const sal_conf_t *conf, sal_error_t *err)
{
    sal_supplier_opts_t opts = {
        .symcache_dir = sal_conf_get(conf, "symcache", NULL),
        .symbol_store = sal_conf_get(conf, "symbol-store", NULL),
        .paths = sal_conf_list(conf, "symbols-path"),
        .max_disk = (apr_uint64_t)sal_conf_int(conf, "symcache-size", SYMCACHE_SIZE),
    };
    apr_status_t rv = check_upstream(s, conf, err);

    if (rv == APR_SUCCESS && opts.symbol_store) {
        rv = sal_symbol_store_open(&s->symbols, opts.symbol_store, s->pool, err);
    }
    if (rv != APR_SUCCESS || !opts.symcache_dir) {
        return rv; /* stacks without names are still stacks */
    }
    if (s->upstream) { /* it is walkers that ask, through their pipes */
        opts.upstream = sal_upstream_pipe_make(QUESTION_FD, ANSWER_FD, NULL, NULL, s->pool);
    }
    return sal_supplier_make(&s->supplier, &opts, s->pool, err);
}

static apr_status_t open_all(settings_t *s, const sal_conf_t *conf, const char *path,
                             sal_error_t *err)
{
    const char *lists = sal_conf_get(conf, "siglists", SAL_SIGLISTS_DIR), *store;
    apr_status_t rv;

    if ((rv = sal_process_data_read(&s->data, conf, s->pool, err)) != APR_SUCCESS ||
        (rv = needed(&s->conninfo, conf, "database", path, err)) != APR_SUCCESS ||
        (rv = needed(&store, conf, "crash-store", path, err)) != APR_SUCCESS ||
        (rv = sal_siglists_load(&s->siglists, lists, s->pool, err)) != APR_SUCCESS ||
        (rv = sal_crash_store_open(&s->store, store, sal_conf_on(conf, "store-unsafe-fs", 0),
                                   s->pool, err)) != APR_SUCCESS) {
        return rv;
    }
    rv = read_metrics(s, conf, err);
    rv = rv == APR_SUCCESS ? sal_keep_rules(&s->keep, conf, s->pool, err) : rv;
    rv = rv == APR_SUCCESS ? sal_ping_rules(&s->ping_rules, conf, s->pool, err) : rv;
    rv = rv == APR_SUCCESS ? sal_cron_check(conf, s->pool, err) : rv;
    rv = rv == APR_SUCCESS ? sal_exporter_make(&s->exporter, conf, s->store, s->pool, err) : rv;
    return rv == APR_SUCCESS ? open_symbols(s, conf, err) : rv;
}

apr_status_t settings_read(settings_t **out, const char *path, int workers, apr_pool_t *parent,
                           sal_error_t *err)
{
    apr_pool_t *pool;
    sal_conf_t *conf;
    settings_t *s;
    apr_status_t rv;

    apr_pool_create(&pool, parent);
    s = apr_pcalloc(pool, sizeof(*s));
    s->pool = pool;
    if ((rv = sal_conf_read(&conf, path, pool, err)) == APR_SUCCESS) {
        s->conf = conf;
        read_numbers(s, conf, workers);
        rv = open_all(s, conf, path, err);
    }
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    *out = s;
    return APR_SUCCESS;
}

void settings_process_opts(sal_process_opts_t *opts, const settings_t *s)
{
    *opts = (sal_process_opts_t){ .siglists = s->siglists,
                                  .fields = s->data->processed,
                                  .tables = s->data->tables,
                                  .host = s->host,
                                  .now = apr_time_now(),
                                  .beta_products =
                                      sal_conf_get(s->conf, "beta-version-products", NULL) };
}
