/*
 * Counts by day: what top crashers, sparklines, product home and status pages read.
 *
 * A day (UTC, of the crash's date) is counted anew as a whole out of the search rows, whenever one
 * of its rows came or went; triggers note such days. Nothing is added or subtracted: reprocessing,
 * late arrivals, deletions, double runs and deaths in the middle lead to the same counts
 * (docs/triage.md).
 */
#ifndef SAL_TRIAGE_ROLLUP_H
#define SAL_TRIAGE_ROLLUP_H

#include "db/db.h"

/*
 * Counts every day again that has changed, newest first, a transaction each. *n: days. Stops at
 * deadline (0: none) with APR_TIMEUP; what was done stays.
 */
SAL_API apr_status_t sal_rollup_run(int64_t *n, apr_time_t deadline, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* Has all days of [from, to) counted again by the next run. */
SAL_API apr_status_t sal_rollup_touch(apr_time_t from, apr_time_t to, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* What to read. NULL: no matter which. A crash without a value matches "". */
typedef struct sal_rollup_filter_t {
    const char *from, *to; /* days "2026-11-22"; to is not included */
    const char *const *products,
        *const *versions, *const *channels, *const *platforms,
                                                *const *process_types,
                                                    *const *report_types,
                                                        *const *signatures; /* NULL-terminated */
} sal_rollup_filter_t;

/*
 * The signatures with the most crashes, ties by text. Rows: signature, n, n_startup, n_gc,
 * n_early (uptime below a minute). *total: crashes of all signatures.
 */
SAL_API apr_status_t sal_rollup_top(sal_rows_t **rows, int64_t *total,
                                    const sal_rollup_filter_t *filter, int limit, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

typedef enum {
    SAL_ROLLUP_SIGNATURE,
    SAL_ROLLUP_PRODUCT,
    SAL_ROLLUP_VERSION,
    SAL_ROLLUP_CHANNEL,
    SAL_ROLLUP_PLATFORM,
    SAL_ROLLUP_PROCESS_TYPE,
    SAL_ROLLUP_REPORT_TYPE,
    SAL_ROLLUP_DAY
} sal_rollup_by_t;

/*
 * Counts by two dimensions (sparklines: SIGNATURE by DAY; columns of top crashers: SIGNATURE by
 * PLATFORM). Rows: first, second, n; by first and second. What has no crashes has no row.
 */
SAL_API apr_status_t sal_rollup_split(sal_rows_t **rows, sal_rollup_by_t first,
                                      sal_rollup_by_t second, const sal_rollup_filter_t *filter,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

typedef struct sal_rollup_state_t {
    int64_t days, crashes; /* that are counted */
    int64_t waiting;       /* days that have changed since */
    apr_time_t made;       /* when a day was counted last */
} sal_rollup_state_t;

SAL_API apr_status_t sal_rollup_state(sal_rollup_state_t *out, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* Forgets days that ended before `before`. *n: days. */
SAL_API apr_status_t sal_rollup_expire(int64_t *n, apr_time_t before, sal_db_t *db, apr_pool_t *p,
                                       sal_error_t *err);

#endif
