/*
 * What the parts of a worker share: worker.c is its life, pass.c what it does with one job.
 */
#ifndef PROCESSOR_WORKER_H
#define PROCESSOR_WORKER_H

#include "jobs/complete.h"
#include "salvaged.h"

enum { GROUP_MAX = 8 }; /* jobs claimed at once; results stored at once */

/* A job whose result is written and not yet stored. */
typedef struct finished_t {
    apr_pool_t *pool; /* of all of it */
    sal_job_t *job;
    json_t *doc;
    sal_ending_t *ending;  /* NULL: not written yet */
    sal_job_steps_t steps; /* of storing, watched */
    bool first_pass;
    apr_interval_time_t took;
    apr_time_t at; /* when it was written */
} finished_t;

typedef struct worker_t {
    const settings_t *settings;
    apr_pool_t *pool;
    link_t link;
    const char *name; /* host:pid, in crash_job.worker */
    int signals;
    int listening; /* backend pid that we LISTEN on */
    bool stopping;
    bool registered;                    /* the database knows where exports go */
    apr_time_t deadline;                /* when a running job is given back after all */
    apr_time_t asked;                   /* when we were told to stop */
    const sal_job_t *job;               /* the one we are at */
    const sal_symbol_job_t *symbol_job; /* or this one */
    int untrimmed;                      /* jobs since free memory was given back */
    bool makes_symbols;
    apr_time_t pings_at; /* when pings were looked for last */
    apr_time_t renew_at;
    fetcher_t fetcher; /* of symbols of servers */
    kept_t kept;       /* the walker that stays */
    /* what was claimed and not yet begun: batch[batch_at ... batch_n - 1] */
    apr_pool_t *batch_pool;
    sal_job_t *batch;
    int batch_at, batch_n;
    int claim_most;           /* jobs that the next claim asks for */
    apr_interval_time_t pace; /* what a job took of late */
    apr_time_t job_began;
    /* results that the next transaction stores */
    finished_t *finished[GROUP_MAX];
    int n_finished;
} worker_t;

void worker_take_signals(worker_t *w);
/* Until the database may be there again, or a signal comes. */
void worker_pause_link(worker_t *w);
apr_interval_time_t worker_renew_interval(const settings_t *s);
/* A walk_tick_fn; its baton is a worker_t. Renews the lease, obeys signals. */
walk_tick_t worker_tick(void *baton, apr_status_t *why);

/*
 * Runs a claimed job: dead, given back, lost; or done, and then its result waits to be stored with
 * others. Takes p, which is the job's own.
 */
void pass_run(worker_t *w, const sal_job_t *job, apr_pool_t *p);
/* Stores what waits. */
void pass_store(worker_t *w);
/* Whether what waits has waited long enough, in the middle of another job. */
bool pass_store_due(const worker_t *w);

#endif
