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

#include <apr_time.h>
#include "db/db.h"

typedef enum { SAL_LANE_PRIORITY = 0, SAL_LANE_STANDARD = 1, SAL_LANE_REPROCESS = 2 } sal_lane_t;

typedef struct sal_job_t {
    int64_t id, fence;
    const char *crash_id; /* 36 characters, lower case */
    const char *ruleset;  /* "default" */
    sal_lane_t lane;
    int attempts;  /* this one included */
    int lost;      /* leases that expired before */
    int safe_mode; /* skip the stackwalker */
} sal_job_t;

/* Queues a crash; an equal ready job is only raised in priority, a deferred one gives way. notify:
 * also NOTIFY crash_job. */
SAL_API apr_status_t sal_queue_put(sal_db_t *db, const char *crash_id, const char *ruleset,
                                   sal_lane_t lane, int notify, apr_pool_t *p, sal_error_t *err);

/* NOTIFY crash_job with the lane as payload; for callers that insert many jobs and wake up once. */
SAL_API apr_status_t sal_queue_notify(sal_db_t *db, sal_lane_t lane, apr_pool_t *p,
                                      sal_error_t *err);

/* Claims up to max jobs (one lane a call by the lane rule); *jobs is an array in p. */
SAL_API apr_status_t sal_queue_claim(sal_job_t **jobs, int *n, int max, const char *worker,
                                     int lease_seconds, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* Prolongs a lease; SAL_E_FENCED if it is no longer ours. */
SAL_API apr_status_t sal_queue_renew(const sal_job_t *job, int lease_seconds, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/*
 * Ends a job. Call it first inside the transaction that stores the result; SAL_E_FENCED means
 * roll back and discard.
 */
SAL_API apr_status_t sal_queue_done(const sal_job_t *job, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

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

/* Expired leases -> ready, safe mode or dead (200 a call). *n counts them; *dead lists the crash
   ids of jobs that died, NULL-terminated, in p: the caller writes their stub documents. */
SAL_API apr_status_t sal_queue_expire(int *n, const char ***dead, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

typedef struct sal_queue_stats_t {
    int64_t ready[3], leased, dead; /* ready: by lane, also what waits for its run_after */
    int64_t deferred;               /* waits to be looked at */
    int64_t oldest_ready_seconds;   /* since it was queued; 0 if none is ready */
} sal_queue_stats_t;
SAL_API apr_status_t sal_queue_stats(sal_queue_stats_t *out, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* ---- the dead letter ---- */

typedef struct sal_dead_job_t {
    int64_t id;
    const char *crash_id, *ruleset;
    sal_lane_t lane;
    int attempts, lost;
    apr_time_t died;
    const char *reason;
} sal_dead_job_t;

/* The last max that died, newest first. */
SAL_API apr_status_t sal_queue_dead(sal_dead_job_t **out, int *n, int max, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/* Makes the dead jobs of a crash (NULL: all) ready, with attempts and losses forgotten. */
SAL_API apr_status_t sal_queue_revive(int *n, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* Forgets what died more than `days` days ago. */
SAL_API apr_status_t sal_queue_purge(int *n, int days, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

#endif
