/*
 * Looking up one crash by its id.
 */
#include "search/lookup.h"

#include <string.h>

apr_status_t sal_lookup_crash(sal_lookup_t *out, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv;

    memset(out, 0, sizeof *out);
    rv = sal_db_exec(db, &sal_s_search_processed, &rows, p, err, SAL_V_TEXT(crash_id));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) > 0) {
        out->blob = sal_rows_text(rows, 0, 0);
        return APR_SUCCESS;
    }
    rv = sal_db_exec(db, &sal_s_search_job, &rows, p, err, SAL_V_TEXT(crash_id));
    if (rv == APR_SUCCESS && sal_rows_count(rows) > 0) {
        out->deferred = sal_rows_int(rows, 0, 0) == 3;
        out->queued = !out->deferred;
        out->busy = sal_rows_int(rows, 0, 0) == 1;
        out->dead = sal_rows_int(rows, 0, 0) == 2;
        out->lane = (int)sal_rows_int(rows, 0, 1);
        out->last_error = sal_rows_text(rows, 0, 2);
        out->enqueued = sal_rows_time(rows, 0, 3);
        out->ahead = sal_rows_int(rows, 0, 4);
        out->waiting = sal_rows_int(rows, 0, 5);
    }
    return rv;
}
