/*
 * What is in the tables already, the rows of an upload, and its answer.
 */
#include "upload/upload_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/text.h"

enum { BATCH = 500, NAMES = 5000, WARNINGS = 100 };

/* ---- what is there already ---- */

/* A row is not enough to skip: the file must be there, and still be the one of the row. */
bool sal_upload_still_stored(sal_symbol_store_t *store, const sal_symbol_key_t *key, bool is_try,
                             const char *stored_sha256, apr_pool_t *p)
{
    const char *path = sal_symbol_store_path(store, key, is_try, p);
    char mark[SAL_SHA256_HEX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes;

    if (fd < 0) {
        return false;
    }
    yes = !sal_symbol_store_digest(mark, fd) || !strcmp(mark, stored_sha256);
    close(fd);
    return yes;
}

/* Files that are asked for in one query. */
typedef struct {
    sal_upload_t *up;
    sal_db_t *db;
    apr_size_t n;
    uint32_t index[BATCH];
    const char *names[3 * BATCH]; /* debug files, ids, leaves */
    apr_pool_t *p;
} batch_t;

static apr_status_t compare_row(batch_t *b, const sal_rows_t *rows, int row, sal_error_t *err)
{
    apr_size_t n = (apr_size_t)sal_rows_int(rows, row, 0) - 1, size;
    bool is_try = sal_rows_bool(rows, row, 1) != 0;
    const void *sha = sal_rows_bytes(rows, row, 2, &size, b->p);
    sal_symbol_key_t key;
    sal_upload_entry_t e;
    apr_status_t rv;

    if (n >= b->n) {
        return APR_SUCCESS;
    }
    key = (sal_symbol_key_t){ b->names[n], b->names[BATCH + n], b->names[2 * BATCH + n] };
    if ((rv = sal_upload_log_get(b->up->log, b->index[n], &e, err)) != APR_SUCCESS) {
        return rv;
    }
    if (size == sizeof(e.sha256) && !memcmp(sha, e.sha256, size) &&
        sal_upload_still_stored(b->up->store, &key, is_try, sal_rows_text(rows, row, 3), b->p)) {
        b->up->skipped += e.flags & SAL_UPLOAD_SKIPPED ? 0 : 1;
        e.flags |= SAL_UPLOAD_SKIPPED;
    } else if (is_try == b->up->opts.is_try) {
        e.flags |= SAL_UPLOAD_CHANGED;
    }
    return sal_upload_log_put(b->up->log, b->index[n], &e, err);
}

static apr_status_t compare_batch(batch_t *b, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (b->n) {
        rv = sal_db_exec(b->db, &sal_s_symbol_known, &rows, b->p, err, SAL_V_TEXTS(b->names, b->n),
                         SAL_V_TEXTS(b->names + BATCH, b->n),
                         SAL_V_TEXTS(b->names + (apr_size_t)2 * BATCH, b->n),
                         SAL_V_BOOL(b->up->opts.is_try));
    }
    for (int i = 0; rv == APR_SUCCESS && rows && i < sal_rows_count(rows); i++) {
        rv = compare_row(b, rows, i, err);
    }
    b->n = 0;
    apr_pool_clear(b->p);
    return rv;
}

static apr_status_t add_to_batch(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, void *baton,
                                 apr_pool_t *p, sal_error_t *err)
{
    batch_t *b = baton;
    const char *name = sal_upload_log_name(up->log, e, p);
    sal_symbol_key_t key;

    if (!name || !sal_symbol_key_parse(&key, name, strlen(name), b->p)) {
        return sal_fail(err, APR_EGENERAL, "the list of an upload is damaged");
    }
    if (e->flags & (SAL_UPLOAD_SKIPPED | SAL_UPLOAD_CHANGED)) { /* of an attempt before */
        e->flags &= ~(uint32_t)(SAL_UPLOAD_SKIPPED | SAL_UPLOAD_CHANGED);
        sal_upload_log_put(up->log, i, e, NULL);
    }
    up->files++;
    b->index[b->n] = i;
    b->names[b->n] = key.debug_file;
    b->names[BATCH + b->n] = key.debug_id;
    b->names[2 * BATCH + b->n] = key.leaf;
    return ++b->n == BATCH ? compare_batch(b, err) : APR_SUCCESS;
}

apr_status_t sal_upload_compare(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_t *up = baton;
    batch_t *b = apr_palloc(p, sizeof(*b));
    apr_status_t rv;

    b->up = up;
    b->db = db;
    b->n = 0;
    apr_pool_create(&b->p, p);
    up->files = up->skipped = 0;
    rv = upload_each(up, add_to_batch, b, err);
    if (rv == APR_SUCCESS) {
        rv = compare_batch(b, err);
    }
    apr_pool_destroy(b->p);
    return rv;
}

/* ---- the rows ---- */

/* Names on their way into the arrays of the upload's row. */
typedef struct {
    sal_upload_t *up;
    sal_db_t *db;
    uint32_t wanted; /* flag of the entries */
    apr_size_t n;
    const char *names[NAMES];
    apr_pool_t *p;
} names_t;

static apr_status_t flush_names(names_t *l, sal_error_t *err)
{
    bool ignored = l->wanted == SAL_UPLOAD_IGNORED;
    apr_status_t rv = APR_SUCCESS;

    if (l->n) {
        rv = sal_db_exec(l->db, &sal_s_symbol_upload_names, NULL, l->p, err, SAL_V_INT(l->up->id),
                         SAL_V_TEXTS(l->names, ignored ? 0 : l->n),
                         SAL_V_TEXTS(l->names, ignored ? l->n : 0));
    }
    l->n = 0;
    apr_pool_clear(l->p);
    return rv;
}

static apr_status_t put_names(sal_db_t *db, sal_upload_t *up, uint32_t wanted, apr_pool_t *p,
                              sal_error_t *err)
{
    names_t *l = apr_palloc(p, sizeof(*l));
    uint32_t n = sal_upload_log_count(up->log);
    apr_status_t rv = APR_SUCCESS;
    sal_upload_entry_t e;

    l->up = up;
    l->db = db;
    l->wanted = wanted;
    l->n = 0;
    apr_pool_create(&l->p, p);
    for (uint32_t i = 0; i < n && rv == APR_SUCCESS; i++) {
        const char *name;

        if ((rv = sal_upload_log_get(up->log, i, &e, err)) != APR_SUCCESS) {
            break;
        }
        if (e.listed == up->pass && (e.flags & wanted) && !(e.flags & SAL_UPLOAD_REPLACED) &&
            (name = sal_upload_log_name(up->log, &e, l->p)) != NULL) {
            l->names[l->n++] = sal_utf8_clean(name, strlen(name), l->p);
            rv = l->n == NAMES ? flush_names(l, err) : APR_SUCCESS;
        }
    }
    if (rv == APR_SUCCESS) {
        rv = flush_names(l, err);
    }
    apr_pool_destroy(l->p);
    return rv;
}

static void count_entries(sal_upload_t *up)
{
    uint32_t n = sal_upload_log_count(up->log);
    sal_upload_entry_t e;

    up->ignored = up->stored = 0;
    for (uint32_t i = 0; i < n && sal_upload_log_get(up->log, i, &e, NULL) == APR_SUCCESS; i++) {
        bool ours = e.listed == up->pass && !(e.flags & SAL_UPLOAD_REPLACED);

        up->ignored += ours && (e.flags & SAL_UPLOAD_IGNORED) ? 1 : 0;
        up->stored += ours && (e.flags & SAL_UPLOAD_FILE) && !(e.flags & SAL_UPLOAD_SKIPPED);
    }
}

static apr_status_t add_warning(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, void *baton,
                                apr_pool_t *p, sal_error_t *err)
{
    apr_array_header_t *warnings = baton;
    const char *name = sal_upload_log_name(up->log, e, p);

    (void)i;
    (void)err;
    if ((e->flags & SAL_UPLOAD_LIAR) && name && warnings->nelts < WARNINGS) {
        APR_ARRAY_PUSH(warnings, const char *) =
            apr_pstrcat(warnings->pool, "header does not match key: ", name, NULL);
    } else if ((e->flags & SAL_UPLOAD_LIAR) && warnings->nelts == WARNINGS) {
        APR_ARRAY_PUSH(warnings, const char *) = "and more of these";
    }
    return APR_SUCCESS;
}

static sal_val_t known_id(int64_t id)
{
    return id ? SAL_V_INT(id) : SAL_V_NULL(SAL_T_INT);
}

static apr_size_t count_texts(const char **texts)
{
    apr_size_t n = 0;

    while (texts && texts[n]) {
        n++;
    }
    return n;
}

static apr_status_t add_upload(sal_db_t *db, const sal_upload_opts_t *o, int64_t *id, uint64_t size,
                               apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(
        db, &sal_s_symbol_upload_add, &rows, p, err, known_id(o->user_id), SAL_V_TEXT(o->user),
        known_id(o->token_id), SAL_V_TEXT(o->address), SAL_V_TEXT(o->archive_name),
        SAL_V_INT((int64_t)size), SAL_V_BOOL(o->is_try), SAL_V_TEXT(o->download_url),
        SAL_V_TEXTS(o->redirects, count_texts(o->redirects)), SAL_V_TIME(o->received));

    if (rv == APR_SUCCESS && sal_rows_count(rows) != 1) {
        return sal_fail(err, SAL_E_DB, "the upload's row has no id");
    }
    *id = rv == APR_SUCCESS ? sal_rows_int(rows, 0, 0) : 0;
    return rv;
}

apr_status_t sal_upload_announce(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_announce_t *a = baton;

    return add_upload(db, &a->opts, &a->opts.id, a->total, p, err);
}

apr_status_t sal_upload_note_failure(int64_t id, const char *why, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_upload_failed, NULL, p, err, SAL_V_INT(id), SAL_V_TEXT(why));
}

static apr_status_t complete_upload(sal_db_t *db, sal_upload_t *up, apr_pool_t *p, sal_error_t *err)
{
    apr_array_header_t *warnings = apr_array_make(p, 4, sizeof(const char *));
    const sal_upload_opts_t *o = &up->opts;
    apr_status_t rv;

    count_entries(up);
    if ((rv = upload_each(up, add_warning, warnings, err)) != APR_SUCCESS) {
        return rv;
    }
    return sal_db_exec(db, &sal_s_symbol_upload_complete, NULL, p, err, SAL_V_INT(up->id),
                       SAL_V_INT((int64_t)up->totals.archive_size),
                       SAL_V_BYTEA(up->totals.sha256, sizeof(up->totals.sha256)),
                       SAL_V_INT((int64_t)up->totals.unpacked), SAL_V_INT(up->files + up->ignored),
                       SAL_V_INT(up->stored),
                       SAL_V_TEXTS(warnings->elts, (apr_size_t)warnings->nelts),
                       SAL_V_TIME(up->completed), SAL_V_TEXT(o->archive_name),
                       SAL_V_TEXTS(o->redirects, count_texts(o->redirects)));
}

static apr_status_t record_all(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_t *up = baton;
    apr_status_t rv = APR_SUCCESS;

    up->id = up->opts.id;
    if (!up->id) {
        rv = add_upload(db, &up->opts, &up->id, up->totals.archive_size, p, err);
    }
    if (rv == APR_SUCCESS && *up->opts.archive_name &&
        ((rv = complete_upload(db, up, p, err)) != APR_SUCCESS ||
         (rv = put_names(db, up, SAL_UPLOAD_SKIPPED, p, err)) != APR_SUCCESS ||
         (rv = put_names(db, up, SAL_UPLOAD_IGNORED, p, err)) != APR_SUCCESS)) {
        return rv;
    }
    return rv == APR_SUCCESS ? upload_add_files(up, db, p, err) : rv;
}

apr_status_t sal_upload_record(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_t *up = baton;
    apr_status_t rv = sal_db_txn(db, record_all, up, p, err);

    if (rv == APR_SUCCESS) {
        up->finished = true;
        upload_clean(up);
    }
    return rv;
}

/* ---- the answer ---- */

/* "2026-01-02T03:04:05.678Z", as the clients know it. */
static json_t *json_time(apr_time_t t)
{
    apr_time_exp_t e;

    if (!t) {
        return json_null();
    }
    apr_time_exp_gmt(&e, t);
    return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", e.tm_year + 1900, e.tm_mon + 1,
                        e.tm_mday, e.tm_hour, e.tm_min, e.tm_sec, e.tm_usec / 1000);
}

typedef struct {
    sal_upload_text_fn out;
    void *baton;
    const char *comma;
} answer_t;

static apr_status_t answer_skipped(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, void *baton,
                                   apr_pool_t *p, sal_error_t *err)
{
    answer_t *a = baton;
    const char *name = e->flags & SAL_UPLOAD_SKIPPED ? sal_upload_log_name(up->log, e, p) : NULL;
    json_t *value = name ? json_string(name) : NULL;
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    (void)i;
    (void)err;
    if (text) {
        a->out(a->baton, a->comma, strlen(a->comma));
        a->out(a->baton, text, strlen(text));
        a->comma = ",";
    }
    free(text);
    json_decref(value);
    return APR_SUCCESS;
}

static json_t *redirect_list(const char **urls)
{
    json_t *list = json_array();

    for (; urls && *urls; urls++) {
        json_array_append_new(list, json_string(*urls));
    }
    return list;
}

void sal_upload_answer(sal_upload_t *up, sal_upload_text_fn out, void *baton)
{
    json_t *doc =
        json_pack("{s:I, s:I, s:s, s:s, s:s?, s:b, s:o, s:o, s:o, s:s}", "id", (json_int_t)up->id,
                  "size", (json_int_t)up->totals.archive_size, "filename", up->opts.archive_name,
                  "bucket", up->opts.is_try ? "try" : "regular", "download_url",
                  up->opts.download_url, "try_symbols", (int)up->opts.is_try, "redirect_urls",
                  redirect_list(up->opts.redirects), "completed_at", json_time(up->completed),
                  "created_at", json_time(up->opts.received), "user", up->opts.user);
    char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    answer_t a = { out, baton, "" };

    if (text) {
        out(baton, "{\"upload\":", 10);
        out(baton, text, strlen(text) - 1);
        out(baton, ",\"skipped_keys\":[", 17);
        upload_each(up, answer_skipped, &a, NULL);
        out(baton, "]}}", 3);
    }
    free(text);
    json_decref(doc);
}
