/*
 * Leases that are not claimed from the queue but made for one crash.
 */
#include "reprocess/foreground.h"

#include <string.h>
#include <unistd.h>
#include <apr_strings.h>

apr_status_t sal_foreground_take(sal_job_t *job, const char *crash_id, const char *ruleset,
                                 const char *host, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_foreground_take, &rows, p, err, SAL_V_TEXT(crash_id),
                                  SAL_V_TEXT(ruleset),
                                  SAL_V_TEXT(apr_psprintf(p, "%s:%ld", host, (long)getpid())));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, SAL_E_BUSY, "a worker has crash %s now; try again in a while",
                        crash_id);
    }
    *job = (sal_job_t){ .id = sal_rows_int(rows, 0, 0),
                        .fence = sal_rows_int(rows, 0, 1),
                        .crash_id = crash_id,
                        .ruleset = ruleset,
                        .lane = SAL_LANE_PRIORITY,
                        .attempts = 1 };
    return APR_SUCCESS;
}

apr_status_t sal_foreground_leave(const sal_job_t *job, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    return sal_queue_done(job, db, p, err);
}
