/*
 * Breakpad's uploaders, both protocols (docs/symbols.md, "Breakpad's symupload"):
 *
 *   POST /symupload/v1?key=TOKEN                              sym-upload-v1, a form with one .sym
 *   GET  /symupload/v1/symbols/<file>/<id>:checkStatus?key=TOKEN
 *   POST /symupload/v1/uploads:create?key=TOKEN
 *   PUT  /symupload/v1/put/<upload key>
 *   POST /symupload/v1/uploads/<upload key>:complete?key=TOKEN
 *
 * Clients read the answers with regular expressions: one blank behind a colon, nothing escaped.
 */
#include "symbols_session.h"

#include <unistd.h>

#include <apr_strings.h>

#include "base/text.h"
#include "common/drain.h"
#include "crash/multipart.h"
#include "symbols/module_id.h"
#include "upload/identity.h"

APLOG_USE_MODULE(symbols);

enum { PARTS_MAX = 100, FIELD_MAX = 1024, BODY_MAX = 65536 };

static apr_off_t size_max(request_rec *r)
{
    const symbols_conf_t *sc = symbols_conf(r);

    return sc->max_upload ? sc->max_upload : SYMBOLS_MAX_UPLOAD;
}

static int answer_text(request_rec *r, const char *type, const char *text)
{
    return web_reply(r, HTTP_OK, type, text, strlen(text));
}

/* ---- what a stored file must be called ---- */

static const char *without_hyphens(const char *id, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, id), *to = out;

    for (; *id; id++) {
        if (*id != '-') {
            *to++ = *id;
        }
    }
    *to = '\0';
    return out;
}

/*
 * The key of the file in fd, by what it is; the client's words on it must agree. symbols: what was
 * sent is a .sym; else a binary, of which claimed_file is the name.
 */
static apr_status_t key_of(const char **key, int fd, sal_packed_t packed, bool symbols,
                           const char *claimed_file, const char *claimed_id, apr_pool_t *p,
                           sal_error_t *err)
{
    sal_identity_t found;
    apr_status_t rv = sal_identity_read(&found, fd, packed, symbols, p, err);
    const char *id = claimed_id ? without_hyphens(claimed_id, p) : "", *file;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    file = found.debug_file ? found.debug_file : sal_basename(claimed_file ? claimed_file : "");
    if (*id && strcasecmp(id, found.debug_id) &&
        (!found.code_id || strcasecmp(id, found.code_id))) {
        return sal_fail(err, SAL_E_MALFORMED, "debug id does not match file");
    }
    if (symbols && claimed_file && *claimed_file && strcmp(claimed_file, found.debug_file)) {
        return sal_fail(err, SAL_E_MALFORMED, "debug file does not match file");
    }
    *key = apr_pstrcat(p, file, "/", found.debug_id, "/",
                       symbols ? sal_symbols_leaf(file, p) : file, NULL);
    {
        sal_symbol_key_t parsed;

        if (!sal_symbol_key_parse(&parsed, *key, strlen(*key), p)) {
            return sal_upload_bad_name(*key, p, err);
        }
    }
    return APR_SUCCESS;
}

/* ---- v1 ---- */

typedef struct {
    request_rec *r;
    sal_multipart_t *parser;
    sal_session_body_t *body;
    char *field; /* the one being received, FIELD_MAX + 1 bytes, or NULL */
    size_t used;
    bool in_file, has_file;
    char debug_file[FIELD_MAX + 1], debug_id[FIELD_MAX + 1], os[FIELD_MAX + 1], cpu[FIELD_MAX + 1];
    sal_error_t err;
} form_t;

static apr_status_t begin_part(void *baton, const sal_part_t *part, sal_error_t *err)
{
    form_t *f = baton;
    const char *name = part->name ? part->name : "";

    f->used = 0;
    f->field = !strcmp(name, "debug_file")         ? f->debug_file
               : !strcmp(name, "debug_identifier") ? f->debug_id
               : !strcmp(name, "os")               ? f->os
               : !strcmp(name, "cpu")              ? f->cpu
                                                   : NULL;
    f->in_file = !strcmp(name, "symbol_file") && part->filename != NULL;
    if (f->in_file) {
        f->has_file = true;
        return sal_session_cut(f->body, 0, err);
    }
    return APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    form_t *f = baton;

    if (f->in_file) {
        return sal_session_append(f->body, data, size, err);
    }
    if (f->field) {
        if (size > FIELD_MAX - f->used) {
            return sal_fail(err, SAL_E_MALFORMED, "a field is longer than %d bytes", FIELD_MAX);
        }
        memcpy(f->field + f->used, data, size);
        f->used += size;
        f->field[f->used] = '\0';
    }
    return APR_SUCCESS;
}

static apr_status_t end_part(void *baton, sal_error_t *err)
{
    form_t *f = baton;

    (void)err;
    f->field = NULL;
    f->in_file = false;
    return APR_SUCCESS;
}

static const sal_multipart_events_t form_events = { .part_begin = begin_part,
                                                    .part_data = part_data,
                                                    .part_end = end_part };

static apr_status_t feed(void *baton, const char *data, apr_size_t size)
{
    form_t *f = baton;

    return sal_multipart_feed(f->parser, data, size, &f->err);
}

static int read_form(form_t *f)
{
    const char *boundary = symbols_boundary(f->r);
    apr_status_t sink_status = APR_SUCCESS;
    apr_off_t total;
    int rc;

    if (!boundary || sal_multipart_make(&f->parser, boundary, PARTS_MAX, &form_events, f,
                                        f->r->pool, &f->err) != APR_SUCCESS) {
        sal_fail(&f->err, SAL_E_MALFORMED, "Must be multipart form data with a symbol_file");
        return HTTP_BAD_REQUEST;
    }
    rc = web_body_pump(f->r, size_max(f->r), feed, f, &total, &sink_status);
    if (sink_status != APR_SUCCESS) {
        return web_status_of(sink_status);
    }
    if (rc == OK && (sal_multipart_finish(f->parser, &f->err) != APR_SUCCESS || !f->has_file)) {
        sal_fail(&f->err, SAL_E_MALFORMED, "Must be multipart form data with a symbol_file");
        return HTTP_BAD_REQUEST;
    }
    if (rc == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        sal_fail(&f->err, SAL_E_TOOBIG, "Symbol file too large");
    }
    return rc;
}

static void new_session(sal_session_t *s, request_rec *r, const web_identity_t *who)
{
    *s = (sal_session_t){ .kind = "sym-upload",
                          .name = "",
                          .user = who->user,
                          .address = r->useragent_ip,
                          .token_id = who->token_id,
                          .user_id = who->user_id,
                          .is_try = symbols_wants_try(NULL, who->permissions),
                          .size = -1,
                          .length = -1 };
}

/* Stores what lies in the body under the key it must have. */
static int store(request_rec *r, sal_session_t *s, sal_session_body_t *b, sal_packed_t packed,
                 bool symbols, const char *file, const char *id, bool *skipped)
{
    sal_error_t err = { 0 };
    apr_status_t rv = key_of(&s->name, sal_session_fd(b), packed, symbols, file, id, r->pool, &err);

    if (rv == APR_SUCCESS) {
        rv = symbols_store_file(r, s, b, packed, skipped, &err);
    }
    if (rv == APR_SUCCESS) {
        return OK;
    }
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG) {
        symbols_drop_session(r, s);
    }
    return symbols_fail_with(r, web_status_of(rv), &err) == OK ? DONE : HTTP_INTERNAL_SERVER_ERROR;
}

static int upload_v1(request_rec *r, const web_identity_t *who)
{
    form_t *f = apr_pcalloc(r->pool, sizeof(*f));
    sal_session_t s;
    bool skipped;
    apr_status_t rv;
    apr_pool_t *slot;
    int rc;

    new_session(&s, r, who);
    apr_pool_create(&slot, r->pool);
    if ((rc = symbols_check_caller(r, who, "POST")) != DECLINED ||
        (rc = symbols_take_slot(r, who->token_id, slot)) != DECLINED) {
        return rc;
    }
    f->r = r;
    if ((rv = symbols_add_session(r, &s, SAL_SESSION_HOUR, &f->err)) != APR_SUCCESS ||
        (rv = sal_session_open(&f->body, symbols_conf(r)->store, &s, r->pool, &f->err)) !=
            APR_SUCCESS) {
        return symbols_fail_with(r, web_status_of(rv), &f->err);
    }
    if ((rc = read_form(f)) != OK) {
        symbols_drop_session(r, &s);
        return symbols_fail_with(r, rc, &f->err);
    }
    rc = store(r, &s, f->body, SAL_PACKED_NOT, true, f->debug_file, f->debug_id, &skipped);
    symbols_drop_session(r, &s);
    apr_pool_destroy(slot);
    return rc == OK ? answer_text(r, "text/plain", "OK") : rc == DONE ? OK : rc;
}

/* ---- v2: status, create, put ---- */

static int check_status(request_rec *r, const web_identity_t *who, const char *rest)
{
    char *file = apr_pstrdup(r->pool, rest), *id = strrchr(file, '/'), *end;
    bool with_try = symbols_wants_try(NULL, who->permissions), gzipped, found;
    const char *path;

    if (!id || !(end = strstr(id, ":checkStatus")) || end[12]) {
        return symbols_fail(r, HTTP_NOT_FOUND, "Not Found");
    }
    *id++ = '\0';
    *end = '\0';
    found = sal_symbol_store_find(&path, &gzipped, symbols_conf(r)->store, file,
                                  without_hyphens(id, r->pool), sal_symbols_leaf(file, r->pool),
                                  with_try, r->pool, NULL) == APR_SUCCESS;
    return answer_text(r, "application/json",
                       found ? "{ \"status\": \"FOUND\" }" : "{ \"status\": \"MISSING\" }");
}

static int create(request_rec *r, const web_identity_t *who)
{
    sal_error_t err = { 0 };
    sal_session_t s;
    apr_status_t rv;

    new_session(&s, r, who);
    web_drain(r, BODY_MAX);
    if ((rv = symbols_add_session(r, &s, SAL_SESSION_HOUR, &err)) != APR_SUCCESS) {
        return symbols_fail_with(r, web_status_of(rv), &err);
    }
    return answer_text(
        r, "application/json",
        apr_psprintf(r->pool, "{ \"uploadUrl\": \"%s\", \"uploadKey\": \"%s\" }",
                     ap_construct_url(
                         r->pool, apr_pstrcat(r->pool, "/symupload/v1/put/", s.secret, NULL), r),
                     s.secret));
}

static int put(request_rec *r, const char *secret)
{
    sal_session_body_t *b;
    sal_error_t err = { 0 };
    sal_session_t s;
    apr_status_t rv;
    int rc;

    if (web_allow(r, "PUT") != OK) {
        return symbols_fail(r, HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    if ((rc = symbols_find_session(&s, r, secret, "sym-upload")) != DECLINED) {
        return rc;
    }
    rv = sal_session_open(&b, symbols_conf(r)->store, &s, r->pool, &err);
    if (rv != APR_SUCCESS) {
        return symbols_fail_with(
            r, rv == SAL_E_DENIED ? HTTP_SERVICE_UNAVAILABLE : web_status_of(rv), &err);
    }
    if (s.completed || s.length >= 0) {
        return symbols_fail(r, HTTP_CONFLICT, "This upload key has been used");
    }
    if (sal_session_cut(b, 0, &err) != APR_SUCCESS ||
        (rc = symbols_receive(r, b, 0, (uint64_t)size_max(r), &err)) != OK) {
        return symbols_fail_with(r, rc == DECLINED ? HTTP_INTERNAL_SERVER_ERROR : rc, &err);
    }
    s.length = (int64_t)sal_session_offset(b);
    symbols_note_session(r, &s, sal_session_offset(b));
    return answer_text(r, "text/plain", "");
}

/* ---- v2: complete ---- */

static bool ascii_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/*
 * A value of a body that looks like JSON, or nearly: names bare or quoted, any white space. The
 * text between the value's quotes, or a bare word; NULL if there is none.
 */
static const char *loose_value(const char *body, const char *name, apr_pool_t *p)
{
    size_t n = strlen(name);
    const char *at = body;

    while ((at = strstr(at, name)) != NULL) {
        bool begins = at == body || !ascii_word(at[-1]);

        at += n;
        if (!begins || ascii_word(*at)) {
            continue;
        }
        at += *at == '"' || *at == '\'' ? 1 : 0;
        at += strspn(at, " \t\r\n");
        if (*at != ':') {
            continue;
        }
        at += 1 + strspn(at + 1, " \t\r\n");
        if (*at == '"') {
            return apr_pstrmemdup(p, at + 1, strcspn(at + 1, "\""));
        }
        return apr_pstrmemdup(p, at, strcspn(at, " \t\r\n,}"));
    }
    return NULL;
}

static sal_packed_t body_packing(sal_session_body_t *b, bool symbols)
{
    unsigned char head[5] = { 0 };

    if (!symbols || pread(sal_session_fd(b), head, sizeof(head), 0) != sizeof(head)) {
        return SAL_PACKED_NOT;
    }
    if (head[0] == 0x1f && head[1] == 0x8b) {
        return SAL_PACKED_GZIP;
    }
    if (!memcmp(head, "MODUL", 5) || !memcmp(head, "INFO ", 5)) {
        return SAL_PACKED_NOT;
    }
    return SAL_PACKED_ZLIB; /* or raw deflate, which it is taken for without zlib's header */
}

static int complete(request_rec *r, const web_identity_t *who, const char *secret)
{
    const char *file, *id, *type;
    sal_session_body_t *b;
    sal_error_t err = { 0 };
    sal_session_t s;
    bool symbols, skipped = false;
    apr_size_t size;
    apr_status_t rv;
    char *body;
    int rc = symbols_find_session(&s, r, secret, "sym-upload");

    if (rc != DECLINED) {
        return rc;
    }
    if (s.token_id != who->token_id) {
        return symbols_fail(r, HTTP_NOT_FOUND, "No such upload");
    }
    if ((rc = web_body_text(r, BODY_MAX, &body, &size)) != OK) {
        return symbols_fail(r, rc, "cannot read the request");
    }
    if (s.length < 0) {
        return symbols_fail(r, HTTP_BAD_REQUEST, "nothing was sent for this upload key");
    }
    if ((rv = sal_session_open(&b, symbols_conf(r)->store, &s, r->pool, &err)) != APR_SUCCESS) {
        return symbols_fail_with(r, web_status_of(rv), &err);
    }
    type = loose_value(body, "symbol_upload_type", r->pool);
    file = loose_value(body, "debug_file", r->pool);
    file = file ? file : loose_value(body, "debugFile", r->pool);
    id = loose_value(body, "debug_id", r->pool);
    id = id ? id : loose_value(body, "debugId", r->pool);
    symbols = !type || !strcasecmp(type, "BREAKPAD");
    rc = store(r, &s, b, body_packing(b, symbols), symbols, file, id, &skipped);
    if (rc != OK) {
        return rc == DONE ? OK : rc;
    }
    symbols_drop_session(r, &s);
    return answer_text(r, "application/json",
                       skipped ? "{ \"result\": \"DUPLICATE_DATA\" }" : "{ \"result\": \"OK\" }");
}

/* ---- routes ---- */

static const char *after(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(text, prefix, n) ? NULL : text + n;
}

static int route_v2(request_rec *r, const web_identity_t *who, const char *path)
{
    bool is_get = r->method_number == M_GET;
    const char *rest;
    int rc;

    if ((rc = symbols_check_caller(r, who, is_get ? "GET" : "POST")) != DECLINED) {
        return rc;
    }
    if (is_get) {
        rest = after(path, "/symbols/");
        return rest ? check_status(r, who, rest) : symbols_fail(r, HTTP_NOT_FOUND, "Not Found");
    }
    if (!strcmp(path, "/uploads:create")) {
        return create(r, who);
    }
    rest = after(path, "/uploads/");
    if (rest && strlen(rest) == SAL_SESSION_SECRET + 9 &&
        !strcmp(rest + SAL_SESSION_SECRET, ":complete")) {
        return complete(r, who, apr_pstrmemdup(r->pool, rest, SAL_SESSION_SECRET));
    }
    return symbols_fail(r, HTTP_NOT_FOUND, "Not Found");
}

int symbols_symupload(request_rec *r)
{
    const char *path = strstr(r->uri, "/v1"), *secret;
    web_identity_t who;

    web_identity(r, &who);
    if (!symbols_conf(r)->store) {
        return symbols_fail(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    path = path ? path + 3 : "";
    if (!*path || !strcmp(path, "/")) {
        return upload_v1(r, &who);
    }
    secret = after(path, "/put/");
    return secret ? put(r, secret) : route_v2(r, &who, path);
}
