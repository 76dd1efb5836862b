/*
 * Counts over the books, missing symbols, the usage of files.
 */
#include "books/books.h"

#include <string.h>

#include <apr_strings.h>

#include "books/query.h"

#define DAY apr_time_from_sec(86400)

/* ---- statistics ---- */

apr_status_t sal_books_stats(json_t **out, int64_t owner, apr_time_t now, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    static const char *const names[] = { "today", "yesterday", "last_30_days" };
    apr_time_t today = now - now % DAY;
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_books_stats, &rows, p, err, SAL_V_INT(owner), SAL_V_TIME(today),
                    SAL_V_TIME(today - DAY), SAL_V_TIME(today - 30 * DAY));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = json_object();
    for (int i = 0; i < 3; i++) {
        json_object_set_new(*out, names[i],
                            json_pack("{s:I, s:I}", "count",
                                      (json_int_t)sal_rows_int(rows, 0, 2 * i), "total_size",
                                      (json_int_t)sal_rows_int(rows, 0, 2 * i + 1)));
    }
    return APR_SUCCESS;
}

typedef struct {
    const char *name;
    bool number;
} column_t;

/* Rows as objects; columns ends with a NULL name. */
static apr_status_t rows_of(json_t *into, const char *name, const sal_stmt_t *stmt,
                            const column_t *columns, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    json_t *list = json_array();
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, stmt, NULL, 0, &rows, p, err);

    json_object_set_new(into, name, list);
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        json_t *one = json_object();

        for (int c = 0; columns[c].name; c++) {
            json_object_set_new(one, columns[c].name,
                                columns[c].number ? json_integer(sal_rows_int(rows, i, c))
                                                  : json_string(sal_rows_text(rows, i, c)));
        }
        json_array_append_new(list, one);
    }
    return rv;
}

apr_status_t sal_books_totals(json_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    static const column_t kinds[] = { { "kind", 0 }, { "bucket", 0 }, { "files", 1 },
                                      { "size", 1 }, { "stored", 1 }, { "hits", 1 },
                                      { NULL, 0 } };
    static const column_t days[] = {
        { "day", 0 }, { "uploads", 1 }, { "size", 1 }, { "files", 1 }, { NULL, 0 }
    };
    static const column_t users[] = { { "user", 0 }, { "uploads", 1 }, { "size", 1 }, { NULL, 0 } };
    static const column_t popular[] = {
        { "id", 1 }, { "key", 0 }, { "hits", 1 }, { "last_access", 0 }, { NULL, 0 }
    };
    json_t *o = json_object();
    apr_status_t rv;

    if ((rv = rows_of(o, "kinds", &sal_s_books_kinds, kinds, db, p, err)) != APR_SUCCESS ||
        (rv = rows_of(o, "days", &sal_s_books_days, days, db, p, err)) != APR_SUCCESS ||
        (rv = rows_of(o, "users", &sal_s_books_users, users, db, p, err)) != APR_SUCCESS ||
        (rv = rows_of(o, "popular", &sal_s_books_popular, popular, db, p, err)) != APR_SUCCESS) {
        json_decref(o);
        return rv;
    }
    *out = o;
    return APR_SUCCESS;
}

/* ---- one module ---- */

apr_status_t sal_books_syminfo(json_t **out, const char *file, const char *id, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    static const char *const names[] = { "debug_filename", "debug_id", "code_file", "code_id",
                                         "generator" };
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_books_syminfo, &rows, p, err, SAL_V_TEXT(file), SAL_V_TEXT(id));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "Code file / id Not Found");
    }
    *out = json_object();
    for (int i = 0; i < 5; i++) {
        json_object_set_new(*out, names[i],
                            sal_rows_null(rows, 0, i) ? json_null()
                                                      : json_string(sal_rows_text(rows, 0, i)));
    }
    json_object_set_new(
        *out, "key",
        json_string(apr_pstrcat(p, sal_rows_text(rows, 0, 5), "/", sal_rows_text(rows, 0, 6), "/",
                                sal_rows_text(rows, 0, 7), NULL)));
    json_object_set_new(*out, "is_try", json_boolean(sal_rows_bool(rows, 0, 8)));
    return APR_SUCCESS;
}

/* ---- missing symbols ---- */

/* Names of the API, which are those of Tecken, and our columns. */
static const struct {
    const char *name, *column;
} missing_columns[] = { { "symbol", "debug_file" },       { "debugid", "debug_id" },
                        { "filename", "leaf" },           { "code_file", "code_file" },
                        { "code_id", "code_id" },         { "count", "count" },
                        { "modified_at", "modified_at" }, { "created_at", "created_at" } };

static const char *missing_order(const sal_books_missing_t *f, apr_pool_t *p)
{
    const char *column = "modified_at", *dir = f->ascending ? " ASC" : " DESC";

    for (size_t i = 0; f->sort && i < sizeof(missing_columns) / sizeof(missing_columns[0]); i++) {
        if (!strcmp(f->sort, missing_columns[i].name)) {
            column = missing_columns[i].column;
        }
    }
    return apr_pstrcat(p, " ORDER BY ", column, dir, ", id", dir, NULL);
}

static json_t *missing_row(const sal_rows_t *r, int i)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o}", "id",
                     (json_int_t)sal_rows_int(r, i, 0), "symbol", sal_rows_text(r, i, 1), "debugid",
                     sal_rows_text(r, i, 2), "filename", sal_rows_text(r, i, 3), "code_file",
                     sal_rows_text(r, i, 4), "code_id", sal_rows_text(r, i, 5), "count",
                     (json_int_t)sal_rows_int(r, i, 6), "modified_at",
                     sal_books_time(sal_rows_time(r, i, 7)), "created_at",
                     sal_books_time(sal_rows_time(r, i, 8)));
}

static void missing_filters(books_sql_t *q, const sal_books_missing_t *f)
{
    if (f->debug_file && *f->debug_file) {
        books_sql_part(q, "lower(debug_file)", f->debug_file, false);
    }
    if (f->debug_id && *f->debug_id) {
        books_sql_part(q, "lower(debug_id)", f->debug_id, false);
    }
    if (f->leaf && *f->leaf) {
        books_sql_part(q, "lower(leaf)", f->leaf, false);
    }
    books_sql_dates(q, "created_at", f->created);
    books_sql_dates(q, "modified_at", f->modified);
}

apr_status_t sal_books_missing(sal_books_page_t *out, const sal_books_missing_t *find, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    books_sql_t *q = books_sql_make(p);
    int64_t page = find->page < 1 ? 1 : find->page > 1000000 ? 1000000 : find->page;
    sal_rows_t *rows;
    apr_status_t rv;
    int n;

    *out = (sal_books_page_t){ .total = 0 };
    missing_filters(q, find);
    rv = books_sql_run(q, apr_pstrcat(p, "SELECT count(*) FROM missing_symbol", q->where, NULL),
                       &rows, db, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->total = sal_rows_int(rows, 0, 0);
    rv = books_sql_run(
        q,
        apr_pstrcat(p,
                    "SELECT id, debug_file, debug_id, leaf, code_file, code_id, count, "
                    "modified_at, created_at FROM missing_symbol",
                    q->where, missing_order(find, p),
                    apr_psprintf(p, " LIMIT %d OFFSET %" APR_INT64_T_FMT, find->per_page + 1,
                                 (page - 1) * find->per_page),
                    NULL),
        &rows, db, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    n = sal_rows_count(rows);
    out->has_next = n > find->per_page;
    out->rows = json_array();
    for (int i = 0; i < n && i < find->per_page; i++) {
        json_array_append_new(out->rows, missing_row(rows, i));
    }
    return APR_SUCCESS;
}

apr_status_t sal_books_missing_rows(sal_missing_row_t **out, int *n, int64_t *after,
                                    apr_time_t since, bool all, int max, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_missing_symbol_rows, &rows, p, err, SAL_V_TIME(since),
                                  SAL_V_BOOL(all), SAL_V_INT(*after), SAL_V_INT(max));

    *n = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_palloc(p, ((apr_size_t)*n + 1) * sizeof(**out));
    for (int i = 0; i < *n; i++) {
        *after = sal_rows_int(rows, i, 0);
        (*out)[i] = (sal_missing_row_t){ sal_rows_text(rows, i, 1), sal_rows_text(rows, i, 2),
                                         sal_rows_text(rows, i, 3), sal_rows_text(rows, i, 4) };
    }
    return APR_SUCCESS;
}

apr_status_t sal_books_missing_expire(int *n, int days, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_missing_symbol_expire, &rows, p, err, SAL_V_INT(days));

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}

/* ---- usage ---- */

apr_status_t sal_books_used(const sal_books_usage_t *use, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_symbol_used, NULL, p, err, SAL_V_TEXTS(use->debug_file, use->n),
                       SAL_V_TEXTS(use->debug_id, use->n), SAL_V_TEXTS(use->leaf, use->n),
                       SAL_V_INTS(use->is_try, use->n), SAL_V_INTS(use->hits, use->n));
}
