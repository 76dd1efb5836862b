/*
 * Bugs of a tracker, and the signatures they name.
 */
#ifndef SAL_TRIAGE_BUGS_H
#define SAL_TRIAGE_BUGS_H

#include <stdbool.h>
#include "base/conf.h"
#include "db/db.h"

typedef struct sal_bug_t {
    int64_t id;
    const char *signature; /* "": the bug names none */
} sal_bug_t;

typedef struct sal_bugs_changed_t {
    int64_t added, removed; /* pairs */
} sal_bugs_changed_t;

/*
 * Adds pairs. replace: each bug of the list names these signatures from now on and no others. All
 * or nothing. SAL_E_MALFORMED: an id below 1, a signature over 10,000 bytes or no UTF-8.
 */
SAL_API apr_status_t sal_bugs_put(sal_bugs_changed_t *out, const sal_bug_t *list, int n,
                                  bool replace, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* A table of them, CSV or JSON: columns bug (or id, bug_id) and signature. */
SAL_API apr_status_t sal_bugs_read(sal_bug_t **out, int *n, const char *text, size_t len,
                                   apr_pool_t *p, sal_error_t *err);

/*
 * The signatures in a tracker's text ("[@ one] [@ two]"): what stands between "[@" and the last "]"
 * before the next one, without blanks around it, each once. NULL-terminated.
 */
SAL_API const char **sal_bugs_signatures_in(const char *text, apr_pool_t *p);

/* ---- Bugzilla ---- */

typedef struct sal_bugzilla_t {
    const char *url;    /* of the REST API, without "/bug"; NULL: none */
    const char *header; /* with the API key, or NULL */
} sal_bugzilla_t;

/* bugzilla-url, bugzilla-key-file. */
SAL_API apr_status_t sal_bugzilla_conf(sal_bugzilla_t *out, const sal_conf_t *conf, apr_pool_t *p,
                                       sal_error_t *err);

/*
 * Asks for bugs that were made, or whose signatures changed, since the day of `since`, and takes
 * over what they name. *n: bugs.
 */
SAL_API apr_status_t sal_bugzilla_update(int64_t *n, sal_bugs_changed_t *changed,
                                         const sal_bugzilla_t *bugzilla, apr_time_t since,
                                         sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- reading: rows of id, signature, by both ---- */

/* The bugs that name one of the signatures, with all signatures they name (the API's Bugs). */
SAL_API apr_status_t sal_bugs_of(sal_rows_t **out, const char *const *signatures, int n,
                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* What these bugs name (the API's SignaturesByBugs). */
SAL_API apr_status_t sal_bugs_name(sal_rows_t **out, const int64_t *bugs, int n, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err);

/* All of them. */
SAL_API apr_status_t sal_bugs_list(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
