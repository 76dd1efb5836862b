/*
 * Hints: what a processed crash tells about the client's computer or about a fix, kept until the
 * client asks again (docs/hints.md).
 *
 * A client is known by the HMAC of its id under the installation's secret, and by nothing else. A
 * hint goes to the next reply of the client, or to who knows the crash id. What is told by the id
 * comes out of that crash alone; what came out of other crashes of the client goes to the client.
 */
#ifndef SAL_HINT_HINT_H
#define SAL_HINT_HINT_H

#include <stdbool.h>
#include <jansson.h>
#include "base/conf.h"
#include "db/db.h"

enum { SAL_HINT_CLIENT_HEX = 64, SAL_HINT_TEXT_MAX = 200 };

/* Out of salvage.conf; texts are one line each. */
typedef struct sal_hint_rules_t {
    bool on;        /* hints */
    int confidence; /* hint-bit-flip: percent from which on a bit flip counts */
    int places;     /* hint-places: so many signatures in so many modules... */
    int64_t window; /* hint-window: ...within so many seconds */
    int64_t period; /* hint-period: seconds between two hints to a client */
    const char *hardware, *unrelated, *fixed; /* hint-text-...; {version} in the last */
} sal_hint_rules_t;

SAL_API void sal_hint_rules(sal_hint_rules_t *out, const sal_conf_t *conf, apr_pool_t *p);

/*
 * The name under which a client is known. False if its id is none: shorter than 8 characters, all
 * zeros, or the one that telemetry uses where it is switched off.
 */
SAL_API bool sal_hint_client(char out[SAL_HINT_CLIENT_HEX + 1], const unsigned char secret[32],
                             const char *id);

/* ---- the daemon ---- */

/*
 * Notes what a processed crash tells. May be called again for the same crash; one that tells
 * nothing any more takes back what it told. *kind (may be NULL): "bit_flip", "machine_check",
 * "places", "fixed", or NULL.
 */
SAL_API apr_status_t sal_hint_note(const char **kind, const char *crash_id, const json_t *processed,
                                   const sal_hint_rules_t *rules, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* Forgets crashes of clients that are older than the window, and old hints. */
SAL_API apr_status_t sal_hint_expire(const sal_hint_rules_t *rules, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* ---- the collector ---- */

/* The hint that waits for a client, now told; NULL if there is none, or it was told one lately. */
SAL_API apr_status_t sal_hint_next(const char **text, const char *client, int64_t period,
                                   sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The hint of a crash, now told; NULL if there is none. Asking again gives it again. */
SAL_API apr_status_t sal_hint_poll(const char **text, const char *crash_id, int64_t period,
                                   sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- crashes that are fixed ---- */

/* product "": any. note: instead of hint-text-fixed; "" for that. */
SAL_API apr_status_t sal_hint_fixed_put(const char *product, const char *signature,
                                        const char *version, const char *note, sal_db_t *db,
                                        apr_pool_t *p, sal_error_t *err);
/* APR_ENOENT: there is none. */
SAL_API apr_status_t sal_hint_fixed_remove(const char *product, const char *signature, sal_db_t *db,
                                           apr_pool_t *p, sal_error_t *err);
/* Rows: product, signature, version, note, added. */
SAL_API apr_status_t sal_hint_fixed_list(sal_rows_t **out, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

/*
 * Orders versions: numbers as numbers, missing parts as 0; letters behind a number come before its
 * release ("108.0b3" < "108.0"), "esr" counts for nothing. <0, 0, >0.
 */
SAL_API int sal_hint_compare_versions(const char *a, const char *b);

/* A text as a value in a reply: one line, no control characters, no '=', at most 200 bytes. */
SAL_API const char *sal_hint_line(const char *text, apr_pool_t *p);

#endif
