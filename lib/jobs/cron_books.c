/*
 * The books of periodic jobs: what people change in them, what they read of the history, and the
 * end of those who could not write it themselves.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include <apr_tables.h>

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

/* ---- metrics ---- */

typedef struct family_t {
    const char *name, *help;
    double (*value)(const sal_cron_state_t *s);
} family_t;

static double last_success(const sal_cron_state_t *s)
{
    return (double)apr_time_sec(s->last_success);
}

static double last_duration(const sal_cron_state_t *s)
{
    return s->last_duration;
}

static double failures(const sal_cron_state_t *s)
{
    return s->error_count;
}

static double running(const sal_cron_state_t *s)
{
    return s->running;
}

static double enabled(const sal_cron_state_t *s)
{
    return s->plan.enabled && s->usable;
}

static const family_t families[] = {
    { "last_success_timestamp_seconds", "what the last good run was for; 0: none", last_success },
    { "last_duration_seconds", "how long the last run took", last_duration },
    { "failures", "runs that failed since the last good one", failures },
    { "running", "1: a run goes on", running },
    { "enabled", "1: it runs by the clock", enabled },
};

apr_status_t sal_cron_metrics(const char **text, const sal_cron_env_t *env, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    apr_array_header_t *lines = apr_array_make(p, 128, sizeof(const char *));
    sal_cron_state_t *states;
    sal_rows_t *missing;
    apr_time_t now;
    int n;
    apr_status_t rv = sal_cron_states(&states, &n, &now, env, db, p, err);

    rv = rv == APR_SUCCESS ? sal_db_run(db, &sal_s_verify_open, NULL, 0, &missing, p, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (const family_t *f = families; f < families + sizeof(families) / sizeof(*f); f++) {
        APR_ARRAY_PUSH(lines, const char *) =
            apr_psprintf(p, "# HELP salvage_cron_%s %s\n# TYPE salvage_cron_%s gauge\n", f->name,
                         f->help, f->name);
        for (int i = 0; i < n; i++) {
            APR_ARRAY_PUSH(lines, const char *) =
                apr_psprintf(p, "salvage_cron_%s{job=\"%s\"} %.17g\n", f->name, states[i].app_name,
                             f->value(&states[i]));
        }
    }
    APR_ARRAY_PUSH(lines, const char *) = apr_psprintf(
        p,
        "# HELP salvage_cron_missing_processed crashes that wait for a result after all\n"
        "# TYPE salvage_cron_missing_processed gauge\nsalvage_cron_missing_processed %s\n",
        sal_rows_text(missing, 0, 0));
    *text = apr_array_pstrcat(p, lines, 0);
    return APR_SUCCESS;
}
