/*
 * Jobs that look for what was overlooked: crashes without rows, without documents, without search
 * rows; jobs that stand still; files that nothing names.
 */
#include "jobs/cron_private.h"

#include <string.h>
#include <apr_strings.h>
#include "base/log.h"
#include "crash/crash_id.h"
#include "queue/queue.h"

#define BATCH 500
#define HOUR 3600
#define DAY 86400
#define READY_TIME HOUR        /* job-stuck-ready */
#define LEASED_TIME (4 * HOUR) /* job-stuck-leased */

/* What neither pending/ nor the database remembers: once a day by whoever looks first. */
apr_status_t cron_sweepdays(sal_cron_run_t *run, sal_error_t *err)
{
    int queued = 0;
    apr_status_t rv = sal_crash_sweep_daily(&queued, run->env->crashes, run->db, run->p, err);

    run->done = queued;
    if (queued > 0) {
        sal_log(SAL_LOG_WARNING, 5036,
                "%d stored crashes that neither pending/ nor the database knew are queued now",
                queued);
    }
    return rv;
}

/* ---- crashes without a document ---- */

/* Notes the crashes of a batch whose documents are not where their rows say. */
static apr_status_t note_lost(sal_cron_run_t *run, const sal_rows_t *rows, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *ids[1000];
    int n = 0;

    for (int i = 0; i < sal_rows_count(rows); i++) {
        if (!sal_processed_exists(run->env->crashes, sal_rows_text(rows, i, 1))) {
            ids[n++] = sal_rows_text(rows, i, 0);
        }
    }
    return n ? sal_db_exec(run->db, &sal_s_verify_note, NULL, p, err,
                           SAL_V_TEXTS(ids, (apr_size_t)n))
             : APR_SUCCESS;
}

static apr_status_t find_lost(sal_cron_run_t *run, apr_time_t from, apr_time_t to, sal_error_t *err)
{
    char after[SAL_CRASH_ID_LEN + 1] = "";
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *p;
    int n = 1;

    apr_pool_create(&p, run->p);
    while (rv == APR_SUCCESS && n > 0) {
        sal_rows_t *rows;

        rv = sal_db_exec(run->db, &sal_s_verify_documents, &rows, p, err, SAL_V_TIME(from),
                         SAL_V_TIME(to), SAL_V_TEXT(after));
        n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
        if (n > 0) {
            apr_cpystrn(after, sal_rows_text(rows, n - 1, 0), sizeof(after));
            rv = note_lost(run, rows, p, err);
        }
        apr_pool_clear(p);
        rv = rv == APR_SUCCESS ? sal_cron_in_time(run, err) : rv;
    }
    apr_pool_destroy(p);
    return rv;
}

/* YYMMDD of the first day that searches still cover. */
static const char *first_searched(const sal_cron_run_t *run)
{
    apr_time_t t = run->run_time -
                   apr_time_from_sec(DAY) * (cron_days_of(run, "search-keep", SEARCH_DAYS) - 8);
    apr_time_exp_t e;

    apr_time_exp_gmt(&e, t);
    return apr_psprintf(run->p, "%02d%02d%02d", e.tm_year % 100, e.tm_mon + 1, e.tm_mday);
}

/* The last two days, or as long as nobody has looked: rows and files of what was processed then. */
static apr_status_t find_all(sal_cron_run_t *run, sal_error_t *err)
{
    apr_time_t to = run->run_time - apr_time_from_sec(HOUR);
    apr_time_t from = run->run_time - apr_time_from_sec(2 * DAY);
    apr_status_t rv;

    if (run->last_success && run->last_success - apr_time_from_sec(DAY) < from) {
        from = run->last_success - apr_time_from_sec(DAY);
    }
    rv = sal_db_exec(run->db, &sal_s_verify_find, NULL, run->p, err, SAL_V_TIME(to));
    rv = rv == APR_SUCCESS
             ? sal_db_exec(run->db, &sal_s_verify_unindexed, NULL, run->p, err, SAL_V_TIME(from),
                           SAL_V_TIME(to), SAL_V_TEXT(first_searched(run)))
             : rv;
    return rv == APR_SUCCESS ? find_lost(run, from, to, err) : rv;
}

apr_status_t cron_verifyprocessed(sal_cron_run_t *run, sal_error_t *err)
{
    apr_status_t rv = sal_db_run(run->db, &sal_s_verify_settle, NULL, 0, NULL, run->p, err);
    sal_rows_t *rows, *open;

    rv = rv == APR_SUCCESS ? find_all(run, err) : rv;
    rv = rv == APR_SUCCESS ? sal_db_run(run->db, &sal_s_verify_queue, NULL, 0, &rows, run->p, err)
                           : rv;
    rv = rv == APR_SUCCESS ? sal_db_run(run->db, &sal_s_verify_open, NULL, 0, &open, run->p, err)
                           : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    run->done = sal_rows_affected(rows);
    if (sal_rows_int(open, 0, 0) > 0) {
        run->note = apr_psprintf(run->p, "%d crashes without a result are queued again, %s wait",
                                 (int)run->done, sal_rows_text(open, 0, 0));
    }
    return run->done ? sal_queue_notify(run->db, SAL_LANE_REPROCESS, run->p, err) : APR_SUCCESS;
}

/* ---- what stands still ---- */

static void alarm_of(sal_cron_run_t *run, int number, const sal_rows_t *rows, int col,
                     const char *what)
{
    if (sal_rows_int(rows, 0, col) > 0) {
        const char *text =
            apr_psprintf(run->p, "%s %s (%s and others)", sal_rows_text(rows, 0, col), what,
                         sal_rows_text(rows, 0, col + 1));

        sal_log(SAL_LOG_ERROR, number, "%s", text);
        run->done += sal_rows_int(rows, 0, col);
        run->note = run->note ? apr_pstrcat(run->p, run->note, "; ", text, NULL) : text;
    }
}

apr_status_t cron_stuck(sal_cron_run_t *run, sal_error_t *err)
{
    const sal_conf_t *conf = run->env->conf;
    sal_rows_t *jobs, *missing;
    apr_status_t rv = sal_db_exec(run->db, &sal_s_stuck_jobs, &jobs, run->p, err,
                                  SAL_V_INT(sal_conf_int(conf, "job-stuck-ready", READY_TIME)),
                                  SAL_V_INT(sal_conf_int(conf, "job-stuck-leased", LEASED_TIME)));

    rv = rv == APR_SUCCESS
             ? sal_db_exec(run->db, &sal_s_stuck_missing, &missing, run->p, err, SAL_V_INT(2 * DAY))
             : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    alarm_of(run, 5115, jobs, 0, "crashes wait for too long to be processed");
    alarm_of(run, 5116, jobs, 2, "crashes have been worked on for too long");
    alarm_of(run, 5117, missing, 0, "crashes have been without a result for two days");
    return APR_SUCCESS;
}

/* ---- files that nothing names ---- */

typedef struct orphans_t {
    sal_cron_run_t *run;
    apr_pool_t *p; /* of a batch */
    const char *id[BATCH], *key[BATCH];
    int n;
} orphans_t;

static apr_status_t flush_orphans(orphans_t *o, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv;

    if (!o->n) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(o->run->db, &sal_s_keep_unnamed, &rows, o->p, err,
                     SAL_V_TEXTS(o->id, (apr_size_t)o->n), SAL_V_TEXTS(o->key, (apr_size_t)o->n));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        rv = sal_processed_remove(o->run->env->crashes, sal_rows_text(rows, i, 0), err);
        o->run->done += rv == APR_SUCCESS;
        rv = APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
    }
    o->n = 0;
    apr_pool_clear(o->p);
    return rv == APR_SUCCESS ? sal_cron_in_time(o->run, err) : rv;
}

/* A sal_crash_id_fn that gets keys. What has no name of ours is left alone. */
static apr_status_t gather_orphan(void *baton, const char *key, sal_error_t *err)
{
    orphans_t *o = baton;
    const char *leaf = strrchr(key, '/') + 1;
    char id[SAL_CRASH_ID_LEN + 1];

    apr_cpystrn(id, leaf, sizeof(id));
    if (!sal_crash_id_valid(id)) {
        return APR_SUCCESS;
    }
    o->id[o->n] = apr_pstrdup(o->p, id);
    o->key[o->n++] = apr_pstrdup(o->p, key);
    return o->n == BATCH ? flush_orphans(o, err) : APR_SUCCESS;
}

/*
 * A document is written before its row, so what is younger than a day may be about to get one. A
 * folder in which nothing was written since the last run has no new orphans.
 */
apr_status_t cron_orphans(sal_cron_run_t *run, sal_error_t *err)
{
    orphans_t *o = apr_pcalloc(run->p, sizeof(*o));
    apr_time_t before = run->run_time - apr_time_from_sec(DAY);
    apr_time_t since = run->last_success ? run->last_success - apr_time_from_sec(2 * DAY) : 0;
    const char *const *day;
    apr_status_t rv;

    o->run = run;
    apr_pool_create(&o->p, run->p);
    rv = sal_crash_empty_trash(run->env->crashes, err);
    rv = rv == APR_SUCCESS ? sal_crash_days(&day, run->env->crashes, true, run->p, err) : rv;
    for (; rv == APR_SUCCESS && *day; day++) {
        rv = sal_processed_list_day(run->env->crashes, *day, before, since, gather_orphan, o, err);
        rv = rv == APR_SUCCESS ? flush_orphans(o, err) : rv;
    }
    if (run->done) {
        run->note =
            apr_psprintf(run->p, "%d documents that no row names were removed", (int)run->done);
    }
    return rv;
}
