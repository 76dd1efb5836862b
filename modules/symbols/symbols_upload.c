/*
 * POST /upload/: a form with a zip of symbol files, which lib/symbols reads as it arrives. Nothing
 * is kept of an upload that is refused.
 */
#include "symbols_upload_private.h"

#include <apr_strings.h>

#include "base/text.h"
#include "crash/multipart.h"

APLOG_USE_MODULE(symbols);

/* More parts than these are an attack, not an upload (Tecken takes 100 files and 1000 texts). */
enum { PARTS_MAX = 1100, FIELD_MAX = 2048 };

static const apr_size_t text_total_max = 5 << 19; /* 2.5 MiB of text fields */
static const apr_off_t form_overhead = 4 << 20;   /* of a body, beside its archive */

static const char no_file[] = "Must be multipart form data with at least one file";

typedef enum { PART_IGNORED, PART_ARCHIVE, PART_TEXT } part_kind_t;

typedef struct {
    char text[FIELD_MAX + 1];
    apr_size_t size;
    int sent;
} field_t;

typedef struct {
    request_rec *r;
    sal_multipart_t *parser;
    part_kind_t part;  /* the one that is being received */
    const char *field; /* name of the first file field; NULL: no file yet */
    sal_upload_limits_t limits;
    sal_upload_opts_t opts;
    sal_upload_t *up;
    apr_pool_t *slot_pool, *pool; /* of the token's slot; of up */
    apr_size_t text_total;
    field_t try_field, url_field, product_field, version_field;
    field_t *text; /* the one that is being received */
    sal_error_t err;
} form_t;

/* ---- the form ---- */

static int is_zip_name(const char *s)
{
    size_t n = s ? strlen(s) : 0;

    return n > 4 && !strcasecmp(s + n - 4, ".zip");
}

/* Only the first file field counts, and of that its last part. */
static apr_status_t begin_archive(form_t *f, const sal_part_t *part, sal_error_t *err)
{
    const char *name = part->name ? part->name : "";
    apr_status_t rv;

    if (f->field && strcmp(f->field, name)) {
        return APR_SUCCESS;
    }
    f->field = apr_pstrdup(f->r->pool, name);
    f->opts.archive_name = apr_pstrdup(
        f->r->pool, is_zip_name(name) || !is_zip_name(part->filename) ? name : part->filename);
    f->part = PART_ARCHIVE;
    if (f->up) {
        sal_upload_refuse(f->up);
        apr_pool_clear(f->pool);
        f->up = NULL;
    }
    /* No byte of a wrongly named archive needs to be received. */
    rv = sal_upload_name_check(f->opts.archive_name, f->r->pool, err);
    return rv == APR_SUCCESS
               ? sal_upload_begin(&f->up, symbols_conf(f->r)->store, &f->opts, f->pool, err)
               : rv;
}

static field_t *field_named(form_t *f, const char *name)
{
    return !strcmp(name, "try")       ? &f->try_field
           : !strcmp(name, "url")     ? &f->url_field
           : !strcmp(name, "product") ? &f->product_field
           : !strcmp(name, "version") ? &f->version_field
                                      : NULL;
}

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    form_t *f = baton;

    f->part = PART_IGNORED;
    if (part->filename && *part->filename) {
        return begin_archive(f, part, err);
    }
    f->text = part->name ? field_named(f, part->name) : NULL;
    if (f->text) {
        f->part = PART_TEXT;
        *f->text = (field_t){ .sent = 1 };
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

    switch (f->part) {
    case PART_ARCHIVE:
        return sal_upload_feed(f->up, data, size, err);
    case PART_TEXT:
        return text_data(f, f->text, data, size, err);
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

const char *symbols_boundary(request_rec *r)
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

/* ---- the upload ---- */

static int store_archive(form_t *f)
{
    apr_status_t rv = sal_upload_end(f->up, &f->err);

    if (rv == APR_SUCCESS) {
        rv = symbols_store_upload(f->r, f->up, &f->err);
    }
    return rv == APR_SUCCESS ? OK : web_status_of(rv);
}

/* NULL unless it was sent and can be stored. */
static const char *release_text(form_t *f, const field_t *field)
{
    return field->sent ? sal_utf8_clean(field->text, strlen(field->text), f->r->pool) : NULL;
}

static int finish(form_t *f, const web_identity_t *who)
{
    const char *asked = f->try_field.sent ? f->try_field.text : NULL;
    bool is_try = symbols_wants_try(asked, who->permissions);
    int rc = symbols_check_try(f->r, who, is_try);

    if (rc != DECLINED) {
        if (f->up) {
            sal_upload_refuse(f->up);
        }
        return rc;
    }
    f->opts.is_try = is_try;
    if (!f->field) {
        return f->url_field.sent && *f->url_field.text
                   ? symbols_upload_url(f->r, f->url_field.text, &f->opts)
                   : symbols_fail(f->r, HTTP_BAD_REQUEST, no_file);
    }
    sal_upload_set_try(f->up, is_try);
    sal_upload_set_release(f->up, release_text(f, &f->product_field),
                           release_text(f, &f->version_field));
    rc = store_archive(f);
    return rc == OK ? symbols_answer_upload(f->r, f->up) : rc;
}

/*
 * Nothing may be left of what was refused when the client reads so; what was broken off, or failed
 * for a reason of ours, waits for the retry.
 */
static int leave(form_t *f, int rc)
{
    if (f->up && rc != OK && rc != HTTP_INTERNAL_SERVER_ERROR && rc != HTTP_SERVICE_UNAVAILABLE &&
        *f->err.message) {
        sal_upload_refuse(f->up);
    }
    apr_pool_destroy(f->slot_pool);
    return rc == OK || rc == DONE ? OK : symbols_fail_with(f->r, rc, &f->err);
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
    if ((rc = symbols_check_caller(r, &who, "POST")) != DECLINED) {
        return rc;
    }
    if (!sc->store) {
        return symbols_fail(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    f = apr_pcalloc(r->pool, sizeof(*f));
    f->r = r;
    apr_pool_create(&f->slot_pool, r->pool);
    apr_pool_create(&f->pool, f->slot_pool);
    if ((rc = symbols_take_slot(r, who.by_token ? who.token_id : -who.user_id, f->slot_pool)) !=
        DECLINED) {
        return rc;
    }
    symbols_upload_opts(&f->opts, &f->limits, r, &who);
    boundary = symbols_boundary(r);
    rc = boundary ? read_multipart(f, boundary, max) : read_urlencoded(f);
    return leave(f, rc == OK ? finish(f, &who) : rc);
}
