/*
 * Reprocessing in bulk: a request says which crashes, why and how fast; the daemon hands them to
 * the queue's last lane step by step.
 *
 * A request is a row. Its crashes are a list (reprocess_item), or what a search or a module names,
 * gone through newest first with a cursor; a step moves jobs and cursor in one transaction, so that
 * a death between two steps loses and repeats nothing. Nobody counts what is done: it is what was
 * queued less what the queue still has of the request, and dead jobs count as finished. Limits,
 * states, figures: docs/reprocessing.md.
 */
#ifndef SAL_REPROCESS_REPROCESS_H
#define SAL_REPROCESS_REPROCESS_H

#include <stdbool.h>
#include <apr_tables.h>
#include <apr_time.h>
#include "base/conf.h"
#include "db/db.h"

/* How much and how fast; from the configuration, changed by options of the caller. */
typedef struct sal_reprocess_limits_t {
    int rate;         /* reprocess-rate: jobs queued a second; 0: no limit */
    int max_running;  /* reprocess-max-running: jobs of a request leased at once; 0: any number */
    int64_t quota;    /* reprocess-quota: crashes a requester may ask for in 24 hours; 0: any */
    int debounce;     /* reprocess-debounce: seconds without new symbols before they are used */
    int newest;       /* reprocess-newest: crashes a signature that arriving symbols may redo */
    int64_t most;     /* reprocess-most: and all of them together */
    int tries;        /* reprocess-tries: and so often the same crash for the same module */
    int missing_keep; /* reprocess-missing-keep: days that missing symbols are remembered */
} sal_reprocess_limits_t;
SAL_API void sal_reprocess_limits(sal_reprocess_limits_t *out, const sal_conf_t *conf);

/* ---- making requests ---- */

typedef struct sal_reprocess_id_t {
    const char *crash_id;
    const char *ruleset; /* NULL: the request's */
} sal_reprocess_id_t;

/*
 * Reads "ID[:RULESET]". SAL_E_MALFORMED with `Crash id 'X' is not valid.` or `Ruleset 'X' is not
 * valid.`, as clients of Crash Stats know them.
 */
SAL_API apr_status_t sal_reprocess_id(sal_reprocess_id_t *out, const char *text, apr_pool_t *p,
                                      sal_error_t *err);

typedef struct sal_reprocess_new_t {
    const char *ruleset; /* NULL: "default" */
    const char *requester, *reason;
    int rate, max_running; /* as in the limits */
    int64_t quota;
} sal_reprocess_new_t;

/*
 * Each makes a request and says its number and how many crashes it is about (0: none was made and
 * *id is 0). SAL_E_TOOBIG: over the requester's quota. Checks the ruleset (APR_EINVAL).
 *
 * Ids in the order given, each once. append: what the same requester asked for through the API
 * within the hour and is still running grows instead of a new request.
 */
SAL_API apr_status_t sal_reprocess_ids(int64_t *id, int64_t *total, const sal_reprocess_id_t *ids,
                                       int n, bool append, const sal_reprocess_new_t *opts,
                                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * Crashes that a search finds: params holds Super Search parameters, repeated keys kept. The time
 * is fixed now: without "date" the last 7 days, at most 365. Unknown fields are SAL_E_MALFORMED,
 * since ignoring them would widen the search.
 */
SAL_API apr_status_t sal_reprocess_search(int64_t *id, int64_t *total, const apr_table_t *params,
                                          const sal_reprocess_new_t *opts, sal_db_t *db,
                                          apr_pool_t *p, sal_error_t *err);

/*
 * Crashes whose crashing thread goes through a module (file name, letter case does not matter), or
 * that lack its symbols (debug file). debug_id NULL: of any build.
 */
SAL_API apr_status_t sal_reprocess_module(int64_t *id, int64_t *total, const char *file,
                                          const char *debug_id, const sal_reprocess_new_t *opts,
                                          sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- looking at them, stopping them ---- */

typedef struct sal_reprocess_t {
    int64_t id;
    const char *kind, *query; /* query: JSON text */
    const char *ruleset, *requester, *reason, *state;
    int rate, max_running;
    int64_t total, queued;        /* handed to the queue so far */
    int64_t waiting, running;     /* of them in the queue; waiting includes those that failed */
    int64_t failed;               /* of the waiting: an attempt failed, there will be another */
    int64_t dead, done;           /* given up; processed */
    const char *error;            /* why the server cancelled it, "" if it did not */
    apr_time_t created, finished; /* finished 0: not yet */
} sal_reprocess_t;

/* One (id > 0; APR_ENOENT), or the newest max; open: only what runs or is paused. */
SAL_API apr_status_t sal_reprocess_list(sal_reprocess_t **out, int *n, int64_t id, bool open,
                                        int max, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * Jobs that a worker has are finished; of a paused request no other is claimed. Cancelling removes
 * those that wait. APR_ENOENT: no such request in a state that can be paused (resumed, cancelled).
 */
SAL_API apr_status_t sal_reprocess_pause(int64_t id, sal_db_t *db, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_reprocess_resume(int64_t id, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);
SAL_API apr_status_t sal_reprocess_cancel(int64_t id, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);

/* Whether a crash waits for reprocessing or is being processed. */
SAL_API apr_status_t sal_reprocess_waits(bool *out, const char *crash_id, sal_db_t *db,
                                         apr_pool_t *p, sal_error_t *err);

/* ---- the daemon's part; safe beside others doing the same ---- */

/*
 * Moves every open request on by what its rate allows, at most `seconds` long, and ends those whose
 * jobs are all gone. *queued counts jobs.
 */
SAL_API apr_status_t sal_reprocess_step(int64_t *queued, int seconds, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

/* Forgets requests that ended over `days` days ago. */
SAL_API apr_status_t sal_reprocess_purge(int *n, int days, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

#endif
