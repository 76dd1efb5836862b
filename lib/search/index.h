/*
 * The search row of a crash: values of the processed document become terms and typed columns.
 */
#ifndef SAL_SEARCH_INDEX_H
#define SAL_SEARCH_INDEX_H

#include <stdbool.h>
#include <jansson.h>
#include "db/db.h"

/*
 * Finds or makes the terms of a document, in short transactions of its own. Call it before the
 * transaction that stores the crash. *row is opaque and lives in p.
 */
typedef struct sal_search_row_t sal_search_row_t;
SAL_API apr_status_t sal_search_prepare(sal_search_row_t **row, const json_t *processed,
                                        sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Replaces the crash's row; inside the caller's transaction. */
SAL_API apr_status_t sal_search_store(const sal_search_row_t *row, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* Makes the weekly partitions from `now` to `weeks` ahead. Idempotent. */
SAL_API apr_status_t sal_search_partitions(sal_db_t *db, apr_time_t now, int weeks, apr_pool_t *p,
                                           sal_error_t *err);

/* Whether a crash has a row. */
SAL_API apr_status_t sal_search_has(bool *has, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/*
 * Drops the ids this process remembers. Needed only when a database was emptied and filled again
 * under the same name (salvage rebuild, tests).
 */
SAL_API void sal_search_forget_terms(void);

#endif
