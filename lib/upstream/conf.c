/*
 * Upstream servers and their cache from salvage.conf and directives.
 */
#include "upstream/upstream.h"

#include <apr_strings.h>
#include <apr_tables.h>

#define DEFAULT_DISK (INT64_C(20) << 30)

static apr_status_t add_all(apr_array_header_t *servers, const char *const *lines,
                            const char *where, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    sal_error_t why = { 0 };

    for (; lines && *lines && rv == APR_SUCCESS; lines++) {
        rv = sal_upstream_server_parse(apr_array_push(servers), *lines, p, &why);
    }
    return rv == APR_SUCCESS ? rv : sal_fail(err, rv, "%s: %s", where, why.message);
}

apr_status_t sal_upstream_from_conf(sal_upstream_t **out, const sal_conf_t *conf,
                                    const char *const *more, apr_pool_t *p, sal_error_t *err)
{
    apr_array_header_t *servers = apr_array_make(p, 4, sizeof(sal_upstream_server_t));
    const char *symcache = sal_conf_get(conf, "symcache", NULL);
    const char *beside = symcache ? apr_pstrcat(p, symcache, "/upstream", NULL) : NULL;
    sal_upstream_opts_t opts = {
        .cache_dir = sal_conf_get(conf, "symbols-upstream-cache", beside),
        .max_disk = (apr_uint64_t)sal_conf_int(conf, "symbols-upstream-cache-size", DEFAULT_DISK),
        .max_file = (apr_uint64_t)sal_conf_int(conf, "symbols-upstream-max-file", 0),
        .connect_seconds = (int)sal_conf_int(conf, "symbols-upstream-connect-timeout", 0),
        .total_seconds = (int)sal_conf_int(conf, "symbols-upstream-timeout", 0),
        .negative_seconds = (int)sal_conf_int(conf, "symbols-upstream-negative", 0),
    };
    apr_status_t rv =
        add_all(servers, sal_conf_list(conf, "symbols-upstream"), "symbols-upstream", p, err);

    *out = NULL;
    rv = rv == APR_SUCCESS ? add_all(servers, more, "SymbolsUpstream", p, err) : rv;
    if (rv != APR_SUCCESS || servers->nelts == 0) {
        return rv;
    }
    if (!opts.cache_dir) {
        return sal_fail(err, APR_EINVAL,
                        "upstream servers need a cache: set symbols-upstream-cache or symcache");
    }
    opts.servers = (const sal_upstream_server_t *)servers->elts;
    opts.n_servers = servers->nelts;
    return sal_upstream_make(out, &opts, p, err);
}
