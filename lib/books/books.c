/*
 * Lists of uploads and files, and single ones.
 *
 * A list first finds the ids of its page, from an index alone where there is no filter, and then
 * fetches those rows. Nothing is counted unless a filter makes the number worth it.
 */
#include "books/books.h"

#include <string.h>

#include <apr_strings.h>

#include "books/query.h"

enum { PAGE_MAX = 1000000 };

/* Of an upload, in the order in which upload_row reads them. */
#define UPLOAD_COLUMNS                                                                             \
    "u.id, u.archive_size, u.archive_name, u.is_try, u.user_name, u.skipped_keys, "                \
    "u.ignored_keys, u.download_url, u.redirect_urls, u.completed_at, u.created_at, "              \
    "(SELECT count(*) FROM symbol_file f WHERE f.upload_id = u.id), u.members, u.stored, "         \
    "coalesce(u.user_id, 0), encode(u.archive_sha256, 'hex'), u.unpacked_size, u.address, "        \
    "u.warnings, coalesce(u.token_id, 0)"

#define FILE_COLUMNS                                                                               \
    "f.id, f.debug_file, f.debug_id, f.leaf, f.replaced, f.kind, f.stored_size, f.size, "          \
    "f.is_try, f.created_at, f.upload_id, u.is_try, u.user_name, u.created_at, "                   \
    "coalesce(u.user_id, 0), u.completed_at"

json_t *sal_books_time(apr_time_t t)
{
    apr_time_exp_t x;
    char text[40];

    if (!t || apr_time_exp_gmt(&x, t) != APR_SUCCESS) {
        return json_null();
    }
    apr_snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", x.tm_year + 1900,
                 x.tm_mon + 1, x.tm_mday, x.tm_hour, x.tm_min, x.tm_sec, x.tm_usec / 1000);
    return json_string(text);
}

static json_t *texts(const sal_rows_t *rows, int row, int col, apr_pool_t *p)
{
    json_t *out = json_array();
    int n;
    const char **all = sal_rows_array(rows, row, col, &n, p);

    for (int i = 0; i < n; i++) {
        json_array_append_new(out, json_string(all[i]));
    }
    return out;
}

static json_t *text_or_null(const sal_rows_t *rows, int row, int col)
{
    return sal_rows_null(rows, row, col) ? json_null() : json_string(sal_rows_text(rows, row, col));
}

static const char *bucket(int is_try)
{
    return is_try ? "try" : "regular";
}

/* ---- uploads ---- */

static json_t *upload_row(const sal_rows_t *r, int i, apr_pool_t *p)
{
    json_t *completed = sal_books_time(sal_rows_time(r, i, 9));
    json_int_t files = sal_rows_int(r, i, 11);

    return json_pack(
        "{s:I, s:I, s:s, s:s, s:n, s:b, s:{s:s}, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, "
        "s:I}",
        "id", (json_int_t)sal_rows_int(r, i, 0), "size", (json_int_t)sal_rows_int(r, i, 1),
        "filename", sal_rows_text(r, i, 2), "bucket_name", bucket(sal_rows_bool(r, i, 3)),
        "bucket_endpoint_url", "try_symbols", sal_rows_bool(r, i, 3), "user", "email",
        sal_rows_text(r, i, 4), "skipped_keys", texts(r, i, 5, p), "ignored_keys",
        texts(r, i, 6, p), "download_url", text_or_null(r, i, 7), "redirect_urls",
        texts(r, i, 8, p), "completed_at", completed, "created_at",
        sal_books_time(sal_rows_time(r, i, 10)), "files_count", files, "files_incomplete_count",
        (json_int_t)0, "members", (json_int_t)sal_rows_int(r, i, 12), "stored",
        (json_int_t)sal_rows_int(r, i, 13));
}

static bool upload_filters(books_sql_t *q, const sal_books_find_t *f)
{
    if (f->user && *f->user) {
        books_sql_part(q, "lower(u.user_name)", f->user, f->not_user);
    }
    if (f->kind) {
        books_sql_and(q, f->kind == 1 ? "u.is_try" : "NOT u.is_try");
    }
    books_sql_sizes(q, "u.archive_size", f->size);
    books_sql_dates(q, "u.created_at", f->created);
    books_sql_dates(q, "u.completed_at", f->completed);
    return *q->where != '\0';
}

static const char *paging(const sal_books_find_t *f, apr_pool_t *p)
{
    int64_t page = f->page < 1 ? 1 : f->page > PAGE_MAX ? PAGE_MAX : f->page;

    return apr_psprintf(p, " LIMIT %d OFFSET %" APR_INT64_T_FMT, f->per_page + 1,
                        (page - 1) * f->per_page);
}

/* One row more than a page was asked for: it tells that there is a next one. */
static int page_rows(sal_books_page_t *out, const sal_rows_t *rows, int per_page)
{
    int n = sal_rows_count(rows);

    out->has_next = n > per_page;
    out->rows = json_array();
    return n > per_page ? per_page : n;
}

static apr_status_t count(int64_t *total, books_sql_t *q, const char *from, sal_db_t *db,
                          sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = books_sql_run(
        q, apr_pstrcat(q->p, "SELECT count(*) FROM ", from, q->where, NULL), &rows, db, err);

    if (rv == APR_SUCCESS) {
        *total = sal_rows_int(rows, 0, 0);
    }
    return rv;
}

/* What a list is made of; constant. */
typedef struct {
    const char *columns, *table, *base, *created, *id, *size;
    json_t *(*row)(const sal_rows_t *rows, int i, apr_pool_t *p);
} list_t;

/*
 * The ids of the page, then its rows. The order of equal times is that of ids, so pages neither
 * repeat nor lose a row.
 */
static const char *page_sql(books_sql_t *q, const list_t *l, const sal_books_find_t *f)
{
    const char *dir = f->ascending ? " ASC" : " DESC";
    const char *order = apr_pstrcat(q->p, " ORDER BY ", f->by_size ? l->size : l->created, dir,
                                    ", ", l->id, dir, NULL);

    return apr_pstrcat(q->p, "SELECT ", l->columns, " FROM ", l->table, " WHERE ", l->id,
                       " IN (SELECT ", l->id, " FROM ", l->base, q->where, order, paging(f, q->p),
                       ")", order, NULL);
}

/* filtered: rows are counted, as there are not too many of them. */
static apr_status_t one_page(sal_books_page_t *out, books_sql_t *q, const list_t *list,
                             const sal_books_find_t *find, bool filtered, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = filtered ? count(&out->total, q, list->base, db, err) : APR_SUCCESS;
    sal_rows_t *rows;

    if (rv == APR_SUCCESS) {
        rv = books_sql_run(q, page_sql(q, list, find), &rows, db, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0, n = page_rows(out, rows, find->per_page); i < n; i++) {
        json_array_append_new(out->rows, list->row(rows, i, p));
    }
    return APR_SUCCESS;
}

apr_status_t sal_books_uploads(sal_books_page_t *out, const sal_books_find_t *find, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    static const list_t list = {
        UPLOAD_COLUMNS, "symbol_upload u", "symbol_upload u", "u.created_at",
        "u.id",         "u.archive_size",  upload_row
    };
    books_sql_t *q = books_sql_make(p);
    bool filtered = upload_filters(q, find);

    *out = (sal_books_page_t){ .total = -1 };
    if (find->owner) {
        books_sql_and(q, apr_pstrcat(p, "u.user_id = ", books_sql_bind(q, SAL_V_INT(find->owner)),
                                     "::bigint", NULL));
    }
    return one_page(out, q, &list, find, filtered, db, p, err);
}

/* ---- files ---- */

static const char *file_key(const sal_rows_t *r, int i, apr_pool_t *p)
{
    return apr_pstrcat(p, sal_rows_text(r, i, 1), "/", sal_rows_text(r, i, 2), "/",
                       sal_rows_text(r, i, 3), NULL);
}

static json_t *upload_of_file(const sal_rows_t *r, int i)
{
    if (sal_rows_null(r, i, 10)) {
        return json_null();
    }
    return json_pack("{s:I, s:s, s:b, s:{s:s}, s:o}", "id", (json_int_t)sal_rows_int(r, i, 10),
                     "upload_type", bucket(sal_rows_bool(r, i, 11)), "try_symbols",
                     sal_rows_bool(r, i, 11), "user", "email", sal_rows_text(r, i, 12),
                     "created_at", sal_books_time(sal_rows_time(r, i, 13)));
}

/* A row is written when its file is complete. */
static json_t *file_row(const sal_rows_t *r, int i, apr_pool_t *p)
{
    const char *kind = sal_rows_text(r, i, 5);

    return json_pack("{s:I, s:s, s:b, s:b, s:I, s:I, s:s, s:s, s:b, s:o, s:o, s:o}", "id",
                     (json_int_t)sal_rows_int(r, i, 0), "key", file_key(r, i, p), "update",
                     sal_rows_bool(r, i, 4), "compressed", strcmp(kind, "sym") == 0, "size",
                     (json_int_t)sal_rows_int(r, i, 6), "original_size",
                     (json_int_t)sal_rows_int(r, i, 7), "kind", kind, "bucket_name",
                     bucket(sal_rows_bool(r, i, 8)), "try_symbols", sal_rows_bool(r, i, 8),
                     "completed_at", sal_books_time(sal_rows_time(r, i, 9)), "created_at",
                     sal_books_time(sal_rows_time(r, i, 9)), "upload", upload_of_file(r, i));
}

static void equals(books_sql_t *q, const char *column, const char *value)
{
    if (value && *value) {
        books_sql_and(q, apr_pstrcat(q->p, column, " = ", books_sql_bind(q, SAL_V_TEXT(value)),
                                     "::text", NULL));
    }
}

static bool file_filters(books_sql_t *q, const sal_books_find_t *f)
{
    for (int i = 0; f->keys && i < f->keys->nelts; i++) {
        books_sql_part(q, "lower(f.debug_file || '/' || f.debug_id || '/' || f.leaf)",
                       APR_ARRAY_IDX(f->keys, i, const char *), false);
    }
    if (f->bucket && *f->bucket) {
        bool is_try = strcmp(f->bucket, "try") == 0;

        if (!is_try && strcmp(f->bucket, "regular") != 0) {
            books_sql_and(q, f->not_bucket ? "true" : "false");
        } else {
            books_sql_and(q, is_try != f->not_bucket ? "f.is_try" : "NOT f.is_try");
        }
    }
    if (f->kind) {
        books_sql_and(q, f->kind == 1 ? "f.is_try" : "NOT f.is_try");
    }
    equals(q, "f.product", f->product);
    equals(q, "f.version", f->version);
    equals(q, "f.channel", f->channel);
    books_sql_sizes(q, "f.stored_size", f->size);
    books_sql_dates(q, "f.created_at", f->created);
    books_sql_dates(q, "f.created_at", f->completed);
    return *q->where != '\0';
}

apr_status_t sal_books_files(sal_books_page_t *out, const sal_books_find_t *find, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    static const list_t list = {
        FILE_COLUMNS,    "symbol_file f LEFT JOIN symbol_upload u ON u.id = f.upload_id",
        "symbol_file f", "f.created_at",
        "f.id",          "f.stored_size",
        file_row
    };
    books_sql_t *q = books_sql_make(p);

    *out = (sal_books_page_t){ .total = -1 };
    return one_page(out, q, &list, find, file_filters(q, find), db, p, err);
}

/* ---- single ones ---- */

static const char upload_one[] =
    "SELECT " UPLOAD_COLUMNS " FROM symbol_upload u WHERE u.id = $1::bigint";
/* Other uploads of the same archive. */
static const char upload_same[] =
    "SELECT " UPLOAD_COLUMNS " FROM symbol_upload u JOIN symbol_upload o ON "
    "o.archive_sha256 = u.archive_sha256 AND o.id <> u.id AND length(o.archive_sha256) > 0 "
    "WHERE o.id = $1::bigint ORDER BY u.created_at DESC LIMIT 100";
static const char upload_files[] =
    "SELECT " FILE_COLUMNS " FROM symbol_file f JOIN symbol_upload u ON u.id = f.upload_id "
    "WHERE f.upload_id = $1::bigint ORDER BY f.debug_file, f.leaf, f.id LIMIT $2::int";
static const char file_one[] =
    "SELECT " FILE_COLUMNS ", f.header_file, f.header_id, f.code_file, f.code_id, f.generator, "
    "f.os, f.arch, f.build_id, f.product, f.version, f.channel, f.build, f.keep_until, "
    "f.last_access, f.hits, encode(f.sha256, 'hex'), encode(f.md5, 'hex'), f.renewed_at, "
    "EXISTS (SELECT 1 FROM symbol_key k WHERE k.file_id = f.id) "
    "FROM symbol_file f LEFT JOIN symbol_upload u ON u.id = f.upload_id WHERE f.id = $1::bigint";
/* Every content that the key of a file has stood for. */
static const char file_history[] =
    "SELECT " FILE_COLUMNS " FROM symbol_file f LEFT JOIN symbol_upload u ON u.id = f.upload_id "
    "WHERE (f.debug_file, f.debug_id, f.leaf) = (SELECT debug_file, debug_id, leaf FROM "
    "symbol_file WHERE id = $1::bigint) ORDER BY f.id DESC LIMIT 50";

static void put(json_t *o, const char *name, json_t *value)
{
    json_object_set_new(o, name, value);
}

static apr_status_t put_related(json_t *upload, int64_t id, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    json_t *related = json_array();
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_run_text(db, upload_same, (const sal_val_t[]){ SAL_V_INT(id) }, 1, &rows, p, err);

    put(upload, "related", related);
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        json_array_append_new(related, upload_row(rows, i, p));
    }
    return rv;
}

static apr_status_t put_files(json_t *upload, int64_t id, int max, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    json_t *files = json_array();
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run_text(
        db, upload_files, (const sal_val_t[]){ SAL_V_INT(id), SAL_V_INT(max) }, 2, &rows, p, err);

    put(upload, "file_uploads", files);
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        json_t *one = file_row(rows, i, p);

        json_object_del(one, "upload");
        json_array_append_new(files, one);
    }
    return rv;
}

apr_status_t sal_books_upload(json_t **out, int64_t *owner, int64_t id, int max_files, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    json_t *upload;
    apr_status_t rv =
        sal_db_run_text(db, upload_one, (const sal_val_t[]){ SAL_V_INT(id) }, 1, &rows, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "No Upload matches the given query.");
    }
    *owner = sal_rows_int(rows, 0, 14);
    upload = upload_row(rows, 0, p);
    put(upload, "content_hash", json_string(apr_pstrndup(p, sal_rows_text(rows, 0, 15), 30)));
    put(upload, "sha256", json_string(sal_rows_text(rows, 0, 15)));
    put(upload, "unpacked_size", json_integer(sal_rows_int(rows, 0, 16)));
    put(upload, "address", text_or_null(rows, 0, 17));
    put(upload, "warnings", texts(rows, 0, 18, p));
    put(upload, "token_id", json_integer(sal_rows_int(rows, 0, 19)));
    if ((rv = put_files(upload, id, max_files, db, p, err)) != APR_SUCCESS ||
        (rv = put_related(upload, id, db, p, err)) != APR_SUCCESS) {
        json_decref(upload);
        return rv;
    }
    *out = upload;
    return APR_SUCCESS;
}

static void put_header(json_t *file, const sal_rows_t *rows)
{
    static const char *const names[] = { "debug_filename", "debug_id", "code_file", "code_id",
                                         "generator",      "os",       "arch",      "build_id",
                                         "product",        "version",  "channel",   "build" };

    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        put(file, names[i], text_or_null(rows, 0, 16 + i));
    }
    put(file, "keep_until", sal_books_time(sal_rows_time(rows, 0, 28)));
    put(file, "last_access", sal_books_time(sal_rows_time(rows, 0, 29)));
    put(file, "hits", json_integer(sal_rows_int(rows, 0, 30)));
    put(file, "sha256", json_string(sal_rows_text(rows, 0, 31)));
    put(file, "md5", json_string(sal_rows_text(rows, 0, 32)));
    put(file, "renewed_at", sal_books_time(sal_rows_time(rows, 0, 33)));
    put(file, "current", json_boolean(sal_rows_bool(rows, 0, 34)));
}

apr_status_t sal_books_file(json_t **out, int64_t *owner, int64_t id, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    json_t *file, *history = json_array();
    sal_rows_t *rows, *past;
    apr_status_t rv =
        sal_db_run_text(db, file_one, (const sal_val_t[]){ SAL_V_INT(id) }, 1, &rows, p, err);

    if (rv == APR_SUCCESS && sal_rows_count(rows) == 0) {
        rv = sal_fail(err, APR_ENOENT, "No FileUpload matches the given query.");
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_run_text(db, file_history, (const sal_val_t[]){ SAL_V_INT(id) }, 1, &past, p,
                             err);
    }
    if (rv != APR_SUCCESS) {
        json_decref(history);
        return rv;
    }
    file = file_row(rows, 0, p);
    *owner = sal_rows_int(rows, 0, 14);
    put_header(file, rows);
    for (int i = 0; i < sal_rows_count(past); i++) {
        json_array_append_new(history, file_row(past, i, p));
    }
    put(file, "history", history);
    *out = file;
    return APR_SUCCESS;
}
