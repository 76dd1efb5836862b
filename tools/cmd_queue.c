/*
 * salvage queue: what waits, what runs, what was given up; another try, an end, a pause for that.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"
#include "crash/crash_id.h"
#include "queue_show.h"

#define USAGE                                                                                      \
    "queue [show] | stats | list ready|leased|dead|deferred | retry|delete ID...|--all\n"          \
    "       | kill ID... | put ID... | pause|resume [LANE...] | test  [OPTIONS]"
#define LIST_DEFAULT 100
#define WAIT_DEFAULT 30

typedef struct request_t {
    const char *conf;
    const char **args; /* behind the verb */
    int nargs;
    bool all, json;
    int64_t max, wait;
    sal_lane_t lane;
    const char *ruleset, *reason;
} request_t;

static const apr_getopt_option_t options[] = {
    { "all", 'a', 0, "retry or delete every dead job" },
    { "json", 'j', 0, "show, stats, list: as JSON" },
    { "lane", 'l', 1, "put: priority, standard or reprocess (standard)" },
    { "ruleset", 'R', 1, "put: default or regenerate_signature" },
    { "reason", 'r', 1, "pause, kill: why, for those who look" },
    { "max", 'n', 1, "how many to list (100)" },
    { "wait", 'w', 1, "test: how long, e.g. 10s" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- looking ---- */

static int done(apr_status_t rv, const sal_error_t *err)
{
    return rv == APR_SUCCESS ? CMD_OK : cmd_fail_err(err);
}

static int show(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;

    return done(queue_show_all((int)req->max, req->json, db, p, &err), &err);
}

static int stats(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;

    return done(queue_show_stats(req->json, db, p, &err), &err);
}

static int list(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    static const char *const names[] = { "ready", "leased", "dead", "deferred" };
    sal_error_t err;

    for (int i = 0; i < 4; i++) {
        if (req->nargs == 1 && !strcmp(req->args[0], names[i])) {
            return done(
                queue_show_list((sal_queue_state_t)i, (int)req->max, req->json, db, p, &err), &err);
        }
    }
    return cmd_usage(USAGE, "list ready, leased, dead or deferred jobs");
}

/* ---- jobs of crashes ---- */

typedef apr_status_t (*change_fn)(int *n, const char *crash_id, const request_t *req, sal_db_t *db,
                                  apr_pool_t *p, sal_error_t *err);

static apr_status_t revive(int *n, const char *id, const request_t *req, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    (void)req;
    return sal_queue_revive(n, id, db, p, err);
}

static apr_status_t forget(int *n, const char *id, const request_t *req, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    (void)req;
    return sal_queue_forget(n, id, db, p, err);
}

static apr_status_t give_up(int *n, const char *id, const request_t *req, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err)
{
    return sal_queue_kill(n, id, req->reason ? req->reason : "given up by hand", db, p, err);
}

/* For each crash named, or NULL for all; says which had no such job. */
static int change(int *sum, const request_t *req, change_fn fn, const char *which, sal_db_t *db,
                  apr_pool_t *p)
{
    int count = req->all ? 1 : req->nargs, n, code = CMD_OK;
    sal_error_t err;

    *sum = 0;
    for (int i = 0; i < count; i++) {
        const char *id = req->all ? NULL : req->args[i];

        if (fn(&n, id, req, db, p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
        *sum += n;
        if (!n && id) {
            code = cmd_fail("no %sjob of crash \"%s\" (`salvage queue show` shows what there is)",
                            which, id);
        }
    }
    return code;
}

static int retry(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;
    int sum, code = change(&sum, req, revive, "dead ", db, p);

    if (sum && sal_queue_notify(db, SAL_LANE_STANDARD, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d job%s ready again\n", sum, sum == 1 ? "" : "s");
    return code;
}

static int delete (const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    int sum, code = change(&sum, req, forget, "dead ", db, p);

    printf("%d dead job%s deleted\n", sum, sum == 1 ? "" : "s");
    return code;
}

static int kill_jobs(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    int sum, code = change(&sum, req, give_up, "", db, p);

    printf("%d job%s given up\n", sum, sum == 1 ? "" : "s");
    return code;
}

static int put(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;

    for (int i = 0; i < req->nargs; i++) {
        if (!sal_crash_id_valid(req->args[i])) {
            return cmd_fail("\"%s\" is not a crash id", req->args[i]);
        }
    }
    for (int i = 0; i < req->nargs; i++) {
        if (sal_queue_put(db, req->args[i], req->ruleset, req->lane, i == req->nargs - 1, p,
                          &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    }
    printf("%d job%s queued\n", req->nargs, req->nargs == 1 ? "" : "s");
    return CMD_OK;
}

/* ---- lanes ---- */

static int each_lane(const request_t *req, bool pausing, sal_db_t *db, apr_pool_t *p)
{
    bool wanted[3] = { false, false, false };
    sal_error_t err;
    sal_lane_t lane;

    for (int i = 0; i < req->nargs; i++) {
        if (!sal_lane_parse(&lane, req->args[i])) {
            return cmd_usage(USAGE, "there is no lane \"%s\": priority, standard, reprocess",
                             req->args[i]);
        }
        wanted[lane] = true;
    }
    for (int i = 0; i < 3; i++) {
        apr_status_t rv = APR_SUCCESS;

        if (wanted[i] || req->nargs == 0) {
            rv = pausing ? sal_queue_pause((sal_lane_t)i, req->reason, db, p, &err)
                         : sal_queue_resume((sal_lane_t)i, db, p, &err);
        }
        if (rv != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    }
    return CMD_OK;
}

static int pause_lanes(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    return each_lane(req, true, db, p);
}

static int resume_lanes(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    return each_lane(req, false, db, p);
}

/* ---- does anybody take jobs? ---- */

static int test(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    apr_time_t start = apr_time_now(), end = start + apr_time_from_sec(req->wait);
    sal_error_t err;
    char id[37];
    bool there = true;
    int n;

    sal_crash_id_make(id, start, 0);
    if (sal_queue_put(db, id, SAL_QUEUE_TEST, SAL_LANE_PRIORITY, 1, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    while (there && apr_time_now() < end) {
        apr_sleep(apr_time_from_msec(20));
        if (sal_queue_has(&there, id, SAL_QUEUE_TEST, db, p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    }
    if (there) {
        sal_queue_kill(&n, id, "nobody took it", db, p, NULL);
        sal_queue_forget(&n, id, db, p, NULL);
        return cmd_fail("no daemon took a job in %lld s: is salvaged running, is the lane paused, "
                        "are all workers busy?",
                        (long long)req->wait);
    }
    printf("a daemon took a job within %d ms\n", (int)apr_time_as_msec(apr_time_now() - start));
    return CMD_OK;
}

/* ---- the command ---- */

typedef int (*verb_fn)(const request_t *req, sal_db_t *db, apr_pool_t *p);

typedef struct verb_t {
    const char *name;
    int least, most; /* arguments */
    bool all;        /* or --all instead */
    verb_fn run;
} verb_t;

static const verb_t verbs[] = {
    { "show", 0, 0, false, show },           { "stats", 0, 0, false, stats },
    { "list", 1, 1, false, list },           { "retry", 1, 100000, true, retry },
    { "delete", 1, 100000, true, delete },   { "kill", 1, 100000, false, kill_jobs },
    { "put", 1, 100000, false, put },        { "pause", 0, 3, false, pause_lanes },
    { "resume", 0, 3, false, resume_lanes }, { "test", 0, 0, false, test },
};

static const verb_t *find_verb(const char *name, const request_t *req)
{
    for (apr_size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        const verb_t *v = &verbs[i];

        if (!strcmp(name, v->name)) {
            bool fits = req->all ? v->all && req->nargs == 0
                                 : req->nargs >= v->least && req->nargs <= v->most;

            return fits ? v : NULL;
        }
    }
    return NULL;
}

/* CMD_OK to go on. */
static int read_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case 'a':
        req->all = true;
        break;
    case 'j':
        req->json = true;
        break;
    case 'c':
        req->conf = value;
        break;
    case 'R':
        req->ruleset = value;
        break;
    case 'r':
        req->reason = value;
        break;
    case 'l':
        if (!sal_lane_parse(&req->lane, value)) {
            return cmd_usage(USAGE, "there is no lane \"%s\": priority, standard, reprocess",
                             value);
        }
        break;
    case 'w':
        if (!sal_parse_duration(value, &req->wait) || req->wait < 1) {
            return cmd_usage(USAGE, "--wait \"%s\" is not a time such as 10s", value);
        }
        break;
    default:
        if (!sal_parse_int(value, 1, 1000000, &req->max)) {
            return cmd_usage(USAGE, "-n \"%s\" is not a number from 1 to 1000000", value);
        }
    }
    return CMD_OK;
}

int cmd_queue(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .max = LIST_DEFAULT, .wait = WAIT_DEFAULT, .lane = SAL_LANE_STANDARD };
    const verb_t *verb;
    const char *value;
    apr_status_t rv;
    sal_db_t *db;
    int c, code;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        if ((code = read_option(&req, c, value)) != CMD_OK) {
            return code;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.nargs = os->ind < argc ? argc - os->ind - 1 : 0;
    req.args = os->argv + os->ind + 1;
    verb = find_verb(os->ind < argc ? os->argv[os->ind] : "show", &req);
    if (!verb) {
        return cmd_usage(USAGE, "there is no such thing to do, or not with these arguments");
    }
    db = cmd_db_open(req.conf, p);
    return db ? verb->run(&req, db, p) : CMD_FAILED;
}
