/*
 * Tecken's upload API v2: POST /upload/v2/ asks file by file what is to be sent and where to;
 * POST /upload/auth_info/ tells a client who it is; GET /api/uploads/sessions/ what is under way.
 */
#include "symbols_session.h"

#include <apr_strings.h>

#include "base/text.h"
#include "db/token.h"

APLOG_USE_MODULE(symbols);

enum { FILES_MAX = 1024 };
static const apr_off_t body_max = 5 << 19;          /* 2.5 MiB */
static const int64_t never = INT64_C(253402300799); /* the end of the year 9999 */

typedef enum { ACTION_UPLOAD, ACTION_SKIP, ACTION_BAD_KEY, ACTION_BAD_MD5 } action_t;

typedef struct {
    const char *text; /* the key as it was sent */
    sal_symbol_key_t key;
    int64_t size;
    unsigned char md5[16];
    action_t action;
    sal_session_t session;
} wanted_t;

typedef struct {
    request_rec *r;
    web_identity_t who;
    bool is_try;
    size_t n;
    wanted_t *files;
    int64_t upload_id;
    uint64_t total;
} request_v2_t;

/* ---- the request ---- */

static bool read_md5(unsigned char out[16], const char *text)
{
    if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32) {
        return false;
    }
    for (int i = 0; i < 16; i++) {
        uint64_t v;

        sal_parse_hex(text + (size_t)2 * i, 2, &v);
        out[i] = (unsigned char)v;
    }
    return true;
}

static bool read_file(wanted_t *w, const json_t *item, apr_pool_t *p)
{
    const json_t *key = json_object_get(item, "key"), *size = json_object_get(item, "size"),
                 *md5 = json_object_get(item, "md5_hash");

    if (!json_is_string(key) || !json_is_integer(size) || !json_is_string(md5)) {
        return false;
    }
    w->text = apr_pstrmemdup(p, json_string_value(key), json_string_length(key));
    w->size = json_integer_value(size);
    w->action = ACTION_UPLOAD;
    if (strlen(w->text) != json_string_length(key) || w->size < 0 ||
        !sal_symbol_key_parse(&w->key, w->text, strlen(w->text), p)) {
        w->action = ACTION_BAD_KEY;
    } else if (!read_md5(w->md5, json_string_value(md5))) {
        w->action = ACTION_BAD_MD5;
    }
    return true;
}

/* NULL, or what is wrong with the body. */
static const char *read_request(request_v2_t *q, const json_t *doc)
{
    const json_t *files = json_object_get(doc, "files");

    if (!json_is_array(files)) {
        return "malformed JSON request body";
    }
    q->n = json_array_size(files);
    if (q->n > FILES_MAX) {
        return "too many files";
    }
    q->files = apr_pcalloc(q->r->pool, (q->n + 1) * sizeof(*q->files));
    for (size_t i = 0; i < q->n; i++) {
        if (!read_file(&q->files[i], json_array_get(files, i), q->r->pool)) {
            return "malformed JSON request body";
        }
        q->total += q->files[i].size > 0 ? (uint64_t)q->files[i].size : 0;
    }
    return q->total > INT64_MAX ? "malformed JSON request body" : NULL;
}

/* ---- what is there, and sessions for the rest ---- */

static apr_status_t find_known(request_v2_t *q, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_claim_t *claims = apr_pcalloc(p, (q->n + 1) * sizeof(*claims));
    size_t n = 0;
    apr_status_t rv;

    for (size_t i = 0; i < q->n; i++) {
        if (q->files[i].action == ACTION_UPLOAD) {
            claims[n].key = &q->files[i].key;
            claims[n].size = q->files[i].size;
            claims[n++].md5 = q->files[i].md5;
        }
    }
    rv = sal_upload_known(claims, n, q->is_try, symbols_conf(q->r)->store, db, p, err);
    n = 0;
    for (size_t i = 0; i < q->n && rv == APR_SUCCESS; i++) {
        if (q->files[i].action == ACTION_UPLOAD && claims[n++].known) {
            q->files[i].action = ACTION_SKIP;
        }
    }
    return rv;
}

static apr_status_t add_upload(request_v2_t *q, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_announce_t a = { .total = q->total };
    sal_upload_limits_t limits;
    apr_status_t rv;

    symbols_upload_opts(&a.opts, &limits, q->r, &q->who);
    a.opts.is_try = q->is_try;
    rv = sal_upload_announce(db, &a, p, err);
    q->upload_id = a.opts.id;
    return rv;
}

static apr_status_t add_sessions(request_v2_t *q, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < q->n && rv == APR_SUCCESS; i++) {
        wanted_t *w = &q->files[i];

        if (w->action != ACTION_UPLOAD) {
            continue;
        }
        w->session = (sal_session_t){ .kind = "file",
                                      .name = w->text,
                                      .user = q->who.user,
                                      .address = q->r->useragent_ip,
                                      .token_id = q->who.token_id,
                                      .user_id = q->who.user_id,
                                      .upload_id = q->upload_id,
                                      .is_try = q->is_try,
                                      .size = w->size,
                                      .length = -1,
                                      .has_md5 = true };
        memcpy(w->session.md5, w->md5, sizeof(w->md5));
        rv = sal_session_add(&w->session, SAL_SESSION_WEEK, db, p, err);
    }
    return rv;
}

static apr_status_t plan(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    request_v2_t *q = baton;
    apr_status_t rv;

    if ((rv = add_upload(q, db, p, err)) == APR_SUCCESS) {
        rv = add_sessions(q, db, p, err);
    }
    return rv;
}

static apr_status_t compare_and_plan(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = find_known(baton, db, p, err);

    return rv == APR_SUCCESS ? sal_db_txn(db, plan, baton, p, err) : rv;
}

/* ---- the answer ---- */

static json_t *action_json(request_rec *r, const wanted_t *w)
{
    switch (w->action) {
    case ACTION_SKIP:
        return json_pack("{s:s}", "type", "skip");
    case ACTION_BAD_KEY:
        return json_pack("{s:s, s:s}", "type", "error", "msg", "invalid key");
    case ACTION_BAD_MD5:
        return json_pack("{s:s, s:s}", "type", "error", "msg", "invalid MD5 hex digest");
    default:
        return json_pack(
            "{s:s, s:s, s:s?}", "type", "upload", "url",
            ap_construct_url(r->pool,
                             apr_pstrcat(r->pool, "/upload/session/", w->session.secret, NULL), r),
            "content_encoding", sal_symbol_leaf_is_sym(w->key.leaf) ? "gzip" : NULL);
    }
}

static int answer(request_v2_t *q)
{
    json_t *files = json_array();

    for (size_t i = 0; i < q->n; i++) {
        const char *key = sal_utf8_clean(q->files[i].text, strlen(q->files[i].text), q->r->pool);

        json_array_append_new(
            files, json_pack("{s:s, s:o}", "key", key, "action", action_json(q->r, &q->files[i])));
    }
    return web_reply_json(
        q->r, HTTP_CREATED,
        json_pack("{s:I, s:I, s:s, s:b, s:s, s:o}", "id", (json_int_t)q->upload_id, "created_at",
                  (json_int_t)apr_time_sec(q->r->request_time), "user", q->who.user, "try_symbols",
                  (int)q->is_try, "upload_protocol", "gcs-resumable", "files", files));
}

int symbols_upload_v2(request_rec *r)
{
    request_v2_t q = { .r = r };
    sal_error_t err = { 0 };
    const char *wrong;
    apr_size_t size;
    apr_status_t rv;
    json_t *doc;
    char *body;
    int rc;

    web_identity(r, &q.who);
    if ((rc = symbols_check_caller(r, &q.who, "POST")) != DECLINED) {
        return rc;
    }
    if (!symbols_conf(r)->store) {
        return symbols_fail(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    rc = web_body_text(r, body_max, &body, &size);
    if (rc != OK) {
        return symbols_fail(r, rc == HTTP_REQUEST_ENTITY_TOO_LARGE ? HTTP_BAD_REQUEST : rc,
                            "request body too large");
    }
    q.is_try = symbols_wants_try(NULL, q.who.permissions);
    doc = json_loadb(body, size, 0, NULL);
    wrong = read_request(&q, doc);
    json_decref(doc);
    if (wrong) {
        return symbols_fail(r, HTTP_BAD_REQUEST, wrong);
    }
    rv = web_with_db(r, compare_and_plan, &q, &err);
    return rv == APR_SUCCESS ? answer(&q) : symbols_fail_with(r, web_status_of(rv), &err);
}

/* ---- who am I ---- */

static apr_status_t read_info(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_upload_auth_info(baton, db, p, err);
}

int symbols_auth_info(request_rec *r)
{
    sal_upload_auth_t info = { .api_version = 2 };
    sal_error_t err = { 0 };
    web_identity_t who;
    apr_status_t rv;
    int rc;

    web_identity(r, &who);
    if ((rc = symbols_check_caller(r, &who, "POST")) != DECLINED) {
        return rc;
    }
    info.token_id = who.token_id;
    info.user = who.user;
    info.user_id = who.user_id;
    rv = web_with_db(r, read_info, &info, &err);
    if (rv != APR_SUCCESS) {
        return symbols_fail_with(r, web_status_of(rv), &err);
    }
    return web_reply_json(r, HTTP_OK,
                          json_pack("{s:s, s:I, s:b, s:I, s:i}", "email", info.user, "user_id",
                                    (json_int_t)info.user_id, "try_symbols",
                                    (int)symbols_wants_try(NULL, who.permissions),
                                    "token_expires_at",
                                    (json_int_t)(info.expires ? apr_time_sec(info.expires) : never),
                                    "upload_api_version", info.api_version));
}

/* ---- the list of sessions ---- */

typedef struct {
    int64_t user_id; /* 0: everybody's */
    json_t *list;
} list_t;

static apr_status_t list_rows(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    list_t *l = baton;

    return sal_session_list(&l->list, l->user_id, db, p, err);
}

int symbols_session_list(request_rec *r)
{
    sal_error_t err = { 0 };
    web_identity_t who;
    apr_status_t rv;
    list_t l;
    int rc;

    web_identity(r, &who);
    if (web_allow(r, "GET, HEAD") != OK) {
        return symbols_fail(r, HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    if ((rc = symbols_check_caller(r, &who, NULL)) != DECLINED) {
        return rc;
    }
    l.user_id = who.permissions & (SAL_PERM_MANAGE_SYMBOLS | SAL_PERM_ADMIN) ? 0 : who.user_id;
    l.list = NULL;
    rv = web_with_db(r, list_rows, &l, &err);
    if (rv != APR_SUCCESS) {
        return symbols_fail_with(r, web_status_of(rv), &err);
    }
    return web_reply_json(r, HTTP_OK, json_pack("{s:o}", "sessions", l.list));
}
