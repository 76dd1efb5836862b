/*
 * When signatures were met first.
 *
 * A row is written in the transaction that completes a crash, so nothing has to run afterwards; a
 * job mends the table out of the search rows. Dates and builds only ever move earlier
 * (docs/triage.md).
 */
#ifndef SAL_TRIAGE_SIGNATURES_H
#define SAL_TRIAGE_SIGNATURES_H

#include <stdbool.h>
#include <jansson.h>
#include "db/db.h"

/*
 * Notes a processed crash, inside the caller's transaction. A document without a signature or a
 * usable date_processed is passed over. Writes (and locks) nothing where the signature is known to
 * be as old: that is nearly always.
 */
SAL_API apr_status_t sal_triage_seen(const json_t *processed, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/*
 * The same out of the search rows whose date is in [from, to); a statement each week. *n: rows
 * that changed. Stops at deadline (0: none) with APR_TIMEUP; what was done stays.
 */
SAL_API apr_status_t sal_triage_mend(int64_t *n, apr_time_t from, apr_time_t to,
                                     apr_time_t deadline, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* The dates of the oldest and the newest search row; 0 where there is none. */
SAL_API apr_status_t sal_triage_span(apr_time_t *oldest, apr_time_t *newest, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

typedef struct sal_first_t {
    const char *signature;
    apr_time_t seen;   /* of all its crashes */
    apr_time_t date;   /* of those with a build id; 0: there is none */
    const char *build; /* "" if there is none */
} sal_first_t;

/*
 * Of each of the signatures that is known, by signature. with_build: only those that have a build
 * id, as the API's SignatureFirstDate tells them.
 */
SAL_API apr_status_t sal_triage_first(sal_first_t **out, int *n, const char *const *signatures,
                                      int count, bool with_build, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

#endif
