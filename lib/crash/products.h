/*
 * The products that may send crashes: names, and for each the Android packages and the versions
 * that it has. Read from a file or from the database; a watch keeps the database's list in memory.
 *
 * A file: a product's name on a line of its own; below it, indented, `package NAME` and
 * `version PATTERN` ('*' stands for anything). '#' begins a comment line.
 *
 * Thread rule: a list never changes and may be read by all.
 */
#ifndef SAL_CRASH_PRODUCTS_H
#define SAL_CRASH_PRODUCTS_H

#include <stdbool.h>
#include "base/error.h"
#include "db/db.h"

#define SAL_PRODUCTS_MAX 10000
#define SAL_PRODUCT_NAME_MAX 255

typedef struct sal_product_t {
    const char *name;
    const char *const *packages; /* NULL-terminated; none: any */
    const char *const *versions; /* the same */
} sal_product_t;

typedef struct sal_products_t {
    int n;                     /* 0: any product */
    const sal_product_t *list; /* in the order of the file, or by name */
} sal_products_t;

/* text is changed. SAL_E_MALFORMED with the line; path is for messages. All in p. */
SAL_API apr_status_t sal_products_parse(sal_products_t *out, char *text, apr_size_t size,
                                        const char *path, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_products_read(sal_products_t *out, const char *path, apr_pool_t *p,
                                       sal_error_t *err);
SAL_API apr_status_t sal_products_load(sal_products_t *out, sal_db_t *db, apr_pool_t *p,
                                       sal_error_t *err);

/* NULL if it is not listed; names are compared as they are. list may be NULL: nothing is listed. */
SAL_API const sal_product_t *sal_products_find(const sal_products_t *list, const char *name);

/* May this product have the package or version? True for products that list none, or are none. */
SAL_API bool sal_products_package_ok(const sal_products_t *list, const char *product,
                                     const char *package);
SAL_API bool sal_products_version_ok(const sal_products_t *list, const char *product,
                                     const char *version);

/* ---- administration ---- */

/* Adds a product, or replaces what is known of it. SAL_E_MALFORMED: a name that cannot be one. */
SAL_API apr_status_t sal_product_put(const sal_product_t *product, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);
/* APR_ENOENT if it is not there. */
SAL_API apr_status_t sal_product_drop(const char *name, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* ---- the watch: a thread of its own, so that no request waits for the database ---- */

typedef struct sal_product_watch_t sal_product_watch_t;

/*
 * Asks at once and then every `seconds`. While the database cannot be asked the last list stays,
 * at first an empty one. Ends with the pool.
 */
SAL_API apr_status_t sal_product_watch_start(sal_product_watch_t **out, const char *conninfo,
                                             int seconds, apr_pool_t *p, sal_error_t *err);

/* The list of now; it stays as it is and is there until p ends. */
SAL_API const sal_products_t *sal_product_watch_list(sal_product_watch_t *watch, apr_pool_t *p);

#endif
