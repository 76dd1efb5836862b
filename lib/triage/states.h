/*
 * The life of a signature: open, fixed in a version, come back, ignored until a day; who looks
 * after it; notes (docs/triage.md).
 *
 * "Fixed in" is the table of lib/hint, which clients are answered from: one truth for both. What
 * people do here is written to the audit log in the same transaction, as signature.*, and is read
 * back from there as the signature's history.
 *
 * Functions that change something take `who`, the name that the log shows. SAL_E_MALFORMED: a
 * text is empty, too long or no UTF-8; the message says which.
 */
#ifndef SAL_TRIAGE_STATES_H
#define SAL_TRIAGE_STATES_H

#include <stdbool.h>
#include "db/db.h"

enum {
    SAL_STATE_SIGNATURE_MAX = 10000, /* bytes */
    SAL_STATE_NOTE_MAX = 10000,
    SAL_STATE_NAME_MAX = 200, /* versions, products, people */
    SAL_STATE_NOTES_MAX = 500 /* of a signature */
};

typedef enum {
    SAL_STATE_OPEN,
    SAL_STATE_FIXED,     /* in .version, and not seen in it or after it since */
    SAL_STATE_REGRESSED, /* fixed in .version, and crashed since in .regressed_version */
    SAL_STATE_IGNORED    /* until .until; 0: for good. Stands before the others */
} sal_state_kind_t;

typedef struct sal_state_t {
    const char *signature;
    sal_state_kind_t kind;
    const char *product, *version; /* of what is fixed; product "": any. NULL: nothing is */
    apr_time_t regressed;          /* date of the first such crash; 0: none */
    const char *regressed_version, *regressed_crash; /* NULL: none */
    apr_time_t until;                                /* ignored; 0: for good, or not at all */
    const char *assignee;                            /* "": nobody */
    int64_t notes;                                   /* how many */
} sal_state_t;

/*
 * The states of signatures, as many and in the order given. product: what is fixed in it, or
 * in any, counts; NULL: of each signature the entry that came back, else the newest one.
 */
SAL_API apr_status_t sal_states_of(sal_state_t **out, const char *const *signatures, int n,
                                   const char *product, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* "open", "fixed", "regressed", "ignored". */
SAL_API const char *sal_state_name(sal_state_kind_t kind);

/* Is a version the same as, or newer than, the one of a fix? By sal_version_key where it can. */
SAL_API bool sal_state_reaches(const char *version, const char *fixed);

/* ---- what people do ---- */

/* until 0: for good. */
SAL_API apr_status_t sal_state_ignore(const char *signature, apr_time_t until, const char *who,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Neither ignored nor fixed in any version from now on. */
SAL_API apr_status_t sal_state_open(const char *signature, const char *who, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/* assignee "": nobody. */
SAL_API apr_status_t sal_state_assign(const char *signature, const char *assignee, const char *who,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Fixed in a version of a product (""): any. told: what clients are told; "": the usual. */
SAL_API apr_status_t sal_state_fix(const char *signature, const char *product, const char *version,
                                   const char *told, const char *who, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* Takes it back. APR_ENOENT: there is no such entry. */
SAL_API apr_status_t sal_state_unfix(const char *signature, const char *product, const char *who,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* *id may be NULL. SAL_E_TOOBIG: there are SAL_STATE_NOTES_MAX already. */
SAL_API apr_status_t sal_state_note(int64_t *id, const char *signature, const char *text,
                                    const char *who, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* any: whoever wrote it. APR_ENOENT: the signature has no such note; SAL_E_DENIED: another's. */
SAL_API apr_status_t sal_state_note_remove(const char *signature, int64_t id, const char *who,
                                           bool any, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- reading ---- */

/* Rows, newest first: id, at, who, note. */
SAL_API apr_status_t sal_state_notes(sal_rows_t **out, const char *signature, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/*
 * Rows, by product: product, version, added, told, regressed (NULL: not), regressed_version,
 * regressed_crash.
 */
SAL_API apr_status_t sal_state_fixes(sal_rows_t **out, const char *signature, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/* Rows, newest first, at most `limit`: at, actor, action ("signature.fix"), detail. */
SAL_API apr_status_t sal_state_history(sal_rows_t **out, const char *signature, int limit,
                                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- the job ---- */

/*
 * Looks among crashes that came after a fix was noted for versions that should have it, and notes
 * the first one: the signature has come back. Candidates are found in the counts by day, so that
 * they should be fresh (sal_rollup_run). *n: signatures that have. Run twice it does nothing more.
 */
SAL_API apr_status_t sal_states_check(int64_t *n, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
