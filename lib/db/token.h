/*
 * API tokens: 256 random bits, shown once, stored as SHA-256, with permissions and an expiry.
 *
 * Wire form: 64 lower-case hex digits. As Tecken's clients do, a token may be sent with a label:
 * the text before the first '-' is the token.
 */
#ifndef SAL_DB_TOKEN_H
#define SAL_DB_TOKEN_H

#include <apr_time.h>
#include "db/db.h"

/* Bits; names as users write them (`Require crash-permission NAME`, `salvage token create`). */
enum sal_permission {
    SAL_PERM_UPLOAD_SYMBOLS = 1 << 0,     /* upload_symbols */
    SAL_PERM_UPLOAD_TRY_SYMBOLS = 1 << 1, /* upload_try_symbols */
    SAL_PERM_VIEW_PII = 1 << 2,           /* view_pii */
    SAL_PERM_VIEW_RAWDUMP = 1 << 3,       /* view_rawdump */
    SAL_PERM_RUN_CUSTOM_QUERIES = 1 << 4, /* run_custom_queries */
    SAL_PERM_RUN_LONG_QUERIES = 1 << 5,   /* run_long_queries */
    SAL_PERM_REPROCESS_CRASHES = 1 << 6,  /* reprocess_crashes */
    SAL_PERM_MANAGE_SYMBOLS = 1 << 7,     /* manage_symbols */
    SAL_PERM_ADMIN = 1 << 8               /* admin */
};

/* Bit of a name, 0 if unknown. */
SAL_API int sal_permission_bit(const char *name);
/* "a, b" of the bits. */
SAL_API const char *sal_permission_names(int bits, apr_pool_t *p);

typedef enum {
    SAL_TOKEN_OK,
    SAL_TOKEN_UNKNOWN,
    SAL_TOKEN_EXPIRED,
    SAL_TOKEN_INACTIVE_USER
} sal_token_state_t;

typedef struct sal_token_t {
    int64_t id;
    const char *user; /* e-mail or name of the owner */
    int64_t user_id;
    int permissions; /* enum sal_permission bits */
    const char *notes;
    const char *prefix;                     /* first 8 characters of its text */
    apr_time_t created, expires, last_used; /* 0: never */
    sal_token_state_t state;
} sal_token_t;

/*
 * Makes a token for a user (created if missing). *plain is the only copy of its text. expires 0 is
 * never.
 */
SAL_API apr_status_t sal_token_create(const char **plain, const char *user, int permissions,
                                      apr_time_t expires, const char *notes, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

/* Looks up the text a client sent. out->state says what is wrong; only SAL_TOKEN_OK may act. */
SAL_API apr_status_t sal_token_find(sal_token_t *out, const char *sent, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* Tokens that are not revoked, newest first; of one user, or of all if user is NULL. */
SAL_API apr_status_t sal_token_list(sal_token_t **out, int *n, const char *user, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/* From now on the token is unknown. APR_ENOENT if there is none with this id. */
SAL_API apr_status_t sal_token_revoke(int64_t id, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
