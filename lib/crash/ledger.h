/*
 * The intake ledger: one row for each POST that a collector answered, written in batches behind the
 * answers. What cannot be written in time is dropped and counted: it is a help, not a record.
 *
 * Thread rule: sal_ledger_add may be called by any thread and never waits; the rest belongs to the
 * one thread that writes.
 */
#ifndef SAL_CRASH_LEDGER_H
#define SAL_CRASH_LEDGER_H

#include <stdbool.h>
#include "db/db.h"

typedef struct sal_ledger_t sal_ledger_t;

/* What happened to a POST. Texts are copied, cut at the sizes given, and have no odd characters. */
typedef struct sal_ledger_row_t {
    apr_time_t received;
    char outcome[16], reason[64], agent[16];
    char crash_id[37]; /* "" where none was given */
    int status;
    apr_int64_t size;
} sal_ledger_row_t;

/* A ledger in memory; at most 4096 rows wait. Freed with the pool. */
SAL_API apr_status_t sal_ledger_make(sal_ledger_t **out, apr_pool_t *p, sal_error_t *err);

/* False: too many wait, the row is dropped. */
SAL_API bool sal_ledger_add(sal_ledger_t *ledger, const sal_ledger_row_t *row);

/* How many wait. */
SAL_API int sal_ledger_waiting(sal_ledger_t *ledger);

/*
 * Writes all that waits, in batches of 500. *written and *dropped count rows; those of a batch that
 * the database does not take are dropped.
 */
SAL_API apr_status_t sal_ledger_write(int *written, int *dropped, sal_ledger_t *ledger,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Drops all that waits: the database is away. Returns how many. */
SAL_API int sal_ledger_drop(sal_ledger_t *ledger);

/* Removes rows older than so many days, a bounded number at a time; *more: call again. */
SAL_API apr_status_t sal_ledger_expire(bool *more, int days, sal_db_t *db, apr_pool_t *p,
                                       sal_error_t *err);

typedef struct sal_ledger_filter_t {
    const char *crash_id; /* with or without "bp-"; NULL: any */
    const char *outcome;  /* NULL: any */
    bool refused;         /* only what was not kept */
    apr_int64_t since;    /* seconds back; 0: all */
    int limit;
} sal_ledger_filter_t;

/*
 * Rows, latest first: received (ISO), outcome, reason, status, size, agent, crash_id. In p.
 */
SAL_API apr_status_t sal_ledger_list(sal_rows_t **rows, const sal_ledger_filter_t *filter,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The same, counted by outcome, reason and agent: outcome, reason, agent, n, size of the largest.
 */
SAL_API apr_status_t sal_ledger_sums(sal_rows_t **rows, const sal_ledger_filter_t *filter,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
