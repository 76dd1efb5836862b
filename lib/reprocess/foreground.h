/*
 * A crash in the hands of a person: leased like any job, so that no worker has it at the same time
 * and its result ends the lease.
 */
#ifndef SAL_REPROCESS_FOREGROUND_H
#define SAL_REPROCESS_FOREGROUND_H

#include "queue/queue.h"

/* Leased for an hour. SAL_E_BUSY: a worker has the crash now. */
SAL_API apr_status_t sal_foreground_take(sal_job_t *job, const char *crash_id, const char *ruleset,
                                         const char *host, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

/* Without a result: what waited before waits still. */
SAL_API apr_status_t sal_foreground_leave(const sal_job_t *job, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);

#endif
