/*
 * Opening what asks upstream servers: its settings, its cache folder.
 */
#include "upstream/upstream_private.h"

#include <string.h>
#include <apr_file_info.h>
#include <apr_strings.h>

#define DEFAULT_MAX_FILE (UINT64_C(4) << 30)

bool sal_upstream_asks(const sal_upstream_t *u, unsigned kinds)
{
    for (int i = 0; u && i < u->opts.n_servers; i++) {
        if (u->opts.servers[i].ask & kinds) {
            return true;
        }
    }
    return false;
}

void sal_upstream_stops_if(sal_upstream_t *u, bool (*stopping)(void))
{
    u->stopping = stopping;
}

static void set_defaults(sal_upstream_opts_t *o)
{
    o->max_file = o->max_file ? o->max_file : DEFAULT_MAX_FILE;
    o->connect_seconds = o->connect_seconds > 0 ? o->connect_seconds : 5;
    o->total_seconds = o->total_seconds > 0 ? o->total_seconds : 300;
    o->stall_seconds = o->stall_seconds > 0 ? o->stall_seconds : 20;
    o->negative_seconds = o->negative_seconds ? o->negative_seconds : 3600;
    o->down_seconds = o->down_seconds ? o->down_seconds : 30;
}

static void copy_servers(sal_upstream_t *u, apr_pool_t *p)
{
    sal_upstream_server_t *s =
        apr_pmemdup(p, u->opts.servers, (apr_size_t)u->opts.n_servers * sizeof(*s));

    for (int i = 0; i < u->opts.n_servers; i++) {
        s[i].url = apr_pstrdup(p, s[i].url);
        s[i].header = apr_pstrdup(p, s[i].header);
    }
    u->opts.servers = s;
}

static apr_status_t upstream_free(void *data)
{
    sal_upstream_t *u = data;

    upstream_http_close(u);
    pthread_mutex_destroy(&u->lock);
    return APR_SUCCESS;
}

apr_status_t sal_upstream_make(sal_upstream_t **out, const sal_upstream_opts_t *opts, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_upstream_t *u = apr_pcalloc(p, sizeof(*u));
    char *absolute;
    apr_pool_t *scratch;
    apr_status_t rv;

    u->opts = *opts;
    u->pool = p;
    set_defaults(&u->opts);
    copy_servers(u, p);
    rv = apr_filepath_merge(&absolute, NULL, opts->cache_dir, APR_FILEPATH_NOTRELATIVE, p);
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "cache folder %s", opts->cache_dir);
    }
    for (size_t n = strlen(absolute); n > 1 && absolute[n - 1] == '/'; n--) {
        absolute[n - 1] = '\0';
    }
    u->opts.cache_dir = absolute;
    u->opts.tmp_dir = apr_pstrdup(p, opts->tmp_dir);
    apr_pool_create(&scratch, p);
    rv = upstream_cache_open(u, scratch, err);
    apr_pool_destroy(scratch);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    upstream_http_init();
    pthread_mutex_init(&u->lock, NULL);
    apr_pool_cleanup_register(p, u, upstream_free, apr_pool_cleanup_null);
    *out = u;
    return APR_SUCCESS;
}
