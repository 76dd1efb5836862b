/*
 * What every search begins with, and counting.
 */
#include "search/query_private.h"

static void take_partition(sal_run_t *run, const char *name, bool missing)
{
    if (!run->partitions) {
        run->partitions = json_array();
        run->missing = json_array();
    }
    json_array_append_new(missing ? run->missing : run->partitions, json_string(name));
}

apr_status_t sal_run_begin(sal_run_t *run, const sal_query_t *q, sal_error_t *err)
{
    apr_time_t from, to;
    sal_rows_t *rows;
    apr_status_t rv = sal_query_window(q, &from, &to, err);

    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(run->db, &sal_s_search_begin, &rows, run->p, err, SAL_V_TIME(from),
                         SAL_V_TIME(to));
    }
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        int64_t number = sal_rows_int(rows, i, 0), n = sal_rows_int(rows, i, 2);

        if (number > 0 && number < SAL_SEARCH_MAX_NUMBER) {
            run->overflow[number] = true;
        } else if (run->txn) {
            take_partition(run, sal_rows_text(rows, i, 1), n < 0);
            run->window_rows += n > 0 ? n : 0;
        }
    }
    return rv;
}

apr_status_t sal_count(int64_t *total, const sal_where_t *where, sal_run_t *run, sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(run->p);
    sal_rows_t *rows;
    apr_status_t rv;

    *total = 0;
    if (where->nothing) {
        return APR_SUCCESS;
    }
    sal_sql_add(sql, "SELECT count(*) FROM crash c WHERE ");
    sal_sql_put(sql, where->sql);
    rv = sal_sql_run(sql, "total", &rows, run, err);
    if (rv == APR_SUCCESS) {
        *total = sal_rows_int(rows, 0, 0);
    }
    return rv;
}
