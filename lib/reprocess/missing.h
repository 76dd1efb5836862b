/*
 * Which crashes lack which symbols, and having them processed again when the symbols come.
 *
 * The database notes every .sym that is recorded (migration 0014), so it does not matter which way
 * it came: upload, sym-upload-v2, import, dump of a program. When none has come for a while, the
 * crashes that lack them become a request of "symbols".
 */
#ifndef SAL_REPROCESS_MISSING_H
#define SAL_REPROCESS_MISSING_H

#include <jansson.h>
#include "reprocess/reprocess.h"

enum { SAL_MISSING_MAX = 100 }; /* modules of a crash that are noted */

/*
 * Replaces what is noted of a crash by what its document says now. Inside the transaction that
 * stores the document.
 */
SAL_API apr_status_t sal_reprocess_note(sal_db_t *db, const char *crash_id, const json_t *doc,
                                        apr_pool_t *p, sal_error_t *err);

/*
 * Makes a request of the crashes that lack what has come; *id 0 if nothing is due or wanted.
 * *chosen: crashes in it; *lacking: all that lack something of it, also those over the limits.
 */
SAL_API apr_status_t sal_reprocess_arrivals(int64_t *id, int64_t *chosen, int64_t *lacking,
                                            const sal_reprocess_limits_t *limits, sal_db_t *db,
                                            apr_pool_t *p, sal_error_t *err);

/* Forgets what crashes older than `days` days lack. */
SAL_API apr_status_t sal_reprocess_missing_expire(int *n, int days, sal_db_t *db, apr_pool_t *p,
                                                  sal_error_t *err);

#endif
