/*
 * The rows of sessions. The secret of a session's URL is not in the database, only its digest.
 */
#include "upload/session.h"

#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/text.h"

static sal_val_t known(int64_t v, int64_t none)
{
    return v == none ? SAL_V_NULL(SAL_T_INT) : SAL_V_INT(v);
}

apr_status_t sal_session_add(sal_session_t *s, int lifetime, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    unsigned char noise[SAL_SESSION_SECRET / 2], digest[32];
    sal_rows_t *rows = NULL;
    apr_status_t rv = apr_generate_random_bytes(noise, sizeof(noise));

    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "no random bytes");
    }
    sal_hex(s->secret, noise, sizeof(noise));
    sal_sha256(s->secret, SAL_SESSION_SECRET, digest);
    rv = sal_db_exec(db, &sal_s_upload_session_add, &rows, p, err,
                     SAL_V_BYTEA(digest, sizeof(digest)), SAL_V_TEXT(s->kind),
                     SAL_V_INT(s->token_id), known(s->user_id, 0), SAL_V_TEXT(s->user),
                     SAL_V_TEXT(s->address), SAL_V_BOOL(s->is_try), known(s->upload_id, 0),
                     SAL_V_TEXT(s->name), known(s->size, -1),
                     s->has_md5 ? SAL_V_BYTEA(s->md5, sizeof(s->md5)) : SAL_V_NULL(SAL_T_BYTEA),
                     known(s->length, -1), SAL_V_INT(lifetime));
    if (rv == APR_SUCCESS) {
        s->id = sal_rows_int(rows, 0, 0);
        s->created = sal_rows_time(rows, 0, 1);
        s->expires = sal_rows_time(rows, 0, 2);
        s->completed = 0;
    }
    return rv;
}

static int64_t int_or(const sal_rows_t *rows, int col, int64_t none)
{
    return sal_rows_null(rows, 0, col) ? none : sal_rows_int(rows, 0, col);
}

static void read_session(sal_session_t *s, const sal_rows_t *rows, apr_pool_t *p)
{
    apr_size_t size;
    const void *md5;

    s->id = sal_rows_int(rows, 0, 0);
    s->kind = sal_rows_text(rows, 0, 1);
    s->token_id = sal_rows_int(rows, 0, 2);
    s->user_id = int_or(rows, 3, 0);
    s->user = sal_rows_text(rows, 0, 4);
    s->address = sal_rows_null(rows, 0, 5) ? NULL : sal_rows_text(rows, 0, 5);
    s->is_try = sal_rows_bool(rows, 0, 6) != 0;
    s->upload_id = int_or(rows, 7, 0);
    s->name = sal_rows_text(rows, 0, 8);
    s->size = int_or(rows, 9, -1);
    md5 = sal_rows_bytes(rows, 0, 10, &size, p);
    s->has_md5 = size == sizeof(s->md5);
    if (s->has_md5) {
        memcpy(s->md5, md5, size);
    }
    s->length = int_or(rows, 11, -1);
    s->created = sal_rows_time(rows, 0, 12);
    s->expires = sal_rows_time(rows, 0, 13);
    s->completed = sal_rows_time(rows, 0, 14);
    s->expired = sal_rows_bool(rows, 0, 15) != 0;
}

apr_status_t sal_session_find(sal_session_t *s, const char *secret, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    unsigned char digest[32];
    sal_rows_t *rows = NULL;
    apr_status_t rv;

    memset(s, 0, sizeof(*s));
    if (strlen(secret) != SAL_SESSION_SECRET ||
        strspn(secret, "0123456789abcdef") != SAL_SESSION_SECRET) {
        return sal_fail(err, APR_ENOENT, "no such upload");
    }
    memcpy(s->secret, secret, SAL_SESSION_SECRET);
    sal_sha256(secret, SAL_SESSION_SECRET, digest);
    rv = sal_db_exec(db, &sal_s_upload_session_find, &rows, p, err,
                     SAL_V_BYTEA(digest, sizeof(digest)));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "no such upload");
    }
    read_session(s, rows, p);
    return APR_SUCCESS;
}

apr_status_t sal_session_note(const sal_session_t *s, int64_t received, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_upload_session_received, NULL, p, err, SAL_V_INT(s->id),
                       SAL_V_INT(received), known(s->length, -1));
}

apr_status_t sal_session_remove_row(const sal_session_t *s, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_upload_session_remove, NULL, p, err, SAL_V_INT(s->id));
}

typedef struct {
    sal_session_t *session;
    int64_t received;
    bool stored;
    uint64_t unpacked;
} completion_t;

static apr_status_t complete(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const completion_t *c = baton;
    const sal_session_t *s = c->session;
    apr_status_t rv = APR_SUCCESS;

    if (s->upload_id) {
        rv = sal_db_exec(db, &sal_s_upload_session_lock, NULL, p, err, SAL_V_INT(s->upload_id));
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_upload_session_complete, NULL, p, err, SAL_V_INT(s->id),
                         SAL_V_INT(c->received), known(s->upload_id, 0));
    }
    if (rv == APR_SUCCESS && s->upload_id && strcmp(s->kind, "zip")) {
        rv = sal_db_exec(db, &sal_s_upload_session_close, NULL, p, err, SAL_V_INT(s->upload_id),
                         SAL_V_INT(c->stored), SAL_V_INT((int64_t)c->unpacked));
    }
    return rv;
}

apr_status_t sal_session_complete(sal_session_t *s, int64_t received, bool stored,
                                  uint64_t unpacked, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    completion_t c = { s, received, stored, unpacked };

    return sal_db_txn(db, complete, &c, p, err);
}

/* ---- lists and questions ---- */

static json_t *time_or_null(const sal_rows_t *rows, int row, int col, apr_pool_t *p)
{
    return sal_rows_null(rows, row, col)
               ? json_null()
               : json_string(sal_time_iso(sal_rows_time(rows, row, col), p));
}

static json_t *int_or_null(const sal_rows_t *rows, int row, int col)
{
    return sal_rows_null(rows, row, col) ? json_null() : json_integer(sal_rows_int(rows, row, col));
}

apr_status_t sal_session_list(json_t **out, int64_t user_id, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_upload_session_list, &rows, p, err, known(user_id, 0));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = json_array();
    for (int i = 0; i < sal_rows_count(rows); i++) {
        json_array_append_new(
            *out,
            json_pack("{s:I, s:s, s:s, s:b, s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "id",
                      (json_int_t)sal_rows_int(rows, i, 0), "kind", sal_rows_text(rows, i, 1),
                      "name", sal_rows_text(rows, i, 2), "try_symbols", sal_rows_bool(rows, i, 3),
                      "user", sal_rows_text(rows, i, 4), "length", int_or_null(rows, i, 5),
                      "received", (json_int_t)sal_rows_int(rows, i, 6), "upload",
                      int_or_null(rows, i, 7), "created_at", time_or_null(rows, i, 8, p),
                      "expires_at", time_or_null(rows, i, 9, p), "completed_at",
                      time_or_null(rows, i, 10, p)));
    }
    return APR_SUCCESS;
}

apr_status_t sal_upload_known(sal_upload_claim_t *claims, size_t n, bool is_try,
                              sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    const char **names = apr_pcalloc(p, 3 * (n + 1) * sizeof(*names));
    sal_rows_t *rows = NULL;
    apr_status_t rv;

    for (size_t i = 0; i < n; i++) {
        names[i] = claims[i].key->debug_file;
        names[n + i] = claims[i].key->debug_id;
        names[2 * n + i] = claims[i].key->leaf;
    }
    rv = sal_db_exec(db, &sal_s_upload_known_md5, &rows, p, err, SAL_V_TEXTS(names, n),
                     SAL_V_TEXTS(names + n, n), SAL_V_TEXTS(names + 2 * n, n), SAL_V_BOOL(is_try));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        sal_upload_claim_t *c = &claims[sal_rows_int(rows, i, 0) - 1];
        apr_size_t size;
        const void *md5 = sal_rows_bytes(rows, i, 3, &size, p);

        if (sal_rows_int(rows, i, 2) == c->size && size == 16 && !memcmp(md5, c->md5, size) &&
            sal_upload_still_stored(store, c->key, sal_rows_bool(rows, i, 1) != 0,
                                    sal_rows_text(rows, i, 4), p)) {
            c->known = true;
        }
    }
    return rv;
}

apr_status_t sal_upload_auth_info(sal_upload_auth_t *info, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_upload_auth_info, &rows, p, err, SAL_V_INT(info->token_id));

    if (rv == APR_SUCCESS && sal_rows_count(rows) > 0) {
        info->user = sal_rows_text(rows, 0, 0);
        info->user_id = sal_rows_int(rows, 0, 1);
        info->expires = sal_rows_time(rows, 0, 2);
        info->api_version = (int)sal_rows_int(rows, 0, 3);
    }
    return rv;
}
