/*
 * POST /upload/: a form with a zip of symbol files. The zip goes to a nameless file in the symbol
 * store as it arrives; lib/symbols does the rest. Nothing is kept of an upload that is refused.
 */
#include "symbols_private.h"

#include <fcntl.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_uri.h>
#include <http_connection.h>

#include "base/file.h"
#include "base/text.h"
#include "common/drain.h"
#include "crash/multipart.h"
#include "db/token.h"

APLOG_USE_MODULE(symbols);

/* More parts than these are an attack, not an upload (Tecken takes 100 files and 1000 texts). */
enum { PARTS_MAX = 1100, FIELD_MAX = 2048 };

static const apr_size_t text_total_max = 5 << 19; /* 2.5 MiB of text fields */
static const apr_off_t form_overhead = 4 << 20;   /* of a body, beside its archive */

static const char no_file[] = "Must be multipart form data with at least one file";

typedef enum { PART_IGNORED, PART_ARCHIVE, PART_TRY, PART_URL } part_kind_t;

typedef struct {
    char text[FIELD_MAX + 1];
    apr_size_t size;
    int sent;
} field_t;

typedef struct {
    request_rec *r;
    sal_symbol_store_t *store;
    sal_multipart_t *parser;
    part_kind_t part;  /* the one that is being received */
    const char *field; /* name of the first file field; NULL: no file yet */
    const char *archive_name;
    int fd;
    apr_size_t text_total;
    field_t try_field, url_field;
    sal_error_t err;
} form_t;

/* ---- the form ---- */

static apr_status_t close_fd(void *v)
{
    close((int)(intptr_t)v);
    return APR_SUCCESS;
}

static int is_zip_name(const char *s)
{
    size_t n = s ? strlen(s) : 0;

    return n > 4 && !strcasecmp(s + n - 4, ".zip");
}

/* Only the first file field counts, and of that its last part. */
static apr_status_t begin_archive(form_t *f, const sal_part_t *part, sal_error_t *err)
{
    const char *name = part->name ? part->name : "";

    if (f->field && strcmp(f->field, name)) {
        return APR_SUCCESS;
    }
    f->field = apr_pstrdup(f->r->pool, name);
    f->archive_name = apr_pstrdup(
        f->r->pool, is_zip_name(name) || !is_zip_name(part->filename) ? name : part->filename);
    f->part = PART_ARCHIVE;
    if (f->fd >= 0) {
        return ftruncate(f->fd, 0) || lseek(f->fd, 0, SEEK_SET)
                   ? sal_fail_os(err, errno, "cannot begin the archive again")
                   : APR_SUCCESS;
    }
    f->fd = sal_symbol_store_spool(f->store, f->r->pool, err);
    if (f->fd < 0) {
        return err->code;
    }
    apr_pool_cleanup_register(f->r->pool, (void *)(intptr_t)f->fd, close_fd, apr_pool_cleanup_null);
    /* No byte of a wrongly named archive needs to be received. */
    return sal_upload_name_check(f->archive_name, f->r->pool, err);
}

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    form_t *f = baton;

    f->part = PART_IGNORED;
    if (part->filename && *part->filename) {
        return begin_archive(f, part, err);
    }
    if (part->name && !strcmp(part->name, "try")) {
        f->part = PART_TRY;
        f->try_field = (field_t){ .sent = 1 };
    } else if (part->name && !strcmp(part->name, "url")) {
        f->part = PART_URL;
        f->url_field = (field_t){ .sent = 1 };
    }
    return APR_SUCCESS;
}

static apr_status_t text_data(form_t *f, field_t *field, const char *data, apr_size_t size,
                              sal_error_t *err)
{
    f->text_total += size;
    if (f->text_total > text_total_max || (field && size > FIELD_MAX - field->size)) {
        return sal_fail(err, SAL_E_MALFORMED, "Request body exceeded the limit of text fields");
    }
    if (field) {
        memcpy(field->text + field->size, data, size);
        field->size += size;
    }
    return APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    form_t *f = baton;
    apr_status_t rv;

    switch (f->part) {
    case PART_ARCHIVE:
        rv = sal_fd_write_all(f->fd, data, size);
        return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "cannot write to the symbol store");
    case PART_TRY:
        return text_data(f, &f->try_field, data, size, err);
    case PART_URL:
        return text_data(f, &f->url_field, data, size, err);
    default:
        return APR_SUCCESS;
    }
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    (void)err;
    ((form_t *)baton)->part = PART_IGNORED;
    return APR_SUCCESS;
}

static const sal_multipart_events_t form_events = { .part_begin = part_begin,
                                                    .part_data = part_data,
                                                    .part_end = part_end };

/* The boundary parameter of a multipart/form-data type, or NULL for another type. */
static const char *boundary_of(request_rec *r)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type"), *value = NULL;
    apr_size_t n = sizeof("multipart/form-data") - 1;

    if (!type || strncasecmp(type, "multipart/form-data", n)) {
        return NULL;
    }
    for (type = strchr(type, ';'); type && !value; type = strchr(type, ';')) {
        type += 1 + strspn(type + 1, " \t");
        value = strncasecmp(type, "boundary=", 9) ? NULL : type + 9;
    }
    if (!value) {
        return "";
    }
    n = *value == '"' ? strcspn(++value, "\"") : strcspn(value, "; \t");
    return apr_pstrmemdup(r->pool, value, n);
}

static apr_status_t feed(void *baton, const char *data, apr_size_t size)
{
    form_t *f = baton;

    return sal_multipart_feed(f->parser, data, size, &f->err);
}

/* OK; otherwise f->err says what the client shall read, or the status speaks for itself. */
static int read_multipart(form_t *f, const char *boundary, apr_off_t max)
{
    apr_status_t sink_status = APR_SUCCESS;
    apr_off_t total;
    int rc;

    if (sal_multipart_make(&f->parser, boundary, PARTS_MAX, &form_events, f, f->r->pool, &f->err) !=
        APR_SUCCESS) {
        return HTTP_BAD_REQUEST;
    }
    rc = web_body_pump(f->r, max, feed, f, &total, &sink_status);
    if (rc == OK && sal_multipart_finish(f->parser, &f->err) != APR_SUCCESS) {
        return HTTP_BAD_REQUEST;
    }
    if (sink_status != APR_SUCCESS) {
        return web_status_of(sink_status);
    }
    if (rc == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        sal_fail(&f->err, SAL_E_TOOBIG, "Archive too large");
    }
    return rc;
}

static void take_param(field_t *field, apr_table_t *form, const char *name)
{
    const char *value = web_param(form, name);

    if (value) {
        field->sent = 1;
        apr_cpystrn(field->text, value, sizeof(field->text));
    }
}

/* A body that is no multipart may still name a URL to fetch. */
static int read_urlencoded(form_t *f)
{
    const char *type = apr_table_get(f->r->headers_in, "Content-Type");
    apr_table_t *form;

    if (type && !strncasecmp(type, "application/x-www-form-urlencoded", 33)) {
        form = web_form(f->r, text_total_max);
        if (!form) {
            return HTTP_BAD_REQUEST;
        }
        take_param(&f->try_field, form, "try");
        take_param(&f->url_field, form, "url");
    }
    return OK;
}

/* ---- answers ---- */

static int fail(request_rec *r, int status, const char *text)
{
    web_drain(r, WEB_DRAIN_MAX);
    if (status == HTTP_SERVICE_UNAVAILABLE) {
        apr_table_setn(r->headers_out, "Retry-After", "15");
    }
    return web_reply_error(r, status, "%s", text);
}

/* What the client did wrong it reads; what we did wrong stands in the log. */
static int fail_with(request_rec *r, int status, const sal_error_t *err)
{
    if (status == HTTP_BAD_REQUEST || status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        const char *text = *err->message ? err->message : "Bad Request";

        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2010: upload refused: %s", text);
        return fail(r, status, sal_utf8_clean(text, strlen(text), r->pool));
    }
    if (status < 500 && !*err->message) {
        return fail(r, status, ap_get_status_line(status) + 4);
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL2011: upload failed: %s", err->message);
    return fail(r, status,
                status == HTTP_SERVICE_UNAVAILABLE
                    ? "The upload cannot be stored now, try again later"
                    : "Internal Server Error");
}

/*
 * Upload by download (docs/symbols.md): the list of hosts that may be fetched from is empty, so a
 * URL ends at the first check it fails, and at the latest at that of its host.
 */
static int refuse_url(request_rec *r, const char *url)
{
    apr_uri_t uri;

    if (apr_uri_parse(r->pool, url, &uri) != APR_SUCCESS || !uri.scheme || !uri.hostname ||
        !*uri.hostname || url[strcspn(url, " \t\r\n")]) {
        return fail(r, HTTP_BAD_REQUEST, "Enter a valid URL.");
    }
    if (strcasecmp(uri.scheme, "https")) {
        return fail(r, HTTP_BAD_REQUEST, "Insecure URL");
    }
    return fail(r, HTTP_BAD_REQUEST,
                apr_psprintf(r->pool, "Not an allowed domain (%s) to download from.",
                             sal_upload_repr(uri.hostname, r->pool)));
}

/* ---- the upload ---- */

/* Asked for by the field, else for want of the right to regular uploads. */
static bool wants_try(const form_t *f, int permissions)
{
    static const char *const no[] = { "", "0", "false", "no" };

    if (!f->try_field.sent) {
        return !(permissions & SAL_PERM_UPLOAD_SYMBOLS);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        if (!strcasecmp(f->try_field.text, no[i])) {
            return false;
        }
    }
    return true;
}

static int store_archive(form_t *f, const web_identity_t *who, bool is_try)
{
    request_rec *r = f->r;
    const symbols_conf_t *sc = symbols_conf(r);
    sal_upload_limits_t limits = sal_upload_limits;
    sal_upload_opts_t opts = { .archive_name = f->archive_name,
                               .user = who->user,
                               .address = r->useragent_ip,
                               .user_id = who->user_id,
                               .token_id = who->token_id,
                               .is_try = is_try,
                               .received = r->request_time,
                               .limits = &limits };
    json_t *answer = NULL;
    sal_upload_t *up;
    apr_status_t rv;
    apr_pool_t *p;

    if (sc->snippets) {
        limits.snippets = (const char *const *)sc->snippets->elts;
    }
    apr_pool_create(&p, r->pool);
    if ((rv = sal_upload_stage(&up, f->store, f->fd, &opts, p, &f->err)) == APR_SUCCESS &&
        (rv = web_with_db(r, sal_upload_compare, up, &f->err)) == APR_SUCCESS &&
        (rv = sal_upload_publish(up, &f->err)) == APR_SUCCESS &&
        (rv = web_with_db(r, sal_upload_record, up, &f->err)) == APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "SAL2012: upload %" APR_INT64_T_FMT ": %d files, %" APR_UINT64_T_FMT " bytes",
                      up->id, up->files->nelts, (apr_uint64_t)up->archive_size);
        answer = sal_upload_json(up);
    }
    /* Before the answer: whoever reads it finds nothing of a refused archive on the disk. */
    apr_pool_destroy(p);
    return answer ? web_reply_json(r, HTTP_CREATED, answer)
                  : fail_with(r, web_status_of(rv), &f->err);
}

static int finish(form_t *f, const web_identity_t *who)
{
    bool is_try = wants_try(f, who->permissions);
    int needed = is_try ? SAL_PERM_UPLOAD_TRY_SYMBOLS : SAL_PERM_UPLOAD_SYMBOLS;

    if (!(who->permissions & needed)) {
        return fail(f->r, HTTP_FORBIDDEN, "Forbidden");
    }
    if (f->field) {
        return store_archive(f, who, is_try);
    }
    return f->url_field.sent && *f->url_field.text ? refuse_url(f->r, f->url_field.text)
                                                   : fail(f->r, HTTP_BAD_REQUEST, no_file);
}

static int check_caller(request_rec *r, const web_identity_t *who)
{
    if (r->method_number != M_POST) {
        apr_table_setn(r->headers_out, "Allow", "POST");
        return fail(r, HTTP_METHOD_NOT_ALLOWED,
                    apr_psprintf(r->pool, "Method Not Allowed (%s): %s",
                                 sal_utf8_clean(r->method, strlen(r->method), r->pool),
                                 sal_utf8_clean(r->uri, strlen(r->uri), r->pool)));
    }
    if (!who->by_token) {
        return fail(r, HTTP_FORBIDDEN, "This requires an Auth-Token to authenticate the request");
    }
    if (!(who->permissions & (SAL_PERM_UPLOAD_SYMBOLS | SAL_PERM_UPLOAD_TRY_SYMBOLS))) {
        return fail(r, HTTP_FORBIDDEN, "Forbidden");
    }
    return DECLINED;
}

int symbols_upload(request_rec *r)
{
    const symbols_conf_t *sc = symbols_conf(r);
    apr_off_t max = (sc->max_upload ? sc->max_upload : SYMBOLS_MAX_UPLOAD) + form_overhead;
    form_t *f;
    const char *boundary;
    web_identity_t who;
    int rc;

    web_identity(r, &who);
    /* The configuration should have seen to it; an upload without a token never gets further. */
    if ((rc = check_caller(r, &who)) != DECLINED) {
        return rc;
    }
    if (!sc->store) {
        return fail(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    f = apr_pcalloc(r->pool, sizeof(*f));
    f->r = r;
    f->store = sc->store;
    f->fd = -1;
    boundary = boundary_of(r);
    rc = boundary ? read_multipart(f, boundary, max) : read_urlencoded(f);
    return rc == OK ? finish(f, &who) : fail_with(r, rc, &f->err);
}
