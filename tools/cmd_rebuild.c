/*
 * salvage rebuild: the database out of the crash store.
 */
#include "store.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_strings.h>

#include "base/text.h"
#include "reprocess/rebuild.h"

#define USAGE "rebuild [--jobs N] [--days FROM TO | --since DAY] [--again] [-c FILE]"
#define JOBS_MAX 64

typedef struct request_t {
    const char *conf, *since;
    bool days, again;
    int64_t jobs;
    sal_rebuild_t opts;
} request_t;

static const apr_getopt_option_t options[] = {
    { "jobs", 'j', 1, "processes at work (1)" },
    { "days", 'd', 0, "only the days FROM to TO" },
    { "since", 's', 1, "only this day and later ones" },
    { "again", 'a', 0, "from the beginning, although an interrupted rebuild could go on" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* A line a second at most; the last one is the sum. */
static void progress(const sal_rebuilt_t *sum, void *baton)
{
    apr_time_t *last = baton, now = apr_time_now();

    if (now - *last >= apr_time_from_sec(1)) {
        *last = now;
        fprintf(stderr, "salvage rebuild: %lld of %lld folders, %lld crashes, %lld queued\n",
                (long long)sum->folders, (long long)sum->of, (long long)sum->crashes,
                (long long)sum->queued);
    }
}

/* One process's work. The sum is printed as a line, so that several add up for the reader. */
static int work(request_t *req, apr_pool_t *p)
{
    apr_time_t last = 0;
    sal_crash_store_t *store = cmd_store_open(cmd_conf(req->conf, p), p);
    sal_db_t *db = store ? cmd_db_open(req->conf, p) : NULL;
    sal_rebuilt_t sum;
    sal_error_t err;

    if (!db) {
        return CMD_FAILED;
    }
    req->opts.progress = progress;
    req->opts.baton = &last;
    if (sal_rebuild(&sum, &req->opts, store, db, p, &err) != APR_SUCCESS) {
        cmd_fail_err(&err);
        return cmd_fail("what is done stays done: run the same command again to go on");
    }
    printf(
        "%lld of %lld folders, %lld crashes: %lld documents restored, %lld queued, %lld damaged\n",
        (long long)sum.folders, (long long)sum.of, (long long)sum.crashes, (long long)sum.documents,
        (long long)sum.queued, (long long)sum.damaged);
    return sum.damaged ? CMD_FAILED : CMD_OK;
}

/* Children, each with a connection of its own; a child that dies leaves its folder to the others.
 */
static int several(request_t *req, apr_pool_t *p)
{
    int failed = 0, started = 0;

    for (; started < req->jobs; started++) {
        pid_t pid = fork();

        if (pid == 0) {
            int rc = work(req, p);

            fflush(stdout);
            _exit(rc);
        }
        if (pid < 0) {
            failed = 1;
            break;
        }
    }
    for (int status; started > 0; started--) {
        failed |= wait(&status) < 0 || status != 0;
    }
    return failed ? CMD_FAILED : CMD_OK;
}

/* The connection is closed before anybody forks. */
static int forget(const request_t *req, apr_pool_t *parent)
{
    int rc = CMD_FAILED;
    sal_error_t err;
    apr_pool_t *p;
    sal_db_t *db;

    apr_pool_create(&p, parent);
    if ((db = cmd_db_open(req->conf, p)) != NULL) {
        rc = sal_rebuild_forget(db, p, &err) == APR_SUCCESS ? CMD_OK : cmd_fail_err(&err);
    }
    apr_pool_destroy(p);
    return rc;
}

static int choose_days(request_t *req, const char **args, int nargs, apr_pool_t *p)
{
    if (req->days) {
        if (nargs != 2 || !(req->opts.from = cmd_day(args[0], p)) ||
            !(req->opts.to = cmd_day(args[1], p))) {
            return cmd_usage(USAGE, "--days needs two days such as 2026-01-31");
        }
        return CMD_OK;
    }
    if (nargs) {
        return cmd_usage(USAGE, "\"%s\" is not an option", args[0]);
    }
    if (req->since && !(req->opts.from = cmd_day(req->since, p))) {
        return cmd_usage(USAGE, "--since \"%s\" is not a day", req->since);
    }
    return CMD_OK;
}

int cmd_rebuild(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .jobs = 1 };
    const char *value;
    apr_status_t rv;
    int c, rc;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        switch (c) {
        case 'j':
            if (!sal_parse_int(value, 1, JOBS_MAX, &req.jobs)) {
                return cmd_usage(USAGE, "--jobs \"%s\" is not a number from 1 to %d", value,
                                 JOBS_MAX);
            }
            break;
        case 'd':
            req.days = true;
            break;
        case 's':
            req.since = value;
            break;
        case 'a':
            req.again = true;
            break;
        case 'c':
            req.conf = value;
            break;
        case 'h':
            printf("usage: salvage %s\n", USAGE);
            return CMD_OK;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if ((rc = choose_days(&req, os->argv + os->ind, argc - os->ind, p)) != CMD_OK) {
        return rc;
    }
    if (req.again && (rc = forget(&req, p)) != CMD_OK) {
        return rc;
    }
    return req.jobs == 1 ? work(&req, p) : several(&req, p);
}
