/*
 * Deleting by API: a file, the files of an upload, those of a release. Who may, what is meant, and
 * the answer; the order in which files go is lib/books/retention.c's.
 */
#include "symbols_books.h"

#include <apr_strings.h>

#include "books/retention.h"

APLOG_USE_MODULE(symbols);

enum { KEYS_MAX = 1000 }; /* told by name */

typedef struct {
    symbols_req_t *q;
    sal_symbols_which_t which;
    bool dry;
    json_t *keys;
    sal_symbols_gone_t gone;
} work_t;

/* ---- what is meant ---- */

static const char *param(symbols_req_t *q, const char *name)
{
    const char *value = web_param(q->query, name);

    return value && *value ? value : NULL;
}

static int is_on(const char *text)
{
    return text && strcmp(text, "0") && strcasecmp(text, "false") && strcasecmp(text, "no");
}

/* Of a release: one of the texts at least, so that no slip deletes everything. */
static void read_release(sal_symbols_which_t *w, json_t **errors, symbols_req_t *q)
{
    const char *type = param(q, "upload_type");

    w->product = param(q, "product");
    w->version = param(q, "version");
    w->channel = param(q, "channel");
    w->build = param(q, "build");
    w->key = param(q, "key");
    if (type && strcmp(type, "try") && strcmp(type, "regular")) {
        symbols_form_error(errors, "upload_type", "Unrecognized upload_type value %s",
                           sal_upload_repr(type, q->r->pool));
    }
    w->kind = !type ? -1 : !strcmp(type, "try");
    if (!*errors && !w->product && !w->version && !w->channel && !w->build && !w->key) {
        symbols_form_error(errors, "product",
                           "One of product, version, channel, build, key is required.");
    }
}

/* ---- work ---- */

static apr_status_t note_key(void *baton, const sal_symbols_found_t *file)
{
    work_t *w = baton;

    if (json_array_size(w->keys) < KEYS_MAX) {
        json_array_append_new(w->keys, json_string(file->key));
    }
    return APR_SUCCESS;
}

static apr_status_t work_delete(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;
    symbols_one_work_t one = { .id = w->which.upload };
    apr_status_t rv = APR_SUCCESS;

    if (w->which.upload && (rv = symbols_work_upload(db, &one, p, err)) == APR_SUCCESS) {
        json_decref(one.doc);
    }
    json_array_clear(w->keys); /* a lost connection is asked once more */
    return rv == APR_SUCCESS ? sal_symbols_delete_by(&w->gone, &w->which, w->dry, w->q->who.user,
                                                     note_key, w, w->q->conf->store, db, p, err)
                             : rv;
}

static int answer(symbols_req_t *q, work_t *w)
{
    bool more = w->gone.files > (int64_t)json_array_size(w->keys);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r,
                  "SAL2047: %s: %" APR_INT64_T_FMT " files, %" APR_INT64_T_FMT " bytes freed",
                  w->dry ? "would be deleted" : "deleted", (apr_int64_t)w->gone.files,
                  (apr_int64_t)w->gone.freed);
    return web_reply_json(q->r, HTTP_OK,
                          json_pack("{s:b, s:b, s:I, s:I, s:I, s:O, s:b}", "ok", 1, "dry_run",
                                    w->dry, "files", (json_int_t)w->gone.files, "stored_size",
                                    (json_int_t)w->gone.stored, "freed_size",
                                    (json_int_t)w->gone.freed, "keys", w->keys, "more", more));
}

static int run(symbols_req_t *q, const sal_symbols_which_t *which)
{
    const char *none = which->file ? "FileUpload" : "Upload";
    work_t w = { .q = q, .which = *which, .dry = is_on(web_param(q->query, "dry_run")) };
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc;

    w.keys = json_array();
    rv = web_with_db(q->r, work_delete, &w, &err);
    if (APR_STATUS_IS_ENOENT(rv) || (rv == APR_SUCCESS && which->file && !w.gone.files)) {
        rc = web_reply_error(q->r, HTTP_NOT_FOUND, "No %s matches the given query.", none);
    } else {
        rc = rv == APR_SUCCESS ? answer(q, &w) : symbols_api_sick(q, &err);
    }
    json_decref(w.keys);
    return rc;
}

/* ---- routes ---- */

int symbols_api_may_delete(const char *rest)
{
    return !strcmp(rest, "/files") || !strcmp(rest, "/files/") || !strncmp(rest, "/upload/", 8) ||
           !strncmp(rest, "/files/file/", 12);
}

int symbols_api_delete(symbols_req_t *q, const char *rest)
{
    sal_symbols_which_t which = { .kind = -1 };
    json_t *errors = NULL;
    int rc;

    if (!(q->who.permissions & SAL_PERM_MANAGE_SYMBOLS)) {
        return web_reply_error(q->r, HTTP_FORBIDDEN, "Forbidden");
    }
    if ((rc = symbols_api_forged(q, q->query)) != DECLINED) {
        return rc;
    }
    if (!q->conf->store) {
        return web_reply_error(q->r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    if (!strncmp(rest, "/upload/", 8)) {
        which.upload = symbols_path_id(rest + 8);
    } else if (!strncmp(rest, "/files/file/", 12)) {
        which.file = symbols_path_id(rest + 12);
    } else {
        read_release(&which, &errors, q);
        return errors ? symbols_form_errors(q, errors) : run(q, &which);
    }
    return which.upload || which.file ? run(q, &which) : symbols_api_not_found(q);
}
