/*
 * What the parts of a worker share: worker.c is its life, pass.c what it does with one job.
 */
#ifndef PROCESSOR_WORKER_H
#define PROCESSOR_WORKER_H

#include "salvaged.h"

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
    const sal_job_t *job;               /* the one we hold */
    const sal_symbol_job_t *symbol_job; /* or this one */
    bool first_pass;                    /* of its crash */
    int untrimmed;                      /* jobs since free memory was given back */
    bool makes_symbols;
    apr_time_t pings_at; /* when pings were looked for last */
    apr_time_t renew_at;
    fetcher_t fetcher; /* of symbols of servers */
    kept_t kept;       /* the walker that stays */
} worker_t;

void worker_take_signals(worker_t *w);
/* Until the database may be there again, or a signal comes. */
void worker_pause_link(worker_t *w);
apr_interval_time_t worker_renew_interval(const settings_t *s);
/* A walk_tick_fn; its baton is a worker_t. Renews the lease, obeys signals. */
walk_tick_t worker_tick(void *baton, apr_status_t *why);

/* Runs a claimed job to its end: done, dead, given back, or lost. */
void pass_run(worker_t *w, const sal_job_t *job, apr_pool_t *p);

#endif
