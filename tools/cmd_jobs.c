/*
 * salvage jobs: what periodic jobs there are, how they went, running one by hand, and when they
 * run.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <jansson.h>

#include "base/text.h"
#include "jobs/cron.h"

#define USAGE                                                                                      \
    "jobs [list | log [NAME] [-n MAX] [--failed] | run NAME [--if-due | --force] [--at TIME] | "   \
    "enable NAME | disable NAME | schedule NAME (EVERY [HH:MM] | default) | reset NAME | "         \
    "mark NAME | metrics] [--json] [-c FILE]"
#define LOG_DEFAULT 50

typedef struct request_t {
    const char *conf_path, *name;
    const char **args; /* behind the name */
    int nargs;
    int json, failed;
    int64_t max;
    sal_cron_ask_t ask;
    sal_cron_env_t env;
    sal_db_t *db;
    sal_cron_state_t *state; /* of the job that is named */
    apr_pool_t *p;
} request_t;

static const apr_getopt_option_t options[] = {
    { "json", 'j', 0, "as JSON" },
    { "failed", 'f', 0, "log: only runs that failed" },
    { "max", 'n', 1, "log: how many entries (50)" },
    { "force", 'F', 0, "run: without lock and bookkeeping" },
    { "if-due", 'd', 0, "run: only if it is due" },
    { "at", 'a', 1, "run: as if it were this time" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static const char *time_text(apr_time_t t, apr_pool_t *p)
{
    return t ? sal_time_iso(apr_time_from_sec(apr_time_sec(t)), p) : "-";
}

static json_t *time_json(apr_time_t t, apr_pool_t *p)
{
    return t ? json_string(sal_time_iso(t, p)) : json_null();
}

static int print_json(json_t *doc)
{
    json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(doc);
    return CMD_OK;
}

/* ---- list ---- */

static const char *frequency_text(int seconds, apr_pool_t *p)
{
    return seconds % 86400 == 0  ? apr_psprintf(p, "%dd", seconds / 86400)
           : seconds % 3600 == 0 ? apr_psprintf(p, "%dh", seconds / 3600)
                                 : apr_psprintf(p, "%dm", seconds / 60);
}

static const char *clock_text(int minute, apr_pool_t *p)
{
    return minute < 0 ? "" : apr_psprintf(p, "%02d:%02d", minute / 60, minute % 60);
}

static const char *mode_of(const sal_cron_state_t *s)
{
    return !s->usable         ? "unusable"
           : s->running       ? "running"
           : !s->plan.enabled ? "off"
           : s->due           ? "due"
                              : "waits";
}

static json_t *state_json(const sal_cron_state_t *s, apr_pool_t *p)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:o, s:o, s:o, s:o, s:f, s:i, s:s, s:o, "
                     "s:s}",
                     "job", s->app_name, "purpose", s->job->purpose, "state", mode_of(s), "every",
                     frequency_text(s->plan.every, p), "at", clock_text(s->plan.minute, p), "limit",
                     s->plan.limit, "enabled", (int)s->plan.enabled, "next_run",
                     time_json(s->next_run, p), "first_run", time_json(s->first_run, p), "last_run",
                     time_json(s->last_run, p), "last_success", time_json(s->last_success, p),
                     "last_duration", s->last_duration, "error_count", s->error_count, "last_error",
                     s->last_error, "ongoing", time_json(s->ongoing, p), "runner", s->runner);
}

static int list(request_t *req)
{
    sal_cron_state_t *states;
    sal_error_t err;
    apr_time_t now;
    json_t *doc;
    int n;

    if (sal_cron_states(&states, &n, &now, &req->env, req->db, req->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (req->json) {
        doc = json_array();
        for (int i = 0; i < n; i++) {
            json_array_append_new(doc, state_json(&states[i], req->p));
        }
        return print_json(doc);
    }
    puts("job\tevery\tat\tstate\tnext\tlast success\terrors\tfor");
    for (int i = 0; i < n; i++) {
        const sal_cron_state_t *s = &states[i];

        printf("%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", s->app_name,
               frequency_text(s->plan.every, req->p), clock_text(s->plan.minute, req->p),
               mode_of(s), time_text(s->next_run, req->p), time_text(s->last_success, req->p),
               s->error_count, s->error_count ? s->last_error : s->job->purpose);
    }
    return CMD_OK;
}

/* ---- log ---- */

static json_t *log_json(const sal_cron_log_t *l, apr_pool_t *p)
{
    return json_pack("{s:s, s:o, s:o, s:f, s:b, s:I, s:s, s:s, s:s, s:s}", "job", l->app_name,
                     "ended", time_json(l->at, p), "run_time", time_json(l->run_time, p),
                     "duration", l->duration, "success", (int)l->success, "done",
                     (json_int_t)l->done, "note", l->note, "error_kind", l->kind, "error", l->error,
                     "runner", l->runner);
}

static int show_log(request_t *req)
{
    sal_cron_log_t *log;
    sal_error_t err;
    json_t *doc;
    int n;

    if (sal_cron_log(&log, &n, req->state ? req->state->app_name : NULL, req->failed != 0,
                     (int)req->max, req->db, req->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (req->json) {
        doc = json_array();
        for (int i = 0; i < n; i++) {
            json_array_append_new(doc, log_json(&log[i], req->p));
        }
        return print_json(doc);
    }
    puts("ended\tjob\tresult\tseconds\tdone\tfor\trunner\tnote");
    for (int i = 0; i < n; i++) {
        const sal_cron_log_t *l = &log[i];

        printf("%s\t%s\t%s\t%.1f\t%lld\t%s\t%s\t%s%s%s\n", time_text(l->at, req->p), l->app_name,
               l->success ? "good" : "failed", l->duration, (long long)l->done,
               time_text(l->run_time, req->p), l->runner, l->success ? l->note : l->kind,
               l->success ? "" : ": ", l->error);
    }
    return CMD_OK;
}

/* ---- run ---- */

static bool open_stores(request_t *req)
{
    const char *crashes = sal_conf_get(req->env.conf, "crash-store", NULL);
    const char *symbols = sal_conf_get(req->env.conf, "symbol-store", NULL);
    sal_error_t err;

    if (crashes && sal_crash_store_open(&req->env.crashes, crashes,
                                        sal_conf_on(req->env.conf, "store-unsafe-fs", 0), req->p,
                                        &err) != APR_SUCCESS) {
        cmd_fail_err(&err);
        return false;
    }
    if (symbols && sal_symbol_store_open(&req->env.symbols, symbols, req->p, &err) != APR_SUCCESS) {
        cmd_fail_err(&err);
        return false;
    }
    return true;
}

static int tell(const request_t *req, const sal_cron_result_t *r)
{
    static const char *const ends[] = { "ran", "not due", "running elsewhere" };

    if (req->json) {
        print_json(json_pack("{s:s, s:s, s:b, s:i, s:I, s:s}", "job", req->name, "end",
                             ends[r->end], "ok", (int)r->ok, "runs", r->runs, "done",
                             (json_int_t)r->done, "note", r->note ? r->note : ""));
    } else if (r->end == SAL_CRON_RAN && r->ok) {
        printf("%s: %lld done%s%s\n", req->name, (long long)r->done, r->note ? "; " : "",
               r->note ? r->note : "");
    } else if (r->end == SAL_CRON_NOT_DUE) {
        printf("%s: not due\n", req->name);
    } else if (r->end == SAL_CRON_ELSEWHERE) {
        return cmd_fail("%s is running elsewhere; --force runs it all the same", req->name);
    }
    return r->end == SAL_CRON_RAN && !r->ok ? cmd_fail("%s failed: %s", req->name, r->note)
                                            : CMD_OK;
}

static int run(request_t *req)
{
    sal_db_t *work = cmd_db_open(req->conf_path, req->p);
    sal_cron_result_t result;
    sal_error_t err;

    if (!work) {
        return CMD_FAILED;
    }
    if (sal_cron_perform(&result, req->state->job, &req->ask, &req->env, req->db, work, req->p,
                         &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return tell(req, &result);
}

/* ---- change ---- */

static int done(apr_status_t rv, const sal_error_t *err)
{
    return rv == APR_SUCCESS ? CMD_OK : cmd_fail_err(err);
}

static int enable(request_t *req)
{
    sal_error_t err;

    return done(sal_cron_enable(req->state->app_name, 1, req->db, req->p, &err), &err);
}

static int disable(request_t *req)
{
    sal_error_t err;

    return done(sal_cron_enable(req->state->app_name, 0, req->db, req->p, &err), &err);
}

static int schedule(request_t *req)
{
    bool as_built = req->nargs == 1 && !strcmp(req->args[0], "default");
    sal_error_t err;

    if (req->nargs < 1 || req->nargs > 2) {
        return cmd_usage(USAGE, "say how often: schedule %s 2h, or 1d 05:00, or default",
                         req->name);
    }
    if (as_built &&
        sal_cron_enable(req->state->app_name, -1, req->db, req->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return done(sal_cron_schedule(req->state->app_name, as_built ? NULL : req->args[0],
                                  as_built         ? NULL
                                  : req->nargs > 1 ? req->args[1]
                                                   : "",
                                  req->db, req->p, &err),
                &err);
}

static int reset(request_t *req)
{
    sal_error_t err;
    int found;

    if (sal_cron_reset(&found, req->state->app_name, req->db, req->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return found ? CMD_OK : cmd_fail("%s has never run", req->name);
}

static int mark(request_t *req)
{
    sal_error_t err;

    return done(sal_cron_mark(req->state->app_name, &req->state->plan, req->db, req->p, &err),
                &err);
}

static int metrics(request_t *req)
{
    const char *text;
    sal_error_t err;

    if (sal_cron_metrics(&text, &req->env, req->db, req->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    fputs(text, stdout);
    return CMD_OK;
}

/* ---- the command ---- */

typedef struct verb_t {
    const char *name;
    int (*run)(request_t *req);
    int named;     /* 1: takes a job, 0: may, -1: does not */
    int arguments; /* behind the name, at most */
} verb_t;

static const verb_t verbs[] = {
    { "list", list, -1, 0 },    { "log", show_log, 0, 0 },    { "run", run, 1, 0 },
    { "enable", enable, 1, 0 }, { "disable", disable, 1, 0 }, { "schedule", schedule, 1, 2 },
    { "reset", reset, 1, 0 },   { "mark", mark, 1, 0 },       { "metrics", metrics, -1, 0 },
};

static const verb_t *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!strcmp(verbs[i].name, name)) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* NAME, or NAME@HOST as it is listed. */
static int find_job(request_t *req)
{
    sal_cron_state_t *states;
    sal_error_t err;
    apr_time_t now;
    int n;

    if (sal_cron_states(&states, &n, &now, &req->env, req->db, req->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    for (int i = 0; i < n; i++) {
        if (!strcmp(states[i].app_name, req->name) || !strcmp(states[i].job->name, req->name)) {
            req->state = &states[i];
            return CMD_OK;
        }
    }
    return cmd_fail("there is no job \"%s\" (`salvage jobs` lists all)", req->name);
}

static int perform(request_t *req, const verb_t *verb)
{
    char host[256] = "localhost";
    int rc = CMD_OK;

    gethostname(host, sizeof(host) - 1);
    req->env.host = apr_pstrdup(req->p, host);
    req->env.conf = cmd_conf(req->conf_path, req->p);
    if (!req->env.conf || !open_stores(req)) {
        return CMD_FAILED;
    }
    req->db = cmd_db_open(req->conf_path, req->p);
    if (!req->db) {
        return CMD_FAILED;
    }
    if (req->name) {
        rc = find_job(req);
    }
    return rc == CMD_OK ? verb->run(req) : rc;
}

/* One option; CMD_OK to go on. */
static int take_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case 'j':
        req->json = 1;
        break;
    case 'f':
        req->failed = 1;
        break;
    case 'F':
        req->ask.force = true;
        break;
    case 'd':
        req->ask.if_due = true;
        break;
    case 'c':
        req->conf_path = value;
        break;
    case 'n':
        if (!sal_parse_int(value, 1, 100000, &req->max)) {
            return cmd_usage(USAGE, "-n \"%s\" is not a number from 1 to 100000", value);
        }
        break;
    case 'a':
        if (!sal_time_parse(value, &req->ask.at)) {
            return cmd_usage(USAGE, "--at \"%s\" is not a time such as 2026-01-31T05:00:00Z",
                             value);
        }
        break;
    }
    return CMD_OK;
}

int cmd_jobs(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .max = LOG_DEFAULT, .p = p };
    const verb_t *verb;
    const char *value;
    apr_status_t rv;
    int c, n;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        if (take_option(&req, c, value) != CMD_OK) {
            return CMD_USAGE;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    n = argc - os->ind;
    verb = n ? find_verb(os->argv[os->ind]) : &verbs[0];
    if (!verb) {
        return cmd_usage(USAGE, "\"%s\" is not known", os->argv[os->ind]);
    }
    req.name = n > 1 ? os->argv[os->ind + 1] : NULL;
    req.args = os->argv + os->ind + 2;
    req.nargs = n > 2 ? n - 2 : 0;
    if ((verb->named > 0 && !req.name) || (verb->named < 0 && req.name) ||
        req.nargs > verb->arguments || (req.ask.force && req.ask.if_due)) {
        return cmd_usage(USAGE, "%s %s", verb->name,
                         verb->named > 0 ? "takes the name of a job" : "takes no such arguments");
    }
    return perform(&req, verb);
}
