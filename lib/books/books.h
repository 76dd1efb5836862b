/*
 * The books of the symbols server: lists of uploads, files and missing symbols, single entries,
 * statistics; as documents whose names are the API's (docs/symbols.md, "API").
 *
 * Lists are paged by number. A page is found in an index and only its rows are fetched, so the
 * thousandth page of a million files costs milliseconds.
 */
#ifndef SAL_BOOKS_H
#define SAL_BOOKS_H

#include <jansson.h>
#include "db/db.h"
#include "books/filter.h"

/* What a list shall hold; zero is "any". Texts are borrowed. */
typedef struct sal_books_find_t {
    int64_t owner;    /* uploads of this user id only */
    const char *user; /* a part of the user's name; with not_user: not that */
    bool not_user;
    const char *bucket; /* "regular" or "try" */
    bool not_bucket;
    int kind;                 /* 1: try, 2: regular */
    apr_array_header_t *keys; /* const char *: parts of the key, all of them */
    apr_array_header_t *size; /* sal_books_cond_t, of the archive or the stored file */
    apr_array_header_t *created, *completed;
    const char *product, *version, *channel; /* of files, exactly */
    bool by_size;                            /* else by time */
    bool ascending;
    int64_t page; /* from 1 */
    int per_page;
} sal_books_find_t;

/* A page of a list. */
typedef struct sal_books_page_t {
    json_t *rows; /* array, a new reference */
    bool has_next;
    int64_t total; /* -1: no filter was set, so nothing was counted */
} sal_books_page_t;

SAL_API apr_status_t sal_books_uploads(sal_books_page_t *out, const sal_books_find_t *find,
                                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_books_files(sal_books_page_t *out, const sal_books_find_t *find,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * One upload with its files (at most max_files) and related uploads; *owner is its user id.
 * APR_ENOENT.
 */
SAL_API apr_status_t sal_books_upload(json_t **out, int64_t *owner, int64_t id, int max_files,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* One file; *owner is that of its upload, 0 if it has none. APR_ENOENT. */
SAL_API apr_status_t sal_books_file(json_t **out, int64_t *owner, int64_t id, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/*
 * {"today": {"count", "total_size"}, "yesterday": ..., "last_30_days": ...} of uploads; of one
 * owner or (0) of all.
 */
SAL_API apr_status_t sal_books_stats(json_t **out, int64_t owner, apr_time_t now, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/*
 * What the statistics page shows besides: {"kinds": [{kind, is_try, files, size, stored, hits}],
 * "days": [{day, uploads, size}], "users": [{user, uploads, size}], "popular": [{id, key, hits}]}.
 */
SAL_API apr_status_t sal_books_totals(json_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The newest file of a module known by debug or code file and id, for /api/syminfo/. APR_ENOENT. */
SAL_API apr_status_t sal_books_syminfo(json_t **out, const char *file, const char *id, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

/* ---- missing symbols ---- */

typedef struct sal_books_missing_t {
    const char *debug_file, *debug_id, *leaf; /* parts of the texts, any case */
    apr_array_header_t *created, *modified;   /* sal_books_cond_t */
    const char *sort;                         /* a name of the API; NULL: modified_at */
    bool ascending;
    int64_t page;
    int per_page;
} sal_books_missing_t;

SAL_API apr_status_t sal_books_missing(sal_books_page_t *out, const sal_books_missing_t *find,
                                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* A missing symbol for the CSV. */
typedef struct sal_missing_row_t {
    const char *debug_file, *debug_id, *code_file, *code_id;
} sal_missing_row_t;

/*
 * At most `max` rows asked for since a time whose id is above *after, in the order of ids; *after
 * moves on. all: of every platform, not only .pdb with .sym.
 */
SAL_API apr_status_t sal_books_missing_rows(sal_missing_row_t **out, int *n, int64_t *after,
                                            apr_time_t since, bool all, int max, sal_db_t *db,
                                            apr_pool_t *p, sal_error_t *err);

/* Deletes rows that nobody asked for since; *n counts them. */
SAL_API apr_status_t sal_books_missing_expire(int *n, int days, sal_db_t *db, apr_pool_t *p,
                                              sal_error_t *err);

/* ---- usage ---- */

/* Downloads since the last flush: n elements each. */
typedef struct sal_books_usage_t {
    apr_size_t n;
    const char **debug_file, **debug_id, **leaf;
    int64_t *is_try, *hits;
} sal_books_usage_t;

SAL_API apr_status_t sal_books_used(const sal_books_usage_t *use, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* "2026-01-02T03:04:05.678Z" as JSON, null for 0; a new reference. */
SAL_API json_t *sal_books_time(apr_time_t t);

#endif
