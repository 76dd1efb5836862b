/*
 * salvage queue: what waits, what runs, what was given up, and another try for that.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "queue/queue.h"

#define USAGE "queue stats | list dead [-n MAX] | retry CRASH_ID...|--all  [-c FILE]"
#define LIST_DEFAULT 100

typedef struct request_t {
    const char *conf;
    const char **args; /* behind the verb */
    int nargs, all;
    int64_t max;
} request_t;

static const apr_getopt_option_t options[] = {
    { "all", 'a', 0, "retry every dead job" },
    { "max", 'n', 1, "how many to list" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static int stats(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_queue_stats_t s;
    sal_error_t err;

    (void)req;
    if (sal_queue_stats(&s, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("priority %lld\nstandard %lld\nreprocess %lld\nleased %lld\ndead %lld\ndeferred %lld\n"
           "oldest-ready-seconds %lld\n",
           (long long)s.ready[0], (long long)s.ready[1], (long long)s.ready[2], (long long)s.leased,
           (long long)s.dead, (long long)s.deferred, (long long)s.oldest_ready_seconds);
    return CMD_OK;
}

static int list(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_dead_job_t *jobs;
    sal_error_t err;
    int n;

    if (sal_queue_dead(&jobs, &n, (int)req->max, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("crash\truleset\tdied\tattempts\tlost\treason");
    for (int i = 0; i < n; i++) {
        printf("%s\t%s\t%s\t%d\t%d\t%s\n", jobs[i].crash_id, jobs[i].ruleset,
               sal_time_iso(jobs[i].died, p), jobs[i].attempts, jobs[i].lost, jobs[i].reason);
    }
    return CMD_OK;
}

static int retry(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    int count = req->all ? 1 : req->nargs, n, sum = 0, missing = 0;
    sal_error_t err;

    for (int i = 0; i < count; i++) {
        const char *id = req->all ? NULL : req->args[i];

        if (sal_queue_revive(&n, id, db, p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
        sum += n;
        if (!n && id) {
            missing = 1;
            cmd_fail("no dead job of crash \"%s\" (`salvage queue list dead` shows all)", id);
        }
    }
    if (sum && sal_queue_notify(db, SAL_LANE_STANDARD, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d job%s ready again\n", sum, sum == 1 ? "" : "s");
    return missing ? CMD_FAILED : CMD_OK;
}

typedef int (*verb_fn)(const request_t *req, sal_db_t *db, apr_pool_t *p);

static verb_fn find_verb(const char *verb, const request_t *req)
{
    if (!strcmp(verb, "stats") && req->nargs == 0) {
        return stats;
    }
    if (!strcmp(verb, "list") && req->nargs == 1 && !strcmp(req->args[0], "dead")) {
        return list;
    }
    return !strcmp(verb, "retry") && (req->all ? req->nargs == 0 : req->nargs > 0) ? retry : NULL;
}

int cmd_queue(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .max = LIST_DEFAULT };
    const char *value;
    apr_status_t rv;
    verb_fn verb;
    sal_db_t *db;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        } else if (c == 'a') {
            req.all = 1;
        } else if (c == 'c') {
            req.conf = value;
        } else if (!sal_parse_int(value, 1, 1000000, &req.max)) {
            return cmd_usage(USAGE, "-n \"%s\" is not a number from 1 to 1000000", value);
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    verb = os->ind < argc ? find_verb(os->argv[os->ind], &req) : NULL;
    if (!verb) {
        return cmd_usage(USAGE, "say stats, list dead, or retry with crash ids or --all");
    }
    db = cmd_db_open(req.conf, p);
    return db ? verb(&req, db, p) : CMD_FAILED;
}
