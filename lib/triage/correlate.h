/*
 * Correlations: what the crashes of a signature have in common that others of its product and
 * channel have not. Which items, which formula, which bounds: docs/triage.md.
 */
#ifndef SAL_TRIAGE_CORRELATE_H
#define SAL_TRIAGE_CORRELATE_H

#include <jansson.h>
#include "db/db.h"

typedef struct sal_correlate_opts_t {
    apr_time_t now;      /* the window ends with the day before its day, UTC */
    int days;            /* of the window */
    int signatures;      /* of a product and channel at most */
    apr_time_t deadline; /* 0: none */
} sal_correlate_opts_t;

/*
 * Finds the correlations of the window for each product and channel and puts them in place of what
 * was found for that day before. *n: signatures. APR_TIMEUP if the time was not enough; what is
 * complete stays.
 */
SAL_API apr_status_t sal_correlate_run(int64_t *n, const sal_correlate_opts_t *opts, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

/*
 * How sure a difference of shares is: the lower bound of a/n in a group against b/m in the
 * reference, at 95 %, less the correction for continuity. Negative: not sure at all.
 */
SAL_API double sal_correlate_low(int64_t a, int64_t n, int64_t b, int64_t m);

/* ---- reading; new references ---- */

/*
 * {"date": "2026-11-22", CHANNEL: crashes looked at, ...} of the newest day of the product; NULL
 * if there is none.
 */
SAL_API apr_status_t sal_correlate_totals(json_t **out, const char *product, sal_db_t *db,
                                          apr_pool_t *p, sal_error_t *err);

/*
 * {"total": crashes of the signature, "results": [{"item": {NAME: value, ...}, "count_group",
 * "count_reference", "prior": {"item", "count_group", "total_group", "count_reference",
 * "total_reference"}}, ...]} of the newest day, best first; NULL if there is none. key: the
 * signature, or the SHA-1 of it in 40 digits of lower-case hex.
 */
SAL_API apr_status_t sal_correlate_get(json_t **out, const char *product, const char *channel,
                                       const char *key, sal_db_t *db, apr_pool_t *p,
                                       sal_error_t *err);

/*
 * A result as a line: "(80.00% in signature vs 03.45% overall) name = value [... if ...]".
 * total_reference: of the channel.
 */
SAL_API const char *sal_correlate_line(const json_t *result, int64_t total_group,
                                       int64_t total_reference, apr_pool_t *p);

/* Forgets what was found for days before. *n: runs. */
SAL_API apr_status_t sal_correlate_expire(int64_t *n, apr_time_t before, sal_db_t *db,
                                          apr_pool_t *p, sal_error_t *err);

#endif
