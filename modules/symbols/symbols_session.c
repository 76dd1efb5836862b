/*
 * Upload sessions, /upload/session/<id>: the resumable protocol of Google's storage, as clients of
 * Tecken's upload API v2 speak it (docs/symbols.md, "Upload API v2"). The id is the right to send:
 * no token is asked for. And what this and the other protocols do with sessions.
 */
#include "symbols_session.h"

#include <unistd.h>

#include <apr_strings.h>

#include "base/text.h"
#include "common/drain.h"

APLOG_USE_MODULE(symbols);

enum { HTTP_CANCELLED = 499, HTTP_RESUME = 308 };

/* ---- sessions ---- */

const char *symbols_last_segment(request_rec *r)
{
    const char *slash = strrchr(r->uri, '/');

    return slash ? slash + 1 : r->uri;
}

typedef struct {
    sal_session_t *s;
    const char *secret;
    int64_t received;
    int lifetime;
    bool stored;
    uint64_t unpacked;
} row_call_t;

static apr_status_t find_row(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    row_call_t *c = baton;

    return sal_session_find(c->s, c->secret, db, p, err);
}

static apr_status_t add_row(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    row_call_t *c = baton;

    return sal_session_add(c->s, c->lifetime, db, p, err);
}

static apr_status_t note_row(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    row_call_t *c = baton;

    return sal_session_note(c->s, c->received, db, p, err);
}

static apr_status_t remove_row(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_session_remove_row(((row_call_t *)baton)->s, db, p, err);
}

static apr_status_t complete_row(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    row_call_t *c = baton;

    return sal_session_complete(c->s, c->received, c->stored, c->unpacked, db, p, err);
}

void symbols_drop_session(request_rec *r, const sal_session_t *s)
{
    row_call_t c = { .s = (sal_session_t *)(uintptr_t)s };
    sal_error_t err = { 0 };

    sal_session_remove(symbols_conf(r)->store, s, r->pool);
    if (web_with_db(r, remove_row, &c, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "SAL2014: row of an upload session stays: %s", err.message);
    }
}

int symbols_find_session(sal_session_t *s, request_rec *r, const char *secret, const char *kind)
{
    row_call_t c = { .s = s, .secret = secret };
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!symbols_conf(r)->store) {
        return symbols_fail(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    rv = web_with_db(r, find_row, &c, &err);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
        return symbols_fail_with(r, web_status_of(rv), &err);
    }
    if (rv != APR_SUCCESS || strcmp(s->kind, kind)) {
        return symbols_fail(r, HTTP_NOT_FOUND, "No such upload");
    }
    if (s->expired) {
        sal_session_remove(symbols_conf(r)->store, s, r->pool);
        return symbols_fail(r, HTTP_GONE, "The time for this upload is over");
    }
    return DECLINED;
}

void symbols_session_opts(sal_upload_opts_t *opts, sal_upload_limits_t *limits, request_rec *r,
                          const sal_session_t *s)
{
    web_identity_t who = { .user = s->user, .token_id = s->token_id, .user_id = s->user_id };

    symbols_upload_opts(opts, limits, r, &who);
    opts->archive_name = strcmp(s->kind, "zip") ? "" : s->name;
    opts->address = s->address;
    opts->id = s->upload_id;
    opts->is_try = s->is_try;
    opts->received = s->created;
}

apr_status_t symbols_add_session(request_rec *r, sal_session_t *s, int lifetime, sal_error_t *err)
{
    row_call_t c = { .s = s, .lifetime = lifetime };

    return web_with_db(r, add_row, &c, err);
}

void symbols_note_session(request_rec *r, const sal_session_t *s, uint64_t received)
{
    row_call_t c = { .s = (sal_session_t *)(uintptr_t)s, .received = (int64_t)received };

    web_with_db(r, note_row, &c, NULL); /* only for the list of sessions */
}

void symbols_complete_session(request_rec *r, sal_session_t *s, uint64_t received)
{
    row_call_t c = { .s = s, .received = (int64_t)received };
    sal_error_t err = { 0 };

    if (web_with_db(r, complete_row, &c, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "SAL2015: an upload session looks unfinished: %s", err.message);
    }
    sal_session_remove(symbols_conf(r)->store, s, r->pool);
}

/* ---- bytes ---- */

typedef struct {
    sal_session_body_t *b;
    uint64_t skip;
    sal_error_t *err;
} receiving_t;

static apr_status_t take_bytes(void *baton, const char *data, apr_size_t size)
{
    receiving_t *c = baton;
    apr_size_t n = c->skip < size ? (apr_size_t)c->skip : size;

    c->skip -= n;
    return n < size ? sal_session_append(c->b, data + n, size - n, c->err) : APR_SUCCESS;
}

int symbols_receive(request_rec *r, sal_session_body_t *b, uint64_t skip, uint64_t max,
                    sal_error_t *err)
{
    receiving_t c = { b, skip, err };
    apr_status_t sink_status = APR_SUCCESS, rv;
    apr_off_t total;
    int rc = web_body_pump(r, (apr_off_t)max, take_bytes, &c, &total, &sink_status);

    rv = sal_session_flush(b, sink_status == APR_SUCCESS ? err : NULL);
    if (sink_status != APR_SUCCESS || rv != APR_SUCCESS) {
        return web_status_of(sink_status != APR_SUCCESS ? sink_status : rv);
    }
    if (rc == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        sal_fail(err, SAL_E_TOOBIG, "More bytes than announced");
    }
    return rc;
}

sal_packed_t symbols_packing(const sal_session_t *s, sal_session_body_t *b)
{
    unsigned char head[2] = { 0, 0 };

    return sal_symbol_leaf_is_sym(s->name) && pread(sal_session_fd(b), head, 2, 0) == 2 &&
                   head[0] == 0x1f && head[1] == 0x8b
               ? SAL_PACKED_GZIP
               : SAL_PACKED_NOT;
}

static apr_status_t check_claims(const sal_session_t *s, const sal_upload_entry_t *e,
                                 sal_error_t *err)
{
    if (s->size >= 0 && (uint64_t)s->size != e->size) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "size of the file is %" APR_UINT64_T_FMT ", not %" APR_INT64_T_FMT,
                        (apr_uint64_t)e->size, (apr_int64_t)s->size);
    }
    if (s->has_md5 && memcmp(s->md5, e->md5, sizeof(s->md5))) {
        return sal_fail(err, SAL_E_MALFORMED, "MD5 of the file is not the one that was announced");
    }
    return APR_SUCCESS;
}

apr_status_t symbols_store_file(request_rec *r, sal_session_t *s, sal_session_body_t *b,
                                sal_packed_t packed, bool *skipped, sal_error_t *err)
{
    sal_upload_limits_t limits;
    sal_upload_opts_t opts;
    sal_sym_header_t header;
    sal_upload_entry_t e;
    sal_upload_sum_t sum;
    sal_upload_t *up;
    apr_status_t rv;
    apr_pool_t *p;

    apr_pool_create(&p, r->pool);
    symbols_session_opts(&opts, &limits, r, s);
    if ((rv = sal_upload_begin(&up, symbols_conf(r)->store, &opts, p, err)) == APR_SUCCESS &&
        (rv = sal_upload_take(up, s->name, sal_session_fd(b), packed, &e, &header, err)) ==
            APR_SUCCESS &&
        (rv = check_claims(s, &e, err)) == APR_SUCCESS &&
        (rv = symbols_store_upload(r, up, err)) == APR_SUCCESS) {
        row_call_t c = { .s = s, .received = (int64_t)sal_session_offset(b) };

        sal_upload_sum(up, &sum);
        *skipped = sum.skipped > 0;
        s->upload_id = sum.id;
        c.stored = !*skipped;
        c.unpacked = e.size;
        rv = web_with_db(r, complete_row, &c, err);
    }
    apr_pool_destroy(p);
    return rv;
}

/* ---- the protocol ---- */

typedef struct {
    bool given, asks;     /* a Content-Range was sent; it only asks */
    uint64_t first, last; /* of the bytes sent */
    int64_t total;        /* -1: "*" */
} range_t;

/* False for a Content-Range that is none. */
static bool read_range(range_t *range, request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Content-Range");
    const char *slash = text ? strchr(text, '/') : NULL, *dash;
    int64_t first, last;

    *range = (range_t){ .given = text != NULL, .total = -1 };
    if (!text) {
        return true;
    }
    if (strncasecmp(text, "bytes ", 6) || !slash ||
        (strcmp(slash + 1, "*") && !sal_parse_int(slash + 1, 0, INT64_MAX, &range->total))) {
        return false;
    }
    text = apr_pstrmemdup(r->pool, text + 6, (apr_size_t)(slash - text - 6));
    if (!strcmp(text, "*")) {
        range->asks = true;
        return true;
    }
    dash = strchr(text, '-');
    if (!dash ||
        !sal_parse_int(apr_pstrmemdup(r->pool, text, (apr_size_t)(dash - text)), 0, INT64_MAX - 1,
                       &first) ||
        !sal_parse_int(dash + 1, first, INT64_MAX - 1, &last) ||
        (range->total >= 0 && last >= range->total)) {
        return false;
    }
    range->first = (uint64_t)first;
    range->last = (uint64_t)last;
    return true;
}

static int answer_complete(request_rec *r)
{
    return web_reply(r, HTTP_OK, "application/json", "{}", 2);
}

static int answer_offset(request_rec *r, uint64_t offset)
{
    web_drain(r, WEB_DRAIN_MAX);
    if (offset) {
        apr_table_setn(
            r->headers_out, "Range",
            apr_psprintf(r->pool, "bytes=0-%" APR_UINT64_T_FMT, (apr_uint64_t)(offset - 1)));
    }
    r->status_line = "308 Resume Incomplete";
    return web_reply(r, HTTP_RESUME, "text/plain", "", 0);
}

static int end_session(request_rec *r, sal_session_t *s, sal_session_body_t *b)
{
    sal_error_t err = { 0 };
    bool skipped;
    apr_status_t rv = symbols_store_file(r, s, b, symbols_packing(s, b), &skipped, &err);

    if (rv == APR_SUCCESS) {
        sal_session_remove(symbols_conf(r)->store, s, r->pool);
        return answer_complete(r);
    }
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG) {
        symbols_drop_session(r, s);
    }
    return symbols_fail_with(r, web_status_of(rv), &err);
}

static int bad_range(request_rec *r)
{
    return symbols_fail(r, HTTP_BAD_REQUEST, "Content-Range is malformed, or contradicts another");
}

static int put_bytes(request_rec *r, sal_session_t *s, sal_session_body_t *b, const range_t *range)
{
    const symbols_conf_t *sc = symbols_conf(r);
    uint64_t max = (uint64_t)(sc->max_upload ? sc->max_upload : SYMBOLS_MAX_UPLOAD);
    uint64_t offset = sal_session_offset(b), sent = max;
    sal_error_t err = { 0 };
    int rc;

    if (range->given) {
        sent = range->last - range->first + 1;
        if (range->first > offset) {
            return answer_offset(r, offset); /* the client learns where to go on */
        }
    } else if (sal_session_cut(b, 0, &err) != APR_SUCCESS) {
        return symbols_fail_with(r, HTTP_INTERNAL_SERVER_ERROR, &err);
    }
    if (s->length > (int64_t)max || range->last >= max) {
        return symbols_fail(r, HTTP_REQUEST_ENTITY_TOO_LARGE, "Archive too large");
    }
    rc = symbols_receive(r, b, range->given ? offset - range->first : 0, sent, &err);
    if (rc == OK && !range->given) {
        s->length = (int64_t)sal_session_offset(b);
    }
    symbols_note_session(r, s, sal_session_offset(b));
    if (rc != OK) {
        return symbols_fail_with(r, rc, &err);
    }
    return s->length >= 0 && sal_session_offset(b) == (uint64_t)s->length
               ? end_session(r, s, b)
               : answer_offset(r, sal_session_offset(b));
}

static int put(request_rec *r, sal_session_t *s)
{
    sal_session_body_t *b;
    sal_error_t err = { 0 };
    range_t range;
    apr_status_t rv;

    if (!read_range(&range, r) ||
        (range.total >= 0 && s->length >= 0 && range.total != s->length)) {
        return bad_range(r);
    }
    if (s->completed) {
        web_drain(r, WEB_DRAIN_MAX);
        return answer_complete(r);
    }
    s->length = range.total >= 0 ? range.total : s->length;
    rv = sal_session_open(&b, symbols_conf(r)->store, s, r->pool, &err);
    if (rv != APR_SUCCESS) {
        return rv == SAL_E_DENIED ? symbols_fail(r, HTTP_SERVICE_UNAVAILABLE, err.message)
                                  : symbols_fail_with(r, web_status_of(rv), &err);
    }
    if (!range.asks) {
        return put_bytes(r, s, b, &range);
    }
    return s->length >= 0 && sal_session_offset(b) == (uint64_t)s->length
               ? end_session(r, s, b)
               : answer_offset(r, sal_session_offset(b));
}

int symbols_session(request_rec *r)
{
    sal_session_t s;
    int rc;

    if (web_allow(r, "PUT, DELETE") != OK) {
        return symbols_fail(r, HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    if ((rc = symbols_find_session(&s, r, symbols_last_segment(r), "file")) != DECLINED) {
        return rc;
    }
    if (r->method_number != M_DELETE) {
        return put(r, &s);
    }
    if (!s.completed) {
        symbols_drop_session(r, &s);
    }
    r->status_line = "499 Client Closed Request";
    return web_reply(r, HTTP_CANCELLED, "text/plain", "", 0);
}
