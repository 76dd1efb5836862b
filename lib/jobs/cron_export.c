/*
 * The outbox, tidied: lib/export knows what may go.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include "export/outbox.h"

#define FAILED_DAYS 90
#define SENT_DAYS 7

apr_status_t cron_outbox(sal_cron_run_t *run, sal_error_t *err)
{
    apr_int64_t n = 0;
    apr_status_t rv = sal_outbox_purge(&n, FAILED_DAYS, SENT_DAYS, run->db, run->p, err);

    run->done = n;
    if (n) {
        run->note = apr_psprintf(run->p, "%" APR_INT64_T_FMT " rows of exports forgotten", n);
    }
    return rv;
}
