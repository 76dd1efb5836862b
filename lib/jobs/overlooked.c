/*
 * Reads the table that cron_verify.c writes.
 */
#include "jobs/overlooked.h"

#include <apr_pools.h>

apr_status_t sal_overlooked_count(int64_t *out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_overlooked_count, NULL, 0, &rows, p, err);

    *out = rv == APR_SUCCESS ? sal_rows_int(rows, 0, 0) : 0;
    return rv;
}

apr_status_t sal_overlooked_list(sal_overlooked_t **out, int *n, int64_t offset, int64_t limit,
                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_overlooked_list, &rows, p, err, SAL_V_INT(offset), SAL_V_INT(limit));

    *n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    *out = apr_palloc(p, ((apr_size_t)*n + 1) * sizeof(**out));
    for (int i = 0; i < *n; i++) {
        (*out)[i] = (sal_overlooked_t){ .crash_id = sal_rows_text(rows, i, 0),
                                        .created = sal_rows_time(rows, i, 1),
                                        .is_processed = sal_rows_bool(rows, i, 2) };
    }
    return rv;
}
