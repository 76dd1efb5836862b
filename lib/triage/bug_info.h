/*
 * What the tracker says of bugs: summary, status, resolution. A copy in table bug_info, so that
 * pages never wait for a tracker; /buginfo/bug and the job bugassociations renew it.
 */
#ifndef SAL_TRIAGE_BUG_INFO_H
#define SAL_TRIAGE_BUG_INFO_H

#include "triage/bugs.h"

typedef struct sal_bug_info_t {
    int64_t id;
    const char *summary, *status, *resolution; /* status "": the tracker does not tell */
} sal_bug_info_t;

/* UNCONFIRMED, NEW, ASSIGNED, REOPENED, whatever the letter case; or what is not known. */
SAL_API bool sal_bug_is_open(const char *status);

/* Those that are known and not older than `since`, by number. */
SAL_API apr_status_t sal_bug_info_read(sal_bug_info_t **out, int *n, const int64_t *ids, int count,
                                       apr_time_t since, sal_db_t *db, apr_pool_t *p,
                                       sal_error_t *err);

/*
 * The bugs of one signature: open ones first, then newest. What is not known of one is "".
 * max: at most so many.
 */
SAL_API apr_status_t sal_bug_info_of(sal_bug_info_t **out, int *n, const char *signature, int max,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Asks the tracker, waiting at most seconds. Bugs it does not tell of are left out. */
SAL_API apr_status_t sal_bugzilla_info(sal_bug_info_t **out, int *n, const sal_bugzilla_t *bugzilla,
                                       const int64_t *ids, int count, int seconds, apr_pool_t *p,
                                       sal_error_t *err);

/*
 * Keeps what was answered about the bugs that were asked for; those without an answer are noted as
 * not told, so that they are not asked for again at once.
 */
SAL_API apr_status_t sal_bug_info_put(const sal_bug_info_t *list, int n, const int64_t *asked,
                                      int count, apr_time_t now, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* Renews what is older than a day of at most 500 bugs that signatures name. *n: bugs asked for. */
SAL_API apr_status_t sal_bugzilla_renew(int64_t *n, const sal_bugzilla_t *bugzilla, apr_time_t now,
                                        sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
