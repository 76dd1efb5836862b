/*
 * Periodic jobs: what runs by the clock, once in the whole cluster.
 *
 * A job is a row of jobs.def: name, frequency, time of day, function, what it is for. The engine
 * (cron.c) runs in children of the housekeeper of each daemon; an advisory lock held by its session
 * lets one run a job at a time, so that the death of a daemon frees its jobs at once. Every job may
 * be run twice, killed in the middle or run late, with the same result. Schedules, backfill,
 * history: docs/jobs.md.
 */
#ifndef SAL_JOBS_CRON_H
#define SAL_JOBS_CRON_H

#include <stdbool.h>
#include <apr_time.h>
#include "base/conf.h"
#include "crash/crash_store.h"
#include "db/db.h"
#include "symbols/symbol_store.h"

/* What jobs work on. Stores may be NULL where they are not configured. */
typedef struct sal_cron_env_t {
    const sal_conf_t *conf;
    sal_crash_store_t *crashes;
    sal_symbol_store_t *symbols;
    const char *host;
} sal_cron_env_t;

/* One run of a job. */
typedef struct sal_cron_run_t {
    const char *name;
    apr_time_t run_time;     /* what the run is for: now, or a time that is made up for */
    apr_time_t last_success; /* run_time of the last good run; 0: never */
    apr_time_t deadline;     /* by the job's time limit; long loops look at it between steps */
    const sal_cron_env_t *env;
    sal_db_t *db;
    apr_pool_t *p;    /* of this run */
    apr_int64_t done; /* what the run dealt with, for the history */
    const char *note; /* a line for the history; NULL: none. No personal data */
} sal_cron_run_t;

/* A job's work. An error is kept in the history and the job is tried again in a minute. */
typedef apr_status_t (*sal_cron_fn)(sal_cron_run_t *run, sal_error_t *err);

/* For loops: APR_TIMEUP with a message once the deadline has passed. What is left is done by the
   next try, a minute later. */
SAL_API apr_status_t sal_cron_in_time(const sal_cron_run_t *run, sal_error_t *err);

/* ---- what jobs there are ---- */

/* Flags of jobs.def. */
enum {
    SAL_CRON_BACKFILL = 1, /* one run for each interval that has gone by, not one for all */
    SAL_CRON_PER_HOST = 2, /* on each host, not once in the cluster */
    SAL_CRON_CRASHES = 4,  /* runs only where there is a crash store */
    SAL_CRON_SYMBOLS = 8,  /* the same of a symbol store */
    SAL_CRON_OFF = 16      /* runs only where it is switched on */
};

typedef struct sal_cron_job_t {
    const char *name;
    const char *every; /* N, then d, h or m */
    const char *at;    /* HH:MM, UTC; "": any time */
    int limit;         /* seconds that a run may take */
    int flags;
    const char *purpose;
    sal_cron_fn run;
} sal_cron_job_t;

/* The rows of jobs.def; the last has no name. */
SAL_API const sal_cron_job_t *sal_cron_jobs(void);
/* NULL: there is none. */
SAL_API const sal_cron_job_t *sal_cron_find(const char *name);

/* ---- schedules: arithmetic, no database ---- */

typedef struct sal_cron_plan_t {
    int every;  /* seconds */
    int minute; /* of the day; -1: any time */
    int limit;  /* seconds */
    bool enabled;
} sal_cron_plan_t;

/* "^[0-9]+[dhm]$" of 1 minute to 3650 days, as seconds. */
SAL_API bool sal_cron_every(const char *text, int *seconds);
/* "HH:MM" as a minute of the day, "" as -1. */
SAL_API bool sal_cron_clock(const char *text, int *minute);
/* The plan of a job as configured: lines `job NAME [on|off] [every 2h] [at 05:00] [limit 1h]`. */
SAL_API apr_status_t sal_cron_plan(sal_cron_plan_t *out, const sal_cron_job_t *job,
                                   const sal_conf_t *conf, apr_pool_t *p, sal_error_t *err);
/* Mistakes in the lines `job`, also of jobs that there are not. */
SAL_API apr_status_t sal_cron_check(const sal_conf_t *conf, apr_pool_t *p, sal_error_t *err);
/* Is a job due whose next run is at `next` (0: never planned)? */
SAL_API bool sal_cron_due(const sal_cron_plan_t *plan, apr_time_t next, apr_time_t now);
/* When the run after a good one is: now + frequency, at the time of day. */
SAL_API apr_time_t sal_cron_next(const sal_cron_plan_t *plan, apr_time_t now);
/*
 * What backfill has to make up for: the run after `last` (0: none yet), or 0 if that is still to
 * come. Its time of day is the plan's.
 */
SAL_API apr_time_t sal_cron_step(const sal_cron_plan_t *plan, apr_time_t last, apr_time_t now);

/* ---- state ---- */

typedef struct sal_cron_state_t {
    const sal_cron_job_t *job;
    const char *app_name; /* the row: NAME or NAME@HOST */
    sal_cron_plan_t plan; /* with what stands in the row */
    apr_time_t next_run, first_run, last_run, last_success, ongoing; /* 0: none */
    int error_count;
    double last_duration;   /* seconds of the last run that has ended */
    const char *last_error; /* a line, "" for none */
    const char *runner;     /* of the run that goes on */
    bool running;           /* its lock is held: the run goes on, or its end is just written */
    bool due;
    bool usable; /* what it works on is configured here */
} sal_cron_state_t;

/* All jobs as they are for this host, in the order of jobs.def, then those that other hosts have
   for themselves (never due here). *now: the database's clock. The stores of env may be NULL. */
SAL_API apr_status_t sal_cron_states(sal_cron_state_t **out, int *n, apr_time_t *now,
                                     const sal_cron_env_t *env, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* The same in the text format of Prometheus, and crashes that wait for a result. */
SAL_API apr_status_t sal_cron_metrics(const char **text, const sal_cron_env_t *env, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

/* ---- running ---- */

typedef enum {
    SAL_CRON_RAN,      /* at least once; *ok says how it went */
    SAL_CRON_NOT_DUE,  /* nothing to do now */
    SAL_CRON_ELSEWHERE /* another process holds the lock */
} sal_cron_end_t;

typedef struct sal_cron_ask_t {
    bool if_due;   /* only if it is due by its plan */
    bool force;    /* without lock and bookkeeping, due or not */
    bool alarm;    /* SIGALRM ends the process when a run has overrun its limit for long */
    apr_time_t at; /* run_time of one run; 0: as planned */
} sal_cron_ask_t;

typedef struct sal_cron_result_t {
    sal_cron_end_t end;
    bool ok; /* all runs were good */
    int runs;
    apr_int64_t done; /* of all runs */
    const char *note; /* of the last one, or its error */
} sal_cron_result_t;

/*
 * Runs a job. keeper: a connection for the lock and the bookkeeping; work: the job's own. An error
 * is one of the engine (database away); a job that failed is in *out.
 */
SAL_API apr_status_t sal_cron_perform(sal_cron_result_t *out, const sal_cron_job_t *job,
                                      const sal_cron_ask_t *ask, const sal_cron_env_t *env,
                                      sal_db_t *keeper, sal_db_t *work, apr_pool_t *p,
                                      sal_error_t *err);

/* What the bookkeeping calls this process. */
SAL_API const char *sal_cron_runner(const char *host, long pid, apr_pool_t *p);

/*
 * A runner is dead. Its runs end as failures with `why`; why NULL: they end without a trace and
 * are due again (the daemon stops).
 */
SAL_API apr_status_t sal_cron_died(const char *runner, const char *why, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* ---- what people do ---- */

/* on: 1, 0, or -1 for "as configured". every and at: NULL for as configured. */
SAL_API apr_status_t sal_cron_enable(const char *app_name, int on, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);
SAL_API apr_status_t sal_cron_schedule(const char *app_name, const char *every, const char *at,
                                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* Forgets all but the history: the job is as new. *found: 0 if there was nothing. */
SAL_API apr_status_t sal_cron_reset(int *found, const char *app_name, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);
/* As if it had run well now (backfill then has nothing to make up for). */
SAL_API apr_status_t sal_cron_mark(const char *app_name, const sal_cron_plan_t *plan, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err);

/* ---- history ---- */

typedef struct sal_cron_log_t {
    const char *app_name, *runner;
    apr_time_t at, run_time; /* at: when it ended */
    double duration;         /* seconds */
    bool success;
    apr_int64_t done;
    const char *note, *kind, *error; /* "" for none */
} sal_cron_log_t;

/* The last max entries, newest first; app_name NULL: of all jobs; failed: only failures. */
SAL_API apr_status_t sal_cron_log(sal_cron_log_t **out, int *n, const char *app_name, bool failed,
                                  int max, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
