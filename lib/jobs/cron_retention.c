/*
 * Retention: crashes go when their periods are over. Files go first and rows afterwards, because a
 * sweep makes rows of what it finds in the store; whoever is killed in between leaves rows that the
 * next run finds by their time. Nothing that a worker holds is touched: first the jobs that wait
 * are taken away, so that nobody can claim one, then those that are leased are asked for.
 */
#include "jobs/cron_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/text.h"

#define BATCH 500
#define CRASH_DAYS 183
#define SPARED_NOTE "dumps-dropped" /* in a day: crashes whose dumps were spared */

typedef struct sweep_t {
    sal_cron_run_t *run;
    apr_pool_t *day_pool, *tmp; /* of a day; of a batch */
    apr_time_t cutoff;          /* what was received before it goes */
    apr_array_header_t *spared; /* ids of the day that stay; NULL: nobody asks */
    const char *batch[BATCH];
    int n;
    apr_int64_t crashes, dumps;
    apr_status_t (*act)(struct sweep_t *s, const char *const *ids, int n, sal_error_t *err);
} sweep_t;

static const char *day_of(apr_time_t t, apr_pool_t *p)
{
    apr_time_exp_t e;

    apr_time_exp_gmt(&e, t);
    return apr_psprintf(p, "%04d%02d%02d", e.tm_year + 1900, e.tm_mon + 1, e.tm_mday);
}

/* ---- a batch ---- */

static bool is_among(const char *id, const sal_rows_t *rows)
{
    for (int i = 0; i < sal_rows_count(rows); i++) {
        if (!strcmp(sal_rows_text(rows, i, 0), id)) {
            return true;
        }
    }
    return false;
}

/* The batch without what stays, in place. waiting: take away the jobs that wait, first. */
static apr_status_t sift(sweep_t *s, bool waiting, sal_error_t *err)
{
    sal_val_t ids = SAL_V_TEXTS(s->batch, (apr_size_t)s->n);
    sal_rows_t *kept;
    int left = 0;
    apr_status_t rv = waiting
                          ? sal_db_exec(s->run->db, &sal_s_keep_queued_drop, NULL, s->tmp, err, ids)
                          : APR_SUCCESS;

    rv = rv == APR_SUCCESS ? sal_db_exec(s->run->db, &sal_s_keep_which, &kept, s->tmp, err, ids,
                                         SAL_V_TIME(s->cutoff))
                           : rv;
    for (int i = 0; rv == APR_SUCCESS && i < s->n; i++) {
        if (!is_among(s->batch[i], kept)) {
            s->batch[left++] = s->batch[i];
        } else if (s->spared) {
            APR_ARRAY_PUSH(s->spared, const char *) = apr_pstrdup(s->day_pool, s->batch[i]);
        }
    }
    s->n = left;
    return rv;
}

static apr_status_t flush(sweep_t *s, sal_error_t *err)
{
    apr_status_t rv = s->n ? s->act(s, s->batch, s->n, err) : APR_SUCCESS;

    s->n = 0;
    apr_pool_clear(s->tmp);
    return rv == APR_SUCCESS ? sal_cron_in_time(s->run, err) : rv;
}

/* A sal_crash_id_fn. */
static apr_status_t gather(void *baton, const char *id, sal_error_t *err)
{
    sweep_t *s = baton;

    s->batch[s->n++] = apr_pstrdup(s->tmp, id);
    return s->n == BATCH ? flush(s, err) : APR_SUCCESS;
}

static apr_status_t for_day(sweep_t *s, const char *day,
                            apr_status_t (*act)(sweep_t *, const char *const *, int, sal_error_t *),
                            sal_error_t *err)
{
    apr_status_t rv;

    s->act = act;
    s->n = 0;
    rv = sal_crash_list_day(s->run->env->crashes, day, gather, s, err);
    return rv == APR_SUCCESS ? flush(s, err) : rv;
}

/* ---- whole crashes ---- */

/* Does anything of the day stay? */
static apr_status_t look(sweep_t *s, const char *const *ids, int n, sal_error_t *err)
{
    (void)ids;
    (void)n;
    return sift(s, true, err);
}

static apr_status_t forget(sweep_t *s, const char *const *ids, int n, sal_error_t *err)
{
    apr_status_t rv = sal_db_exec(s->run->db, &sal_s_keep_forget, NULL, s->tmp, err,
                                  SAL_V_TEXTS(ids, (apr_size_t)n));

    s->crashes += rv == APR_SUCCESS ? n : 0;
    return rv;
}

static apr_status_t remove_documents(sweep_t *s, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(s->run->db, &sal_s_keep_documents, &rows, s->tmp, err,
                                  SAL_V_TEXTS(s->batch, (apr_size_t)s->n));

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        rv = sal_processed_remove(s->run->env->crashes, sal_rows_text(rows, i, 0), err);
        rv = APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
    }
    return rv;
}

/* One by one, since others of their day stay. */
static apr_status_t remove_some(sweep_t *s, const char *const *ids, int n, sal_error_t *err)
{
    apr_status_t rv;

    (void)ids;
    (void)n;
    s->spared = NULL;
    if ((rv = sift(s, true, err)) != APR_SUCCESS || !s->n) {
        return rv;
    }
    for (int i = 0; i < s->n && rv == APR_SUCCESS; i++) {
        rv = sal_crash_remove(s->run->env->crashes, s->batch[i], err);
    }
    rv = rv == APR_SUCCESS ? remove_documents(s, err) : rv;
    return rv == APR_SUCCESS ? forget(s, s->batch, s->n, err) : rv;
}

/* The ids of a day that goes as a whole: its rows are wanted when its files have gone. */
static apr_status_t remember(void *baton, const char *id, sal_error_t *err)
{
    sweep_t *s = baton;

    (void)err;
    APR_ARRAY_PUSH(s->spared, const char *) = apr_pstrdup(s->day_pool, id);
    return APR_SUCCESS;
}

static apr_status_t remove_all(sweep_t *s, const char *day, sal_error_t *err)
{
    sal_crash_store_t *store = s->run->env->crashes;
    apr_array_header_t *ids;
    apr_status_t rv;

    s->spared = ids = apr_array_make(s->day_pool, 256, sizeof(const char *));
    rv = sal_crash_list_day(store, day, remember, s, err);
    rv = rv == APR_SUCCESS ? sal_crash_remove_day(store, day, err) : rv;
    rv = rv == APR_SUCCESS ? sal_processed_remove_day(store, day, err) : rv;
    s->spared = NULL;
    for (int i = 0; i < ids->nelts && rv == APR_SUCCESS; i += BATCH) {
        int n = ids->nelts - i < BATCH ? ids->nelts - i : BATCH;

        rv = forget(s, (const char *const *)ids->elts + i, n, err);
        apr_pool_clear(s->tmp);
        rv = rv == APR_SUCCESS ? sal_cron_in_time(s->run, err) : rv;
    }
    return rv;
}

static apr_status_t expire_day(sweep_t *s, const char *day, sal_error_t *err)
{
    apr_status_t rv;

    s->spared = apr_array_make(s->day_pool, 16, sizeof(const char *));
    rv = for_day(s, day, look, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return s->spared->nelts ? for_day(s, day, remove_some, err) : remove_all(s, day, err);
}

/* Rows that were received long ago and have no container any more. */
static apr_status_t expire_rows(sweep_t *s, const char *last_day, sal_error_t *err)
{
    apr_time_t from = 1;
    const char *after = "";
    apr_status_t rv;
    sal_rows_t *rows;
    int n;

    s->spared = NULL;
    do {
        rv = sal_db_exec(s->run->db, &sal_s_keep_rows_old, &rows, s->tmp, err, SAL_V_TIME(from),
                         SAL_V_TIME(s->cutoff), SAL_V_TEXT(after), SAL_V_TEXT(last_day + 2));
        n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
        s->n = 0;
        for (int i = 0; i < n; i++) {
            s->batch[s->n++] = sal_rows_text(rows, i, 0);
        }
        if (n > 0) {
            sal_rows_t *last;

            after = apr_pstrdup(s->day_pool, s->batch[n - 1]);
            rv = sal_db_exec(s->run->db, &sal_s_keep_row_time, &last, s->tmp, err,
                             SAL_V_TEXT(after));
            from = rv == APR_SUCCESS && sal_rows_count(last) ? sal_rows_time(last, 0, 0) : from;
        }
        rv = rv == APR_SUCCESS && n > 0 ? remove_some(s, s->batch, n, err) : rv;
        apr_pool_clear(s->tmp);
        rv = rv == APR_SUCCESS ? sal_cron_in_time(s->run, err) : rv;
    } while (rv == APR_SUCCESS && n > 0);
    return rv;
}

static apr_status_t expire_crashes(sweep_t *s, const char *last_day, sal_error_t *err)
{
    const char *const *day;
    apr_status_t rv = APR_SUCCESS;

    for (int kind = 0; kind < 2 && rv == APR_SUCCESS; kind++) {
        rv = sal_crash_days(&day, s->run->env->crashes, kind == 1, s->run->p, err);
        for (; rv == APR_SUCCESS && *day && strcmp(*day, last_day) <= 0; day++) {
            rv = expire_day(s, *day, err);
            apr_pool_clear(s->day_pool);
        }
    }
    return rv == APR_SUCCESS ? expire_rows(s, last_day, err) : rv;
}

/* ---- dumps ---- */

static apr_status_t drop_dumps(sweep_t *s, const char *const *ids, int n, sal_error_t *err)
{
    apr_status_t rv = sift(s, false, err);

    (void)ids;
    (void)n;
    for (int i = 0; i < s->n && rv == APR_SUCCESS; i++) {
        int dropped;

        rv = sal_crash_drop_dumps(&dropped, s->run->env->crashes, s->batch[i], s->tmp, err);
        s->dumps += dropped;
        if (rv == SAL_E_MALFORMED || APR_STATUS_IS_ENOENT(rv)) {
            rv = APR_SUCCESS; /* a damaged container has its end with its crash */
        }
    }
    return rv;
}

/* The note of a day that was done names what was spared then: only that is looked at again. */
static apr_status_t look_again(sweep_t *s, char *text, sal_error_t *err)
{
    char *rest, *id = apr_strtok(text, "\n", &rest);
    apr_status_t rv = APR_SUCCESS;

    s->act = drop_dumps;
    s->n = 0;
    for (; id && rv == APR_SUCCESS; id = apr_strtok(NULL, "\n", &rest)) {
        rv = gather(s, id, err);
    }
    return rv == APR_SUCCESS ? flush(s, err) : rv;
}

static apr_status_t dumps_of_day(sweep_t *s, const char *day, sal_error_t *err)
{
    sal_crash_store_t *store = s->run->env->crashes;
    const char *before, *after;
    apr_status_t rv = sal_crash_day_note(&before, store, day, SPARED_NOTE, s->day_pool, err);

    s->spared = apr_array_make(s->day_pool, 16, sizeof(const char *));
    if (rv == APR_SUCCESS) {
        rv = before ? look_again(s, apr_pstrdup(s->day_pool, before), err)
                    : for_day(s, day, drop_dumps, err);
    }
    after = apr_array_pstrcat(s->day_pool, s->spared, '\n');
    return rv == APR_SUCCESS && (!before || strcmp(before, after))
               ? sal_crash_set_day_note(store, day, SPARED_NOTE, after, err)
               : rv;
}

static apr_status_t expire_dumps(sweep_t *s, const char *last_day, sal_error_t *err)
{
    const char *const *day;
    apr_status_t rv = sal_crash_days(&day, s->run->env->crashes, false, s->run->p, err);

    for (; rv == APR_SUCCESS && *day && strcmp(*day, last_day) <= 0; day++) {
        rv = dumps_of_day(s, *day, err);
        apr_pool_clear(s->day_pool);
    }
    return rv;
}

/* ---- the job ---- */

static apr_status_t choose_kept(sal_cron_run_t *run, sal_error_t *err)
{
    apr_int64_t first = sal_conf_int(run->env->conf, "keep-first", 0);
    apr_int64_t newest = sal_conf_int(run->env->conf, "keep-newest", 0);
    apr_status_t rv = sal_db_run(run->db, &sal_s_keep_clear, NULL, 0, NULL, run->p, err);

    return rv == APR_SUCCESS && (first > 0 || newest > 0)
               ? sal_db_exec(run->db, &sal_s_keep_choose, NULL, run->p, err, SAL_V_INT(first),
                             SAL_V_INT(newest))
               : rv;
}

/* When a period ends: days are UTC days, and one that is not over for two days stays. */
static apr_time_t cutoff_of(const sal_cron_run_t *run, int days)
{
    apr_int64_t now = apr_time_sec(run->run_time);

    return apr_time_from_sec(now - now % 86400) - apr_time_from_sec(86400) * (days < 3 ? 3 : days);
}

static apr_status_t expire(sweep_t *s, sal_error_t *err)
{
    int days = cron_days_of(s->run, "crash-keep", CRASH_DAYS);
    int dumps = cron_days_of(s->run, "dump-keep", days);
    apr_status_t rv = choose_kept(s->run, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    s->cutoff = cutoff_of(s->run, days);
    rv = expire_crashes(s, day_of(s->cutoff - 1, s->run->p), err);
    if (rv == APR_SUCCESS && dumps < days) {
        s->cutoff = cutoff_of(s->run, dumps);
        rv = expire_dumps(s, day_of(s->cutoff - 1, s->run->p), err);
    }
    return rv;
}

apr_status_t cron_retention(sal_cron_run_t *run, sal_error_t *err)
{
    sweep_t *s = apr_pcalloc(run->p, sizeof(*s));
    apr_status_t rv;

    s->run = run;
    apr_pool_create(&s->day_pool, run->p);
    apr_pool_create(&s->tmp, run->p);
    rv = sal_crash_empty_trash(run->env->crashes, err);
    rv = rv == APR_SUCCESS ? expire(s, err) : rv;
    run->done = s->crashes + s->dumps;
    if (run->done) {
        run->note = apr_psprintf(run->p,
                                 "%" APR_INT64_T_FMT " crashes and the dumps of %" APR_INT64_T_FMT
                                 " have expired",
                                 s->crashes, s->dumps);
    }
    return rv;
}

/* Weeks of the search tables, dropped and not deleted. */
apr_status_t cron_searchexpiry(sal_cron_run_t *run, sal_error_t *err)
{
    apr_time_t before = cutoff_of(run, cron_days_of(run, "search-keep", SEARCH_DAYS));
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(run->db, &sal_s_keep_search_expire, &rows, run->p, err, SAL_V_TIME(before));

    run->done = rv == APR_SUCCESS ? sal_rows_int(rows, 0, 0) : 0;
    if (run->done) {
        run->note = apr_psprintf(run->p, "%d weeks of the search have expired", (int)run->done);
    }
    return rv;
}
