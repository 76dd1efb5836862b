/*
 * The books of periodic jobs: what people change in them, what they read of the history, and the
 * end of those who could not write it themselves.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>

apr_status_t sal_cron_died(const char *runner, const char *why, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    return why ? sal_db_exec(db, &sal_s_cron_died, NULL, p, err, SAL_V_TEXT(runner),
                             SAL_V_TEXT(why))
               : sal_db_exec(db, &sal_s_cron_let_go, NULL, p, err, SAL_V_TEXT(runner));
}

apr_status_t sal_cron_enable(const char *app_name, int on, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_cron_enable, NULL, p, err, SAL_V_TEXT(app_name),
                       on < 0 ? SAL_V_NULL(SAL_T_BOOL) : SAL_V_BOOL(on));
}

apr_status_t sal_cron_schedule(const char *app_name, const char *every, const char *at,
                               sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int n;

    if (every && !sal_cron_every(every, &n)) {
        return sal_fail(err, APR_EINVAL, "\"%.20s\" is no frequency such as 2h, 30m or 1d", every);
    }
    if (at && !sal_cron_clock(at, &n)) {
        return sal_fail(err, APR_EINVAL, "\"%.20s\" is no time such as 05:00", at);
    }
    return sal_db_exec(db, &sal_s_cron_schedule, NULL, p, err, SAL_V_TEXT(app_name),
                       SAL_V_TEXT(every), SAL_V_TEXT(at));
}

apr_status_t sal_cron_reset(int *found, const char *app_name, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_cron_reset, &rows, p, err, SAL_V_TEXT(app_name));

    *found = rv == APR_SUCCESS && sal_rows_affected(rows) > 0;
    return rv;
}

apr_status_t sal_cron_mark(const char *app_name, const sal_cron_plan_t *plan, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_cron_mark, NULL, p, err, SAL_V_TEXT(app_name),
                       SAL_V_TIME(sal_cron_next(plan, apr_time_now())));
}

apr_status_t sal_cron_log(sal_cron_log_t **out, int *n, const char *app_name, bool failed, int max,
                          sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_cron_history, &rows, p, err, SAL_V_TEXT(app_name),
                                  SAL_V_BOOL(failed), SAL_V_INT(max));

    *n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    *out = apr_pcalloc(p, (apr_size_t)(*n + 1) * sizeof(**out));
    for (int i = 0; i < *n; i++) {
        (*out)[i] = (sal_cron_log_t){ .app_name = sal_rows_text(rows, i, 0),
                                      .at = sal_rows_time(rows, i, 1),
                                      .run_time = sal_rows_time(rows, i, 2),
                                      .duration = sal_rows_double(rows, i, 3),
                                      .success = sal_rows_bool(rows, i, 4),
                                      .done = sal_rows_int(rows, i, 5),
                                      .note = sal_rows_text(rows, i, 6),
                                      .kind = sal_rows_text(rows, i, 7),
                                      .error = sal_rows_text(rows, i, 8),
                                      .runner = sal_rows_text(rows, i, 9) };
    }
    return rv;
}
