/*
 * Periodic jobs: what runs by the clock, once in the whole cluster.
 *
 * A job is a row of jobs.def: name, frequency, time of day, function, what it is for. The engine
 * (cron.c) runs in the housekeeper of each daemon; an advisory lock held by its session lets one
 * run a job at a time, so that the death of a daemon frees its jobs at once. Every job may be run
 * twice, killed in the middle or run late, with the same result. Schedules, backfill, history:
 * docs/jobs.md.
 */
#ifndef SAL_JOBS_CRON_H
#define SAL_JOBS_CRON_H

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

#endif
