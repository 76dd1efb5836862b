/*
 * What is in the outbox, for the reader; and what an operator may do with it.
 */
#include "export/outbox.h"

#include <apr_strings.h>

#define FORGET_DAYS 30

apr_status_t sal_outbox_stats(sal_outbox_stats_t **out, int *n, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_export_stats, NULL, 0, &rows, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_pcalloc(p, sizeof(**out) * (apr_size_t)(*n + 1));
    for (int i = 0; i < *n; i++) {
        (*out)[i] = (sal_outbox_stats_t){ .kind = (sal_export_kind_t)sal_rows_int(rows, i, 0),
                                          .name = sal_rows_text(rows, i, 1),
                                          .active = sal_rows_bool(rows, i, 2),
                                          .waiting = sal_rows_int(rows, i, 3),
                                          .travelling = sal_rows_int(rows, i, 4),
                                          .failed = sal_rows_int(rows, i, 5),
                                          .sent = sal_rows_int(rows, i, 6),
                                          .oldest_seconds = sal_rows_int(rows, i, 7),
                                          .last_error = sal_rows_text(rows, i, 8) };
    }
    return APR_SUCCESS;
}

apr_status_t sal_outbox_failed(sal_outbox_failed_t **out, int *n, int most, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_export_failed, &rows, p, err, SAL_V_INT(most));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_pcalloc(p, sizeof(**out) * (apr_size_t)(*n + 1));
    for (int i = 0; i < *n; i++) {
        (*out)[i] = (sal_outbox_failed_t){ .id = sal_rows_int(rows, i, 0),
                                           .kind = (sal_export_kind_t)sal_rows_int(rows, i, 1),
                                           .name = sal_rows_text(rows, i, 2),
                                           .subject = sal_rows_text(rows, i, 3),
                                           .pass = (int)sal_rows_int(rows, i, 4),
                                           .attempts = (int)sal_rows_int(rows, i, 5),
                                           .ended = sal_rows_time(rows, i, 6),
                                           .why = sal_rows_text(rows, i, 7) };
    }
    return APR_SUCCESS;
}

apr_status_t sal_outbox_revive(int *n, apr_int64_t id, const char *of, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    sal_val_t which = id ? SAL_V_INT(id) : SAL_V_NULL(SAL_T_INT);
    apr_status_t rv = sal_db_exec(db, &sal_s_export_revive, &rows, p, err, which, SAL_V_TEXT(of));

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}

apr_status_t sal_outbox_hurry(const char *destination, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_export_hurry, NULL, p, err, SAL_V_TEXT(destination));
}

typedef struct dropping_t {
    const char *destination;
    int n;
} dropping_t;

/* Parcels first: whoever works on one finds the fence. */
static apr_status_t drop_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    dropping_t *d = baton;
    const sal_val_t of[] = { SAL_V_TEXT(d->destination) };
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_run(db, &sal_s_export_drop_parcels, of, 1, NULL, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_db_run(db, &sal_s_export_drop, of, 1, &rows, p, err);
    }
    if (rv == APR_SUCCESS) {
        d->n = sal_rows_affected(rows);
        rv = sal_db_run(db, &sal_s_export_drop_destination, of, 1, NULL, p, err);
    }
    return rv;
}

apr_status_t sal_outbox_drop(int *n, const char *destination, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    dropping_t d = { destination, 0 };
    apr_status_t rv = sal_db_txn(db, drop_txn, &d, p, err);

    *n = d.n;
    return rv;
}

apr_status_t sal_outbox_watermark(apr_time_t *out, const char *destination, sal_db_t *db,
                                  apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_export_watermark, &rows, p, err, SAL_V_TEXT(destination));

    *out = rv == APR_SUCCESS ? sal_rows_time(rows, 0, 0) : 0;
    return rv;
}

apr_status_t sal_outbox_count(const char *metric, const char *destination, apr_int64_t n,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return n ? sal_db_exec(db, &sal_s_export_count, NULL, p, err, SAL_V_TEXT(metric),
                           SAL_V_TEXT(destination), SAL_V_INT(n))
             : APR_SUCCESS;
}

apr_status_t sal_outbox_counters(sal_outbox_counter_t **out, int *n, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_export_counts, NULL, 0, &rows, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_pcalloc(p, sizeof(**out) * (apr_size_t)(*n + 1));
    for (int i = 0; i < *n; i++) {
        (*out)[i] = (sal_outbox_counter_t){ sal_rows_text(rows, i, 0), sal_rows_text(rows, i, 1),
                                            sal_rows_int(rows, i, 2) };
    }
    return APR_SUCCESS;
}

/* Deletes by the thousand, so that nobody waits for long. */
static apr_status_t delete_all(apr_int64_t *n, const sal_stmt_t *stmt, const sal_val_t *v, int nv,
                               sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int gone;

    do {
        sal_rows_t *rows = NULL;
        apr_status_t rv = sal_db_run(db, stmt, v, nv, &rows, p, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        gone = sal_rows_affected(rows);
        *n += gone;
    } while (gone > 0);
    return APR_SUCCESS;
}

apr_status_t sal_outbox_purge(apr_int64_t *n, int failed_days, int sent_days, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t ended[] = { SAL_V_INT(failed_days), SAL_V_INT(sent_days) };
    const sal_val_t known[] = { SAL_V_INT(FORGET_DAYS) };
    apr_status_t rv;

    *n = 0;
    rv = delete_all(n, &sal_s_export_purge, ended, 2, db, p, err);
    return rv == APR_SUCCESS ? delete_all(n, &sal_s_export_forget, known, 1, db, p, err) : rv;
}
