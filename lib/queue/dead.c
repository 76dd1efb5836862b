/*
 * The dead letter: jobs that were given up. They are kept for people to look at, to be tried again
 * on request, and to be forgotten after a while. Their run_after is the time of death.
 */
#include "queue/queue.h"

#include <apr_strings.h>

apr_status_t sal_queue_dead(sal_dead_job_t **out, int *n, int max, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_queue_dead_list, &rows, p, err, SAL_V_INT(max));

    *n = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_pcalloc(p, ((apr_size_t)*n + 1) * sizeof(**out));
    for (int i = 0; i < *n; i++) {
        sal_dead_job_t *job = *out + i;

        job->id = sal_rows_int(rows, i, 0);
        job->crash_id = sal_rows_text(rows, i, 1);
        job->ruleset = sal_rows_text(rows, i, 2);
        job->lane = (sal_lane_t)sal_rows_int(rows, i, 3);
        job->attempts = (int)sal_rows_int(rows, i, 4);
        job->lost = (int)sal_rows_int(rows, i, 5);
        job->died = sal_rows_time(rows, i, 6);
        job->reason = sal_rows_text(rows, i, 7);
    }
    return APR_SUCCESS;
}

apr_status_t sal_queue_revive(int *n, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_queue_dead_revive, &rows, p, err, SAL_V_TEXT(crash_id));

    *n = rv == APR_SUCCESS ? (int)sal_rows_int(rows, 0, 0) : 0;
    return rv;
}

apr_status_t sal_queue_purge(int *n, int days, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_queue_dead_purge, &rows, p, err, SAL_V_INT(days));

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}
