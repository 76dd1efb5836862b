/*
 * Looking at the queue and managing it by hand: counts, lists, the dead letter, pausing. A dead
 * job's run_after is the time of its death. Statements: lib/db/statements/queue.def.
 */
#include "queue/queue.h"

#include <string.h>
#include <apr_strings.h>

static const char *const lane_names[] = { "priority", "standard", "reprocess" };

const char *sal_lane_name(sal_lane_t lane)
{
    return lane >= SAL_LANE_PRIORITY && lane <= SAL_LANE_REPROCESS ? lane_names[lane] : "?";
}

bool sal_lane_parse(sal_lane_t *out, const char *name)
{
    for (int i = SAL_LANE_PRIORITY; i <= SAL_LANE_REPROCESS; i++) {
        if (!strcmp(name, lane_names[i])) {
            *out = (sal_lane_t)i;
            return true;
        }
    }
    return false;
}

/* ---- looking ---- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Adds a row of the statement to a lane or to the sums. */
static void add_stats(sal_lane_stats_t *s, const sal_rows_t *rows, int row)
{
    int64_t n = sal_rows_int(rows, row, 2);

    switch (sal_rows_int(rows, row, 1)) {
    case SAL_QUEUE_READY:
        s->ready += n;
        s->waiting += sal_rows_int(rows, row, 3);
        s->oldest_ready_seconds = larger(s->oldest_ready_seconds, sal_rows_int(rows, row, 4));
        break;
    case SAL_QUEUE_LEASED:
        s->leased += n;
        s->oldest_leased_seconds = larger(s->oldest_leased_seconds, sal_rows_int(rows, row, 5));
        break;
    case SAL_QUEUE_DEAD:
        s->dead += n;
        break;
    default:
        s->deferred += n;
    }
}

apr_status_t sal_queue_stats(sal_queue_stats_t *out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_queue_stats, NULL, 0, &rows, p, err);

    memset(out, 0, sizeof(*out));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        add_stats(&out->lane[sal_rows_int(rows, i, 0)], rows, i);
        add_stats(&out->all, rows, i);
    }
    return rv;
}

static void read_row(sal_queue_row_t *r, const sal_rows_t *rows, int i)
{
    r->id = sal_rows_int(rows, i, 0);
    r->crash_id = sal_rows_text(rows, i, 1);
    r->ruleset = sal_rows_text(rows, i, 2);
    r->lane = (sal_lane_t)sal_rows_int(rows, i, 3);
    r->attempts = (int)sal_rows_int(rows, i, 4);
    r->lost = (int)sal_rows_int(rows, i, 5);
    r->request_id = sal_rows_int(rows, i, 6);
    r->worker = sal_rows_text(rows, i, 7);
    r->enqueued = sal_rows_time(rows, i, 8);
    r->at = sal_rows_time(rows, i, 9);
    r->lease_until = sal_rows_time(rows, i, 10);
    r->reason = sal_rows_text(rows, i, 11);
    r->age = larger(sal_rows_int(rows, i, 12), 0);
}

apr_status_t sal_queue_list(sal_queue_row_t **out, int *n, sal_queue_state_t state, int max,
                            sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_queue_list, &rows, p, err, SAL_V_INT(state), SAL_V_INT(max));

    *n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    *out = apr_pcalloc(p, ((apr_size_t)*n + 1) * sizeof(**out));
    for (int i = 0; i < *n; i++) {
        read_row(*out + i, rows, i);
    }
    return rv;
}

apr_status_t sal_queue_untold(sal_rows_t **rows, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_queue_dead_untold, NULL, 0, rows, p, err);
}

apr_status_t sal_queue_has(bool *has, const char *crash_id, const char *ruleset, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_queue_waits, &rows, p, err, SAL_V_TEXT(crash_id),
                                  SAL_V_TEXT(ruleset));

    *has = rv == APR_SUCCESS && sal_rows_bool(rows, 0, 0);
    return rv;
}

apr_status_t sal_queue_oldest_transaction(int64_t *seconds, const char **who, sal_db_t *db,
                                          apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_queue_oldest_transaction, NULL, 0, &rows, p, err);
    bool any = rv == APR_SUCCESS && sal_rows_count(rows) > 0;

    *seconds = any ? larger(sal_rows_int(rows, 0, 0), 0) : 0;
    if (who) {
        *who = any ? sal_rows_text(rows, 0, 1) : "";
    }
    return rv;
}

/* ---- the dead letter ---- */

apr_status_t sal_queue_revive(int *n, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_queue_dead_revive, &rows, p, err, SAL_V_TEXT(crash_id));

    *n = rv == APR_SUCCESS ? (int)sal_rows_int(rows, 0, 0) : 0;
    return rv;
}

/* A statement whose rows are counted. */
static apr_status_t counted(int *n, sal_db_t *db, const sal_stmt_t *stmt, const sal_val_t *params,
                            int n_params, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, stmt, params, n_params, &rows, p, err);

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}

apr_status_t sal_queue_forget(int *n, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    const sal_val_t params[] = { SAL_V_TEXT(crash_id) };

    return counted(n, db, &sal_s_queue_dead_delete, params, 1, p, err);
}

apr_status_t sal_queue_kill(int *n, const char *crash_id, const char *reason, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t params[] = { SAL_V_TEXT(crash_id), SAL_V_TEXT(reason) };

    return counted(n, db, &sal_s_queue_kill, params, 2, p, err);
}

apr_status_t sal_queue_purge(int *n, int days, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t params[] = { SAL_V_INT(days) };

    return counted(n, db, &sal_s_queue_dead_purge, params, 1, p, err);
}

/* ---- pausing ---- */

apr_status_t sal_queue_pause(sal_lane_t lane, const char *reason, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_queue_pause, NULL, p, err, SAL_V_INT(lane), SAL_V_TEXT(reason));
}

apr_status_t sal_queue_resume(sal_lane_t lane, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_db_exec(db, &sal_s_queue_resume, NULL, p, err, SAL_V_INT(lane));

    return rv == APR_SUCCESS ? sal_queue_notify(db, lane, p, err) : rv;
}

apr_status_t sal_queue_pauses(sal_queue_pause_t out[3], sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_queue_pauses, NULL, 0, &rows, p, err);

    memset(out, 0, 3 * sizeof(*out));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        out[sal_rows_int(rows, i, 0)] = (sal_queue_pause_t){
            .paused = true,
            .since = sal_rows_time(rows, i, 1),
            .reason = sal_rows_text(rows, i, 2),
        };
    }
    return rv;
}
