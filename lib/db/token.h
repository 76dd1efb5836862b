/*
 * API tokens: 256 random bits, shown once, stored as SHA-256, with permissions and an expiry.
 *
 * Wire form: 64 lower-case hex digits. As Tecken's clients do, a token may be sent with a label:
 * the text before the first '-' is the token.
 */
#ifndef SAL_DB_TOKEN_H
#define SAL_DB_TOKEN_H

#include <stdbool.h>
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
    SAL_PERM_ADMIN = 1 << 8,              /* admin: whatever can be granted */
    SAL_PERM_VIEW_ALL_UPLOADS = 1 << 9,   /* view_all_uploads */
    SAL_PERM_MANAGE_TOKENS = 1 << 10,     /* manage_tokens */
    SAL_PERM_STAFF = 1 << 11              /* staff: /siteadmin/ but for people and their rights */
};

/* Bit of a name, 0 if unknown. */
SAL_API int sal_permission_bit(const char *name);
/* "a, b" of the bits. */
SAL_API const char *sal_permission_names(int bits, apr_pool_t *p);

/* A permission as pages and the API present it. */
typedef struct sal_permission_t {
    int id; /* of the API: number of the bit, from 1 */
    int bit;
    const char *name;     /* upload_symbols */
    const char *codename; /* upload.upload_symbols */
    const char *title;    /* Upload Symbols Files */
} sal_permission_t;

/* The nth permission from 0; false past the end. */
SAL_API bool sal_permission_at(sal_permission_t *out, int n);

/* No token may upload both regular and try symbols: the kind would depend on the client. */
SAL_API bool sal_permissions_combine(int bits);

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
    int upload_api; /* version that its clients shall use, 1 or 2; set by sal_token_list only */
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

/* Makes one of a user whose rights were checked; *id may be NULL. actor is noted in the audit log.
 */
SAL_API apr_status_t sal_token_create_by(const char **plain, int64_t *id, const char *actor,
                                         const char *user, int permissions, apr_time_t expires,
                                         const char *notes, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

/* Tokens that are not revoked, newest first; of one user, or of all if user is NULL. */
SAL_API apr_status_t sal_token_list(sal_token_t **out, int *n, const char *user, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/* From now on the token is unknown. APR_ENOENT if there is none with this id. */
SAL_API apr_status_t sal_token_revoke(int64_t id, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The same by a person; owner 0: of anybody's, else APR_ENOENT unless it belongs to this user id.
 */
SAL_API apr_status_t sal_token_revoke_by(int64_t id, int64_t owner, const char *actor, sal_db_t *db,
                                         apr_pool_t *p, sal_error_t *err);

/* Adds days to the expiry; a token that never expires stays so. owner as above. */
SAL_API apr_status_t sal_token_extend_by(int64_t id, int64_t owner, int days, const char *actor,
                                         sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Which version of the upload API the clients of a token are told to use: 1 or 2. APR_ENOENT. */
SAL_API apr_status_t sal_token_upload_api_by(int64_t id, int version, const char *actor,
                                             sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
