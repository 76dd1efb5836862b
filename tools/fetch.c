/*
 * salvage-fetch: answers another program's questions for symbols of servers, on standard input and
 * output (lib/upstream/pipe.h). A program of its own, so that those who ask need not load
 * what talks to the network.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/log.h"
#include "base/text.h"
#include "upstream/pipe.h"

/* What was not there may be there a moment later: somebody is trying things out. */
enum { NEGATIVE_SECONDS = 300, OPT_CACHE = 256, OPT_TMP, OPT_TIMEOUT, OPT_LOG_LEVEL };

static const apr_getopt_option_t options[] = {
    { "cache", OPT_CACHE, 1, "folder of what was fetched" },
    { "tmp", OPT_TMP, 1, "folder of downloads under way" },
    { "timeout", OPT_TIMEOUT, 1, "seconds a file and a server" },
    { "log-level", OPT_LOG_LEVEL, 1, "3 (errors) to 7" },
    { NULL, 0, 0, NULL },
};

static void log_line(void *baton, sal_log_level_t level, const char *line)
{
    static const char *const names[] = { "", "", "", "ERROR", " WARN", " INFO", " INFO", "DEBUG" };

    (void)baton;
    fprintf(stderr, "%s %s\n", names[level & 7], line);
}

static apr_status_t read_options(sal_upstream_opts_t *o, apr_array_header_t *servers, int argc,
                                 const char *const *argv, apr_pool_t *p, sal_error_t *err)
{
    const char *value;
    apr_getopt_t *os;
    apr_status_t rv;
    int64_t n = 0;
    int c;

    apr_getopt_init(&os, p, argc, argv);
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == OPT_CACHE) {
            o->cache_dir = value;
        } else if (c == OPT_TMP) {
            o->tmp_dir = value;
        } else if (!sal_parse_int(value, 1, 86400, &n)) {
            return sal_fail(err, APR_EINVAL, "%s is not a number", value);
        } else if (c == OPT_TIMEOUT) {
            o->total_seconds = (int)n;
        } else {
            sal_log_threshold((sal_log_level_t)n);
        }
    }
    if (rv != APR_EOF || !o->cache_dir) {
        return sal_fail(err, APR_EINVAL,
                        "usage: salvage-fetch --cache DIR [--tmp DIR] "
                        "[--timeout N] [--log-level N] URL...");
    }
    rv = APR_SUCCESS;
    for (int i = os->ind; i < argc && rv == APR_SUCCESS; i++) {
        rv = sal_upstream_server_parse(apr_array_push(servers), argv[i], p, err);
    }
    o->servers = (const sal_upstream_server_t *)servers->elts;
    o->n_servers = servers->nelts;
    return rv;
}

int main(int argc, const char *const *argv)
{
    sal_upstream_opts_t opts = { .silent = true, .negative_seconds = NEGATIVE_SECONDS };
    sal_error_t err = { .message = "" };
    sal_upstream_t *u;
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    sal_log_sink(log_line, NULL);
    if (read_options(&opts, apr_array_make(p, 4, sizeof(sal_upstream_server_t)), argc, argv, p,
                     &err) != APR_SUCCESS ||
        sal_upstream_make(&u, &opts, p, &err) != APR_SUCCESS) {
        fprintf(stderr, "ERROR salvage-fetch: %s\n", err.message);
        return EXIT_FAILURE;
    }
    sal_upstream_serve(u, STDIN_FILENO, STDOUT_FILENO, p);
    apr_pool_destroy(p);
    return EXIT_SUCCESS;
}
