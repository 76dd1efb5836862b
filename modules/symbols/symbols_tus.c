/*
 * tus 1.0 at /upload/tus/ (https://tus.io/protocols/resumable-upload): creation, expiration,
 * checksum, termination. The archive is read while it comes in; when its last byte is there the
 * upload is stored before the answer.
 */
#include "symbols_session.h"

#include <unistd.h>

#include <apr_base64.h>
#include <apr_strings.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "common/drain.h"

APLOG_USE_MODULE(symbols);

#define TUS_VERSION "1.0.0"
#define TUS_EXTENSIONS "creation,expiration,checksum,termination"
#define TUS_ALGORITHMS "sha1,md5,sha256"

enum { HTTP_CHECKSUM_MISMATCH = 460, FIELD_MAX = 2048, CHUNK = 65536 };

static int64_t tus_max(request_rec *r)
{
    const symbols_conf_t *sc = symbols_conf(r);

    return sc->max_upload ? sc->max_upload : SYMBOLS_MAX_UPLOAD;
}

static int64_t header_number(request_rec *r, const char *name)
{
    const char *text = apr_table_get(r->headers_in, name);
    int64_t v;

    return text && sal_parse_int(text, 0, INT64_MAX, &v) ? v : -1;
}

static void say_expires(request_rec *r, apr_time_t t)
{
    char *date = apr_palloc(r->pool, APR_RFC822_DATE_LEN);

    apr_rfc822_date(date, t);
    apr_table_setn(r->headers_out, "Upload-Expires", date);
}

static void say_number(request_rec *r, const char *name, uint64_t v)
{
    apr_table_setn(r->headers_out, name,
                   apr_psprintf(r->pool, "%" APR_UINT64_T_FMT, (apr_uint64_t)v));
}

static int no_content(request_rec *r)
{
    r->status = HTTP_NO_CONTENT;
    return OK;
}

/* ---- OPTIONS, POST ---- */

static int options(request_rec *r)
{
    apr_table_setn(r->headers_out, "Tus-Version", TUS_VERSION);
    apr_table_setn(r->headers_out, "Tus-Extension", TUS_EXTENSIONS);
    apr_table_setn(r->headers_out, "Tus-Checksum-Algorithm", TUS_ALGORITHMS);
    say_number(r, "Tus-Max-Size", (uint64_t)tus_max(r));
    return no_content(r);
}

/* A value of Upload-Metadata, decoded; NULL if the key is not there, "" for a bad value. */
static const char *metadata(request_rec *r, const char *key)
{
    const char *rest = apr_table_get(r->headers_in, "Upload-Metadata"), *pair;

    while (rest && *rest) {
        const char *name, *value;

        pair = ap_getword(r->pool, &rest, ',');
        name = ap_getword_white(r->pool, &pair);
        if (!*name) { /* a blank before the name */
            name = ap_getword_white(r->pool, &pair);
        }
        value = ap_getword_white(r->pool, &pair);
        if (!strcmp(name, key)) {
            char *text = apr_palloc(r->pool, strlen(value) + 4);
            int n = strlen(value) < FIELD_MAX ? apr_base64_decode(text, value) : 0;

            text[n > 0 ? n : 0] = '\0';
            return sal_utf8_clean(text, strlen(text), r->pool);
        }
    }
    return NULL;
}

static int create(request_rec *r, const web_identity_t *who)
{
    const char *name = metadata(r, "filename"), *asked = metadata(r, "try");
    sal_session_t s = { .kind = "zip",
                        .name = name ? name : "",
                        .user = who->user,
                        .address = r->useragent_ip,
                        .token_id = who->token_id,
                        .user_id = who->user_id,
                        .size = -1,
                        .length = header_number(r, "Upload-Length") };
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc;

    s.is_try = symbols_wants_try(asked, who->permissions);
    if ((rc = symbols_check_try(r, who, s.is_try)) != DECLINED) {
        return rc;
    }
    if (s.length < 0) {
        return symbols_fail(r, HTTP_BAD_REQUEST, "Upload-Length is missing, or no number");
    }
    if (s.length > tus_max(r)) {
        return symbols_fail(r, HTTP_REQUEST_ENTITY_TOO_LARGE, "Archive too large");
    }
    if (s.length == 0) {
        return symbols_fail(r, HTTP_BAD_REQUEST, "File is not a zip file");
    }
    if (sal_upload_name_check(s.name, r->pool, &err) != APR_SUCCESS) {
        return symbols_fail_with(r, HTTP_BAD_REQUEST, &err);
    }
    if ((rv = symbols_add_session(r, &s, SAL_SESSION_WEEK, &err)) != APR_SUCCESS) {
        return symbols_fail_with(r, web_status_of(rv), &err);
    }
    web_drain(r, WEB_DRAIN_MAX);
    apr_table_setn(
        r->headers_out, "Location",
        ap_construct_url(r->pool, apr_pstrcat(r->pool, "/upload/tus/", s.secret, NULL), r));
    say_expires(r, s.expires);
    return web_reply(r, HTTP_CREATED, "text/plain", "", 0);
}

/* ---- checksums ---- */

typedef struct {
    const EVP_MD *md; /* NULL: none was sent */
    unsigned char want[EVP_MAX_MD_SIZE];
    int size;
} checksum_t;

/* False for one that cannot be checked. */
static bool read_checksum(checksum_t *c, request_rec *r)
{
    const char *rest = apr_table_get(r->headers_in, "Upload-Checksum"), *name;

    c->md = NULL;
    if (!rest) {
        return true;
    }
    name = ap_getword_white(r->pool, &rest);
    c->md = !strcasecmp(name, "sha1")     ? EVP_sha1()
            : !strcasecmp(name, "md5")    ? EVP_md5()
            : !strcasecmp(name, "sha256") ? EVP_sha256()
                                          : NULL;
    if (!c->md || strlen(rest) > 60) {
        return false;
    }
    c->size = apr_base64_decode_binary(c->want, rest);
    return c->size == EVP_MD_get_size(c->md);
}

static bool checksum_fits(const checksum_t *c, int fd, uint64_t from, uint64_t to, apr_pool_t *p)
{
    unsigned char *buf = apr_palloc(p, CHUNK), got[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool fits = ctx && EVP_DigestInit_ex(ctx, c->md, NULL);

    while (fits && from < to) {
        ssize_t n = pread(fd, buf, to - from < CHUNK ? (size_t)(to - from) : CHUNK, (off_t)from);

        fits = n > 0;
        if (fits) {
            EVP_DigestUpdate(ctx, buf, (size_t)n);
            from += (uint64_t)n;
        }
    }
    fits = fits && EVP_DigestFinal_ex(ctx, got, NULL) && !memcmp(got, c->want, (size_t)c->size);
    EVP_MD_CTX_free(ctx);
    return fits;
}

/* ---- PATCH ---- */

/* Everything is there. */
static int complete(request_rec *r, sal_session_t *s, sal_session_body_t *b,
                    const sal_upload_opts_t *opts)
{
    sal_upload_t *up;
    sal_error_t err = { 0 };
    sal_upload_sum_t sum;
    apr_status_t rv = sal_session_upload(&up, b, opts, &err);

    if (rv == APR_SUCCESS) { /* ours: the last request may say of which release it is */
        sal_upload_set_release(up, metadata(r, "product"), metadata(r, "version"));
    }
    if (rv == APR_SUCCESS && (rv = symbols_store_upload(r, up, &err)) == APR_SUCCESS) {
        sal_upload_sum(up, &sum);
        s->upload_id = sum.id;
        symbols_complete_session(r, s, sal_session_offset(b));
        say_number(r, "Salvage-Upload", (uint64_t)sum.id);
        say_number(r, "Salvage-Files", sum.files);
        say_number(r, "Salvage-Skipped", sum.skipped);
        return OK;
    }
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG) {
        symbols_drop_session(r, s);
    }
    return symbols_fail_with(r, web_status_of(rv), &err) == OK ? DONE : HTTP_INTERNAL_SERVER_ERROR;
}

static uint64_t expected(request_rec *r, const sal_session_t *s, uint64_t offset)
{
    int64_t n = header_number(r, "Content-Length");

    return n >= 0 ? (uint64_t)n : (uint64_t)s->length - offset;
}

/* The bytes of a request, with the archive read along unless a checksum must be checked first. */
static int receive(request_rec *r, sal_session_t *s, sal_session_body_t *b,
                   const sal_upload_opts_t *opts, const checksum_t *sum, sal_error_t *err)
{
    uint64_t from = sal_session_offset(b);
    apr_status_t rv = APR_SUCCESS;
    int rc;

    if (!sum->md) {
        rv = sal_session_read_along(b, opts, expected(r, s, from), err);
    }
    rc = rv == APR_SUCCESS ? symbols_receive(r, b, 0, (uint64_t)s->length - from, err)
                           : web_status_of(rv);
    if (rc == OK && sum->md &&
        !checksum_fits(sum, sal_session_fd(b), from, sal_session_offset(b), r->pool)) {
        sal_session_cut(b, from, err);
        return HTTP_CHECKSUM_MISMATCH;
    }
    if (sum->md && rc != OK) {
        sal_session_cut(b, from, NULL); /* what could not be checked was not received */
    }
    if (rc != HTTP_BAD_REQUEST && rc != HTTP_REQUEST_ENTITY_TOO_LARGE && rc != OK) {
        return rc;
    }
    rv = *err->message ? APR_SUCCESS : sal_session_pause(b, opts, err);
    return rv == APR_SUCCESS ? rc : web_status_of(rv);
}

static int patch_open(request_rec *r, sal_session_t *s, sal_session_body_t *b)
{
    sal_upload_limits_t limits;
    sal_upload_opts_t opts;
    checksum_t sum;
    sal_error_t err = { 0 };
    int rc;

    if (header_number(r, "Upload-Offset") != (int64_t)sal_session_offset(b)) {
        say_number(r, "Upload-Offset", sal_session_offset(b));
        return symbols_fail(r, HTTP_CONFLICT, "Upload-Offset is not that of the upload");
    }
    if (!read_checksum(&sum, r)) {
        return symbols_fail(r, HTTP_BAD_REQUEST, "Upload-Checksum is malformed or unknown");
    }
    symbols_session_opts(&opts, &limits, r, s);
    rc = receive(r, s, b, &opts, &sum, &err);
    symbols_note_session(r, s, sal_session_offset(b));
    if (rc == HTTP_CHECKSUM_MISMATCH) {
        r->status_line = "460 Checksum Mismatch";
        return symbols_fail(r, rc, "The checksum does not match");
    }
    if (rc != OK) {
        if (*err.message && rc < HTTP_INTERNAL_SERVER_ERROR) {
            symbols_drop_session(r, s); /* the archive is refused */
        }
        return symbols_fail_with(r, rc, &err);
    }
    if (sal_session_offset(b) == (uint64_t)s->length && (rc = complete(r, s, b, &opts)) != OK) {
        return rc == DONE ? OK : rc;
    }
    say_number(r, "Upload-Offset", sal_session_offset(b));
    say_expires(r, s->expires);
    return no_content(r);
}

static int patch(request_rec *r, sal_session_t *s)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    sal_session_body_t *b;
    sal_error_t err = { 0 };
    apr_status_t rv;
    apr_pool_t *p;
    int rc;

    if (!type || strcasecmp(type, "application/offset+octet-stream")) {
        return symbols_fail(r, HTTP_UNSUPPORTED_MEDIA_TYPE,
                            "Content-Type must be application/offset+octet-stream");
    }
    if (s->completed) {
        say_number(r, "Upload-Offset", (uint64_t)s->length);
        return header_number(r, "Upload-Offset") == s->length
                   ? no_content(r)
                   : symbols_fail(r, HTTP_CONFLICT, "The upload is complete");
    }
    apr_pool_create(&p, r->pool);
    if ((rc = symbols_take_slot(r, s->token_id, p)) != DECLINED) {
        return rc;
    }
    rv = sal_session_open(&b, symbols_conf(r)->store, s, p, &err);
    if (rv == SAL_E_DENIED) {
        rc = symbols_fail(r, HTTP_LOCKED, err.message);
    } else if (rv != APR_SUCCESS) {
        rc = symbols_fail_with(r, web_status_of(rv), &err);
    } else {
        rc = patch_open(r, s, b);
    }
    apr_pool_destroy(p);
    return rc;
}

/* ---- HEAD, DELETE ---- */

static int head(request_rec *r, const sal_session_t *s)
{
    sal_session_body_t *b;
    sal_error_t err = { 0 };
    uint64_t offset = (uint64_t)s->length;

    if (!s->completed) {
        apr_status_t rv = sal_session_open(&b, symbols_conf(r)->store, s, r->pool, &err);

        if (rv == SAL_E_DENIED) {
            return symbols_fail(r, HTTP_LOCKED, err.message);
        }
        if (rv != APR_SUCCESS) {
            return symbols_fail_with(r, web_status_of(rv), &err);
        }
        offset = sal_session_offset(b);
    }
    say_number(r, "Upload-Offset", offset);
    say_number(r, "Upload-Length", (uint64_t)s->length);
    say_expires(r, s->expires);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    return web_reply(r, HTTP_OK, "text/plain", "", 0);
}

static int with_session(request_rec *r, const web_identity_t *who, const char *method)
{
    sal_session_t s;
    int rc = symbols_find_session(&s, r, symbols_last_segment(r), "zip");

    if (rc != DECLINED) {
        return rc;
    }
    if (s.token_id != who->token_id) {
        return symbols_fail(r, HTTP_NOT_FOUND, "No such upload");
    }
    if (!strcmp(method, "PATCH")) {
        return patch(r, &s);
    }
    if (!strcmp(method, "HEAD")) {
        return head(r, &s);
    }
    symbols_drop_session(r, &s);
    return no_content(r);
}

int symbols_tus(request_rec *r)
{
    const char *version = apr_table_get(r->headers_in, "Tus-Resumable");
    const char *method = apr_table_get(r->headers_in, "X-HTTP-Method-Override");
    web_identity_t who;
    int rc;

    method = method && r->method_number == M_POST ? method : r->method;
    apr_table_setn(r->err_headers_out, "Tus-Resumable", TUS_VERSION);
    if (!strcmp(method, "OPTIONS")) {
        return options(r);
    }
    if (strcmp(method, "POST") && strcmp(method, "HEAD") && strcmp(method, "PATCH") &&
        strcmp(method, "DELETE")) {
        return web_allow(r, "OPTIONS, POST, HEAD, PATCH, DELETE") == OK
                   ? HTTP_METHOD_NOT_ALLOWED
                   : symbols_fail(r, HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    if (!version || strcmp(version, TUS_VERSION)) {
        apr_table_setn(r->headers_out, "Tus-Version", TUS_VERSION);
        return symbols_fail(r, HTTP_PRECONDITION_FAILED, "Tus-Resumable must be " TUS_VERSION);
    }
    web_identity(r, &who);
    if ((rc = symbols_check_caller(r, &who, NULL)) != DECLINED) {
        return rc;
    }
    if (!symbols_conf(r)->store) {
        return symbols_fail(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    return strcmp(method, "POST") ? with_session(r, &who, method) : create(r, &who);
}
