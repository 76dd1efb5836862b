/*
 * Paging through a whole result by its last row: no offset, so that page 1000 costs what page 1
 * does, and crashes that come or go meanwhile shift nothing.
 */
#include "search/query_ids.h"

#include <apr_strings.h>
#include "search/query_private.h"

apr_status_t sal_query_ids(sal_rows_t **rows, const sal_query_t *q, const char *date,
                           const char *uuid, int max, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(p);
    bool nothing;
    apr_status_t rv;

    *rows = NULL;
    sal_sql_add(sql, "SELECT uuid, date FROM crash WHERE ");
    rv = sal_sql_where(sql, &nothing, q, db, err);
    if (rv != APR_SUCCESS || nothing) {
        return rv;
    }
    if (uuid) {
        const char *d = sal_sql_param(sql, SAL_V_TEXT(date));
        const char *u = sal_sql_param(sql, SAL_V_TEXT(uuid));

        /* the first half alone is what an index can use */
        sal_sql_add(sql, apr_psprintf(p,
                                      " AND date <= %s::timestamptz"
                                      " AND (date, uuid) < (%s::timestamptz, %s::uuid)",
                                      d, d, u));
    }
    sal_sql_add(sql, apr_psprintf(p, " ORDER BY date DESC, uuid DESC LIMIT %d", max));
    return sal_sql_run(sql, rows, db, p, err);
}
