/*
 * The queue: claims, leases, returns. Each function is one statement; the transitions are in
 * lib/db/statements/queue.def, their reasons in docs/queue.md. Knows nothing of crashes but their
 * ids and rule sets. A claim, return or expiry is a unit of work of its own: call it outside a
 * transaction.
 */
#include "queue/queue.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "process/process.h"

#define CONFLICTS 5       /* unique violations in a row before we give up */
#define SAFE_MODE_AFTER 2 /* lost leases */
#define REPROCESS_FIRST 8 /* every 8th claim of a connection */

/* Runs a statement that may collide with a concurrent one on a unique index of crash_job. */
static apr_status_t run_colliding(sal_db_t *db, const sal_stmt_t *stmt, const sal_val_t *params,
                                  int n, sal_rows_t **rows, apr_pool_t *p, sal_error_t *err)
{
    sal_error_t own;
    apr_status_t rv;

    err = err ? err : &own;
    for (int i = 0;; i++) {
        rv = sal_db_run(db, stmt, params, n, rows, p, err);
        if (rv != SAL_E_DB || strcmp(err->sqlstate, "23505") != 0 || i == CONFLICTS) {
            return rv;
        }
        apr_sleep((apr_interval_time_t)2000 << i);
    }
}

apr_status_t sal_queue_notify(sal_db_t *db, sal_lane_t lane, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_queue_notify, NULL, p, err, SAL_V_INT(lane));
}

apr_status_t sal_queue_put(sal_db_t *db, const char *crash_id, const char *ruleset, sal_lane_t lane,
                           int notify, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv;

    if (lane < SAL_LANE_PRIORITY || lane > SAL_LANE_REPROCESS) {
        return sal_fail(err, APR_EINVAL, "queue: there is no lane %d", (int)lane);
    }
    ruleset = ruleset ? ruleset : "default";
    if (!sal_process_ruleset(ruleset) && strcmp(ruleset, SAL_QUEUE_TEST) != 0) {
        return sal_fail(err, APR_EINVAL, "queue: there is no rule set \"%.60s\"", ruleset);
    }
    rv = sal_db_exec(db, &sal_s_queue_put, NULL, p, err, SAL_V_TEXT(crash_id), SAL_V_TEXT(ruleset),
                     SAL_V_INT(lane));
    /* Outside a transaction the row is visible by now; inside, both appear with the commit. */
    return rv == APR_SUCCESS && notify ? sal_queue_notify(db, lane, p, err) : rv;
}

static void read_job(sal_job_t *job, const sal_rows_t *rows, int row)
{
    job->id = sal_rows_int(rows, row, 0);
    job->fence = sal_rows_int(rows, row, 1);
    job->crash_id = sal_rows_text(rows, row, 2);
    job->ruleset = sal_rows_text(rows, row, 3);
    job->lane = (sal_lane_t)sal_rows_int(rows, row, 4);
    job->attempts = (int)sal_rows_int(rows, row, 5);
    job->lost = (int)sal_rows_int(rows, row, 6);
    job->safe_mode = job->lost >= SAFE_MODE_AFTER;
    job->request_id = sal_rows_int(rows, row, 7);
    job->former = sal_rows_text(rows, row, 9);
}

/* ---- requests that may have so many jobs at work and no more ---- */

typedef struct bound_t {
    const sal_job_t *job;
    int64_t most;
    bool over;
} bound_t;

/* The lock is taken by a statement of its own: the next one sees what its last holder did. */
static apr_status_t look_at_bound(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    bound_t *b = baton;
    const sal_job_t *job = b->job;
    sal_rows_t *rows;
    apr_status_t rv;

    if ((rv = sal_db_exec(db, &sal_s_queue_request_lock, NULL, p, err,
                          SAL_V_INT(job->request_id))) != APR_SUCCESS ||
        (rv = sal_db_exec(db, &sal_s_queue_request_busy, &rows, p, err,
                          SAL_V_INT(job->request_id))) != APR_SUCCESS) {
        return rv;
    }
    b->over = sal_rows_int(rows, 0, 0) > b->most;
    return b->over ? sal_db_exec(db, &sal_s_queue_back, NULL, p, err, SAL_V_INT(job->id),
                                 SAL_V_INT(job->fence), SAL_V_NULL(SAL_T_TEXT))
                   : APR_SUCCESS;
}

/*
 * Gives back what two claims at once took too much of. A job whose bound cannot be looked at is
 * dropped from the list: its lease runs out.
 */
static void keep_bounds(sal_job_t *jobs, int *n, const sal_rows_t *rows, sal_db_t *db,
                        apr_pool_t *p)
{
    int kept = 0;

    for (int i = 0; i < *n; i++) {
        bound_t b = { .job = &jobs[i], .most = sal_rows_int(rows, i, 8) };

        if (!sal_rows_null(rows, i, 8) &&
            (sal_db_txn(db, look_at_bound, &b, p, NULL) != APR_SUCCESS || b.over)) {
            continue;
        }
        jobs[kept++] = jobs[i];
    }
    *n = kept;
}

/* Strict order, but reprocessing comes first now and then, so that it cannot starve. */
apr_status_t sal_queue_claim(sal_job_t **jobs, int *n, int max, const char *worker,
                             int lease_seconds, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    static const int64_t usual[] = { SAL_LANE_PRIORITY, SAL_LANE_STANDARD, SAL_LANE_REPROCESS };
    static const int64_t turned[] = { SAL_LANE_REPROCESS, SAL_LANE_PRIORITY, SAL_LANE_STANDARD };
    const int64_t *lanes = sal_db_count(db) % REPROCESS_FIRST == 0 ? turned : usual;
    const sal_val_t params[] = { SAL_V_INTS(lanes, 3), SAL_V_INT(max), SAL_V_INT(lease_seconds),
                                 SAL_V_TEXT(worker) };
    sal_rows_t *rows;
    apr_status_t rv;

    *n = 0;
    *jobs = NULL;
    if (max < 1) {
        return APR_SUCCESS;
    }
    rv = run_colliding(db, &sal_s_queue_claim, params, 4, &rows, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *jobs = apr_pcalloc(p, ((apr_size_t)*n + 1) * sizeof(**jobs));
    for (int i = 0; i < *n; i++) {
        read_job(*jobs + i, rows, i);
    }
    keep_bounds(*jobs, n, rows, db, p);
    return APR_SUCCESS;
}

apr_status_t sal_queue_next_due(int *ms, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_queue_next_due, NULL, 0, &rows, p, err);

    *ms = -1;
    if (rv == APR_SUCCESS && !sal_rows_null(rows, 0, 0)) {
        int64_t due = sal_rows_int(rows, 0, 0);

        *ms = due > 86400000 ? 86400000 : due < 0 ? 0 : (int)due;
    }
    return rv;
}

static apr_status_t fenced(const sal_job_t *job, sal_error_t *err)
{
    return sal_fail(err, SAL_E_FENCED, "job %lld of crash %s: the lease is no longer ours",
                    (long long)job->id, job->crash_id);
}

/* A statement that changes exactly the leased row of this fence, or nothing. */
static apr_status_t on_lease(const sal_job_t *job, const sal_stmt_t *stmt, const sal_val_t *more,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t params[3] = { SAL_V_INT(job->id), SAL_V_INT(job->fence),
                                  more ? *more : SAL_V_NULL(SAL_T_TEXT) };
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, stmt, params, more ? 3 : 2, &rows, p, err);

    if (rv == APR_SUCCESS && sal_rows_affected(rows) == 0) {
        return fenced(job, err);
    }
    return rv;
}

apr_status_t sal_queue_renew(const sal_job_t *job, int lease_seconds, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    const sal_val_t seconds = SAL_V_INT(lease_seconds);

    return on_lease(job, &sal_s_queue_renew, &seconds, db, p, err);
}

apr_status_t sal_queue_done(const sal_job_t *job, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return on_lease(job, &sal_s_queue_done, NULL, db, p, err);
}

apr_status_t sal_queue_bury(const sal_job_t *job, const char *reason, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    const sal_val_t why = SAL_V_TEXT(reason);

    return on_lease(job, &sal_s_queue_bury, &why, db, p, err);
}

apr_status_t sal_queue_done_all(const sal_job_t *const *jobs, int n, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    int64_t *ids = apr_palloc(p, sizeof(*ids) * (apr_size_t)(2 * n + 1)), *fences = ids + n;
    sal_rows_t *rows;
    apr_status_t rv;

    for (int i = 0; i < n; i++) {
        ids[i] = jobs[i]->id;
        fences[i] = jobs[i]->fence;
    }
    rv = sal_db_exec(db, &sal_s_queue_done_all, &rows, p, err, SAL_V_INTS(ids, (apr_size_t)n),
                     SAL_V_INTS(fences, (apr_size_t)n));
    return rv == APR_SUCCESS && sal_rows_affected(rows) != n
               ? sal_fail(err, SAL_E_FENCED, "of %d leases %d are no longer ours", n,
                          n - sal_rows_affected(rows))
               : rv;
}

static apr_status_t give_back(const sal_job_t *job, const char *error, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    const sal_val_t params[] = { SAL_V_INT(job->id), SAL_V_INT(job->fence), SAL_V_TEXT(error) };
    sal_rows_t *rows;
    apr_status_t rv = run_colliding(db, &sal_s_queue_back, params, 3, &rows, p, err);

    if (rv == APR_SUCCESS && sal_rows_count(rows) == 0) {
        return fenced(job, err);
    }
    return rv;
}

apr_status_t sal_queue_retry(const sal_job_t *job, const char *error, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return give_back(job, error ? error : "no reason given", db, p, err);
}

apr_status_t sal_queue_return(const sal_job_t *job, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return give_back(job, NULL, db, p, err);
}

apr_status_t sal_queue_abandoned(int *n, const char *const *workers, int n_workers,
                                 const int64_t *begun, int n_begun, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    const sal_val_t params[] = { SAL_V_TEXTS(workers, (apr_size_t)n_workers),
                                 SAL_V_INTS(begun, (apr_size_t)n_begun) };
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_queue_end_sessions, params, 1, NULL, p, err);

    *n = 0;
    if (rv == APR_SUCCESS) {
        rv = run_colliding(db, &sal_s_queue_abandoned, params, 2, &rows, p, err);
        *n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    }
    return rv;
}

apr_status_t sal_queue_expire(int *n, int *died, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = run_colliding(db, &sal_s_queue_expire, NULL, 0, &rows, p, err);

    *n = *died = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    for (int i = 0; i < *n; i++) {
        *died += sal_rows_bool(rows, i, 1);
    }
    return APR_SUCCESS;
}
