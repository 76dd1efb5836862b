/*
 * The queue: one table, claimed with FOR UPDATE SKIP LOCKED under a lease with a fence.
 *
 * ready -> leased -> done (row deleted) | ready again (back-off) | dead. Deferred jobs wait until
 * the crash is queued by somebody who wants to see it. A lease that expires
 * counts as lost; the second loss flags safe mode (no stackwalker), the third is death.
 * Numbers and transitions: docs/queue.md.
 */
#ifndef SAL_QUEUE_QUEUE_H
#define SAL_QUEUE_QUEUE_H

#include <stdbool.h>
#include <apr_time.h>
#include "db/db.h"

typedef enum { SAL_LANE_PRIORITY = 0, SAL_LANE_STANDARD = 1, SAL_LANE_REPROCESS = 2 } sal_lane_t;

typedef struct sal_job_t {
    int64_t id, fence;
    const char *crash_id; /* 36 characters, lower case */
    const char *ruleset;  /* "default" */
    sal_lane_t lane;
    int attempts;       /* this one included */
    int lost;           /* leases that expired before */
    int safe_mode;      /* skip the stackwalker */
    int64_t request_id; /* the bulk request it belongs to, 0: none */
    const char *former; /* document of the last pass when it was claimed, "": none; NULL: not
                           looked for */
} sal_job_t;

/* The rule set of a job that is deleted on sight: does anybody take jobs? */
#define SAL_QUEUE_TEST "test"

/* Queues a crash; an equal ready job is only raised in priority, a deferred one gives way. notify:
 * also NOTIFY crash_job. APR_EINVAL: there is no such rule set (NULL: "default"), or lane. */
SAL_API apr_status_t sal_queue_put(sal_db_t *db, const char *crash_id, const char *ruleset,
                                   sal_lane_t lane, int notify, apr_pool_t *p, sal_error_t *err);

/* NOTIFY crash_job with the lane as payload; for callers that insert many jobs and wake up once. */
SAL_API apr_status_t sal_queue_notify(sal_db_t *db, sal_lane_t lane, apr_pool_t *p,
                                      sal_error_t *err);

/*
 * Claims up to max jobs, by the lane rule, of lanes that are not paused; *jobs is an array in p. A
 * bulk request with a bound (reprocess_request.max_running) never has more jobs at work.
 */
SAL_API apr_status_t sal_queue_claim(sal_job_t **jobs, int *n, int max, const char *worker,
                                     int lease_seconds, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* Milliseconds until a job that waits for its time becomes due; -1 if there is none. */
SAL_API apr_status_t sal_queue_next_due(int *ms, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Prolongs a lease; SAL_E_FENCED if it is no longer ours. */
SAL_API apr_status_t sal_queue_renew(const sal_job_t *job, int lease_seconds, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/*
 * Ends a job. Call it first inside the transaction that stores the result; SAL_E_FENCED means
 * roll back and discard.
 */
SAL_API apr_status_t sal_queue_done(const sal_job_t *job, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* The same for n jobs; SAL_E_FENCED if one of the leases is no longer ours. Inside a transaction.
 */
SAL_API apr_status_t sal_queue_done_all(const sal_job_t *const *jobs, int n, sal_db_t *db,
                                        apr_pool_t *p, sal_error_t *err);

/* Back to ready with a back-off that grows with attempts; error is kept for the reader. */
SAL_API apr_status_t sal_queue_retry(const sal_job_t *job, const char *error, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/* Back to ready at once without counting the attempt (drain at shutdown). Like retry and expiry:
   if the crash was queued again meanwhile, the ready job stays and this one goes. */
SAL_API apr_status_t sal_queue_return(const sal_job_t *job, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* Dead letter, with the reason. */
SAL_API apr_status_t sal_queue_bury(const sal_job_t *job, const char *reason, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/* Expired leases -> ready, safe mode or dead (200 a call). *n counts them, *died those that died:
   the caller writes their stub documents (sal_queue_untold). */
SAL_API apr_status_t sal_queue_expire(int *n, int *died, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/*
 * What processes that are dead held: their sessions are ended (a claim may still be on its way),
 * and of their leases all but those of `begun` come back as by sal_queue_return. *n counts these.
 * Names are sal_job worker names, as in claims, and the application names of their sessions.
 */
SAL_API apr_status_t sal_queue_abandoned(int *n, const char *const *workers, int n_workers,
                                         const int64_t *begun, int n_begun, sal_db_t *db,
                                         apr_pool_t *p, sal_error_t *err);

/* ---- looking (admin.c) ---- */

typedef struct sal_lane_stats_t {
    int64_t ready;   /* also what waits for its run_after */
    int64_t waiting; /* of these, what does */
    int64_t leased, dead;
    int64_t deferred;              /* waits to be looked at */
    int64_t oldest_ready_seconds;  /* since it was queued; 0 if none is ready */
    int64_t oldest_leased_seconds; /* since its lease was granted; 0 if none is leased */
} sal_lane_stats_t;

typedef struct sal_queue_stats_t {
    sal_lane_stats_t lane[3];
    sal_lane_stats_t all; /* sums, and the oldest of all */
} sal_queue_stats_t;
SAL_API apr_status_t sal_queue_stats(sal_queue_stats_t *out, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

typedef enum {
    SAL_QUEUE_READY = 0,
    SAL_QUEUE_LEASED = 1,
    SAL_QUEUE_DEAD = 2,
    SAL_QUEUE_DEFERRED = 3
} sal_queue_state_t;

typedef struct sal_queue_row_t {
    int64_t id, request_id; /* request_id 0: none */
    const char *crash_id, *ruleset;
    sal_lane_t lane;
    int attempts, lost;
    const char *worker; /* host:pid of the last lease, "" if there was none */
    apr_time_t enqueued;
    apr_time_t at;          /* leased: since; dead: when it died; else when it is due */
    apr_time_t lease_until; /* 0 if it is not leased */
    const char *reason;     /* of the last failure, "" if there was none */
    int64_t age;            /* seconds since it was leased, died, or was queued */
} sal_queue_row_t;

/* Jobs of a state, at most max: as they would be claimed, longest leased first, last died first. */
SAL_API apr_status_t sal_queue_list(sal_queue_row_t **out, int *n, sal_queue_state_t state, int max,
                                    sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- managing: *n counts jobs ---- */

/* Makes the dead jobs of a crash (NULL: all) ready, with attempts and losses forgotten. */
SAL_API apr_status_t sal_queue_revive(int *n, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);
/* Deletes the dead jobs of a crash (NULL: all). */
SAL_API apr_status_t sal_queue_forget(int *n, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);
/* Gives up what is ready, leased or deferred of a crash; a worker that is at it throws its result
   away. */
SAL_API apr_status_t sal_queue_kill(int *n, const char *crash_id, const char *reason, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);
/* Forgets what died more than `days` days ago. */
SAL_API apr_status_t sal_queue_purge(int *n, int days, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);
/* Dead jobs of crashes without any document, at most 200: crash id and reason of each, in p. */
SAL_API apr_status_t sal_queue_untold(sal_rows_t **rows, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);
/* Whether a crash has a job of this rule set in any state. */
SAL_API apr_status_t sal_queue_has(bool *has, const char *crash_id, const char *ruleset,
                                   sal_db_t *db, apr_pool_t *p, sal_error_t *err);

typedef struct sal_queue_pause_t {
    bool paused;
    apr_time_t since;
    const char *reason; /* "" if none was given */
} sal_queue_pause_t;

/* No daemon claims jobs of a paused lane; what runs is ended. Resuming wakes the daemons. */
SAL_API apr_status_t sal_queue_pause(sal_lane_t lane, const char *reason, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_queue_resume(sal_lane_t lane, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);
SAL_API apr_status_t sal_queue_pauses(sal_queue_pause_t out[3], sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* Age of the oldest other transaction in the database, 0 if there is none; *who (may be NULL):
   whose it is, as text. While it is open vacuum cannot clear what claims leave behind. */
SAL_API apr_status_t sal_queue_oldest_transaction(int64_t *seconds, const char **who, sal_db_t *db,
                                                  apr_pool_t *p, sal_error_t *err);

/* "priority", "standard", "reprocess". */
SAL_API const char *sal_lane_name(sal_lane_t lane);
/* False if there is no such lane. */
SAL_API bool sal_lane_parse(sal_lane_t *out, const char *name);

#endif
