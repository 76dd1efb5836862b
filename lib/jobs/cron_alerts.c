/*
 * The job that looks at alerts.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include "jobs/alerts.h"
#include "search/super.h"

#define EVENT_DAYS 180

apr_status_t cron_alerts(sal_cron_run_t *run, sal_error_t *err)
{
    sal_alerts_t all = { .conf = run->env->conf, .now = run->run_time, .deadline = run->deadline };
    sal_error_t first = { 0 };
    int mails = 0;
    apr_status_t looked, rv;

    sal_super_configure(run->env->conf);
    looked = sal_alerts_look(&all, run->db, run->p, &first);
    rv = sal_alerts_mail(&mails, &all, run->db, run->p, err);
    run->done = all.looked;
    if (all.told || all.failed || mails) {
        run->note = apr_psprintf(run->p, "%d alarms, %d mails, %d alerts could not be looked at",
                                 all.told, mails, all.failed);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(run->db, &sal_s_alert_purge, NULL, run->p, err,
                         SAL_V_TIME(run->run_time - apr_time_from_sec(EVENT_DAYS * 86400)));
    }
    if (looked != APR_SUCCESS) {
        *err = first;
    }
    return looked != APR_SUCCESS ? looked : rv;
}
