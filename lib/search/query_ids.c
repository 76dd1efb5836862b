/*
 * Paging through a whole result by its last row: no offset, so that page 1000 costs what page 1
 * does, and crashes that come or go meanwhile shift nothing.
 */
#include "search/query_ids.h"

#include "search/query_private.h"

apr_status_t sal_query_ids(sal_rows_t **rows, const sal_query_t *q, const char *date,
                           const char *uuid, int max, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(p);
    sal_run_t run = { .db = db, .p = p };
    sal_where_t where;
    apr_status_t rv = sal_run_begin(&run, q, err);

    *rows = NULL;
    if (rv == APR_SUCCESS) {
        rv = sal_where(&where, q, &run, err);
    }
    if (rv != APR_SUCCESS || where.nothing) {
        return rv;
    }
    sal_sql_add(sql, "SELECT c.uuid, c.date FROM crash c WHERE ");
    sal_sql_put(sql, where.sql);
    if (uuid) {
        /* the first half alone is what an index can use */
        sal_sql_add(sql, " AND c.date <= ");
        sal_sql_param(sql, SAL_V_TEXT(date), "::timestamptz AND (c.date, c.uuid) < (");
        sal_sql_param(sql, SAL_V_TEXT(date), "::timestamptz, ");
        sal_sql_param(sql, SAL_V_TEXT(uuid), "::uuid)");
    }
    sal_sql_addf(sql, " ORDER BY c.date DESC, c.uuid DESC LIMIT %d", max);
    return sal_sql_run(sql, "ids", rows, &run, err);
}
