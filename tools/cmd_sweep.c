/*
 * salvage sweep: queues crashes that are in the store but not in the database: what pending/ holds,
 * and, comparing whole days, what neither pending/ nor the database remembers.
 */
#include "store.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"

#define USAGE "sweep [--pending] [--days FROM TO | --since DAY] [--min-age TIME] [-c FILE]"

typedef struct request_t {
    const char *conf, *since;
    int pending, days;
    int64_t min_age;
} request_t;

static const apr_getopt_option_t options[] = {
    { "pending", 'p', 0, "what waits in pending/, nothing else" },
    { "days", 'd', 0, "compare the days FROM to TO with the database" },
    { "since", 's', 1, "compare all days from this one, e.g. 2026-01-31 or 7d" },
    { "min-age", 'a', 1, "leave alone what is younger in pending/ (0s)" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static int sweep_pending(sal_crash_store_t *store, sal_db_t *db, int64_t min_age, apr_pool_t *p)
{
    int queued, bad;
    sal_error_t err;

    if (sal_pending_sweep(&queued, &bad, store, (int)min_age, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("pending: %d queued, %d moved to bad/\n", queued, bad);
    return bad ? CMD_FAILED : CMD_OK;
}

static int sweep_days(sal_crash_store_t *store, sal_db_t *db, const char *from, const char *to,
                      apr_pool_t *p)
{
    int queued;
    sal_error_t err;

    if (sal_crash_sweep_days(&queued, store, from, to, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%s to %s: %d queued\n", from, to, queued);
    return CMD_OK;
}

static int run(const request_t *req, const char *from, const char *to, apr_pool_t *p)
{
    sal_crash_store_t *store = cmd_store_open(cmd_conf(req->conf, p), p);
    sal_db_t *db = store ? cmd_db_open(req->conf, p) : NULL;
    int rc = CMD_OK, days_rc = CMD_OK;

    if (!db) {
        return CMD_FAILED;
    }
    if (req->pending || !req->days) {
        rc = sweep_pending(store, db, req->min_age, p);
    }
    if (from) {
        days_rc = sweep_days(store, db, from, to, p);
    }
    return rc == CMD_OK ? days_rc : rc;
}

/* Which days: given, since one, or, without any option, yesterday and today. */
static int choose_days(request_t *req, const char **args, int nargs, const char **from,
                       const char **to, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();

    *from = *to = NULL;
    if (req->days) {
        if (nargs != 2 || !(*from = cmd_day(args[0], p)) || !(*to = cmd_day(args[1], p))) {
            return cmd_usage(USAGE, "--days needs two days such as 2026-01-31");
        }
        return CMD_OK;
    }
    if (nargs) {
        return cmd_usage(USAGE, "\"%s\" is not an option", args[0]);
    }
    if (req->since) {
        *from = cmd_day(req->since, p);
        *to = cmd_day_of(now + apr_time_from_sec(86400), p);
        return *from ? CMD_OK : cmd_usage(USAGE, "--since \"%s\" is not a day", req->since);
    }
    if (!req->pending) {
        *from = cmd_day_of(now - apr_time_from_sec(86400), p);
        *to = cmd_day_of(now, p);
    }
    return CMD_OK;
}

int cmd_sweep(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { 0 };
    const char *value, *from, *to;
    apr_status_t rv;
    int c, rc;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        switch (c) {
        case 'p':
            req.pending = 1;
            break;
        case 'd':
            req.days = 1;
            break;
        case 's':
            req.since = value;
            break;
        case 'c':
            req.conf = value;
            break;
        case 'h':
            printf("usage: salvage %s\n", USAGE);
            return CMD_OK;
        case 'a':
            if (!sal_parse_duration(value, &req.min_age) || req.min_age < 0 ||
                req.min_age > 86400 * 365) {
                return cmd_usage(USAGE, "--min-age \"%s\" is not a time", value);
            }
            break;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    rc = choose_days(&req, os->argv + os->ind, argc - os->ind, &from, &to, p);
    return rc == CMD_OK ? run(&req, from, to, p) : rc;
}
