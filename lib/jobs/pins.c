/*
 * Pinned crashes.
 */
#include "jobs/pins.h"

apr_status_t sal_pin_put(const char *crash_id, const char *who, const char *why, sal_db_t *db,
                         apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_pin_put, NULL, p, err, SAL_V_TEXT(crash_id), SAL_V_TEXT(who),
                       SAL_V_TEXT(why));
}

apr_status_t sal_pin_remove(bool *was, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_pin_remove, &rows, p, err, SAL_V_TEXT(crash_id));

    *was = rv == APR_SUCCESS && sal_rows_affected(rows) > 0;
    return rv;
}

apr_status_t sal_pin_list(sal_rows_t **out, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                          sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_pin_list, out, p, err, SAL_V_TEXT(crash_id));
}
