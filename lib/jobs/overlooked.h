/*
 * Crashes that the verifying job found without a document, and whether they have one since.
 */
#ifndef SAL_JOBS_OVERLOOKED_H
#define SAL_JOBS_OVERLOOKED_H

#include <stdbool.h>
#include <apr_time.h>
#include "db/db.h"

typedef struct sal_overlooked_t {
    const char *crash_id;
    apr_time_t created; /* when it was found */
    bool is_processed;
} sal_overlooked_t;

SAL_API apr_status_t sal_overlooked_count(int64_t *out, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);

/* At most `limit` of them from `offset`, in the order in which they were found. */
SAL_API apr_status_t sal_overlooked_list(sal_overlooked_t **out, int *n, int64_t offset,
                                         int64_t limit, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

#endif
