/*
 * Alerts at work: what a saved search finds now is held against what was agreed, and told by a web
 * hook (the outbox carries it) or a mail (a command of the administrator's takes it).
 *
 * What is told, and that it was told, is one transaction that holds the alert's row: two runs at
 * once, and a run that is killed, tell nothing twice (docs/alerts.md).
 */
#ifndef SAL_JOBS_ALERTS_H
#define SAL_JOBS_ALERTS_H

#include "base/conf.h"
#include "triage/alert.h"

typedef struct sal_alerts_t {
    const sal_conf_t *conf; /* public-url, alert-mail-command, alert-mail-from */
    apr_time_t now, deadline;
    int looked, told, failed; /* out */
} sal_alerts_t;

/* NULL: mail may go to this address. Else why not: there is no alert-mail-command, this is no
   address, or alert-mail-domains does not name its domain. */
SAL_API const char *sal_alerts_mail_fault(const sal_conf_t *conf, const char *address,
                                          apr_pool_t *p);

/* Looks at every alert that is not paused. APR_TIMEUP at the deadline: the others come first in
   the next run. An alert that cannot be looked at is noted with it and counted. */
SAL_API apr_status_t sal_alerts_look(sal_alerts_t *run, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* Hands mails that wait to the command, at most 50. *sent (may be NULL) counts. */
SAL_API apr_status_t sal_alerts_mail(int *sent, const sal_alerts_t *run, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/* Tells what the alert would tell now, marked as a test; its quiet time is not touched. */
SAL_API apr_status_t sal_alerts_test(const sal_alerts_t *run, const sal_alert_t *alert,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
