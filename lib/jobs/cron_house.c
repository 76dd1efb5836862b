/*
 * Jobs of the house itself: the heartbeat, what is made ahead of time, what is forgotten.
 */
#include "jobs/cron_private.h"

#include "ping/ping_store.h"
#include "search/index.h"

#define WEEKS_AHEAD 4
#define CRON_LOG_DAYS 180

apr_status_t cron_crontest(sal_cron_run_t *run, sal_error_t *err)
{
    (void)err;
    run->done = 1;
    return APR_SUCCESS;
}

apr_status_t cron_partitions(sal_cron_run_t *run, sal_error_t *err)
{
    apr_status_t rv = sal_search_partitions(run->db, run->run_time, WEEKS_AHEAD, run->p, err);

    return rv == APR_SUCCESS ? sal_ping_partitions(run->db, run->run_time, WEEKS_AHEAD, run->p, err)
                             : rv;
}

/* So that after midnight no request waits for 257 directories. */
apr_status_t cron_days(sal_cron_run_t *run, sal_error_t *err)
{
    return sal_crash_days_ahead(run->env->crashes, run->run_time, err);
}

apr_status_t cron_cleanse_cronlog(sal_cron_run_t *run, sal_error_t *err)
{
    apr_time_t before =
        run->run_time - apr_time_from_sec(86400) * cron_days_of(run, "job-keep", CRON_LOG_DAYS);
    apr_status_t rv;
    sal_rows_t *rows;

    do {
        rv = sal_db_exec(run->db, &sal_s_cron_cleanse, &rows, run->p, err, SAL_V_TIME(before));
        if (rv == APR_SUCCESS) {
            run->done += sal_rows_affected(rows);
            rv = sal_cron_in_time(run, err);
        }
    } while (rv == APR_SUCCESS && sal_rows_affected(rows) > 0);
    return rv;
}
