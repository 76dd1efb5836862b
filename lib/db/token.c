/*
 * API tokens: making, finding, listing, revoking. The text of a token leaves sal_token_create once
 * and is nowhere else: the database holds its SHA-256. That is enough for 256 random bits, and the
 * look-up by digest leaks nothing through its timing. Knows no request.
 */
#include "db/token.h"

#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/log.h"
#include "base/text.h"

#define TOKEN_BYTES 32
#define TOKEN_TEXT (2 * TOKEN_BYTES)
#define PREFIX 8

static const struct {
    const char *name;
    int bit;
    const char *codename, *title; /* as Tecken and Crash Stats call them */
} permissions[] = {
    { "upload_symbols", SAL_PERM_UPLOAD_SYMBOLS, "upload.upload_symbols", "Upload Symbols Files" },
    { "upload_try_symbols", SAL_PERM_UPLOAD_TRY_SYMBOLS, "upload.upload_try_symbols",
      "Upload Try Symbols Files" },
    { "view_pii", SAL_PERM_VIEW_PII, "crashstats.view_pii",
      "View Personal Identifiable Information" },
    { "view_rawdump", SAL_PERM_VIEW_RAWDUMP, "crashstats.view_rawdump", "View Raw Dumps" },
    { "run_custom_queries", SAL_PERM_RUN_CUSTOM_QUERIES, "crashstats.run_custom_queries",
      "Run Custom Queries in Super Search" },
    { "run_long_queries", SAL_PERM_RUN_LONG_QUERIES, "crashstats.run_long_queries",
      "Run Long Queries" },
    { "reprocess_crashes", SAL_PERM_REPROCESS_CRASHES, "crashstats.reprocess_crashes",
      "Reprocess Crashes" },
    { "manage_symbols", SAL_PERM_MANAGE_SYMBOLS, "upload.manage_symbols", "Delete Symbols Files" },
    { "admin", SAL_PERM_ADMIN, "auth.admin", "Administer This Installation" },
    { "view_all_uploads", SAL_PERM_VIEW_ALL_UPLOADS, "upload.view_all_uploads",
      "View All Symbols Uploads" },
    { "manage_tokens", SAL_PERM_MANAGE_TOKENS, "tokens.manage_tokens", "Manage Your API Tokens" },
    { "staff", SAL_PERM_STAFF, "auth.staff", "Work in the Site Administration" },
};
#define PERMISSIONS (sizeof(permissions) / sizeof(permissions[0]))

int sal_permission_bit(const char *name)
{
    for (size_t i = 0; i < PERMISSIONS; i++) {
        if (!strcmp(permissions[i].name, name)) {
            return permissions[i].bit;
        }
    }
    return 0;
}

const char *sal_permission_names(int bits, apr_pool_t *p)
{
    const char *out = "";

    for (size_t i = 0; i < PERMISSIONS; i++) {
        if (bits & permissions[i].bit) {
            out = apr_pstrcat(p, out, *out ? ", " : "", permissions[i].name, NULL);
        }
    }
    return out;
}

bool sal_permission_at(sal_permission_t *out, int n)
{
    if (n < 0 || (size_t)n >= PERMISSIONS) {
        return false;
    }
    *out = (sal_permission_t){ .id = n + 1,
                               .bit = permissions[n].bit,
                               .name = permissions[n].name,
                               .codename = permissions[n].codename,
                               .title = permissions[n].title };
    return true;
}

bool sal_permissions_combine(int bits)
{
    int both = SAL_PERM_UPLOAD_SYMBOLS | SAL_PERM_UPLOAD_TRY_SYMBOLS;

    return (bits & both) != both;
}

typedef struct new_token_t {
    const char *actor, *user, *notes, *prefix;
    unsigned char hash[32];
    int permissions;
    apr_time_t expires;
    int64_t id; /* of its row, once written */
} new_token_t;

static apr_status_t audit(sal_db_t *db, const char *actor, const char *action, const char *target,
                          const char *detail, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT(actor),
                       SAL_V_TEXT(action), SAL_V_TEXT(target), SAL_V_TEXT(detail));
}

static apr_status_t insert_token(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    new_token_t *t = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_user_put, &rows, p, err, SAL_V_TEXT(t->user));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) { /* made by somebody else since our snapshot */
        rv = sal_db_exec(db, &sal_s_auth_user_put, &rows, p, err, SAL_V_TEXT(t->user));
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(
            db, &sal_s_auth_token_put, &rows, p, err, SAL_V_BYTEA(t->hash, sizeof(t->hash)),
            SAL_V_TEXT(t->prefix), SAL_V_INT(sal_rows_int(rows, 0, 0)), SAL_V_INT(t->permissions),
            SAL_V_TEXT(t->notes), t->expires ? SAL_V_TIME(t->expires) : SAL_V_NULL(SAL_T_TIME));
    }
    if (rv == APR_SUCCESS) {
        t->id = sal_rows_int(rows, 0, 0);
    }
    return rv == APR_SUCCESS ? audit(db, t->actor, "token.create", t->user,
                                     apr_psprintf(p, "%s...: %s", t->prefix,
                                                  sal_permission_names(t->permissions, p)),
                                     p, err)
                             : rv;
}

apr_status_t sal_token_create(const char **plain, const char *user, int bits, apr_time_t expires,
                              const char *notes, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_token_create_by(plain, NULL, "salvage", user, bits, expires, notes, db, p, err);
}

apr_status_t sal_token_create_by(const char **plain, int64_t *id, const char *actor,
                                 const char *user, int bits, apr_time_t expires, const char *notes,
                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    new_token_t t = { actor, user, notes ? notes : "", NULL, { 0 }, bits, expires, 0 };
    unsigned char noise[TOKEN_BYTES];
    char *text = apr_palloc(p, TOKEN_TEXT + 1);
    apr_status_t rv;

    if ((rv = apr_generate_random_bytes(noise, sizeof(noise))) != APR_SUCCESS) {
        return sal_fail_os(err, rv, "no random bytes");
    }
    sal_hex(text, noise, sizeof(noise));
    sal_sha256(text, TOKEN_TEXT, t.hash);
    t.prefix = apr_pstrmemdup(p, text, PREFIX);
    if ((rv = sal_db_txn(db, insert_token, &t, p, err)) == APR_SUCCESS) {
        *plain = text;
        if (id) {
            *id = t.id;
        }
    }
    return rv;
}

static void read_token(sal_token_t *out, const sal_rows_t *rows, int row)
{
    out->id = sal_rows_int(rows, row, 0);
    out->user = sal_rows_text(rows, row, 1);
    out->user_id = sal_rows_int(rows, row, 2);
    out->permissions = (int)sal_rows_int(rows, row, 3);
    out->notes = sal_rows_text(rows, row, 4);
    out->created = sal_rows_time(rows, row, 5);
    out->expires = sal_rows_time(rows, row, 6);
    out->last_used = sal_rows_time(rows, row, 7);
    out->prefix = sal_rows_text(rows, row, 10);
    if (sal_rows_bool(rows, row, 9)) {
        out->state = SAL_TOKEN_EXPIRED;
    } else {
        out->state = sal_rows_bool(rows, row, 8) ? SAL_TOKEN_OK : SAL_TOKEN_INACTIVE_USER;
    }
}

/* Only the wire form can be in the table; anything else costs no query. */
static int digest_of(unsigned char hash[32], const char *sent)
{
    apr_size_t len = strcspn(sent, "-");

    if (len != TOKEN_TEXT || strspn(sent, "0123456789abcdef") != len) {
        return 0;
    }
    sal_sha256(sent, len, hash);
    return 1;
}

apr_status_t sal_token_find(sal_token_t *out, const char *sent, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    unsigned char hash[32];
    sal_rows_t *rows;
    apr_status_t rv;

    memset(out, 0, sizeof(*out));
    out->state = SAL_TOKEN_UNKNOWN;
    out->user = out->notes = out->prefix = "";
    if (!digest_of(hash, sent)) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(db, &sal_s_auth_token_find, &rows, p, err, SAL_V_BYTEA(hash, sizeof(hash)));
    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv;
    }
    read_token(out, rows, 0);
    if (out->state == SAL_TOKEN_OK && sal_rows_bool(rows, 0, 11) &&
        sal_db_exec(db, &sal_s_auth_token_touch, NULL, p, NULL, SAL_V_INT(out->id)) !=
            APR_SUCCESS) {
        /* A replica refuses to write; the token is as good as before. */
        sal_log(SAL_LOG_DEBUG, 0, "last use of token %lld not noted", (long long)out->id);
    }
    return APR_SUCCESS;
}

apr_status_t sal_token_list(sal_token_t **out, int *n, const char *user, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_token_list, &rows, p, err, SAL_V_TEXT(user));

    *n = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_pcalloc(p, ((apr_size_t)*n + 1) * sizeof(**out));
    for (int i = 0; i < *n; i++) {
        read_token(*out + i, rows, i);
        (*out)[i].upload_api = (int)sal_rows_int(rows, i, 11);
    }
    return APR_SUCCESS;
}

typedef struct {
    int64_t id, owner; /* owner 0: anybody's */
    int days, version;
    const char *actor;
} change_t;

static apr_status_t no_token(int64_t id, sal_error_t *err)
{
    return sal_fail(err, APR_ENOENT, "there is no token %lld (salvage token list shows all)",
                    (long long)id);
}

static apr_status_t audit_change(sal_db_t *db, const change_t *c, const char *action,
                                 const char *detail, apr_pool_t *p, sal_error_t *err)
{
    return audit(db, c->actor, action, apr_psprintf(p, "%" APR_INT64_T_FMT, c->id), detail, p, err);
}

static apr_status_t revoke_token(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const change_t *c = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_token_revoke, &rows, p, err, SAL_V_INT(c->id),
                                  SAL_V_INT(c->owner));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    return sal_rows_count(rows) == 0
               ? no_token(c->id, err)
               : audit_change(db, c, "token.revoke",
                              apr_pstrcat(p, sal_rows_text(rows, 0, 0), "...", NULL), p, err);
}

apr_status_t sal_token_revoke_by(int64_t id, int64_t owner, const char *actor, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .id = id, .owner = owner, .actor = actor };

    return sal_db_txn(db, revoke_token, &c, p, err);
}

apr_status_t sal_token_revoke(int64_t id, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_token_revoke_by(id, 0, "salvage", db, p, err);
}

static apr_status_t extend_token(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const change_t *c = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_token_extend, &rows, p, err, SAL_V_INT(c->id),
                                  SAL_V_INT(c->owner), SAL_V_INT(c->days));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    return sal_rows_count(rows) == 0
               ? no_token(c->id, err)
               : audit_change(db, c, "token.extend",
                              apr_psprintf(p, "%s...: %d days", sal_rows_text(rows, 0, 0), c->days),
                              p, err);
}

apr_status_t sal_token_extend_by(int64_t id, int64_t owner, int days, const char *actor,
                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .id = id, .owner = owner, .days = days, .actor = actor };

    return sal_db_txn(db, extend_token, &c, p, err);
}

static apr_status_t set_upload_api(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const change_t *c = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_token_upload_api, &rows, p, err, SAL_V_INT(c->id),
                                  SAL_V_INT(c->version));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    return sal_rows_count(rows) == 0
               ? no_token(c->id, err)
               : audit_change(db, c, "token.upload-api",
                              apr_psprintf(p, "%s...: %d", sal_rows_text(rows, 0, 0), c->version),
                              p, err);
}

apr_status_t sal_token_upload_api_by(int64_t id, int version, const char *actor, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .id = id, .version = version, .actor = actor };

    return sal_db_txn(db, set_upload_api, &c, p, err);
}
