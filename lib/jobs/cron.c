/*
 * The engine: takes the lock of a job, runs it, writes down how it went. One run at a time; who
 * runs it in which process is the caller's business.
 *
 * The lock is one of a session (keeper) that does nothing else meanwhile, so it is free as soon as
 * its process or host is dead. What is written at the end is bound to the beginning of the run: a
 * run that lost its session and its job to somebody else leaves no trace of its own.
 */
#include "jobs/cron_private.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"

/* A run that is this much over its limit sits in something that asks no clock. */
#define ALARM_AFTER 15
/* Runs that one process makes up for; the next one goes on. */
#define STEPS_MAX 1000
#define NOTE_MAX 500

apr_status_t sal_cron_in_time(const sal_cron_run_t *run, sal_error_t *err)
{
    return run->deadline && apr_time_now() >= run->deadline
               ? sal_fail(err, APR_TIMEUP, "not done within its time limit; the next try goes on")
               : APR_SUCCESS;
}

int cron_days_of(const sal_cron_run_t *run, const char *key, int fallback)
{
    apr_int64_t days = sal_conf_int(run->env->conf, key, (apr_int64_t)fallback * 86400) / 86400;

    return days < 1 ? 1 : days > 36500 ? 36500 : (int)days;
}

const char *sal_cron_runner(const char *host, long pid, apr_pool_t *p)
{
    return apr_psprintf(p, "%s:%ld", host ? host : "localhost", pid);
}

/* ---- state ---- */

static const char *app_name(const sal_cron_job_t *job, const sal_cron_env_t *env, apr_pool_t *p)
{
    return job->flags & SAL_CRON_PER_HOST
               ? apr_pstrcat(p, job->name, "@", env->host ? env->host : "localhost", NULL)
               : job->name;
}

/* What people have set in the row stands above what is configured. */
static void read_plan(sal_cron_plan_t *plan, const sal_rows_t *rows, int row)
{
    if (!sal_rows_null(rows, row, 10)) {
        plan->enabled = sal_rows_bool(rows, row, 10);
    }
    if (!sal_rows_null(rows, row, 11)) {
        sal_cron_every(sal_rows_text(rows, row, 11), &plan->every);
    }
    if (!sal_rows_null(rows, row, 12)) {
        sal_cron_clock(sal_rows_text(rows, row, 12), &plan->minute);
    }
}

static void read_row(sal_cron_state_t *s, const sal_rows_t *rows, int row)
{
    s->next_run = sal_rows_time(rows, row, 2);
    s->first_run = sal_rows_time(rows, row, 3);
    s->last_run = sal_rows_time(rows, row, 4);
    s->last_success = sal_rows_time(rows, row, 5);
    s->error_count = (int)sal_rows_int(rows, row, 6);
    s->last_error = sal_rows_text(rows, row, 7);
    s->ongoing = sal_rows_time(rows, row, 8);
    s->runner = sal_rows_text(rows, row, 9);
    s->running = sal_rows_bool(rows, row, 13);
    s->last_duration = sal_rows_double(rows, row, 14);
    read_plan(&s->plan, rows, row);
}

static bool is_usable(const sal_cron_job_t *job, const sal_cron_env_t *env)
{
    return !(job->flags & SAL_CRON_CRASHES && !sal_conf_get(env->conf, "crash-store", NULL)) &&
           !(job->flags & SAL_CRON_SYMBOLS && !sal_conf_get(env->conf, "symbol-store", NULL));
}

/* name: of the row, which there need not be. */
static apr_status_t read_state(sal_cron_state_t *s, const sal_cron_job_t *job, const char *name,
                               const sal_rows_t *rows, const sal_cron_env_t *env, apr_pool_t *p,
                               sal_error_t *err)
{
    apr_status_t rv;

    *s = (sal_cron_state_t){ .job = job, .app_name = name, .last_error = "", .runner = "" };
    s->usable = is_usable(job, env);
    if ((rv = sal_cron_plan(&s->plan, job, env->conf, p, err)) != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < sal_rows_count(rows); i++) {
        if (!strcmp(sal_rows_text(rows, i, 1), name)) {
            read_row(s, rows, i);
        }
    }
    s->due = s->usable && sal_cron_due(&s->plan, s->next_run, sal_rows_time(rows, 0, 0));
    return APR_SUCCESS;
}

/* NAME@HOST of a job that each host has, and not this one: shown, but no business of ours. */
static const sal_cron_job_t *of_other_host(const char *name, const sal_cron_env_t *env,
                                           apr_pool_t *p)
{
    const char *at = strchr(name, '@');
    const sal_cron_job_t *job =
        at ? sal_cron_find(apr_pstrndup(p, name, (apr_size_t)(at - name))) : NULL;

    return job && job->flags & SAL_CRON_PER_HOST && strcmp(name, app_name(job, env, p)) ? job
                                                                                        : NULL;
}

static apr_status_t read_others(sal_cron_state_t *out, int *n, const sal_rows_t *rows,
                                const sal_cron_env_t *env, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < sal_rows_count(rows) && rv == APR_SUCCESS; i++) {
        const char *name = sal_rows_text(rows, i, 1);
        const sal_cron_job_t *job = of_other_host(name, env, p);

        if (job) {
            rv = read_state(&out[*n], job, name, rows, env, p, err);
            out[(*n)++].due = false;
        }
    }
    return rv;
}

apr_status_t sal_cron_states(sal_cron_state_t **out, int *n, apr_time_t *now,
                             const sal_cron_env_t *env, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    const sal_cron_job_t *jobs = sal_cron_jobs();
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_cron_rows, NULL, 0, &rows, p, err);
    int known = 0;

    *n = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *now = sal_rows_time(rows, 0, 0);
    while (jobs[known].name) {
        known++;
    }
    *out = apr_pcalloc(p, (apr_size_t)(known + sal_rows_count(rows)) * sizeof(**out));
    for (; *n < known && rv == APR_SUCCESS; ++*n) {
        rv = read_state(&(*out)[*n], &jobs[*n], app_name(&jobs[*n], env, p), rows, env, p, err);
    }
    return rv == APR_SUCCESS ? read_others(*out, n, rows, env, p, err) : rv;
}

/* ---- one run ---- */

typedef struct turn_t {
    const sal_cron_ask_t *ask;
    const sal_cron_env_t *env;
    const char *runner;
    sal_db_t *keeper, *work;
    sal_cron_state_t state;
    apr_time_t now; /* the database's clock when the lock was taken */
    sal_cron_result_t *result;
    apr_pool_t *p;
} turn_t;

static apr_status_t one_state(turn_t *t, const sal_cron_job_t *job, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(t->keeper, &sal_s_cron_rows, NULL, 0, &rows, t->p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    t->now = sal_rows_time(rows, 0, 0);
    return read_state(&t->state, job, app_name(job, t->env, t->p), rows, t->env, t->p, err);
}

static apr_status_t take_lock(bool *got, turn_t *t, const char *name, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(t->keeper, &sal_s_cron_lock, &rows, t->p, err, SAL_V_TEXT(name));

    *got = rv == APR_SUCCESS && sal_rows_bool(rows, 0, 0);
    return rv;
}

/*
 * No statement of the job runs past its limit, nor much longer than the process that reads its
 * result.
 */
static void limit_statements(turn_t *t, int seconds)
{
    sal_db_run(t->work, &sal_s_cron_set_fence, NULL, 0, NULL, t->p, NULL);
    sal_db_exec(t->work, &sal_s_cron_set_limit, NULL, t->p, NULL,
                SAL_V_TEXT(apr_psprintf(t->p, "%ds", seconds)));
}

/* The job itself, in a pool and a time of its own. */
static apr_status_t run_once(sal_cron_run_t *run, turn_t *t, apr_time_t run_time, sal_error_t *err)
{
    int limit = t->state.plan.limit;
    apr_status_t rv;

    *run = (sal_cron_run_t){ .name = t->state.job->name,
                             .run_time = run_time,
                             .last_success = t->state.last_success,
                             .deadline = apr_time_now() + apr_time_from_sec(limit),
                             .env = t->env,
                             .db = t->work };
    apr_pool_create(&run->p, t->p);
    limit_statements(t, limit);
    if (t->ask->alarm) {
        alarm((unsigned)limit + ALARM_AFTER);
    }
    rv = t->state.job->run(run, err);
    if (t->ask->alarm) {
        alarm(0);
    }
    run->note = run->note ? apr_pstrndup(t->p, run->note, NOTE_MAX) : NULL;
    apr_pool_destroy(run->p);
    return rv;
}

/* A word for a kind of error: what a class of exceptions is elsewhere. */
static const char *kind_of(apr_status_t rv, const sal_error_t *err, apr_pool_t *p)
{
    char text[80];

    if (err->sqlstate[0]) {
        return apr_pstrcat(p, "database ", err->sqlstate, NULL);
    }
    switch ((int)rv) {
    case APR_TIMEUP:
        return "time limit";
    case SAL_E_MALFORMED:
        return "malformed";
    case SAL_E_TOOBIG:
        return "too big";
    case SAL_E_UNSUPPORTED:
        return "unsupported";
    case SAL_E_NODB:
        return "no database";
    case SAL_E_DB:
        return "database";
    case SAL_E_SICK:
        return "sick store";
    case SAL_E_DENIED:
        return "denied";
    case SAL_E_BUSY:
        return "busy";
    default:
        return apr_pstrdup(p, apr_strerror(rv, text, sizeof(text)));
    }
}

static apr_status_t record(turn_t *t, apr_time_t begun, apr_time_t next, const sal_cron_run_t *run,
                           apr_status_t how, const sal_error_t *why, sal_error_t *err)
{
    if (how == APR_SUCCESS) {
        return sal_db_exec(t->keeper, &sal_s_cron_success, NULL, t->p, err,
                           SAL_V_TEXT(t->state.app_name), SAL_V_TIME(begun), SAL_V_TIME(next),
                           SAL_V_TIME(run->run_time), SAL_V_INT(run->done), SAL_V_TEXT(run->note),
                           SAL_V_TEXT(t->runner));
    }
    return sal_db_exec(t->keeper, &sal_s_cron_failure, NULL, t->p, err,
                       SAL_V_TEXT(t->state.app_name), SAL_V_TIME(begun), SAL_V_TIME(run->run_time),
                       SAL_V_INT(run->done), SAL_V_TEXT(kind_of(how, why, t->p)),
                       SAL_V_TEXT(why->message), SAL_V_TEXT(t->runner), SAL_V_TEXT(run->note));
}

static void take_note(turn_t *t, const sal_cron_run_t *run, apr_status_t how,
                      const sal_error_t *why)
{
    t->result->runs++;
    t->result->end = SAL_CRON_RAN;
    t->result->ok = how == APR_SUCCESS;
    t->result->done += run->done;
    t->result->note = how == APR_SUCCESS ? run->note : apr_pstrdup(t->p, why->message);
    if (how != APR_SUCCESS) {
        sal_log(SAL_LOG_ERROR, 9190, "job %s failed, next try in a minute: %s", t->state.app_name,
                why->message);
    }
}

/* A run with its beginning and end in the books. *more: it was good. */
static apr_status_t run_booked(bool *more, turn_t *t, apr_time_t run_time, apr_time_t next,
                               sal_error_t *err)
{
    sal_error_t why = { .message = "" };
    sal_cron_run_t run;
    sal_rows_t *rows;
    apr_status_t how, rv = sal_db_exec(t->keeper, &sal_s_cron_begin, &rows, t->p, err,
                                       SAL_V_TEXT(t->state.app_name), SAL_V_TEXT(t->runner));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    how = run_once(&run, t, run_time, &why);
    take_note(t, &run, how, &why);
    *more = how == APR_SUCCESS;
    if (*more) {
        t->state.last_success = run_time;
    }
    return record(t, sal_rows_time(rows, 0, 0), next, &run, how, &why, err);
}

/* One run for each interval that has gone by; the first failure ends it. */
static apr_status_t run_steps(turn_t *t, sal_error_t *err)
{
    const sal_cron_plan_t *plan = &t->state.plan;
    apr_time_t step = sal_cron_step(plan, t->state.last_success, t->now);
    apr_status_t rv = APR_SUCCESS;
    bool more = true;

    if (!step) { /* its frequency was changed, or it was run between two times */
        return sal_db_exec(t->keeper, &sal_s_cron_wait, NULL, t->p, err,
                           SAL_V_TEXT(t->state.app_name), SAL_V_TIME(sal_cron_next(plan, t->now)));
    }
    for (int i = 0; i < STEPS_MAX && step && more && rv == APR_SUCCESS; i++) {
        apr_time_t after = sal_cron_step(plan, step, t->now);

        /* whoever dies between two steps leaves the job due */
        rv = run_booked(&more, t, step, after ? t->now : sal_cron_next(plan, t->now), err);
        step = after;
    }
    return rv;
}

static apr_status_t run_locked(turn_t *t, const sal_cron_job_t *job, sal_error_t *err)
{
    apr_status_t rv = one_state(t, job, err);
    bool more;

    if (rv == APR_SUCCESS && t->state.ongoing) {
        /* we have its lock, so whoever wrote this is dead */
        rv = sal_cron_died(t->state.runner, "the process that ran it has died", t->keeper, t->p,
                           err);
        rv = rv == APR_SUCCESS ? one_state(t, job, err) : rv; /* due again in a minute */
    }
    if (rv != APR_SUCCESS || (t->ask->if_due && !t->state.due)) {
        return rv;
    }
    if (t->ask->at || !(job->flags & SAL_CRON_BACKFILL) || !t->ask->if_due) {
        return run_booked(&more, t, t->ask->at ? t->ask->at : t->now,
                          sal_cron_next(&t->state.plan, t->now), err);
    }
    return run_steps(t, err);
}

static apr_status_t run_forced(turn_t *t, const sal_cron_job_t *job, sal_error_t *err)
{
    sal_error_t why = { .message = "" };
    sal_cron_run_t run;
    apr_status_t rv = one_state(t, job, err);

    if (rv == APR_SUCCESS) {
        apr_status_t how = run_once(&run, t, t->ask->at ? t->ask->at : t->now, &why);

        take_note(t, &run, how, &why);
    }
    return rv;
}

apr_status_t sal_cron_perform(sal_cron_result_t *out, const sal_cron_job_t *job,
                              const sal_cron_ask_t *ask, const sal_cron_env_t *env,
                              sal_db_t *keeper, sal_db_t *work, apr_pool_t *p, sal_error_t *err)
{
    turn_t t = { .ask = ask, .env = env, .keeper = keeper, .work = work, .result = out, .p = p };
    const char *name = app_name(job, env, p);
    apr_status_t rv;
    bool got;

    *out = (sal_cron_result_t){ .end = SAL_CRON_NOT_DUE, .ok = true };
    t.runner = sal_cron_runner(env->host, (long)getpid(), p);
    if ((job->flags & SAL_CRON_CRASHES && !env->crashes) ||
        (job->flags & SAL_CRON_SYMBOLS && !env->symbols)) {
        return sal_fail(err, APR_EINVAL, "job %s needs a line `%s` in salvage.conf", job->name,
                        job->flags & SAL_CRON_CRASHES ? "crash-store" : "symbol-store");
    }
    if (ask->force) {
        return run_forced(&t, job, err);
    }
    if ((rv = take_lock(&got, &t, name, err)) != APR_SUCCESS || !got) {
        out->end = rv == APR_SUCCESS ? SAL_CRON_ELSEWHERE : out->end;
        return rv;
    }
    rv = run_locked(&t, job, err);
    sal_db_exec(keeper, &sal_s_cron_unlock, NULL, p, NULL, SAL_V_TEXT(name));
    return rv;
}
