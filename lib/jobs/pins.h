/*
 * Pinned crashes: retention leaves them alone, whatever their age (docs/jobs.md).
 */
#ifndef SAL_JOBS_PINS_H
#define SAL_JOBS_PINS_H

#include <stdbool.h>
#include "db/db.h"

/* who, why: UTF-8, may be empty. A crash that is pinned already gets the new texts. */
SAL_API apr_status_t sal_pin_put(const char *crash_id, const char *who, const char *why,
                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* *was: it was pinned. */
SAL_API apr_status_t sal_pin_remove(bool *was, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* Rows, newest first: crash id, who, why, when (time). crash_id NULL: all. */
SAL_API apr_status_t sal_pin_list(sal_rows_t **out, const char *crash_id, sal_db_t *db,
                                  apr_pool_t *p, sal_error_t *err);

#endif
