/*
 * Looking at requests, and stopping them.
 */
#include "reprocess/reprocess.h"

#include <apr_strings.h>
#include "queue/queue.h"

static void read_row(sal_reprocess_t *r, const sal_rows_t *rows, int i)
{
    r->id = sal_rows_int(rows, i, 0);
    r->kind = sal_rows_text(rows, i, 1);
    r->query = sal_rows_text(rows, i, 2);
    r->ruleset = sal_rows_text(rows, i, 3);
    r->requester = sal_rows_text(rows, i, 4);
    r->reason = sal_rows_text(rows, i, 5);
    r->state = sal_rows_text(rows, i, 6);
    r->rate = (int)sal_rows_int(rows, i, 7);
    r->max_running = (int)sal_rows_int(rows, i, 8);
    r->total = sal_rows_int(rows, i, 9);
    r->queued = sal_rows_int(rows, i, 10);
    r->waiting = sal_rows_int(rows, i, 11);
    r->running = sal_rows_int(rows, i, 12);
    r->failed = sal_rows_int(rows, i, 13);
    r->dead = sal_rows_int(rows, i, 14);
    r->error = sal_rows_text(rows, i, 15);
    r->created = sal_rows_time(rows, i, 16);
    r->finished = sal_rows_time(rows, i, 17);
    r->done = r->queued - r->waiting - r->running - r->dead;
    r->done = r->done < 0 ? 0 : r->done;
}

apr_status_t sal_reprocess_list(sal_reprocess_t **out, int *n, int64_t id, bool open, int max,
                                sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_list, &rows, p, err, SAL_V_INT(id),
                                  SAL_V_BOOL(open), SAL_V_INT(max));

    *n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    *out = apr_pcalloc(p, ((apr_size_t)*n + 1) * sizeof(**out));
    for (int i = 0; i < *n; i++) {
        read_row(*out + i, rows, i);
    }
    if (rv == APR_SUCCESS && id > 0 && *n == 0) {
        return sal_fail(err, APR_ENOENT, "there is no request %lld", (long long)id);
    }
    return rv;
}

/* ---- transitions ---- */

typedef struct turn_t {
    int64_t id;
    const char *from, *to, *verb;
    const sal_stmt_t *jobs; /* what becomes of those that wait */
} turn_t;

static apr_status_t turn_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const turn_t *t = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_turn, &rows, p, err, SAL_V_INT(t->id),
                                  SAL_V_TEXT(t->from), SAL_V_TEXT(t->to));

    if (rv == APR_SUCCESS && sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "there is no request %lld that can be %s",
                        (long long)t->id, t->verb);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, t->jobs, NULL, p, err, SAL_V_INT(t->id));
    }
    return rv == APR_SUCCESS ? sal_queue_notify(db, SAL_LANE_REPROCESS, p, err) : rv;
}

apr_status_t sal_reprocess_pause(int64_t id, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    turn_t t = { id, "running", "paused", "paused", &sal_s_reprocess_hold };

    return sal_db_txn(db, turn_txn, &t, p, err);
}

apr_status_t sal_reprocess_resume(int64_t id, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    turn_t t = { id, "paused", "running", "resumed", &sal_s_reprocess_release };

    return sal_db_txn(db, turn_txn, &t, p, err);
}

static apr_status_t cancel_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const int64_t *id = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_lock, &rows, p, err, SAL_V_INT(*id));

    if (rv == APR_SUCCESS && sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "there is no request %lld that can be cancelled",
                        (long long)*id);
    }
    return rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_reprocess_cancel, NULL, p, err,
                                           SAL_V_INT(*id), SAL_V_NULL(SAL_T_TEXT))
                             : rv;
}

apr_status_t sal_reprocess_cancel(int64_t id, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_txn(db, cancel_txn, &id, p, err);
}

apr_status_t sal_reprocess_waits(bool *out, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_waits, &rows, p, err, SAL_V_TEXT(crash_id));

    *out = rv == APR_SUCCESS && sal_rows_bool(rows, 0, 0);
    return rv;
}

apr_status_t sal_reprocess_purge(int *n, int days, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_purge, &rows, p, err, SAL_V_INT(days));

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}
