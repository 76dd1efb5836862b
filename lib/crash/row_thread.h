/*
 * The row thread: writes queue rows for crashes that were acknowledged, in batches, behind the
 * answer. One a process, with a connection of its own; a database that is down or slow costs
 * nothing but time, because pending/ has what its memory forgets (docs/durability.md).
 */
#ifndef SAL_CRASH_ROW_THREAD_H
#define SAL_CRASH_ROW_THREAD_H

#include "crash/crash_store.h"

typedef struct sal_row_thread_t sal_row_thread_t;

/*
 * Starts it. conninfo is libpq's. The pool's pre-cleanup gives it 2 seconds to drain, then ends
 * it; the store must be of the same pool or an older one.
 */
SAL_API apr_status_t sal_row_thread_start(sal_row_thread_t **out, const char *conninfo,
                                          sal_crash_store_t *store, apr_pool_t *p,
                                          sal_error_t *err);

/* Never waits: with 10000 ids in memory more are left to the sweep of pending/. */
SAL_API void sal_row_thread_add(sal_row_thread_t *t, const char *id, apr_time_t submitted);

/* Ends the thread; ids not written by then stay in pending/. Idempotent. */
SAL_API void sal_row_thread_stop(sal_row_thread_t *t, apr_interval_time_t drain);

typedef struct sal_row_stats_t {
    int waiting; /* ids in memory */
    apr_int64_t written, dropped, refused;
    apr_int64_t failures; /* batches that have to be tried again */
    bool connected;       /* the last attempt reached the database */
} sal_row_stats_t;
SAL_API void sal_row_thread_stats(sal_row_thread_t *t, sal_row_stats_t *out);

/* How long the batches since the last call took, at most SAL_ROW_TIMES of the latest; their number.
 */
enum { SAL_ROW_TIMES = 64 };
SAL_API int sal_row_thread_times(sal_row_thread_t *t, apr_interval_time_t out[SAL_ROW_TIMES]);

#endif
