/*
 * Jobs of the house itself: the heartbeat, what is made ahead of time, what is forgotten.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include "crash/ledger.h"
#include "hint/hint.h"
#include "ping/ping_store.h"
#include "queue/queue.h"
#include "reprocess/missing.h"
#include "search/index.h"

#define WEEKS_AHEAD 4
#define CRON_LOG_DAYS 180
#define DEAD_DAYS 30
#define PING_DAYS 180
#define REQUEST_DAYS 90

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

/* Jobs that died long ago; their crashes and stub documents stay. */
apr_status_t cron_deadletter(sal_cron_run_t *run, sal_error_t *err)
{
    int n = 0;
    apr_status_t rv = sal_queue_purge(&n, DEAD_DAYS, run->db, run->p, err);

    run->done = n;
    return rv;
}

apr_status_t cron_pings(sal_cron_run_t *run, sal_error_t *err)
{
    int weeks = 0;
    apr_status_t rv =
        sal_ping_expire(&weeks, cron_days_of(run, "ping-keep", PING_DAYS), run->db, run->p, err);

    run->done = weeks;
    if (weeks > 0) {
        run->note = apr_psprintf(run->p, "crash pings of %d weeks have expired", weeks);
    }
    return rv;
}

apr_status_t cron_hints(sal_cron_run_t *run, sal_error_t *err)
{
    sal_hint_rules_t rules;

    sal_hint_rules(&rules, run->env->conf, run->p);
    return sal_hint_expire(&rules, run->db, run->p, err);
}

/* Only where `ledger-keep` says so: collectors do it themselves (CrashLedgerKeep). */
apr_status_t cron_ledger(sal_cron_run_t *run, sal_error_t *err)
{
    bool more = sal_conf_get(run->env->conf, "ledger-keep", NULL) != NULL;
    int days = cron_days_of(run, "ledger-keep", 30);
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && more) {
        rv = sal_ledger_expire(&more, days, run->db, run->p, err);
        rv = rv == APR_SUCCESS && more ? sal_cron_in_time(run, err) : rv;
    }
    return rv;
}

/* Ended requests of reprocessing, and what crashes lacked long ago. */
apr_status_t cron_reprocessings(sal_cron_run_t *run, sal_error_t *err)
{
    sal_reprocess_limits_t limits;
    int requests = 0, symbols = 0;
    apr_status_t rv = sal_reprocess_purge(&requests, REQUEST_DAYS, run->db, run->p, err);

    sal_reprocess_limits(&limits, run->env->conf);
    if (rv == APR_SUCCESS) {
        rv = sal_reprocess_missing_expire(&symbols, limits.missing_keep, run->db, run->p, err);
    }
    run->done = requests + symbols;
    return rv;
}
