/*
 * Products as pages show them: files that describe one, the table, which versions are featured
 * (docs/crashstats.md). Which products may send crashes is crash/products.h, over the same table.
 */
#ifndef SAL_TRIAGE_PRODUCTS_H
#define SAL_TRIAGE_PRODUCTS_H

#include <stdbool.h>
#include <jansson.h>
#include "db/db.h"

enum {
    SAL_PRODUCT_SORT = 1000, /* of products that nothing is said of */
    SAL_PRODUCT_LISTS_MAX = 100,
    SAL_PRODUCT_TEXT_MAX = 10000, /* bytes */
    SAL_PRODUCT_UNLISTED_MAX = 200
};

typedef struct sal_product_page_t {
    const char *name, *description;
    int sort;                    /* home_page_sort */
    const char *const *featured; /* NULL-terminated: versions, "auto", "KEY.PATH" */
    json_t *version_urls;        /* {KEY: URL} */
    json_t *bug_links;           /* [[text, template]] */
    json_t *home_links;          /* [[text, URL]] */
    bool in_buildhub;
    bool listed; /* false: crashes came from it, but nobody has named it */
} sal_product_page_t;

/*
 * A file: one JSON object of name, description, home_page_sort (these three have to be there),
 * featured_versions, version_json_urls, in_buildhub, bug_links, product_home_links. Keys that begin
 * with '_' are comments. SAL_E_MALFORMED with `path` for what else there is, for wrong types, for
 * links that are not http, https or of this site, and for placeholders that no template may have.
 * JSON members belong to p.
 */
SAL_API apr_status_t sal_product_page_parse(sal_product_page_t *out, const char *text, size_t len,
                                            const char *path, apr_pool_t *p, sal_error_t *err);

/* As such a file; new reference. */
SAL_API json_t *sal_product_page_json(const sal_product_page_t *page);

/* Adds the product, or replaces what pages say of it; its packages and versions stay. */
SAL_API apr_status_t sal_product_page_put(const sal_product_page_t *page, sal_db_t *db,
                                          apr_pool_t *p, sal_error_t *err);

/*
 * All of them by sort and name, then those that only sent crashes, by name, 200 at most. The first
 * one is the default.
 */
SAL_API apr_status_t sal_product_pages(sal_product_page_t **out, int *n, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

/* One of them; APR_ENOENT if neither the table nor any crash has the name. */
SAL_API apr_status_t sal_product_page(sal_product_page_t *out, const char *name, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

/*
 * The versions of a product for menus: featured ones in the order of the file, then active ones,
 * newest first, then those that crashes came from at all, newest first, 100. Of a product without
 * featured versions none are.
 */
typedef struct sal_product_version_row_t {
    const char *version;
    bool featured, active;
    int64_t n; /* crashes in 60 days; 0: not counted */
} sal_product_version_row_t;

SAL_API apr_status_t sal_product_versions(sal_product_version_row_t **out, int *n,
                                          const sal_product_page_t *page, sal_db_t *db,
                                          apr_pool_t *p, sal_error_t *err);

/* "release", "beta", "alpha", "esr"; "" for what is no version. */
SAL_API const char *sal_version_channel(const char *version);

/*
 * Fetches the files of version_json_urls that are older than an hour before now. *n: files. What
 * cannot be had or read counts as empty until then; the first such error is the result.
 */
SAL_API apr_status_t sal_product_files_fetch(int64_t *n, apr_time_t now, apr_time_t deadline,
                                             sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
