/*
 * `salvage product import` of files that describe products, `show`, and the details of `add`.
 */
#ifndef TOOLS_PRODUCT_PAGES_H
#define TOOLS_PRODUCT_PAGES_H

#include <apr_tables.h>
#include "cmd.h"

/* A folder, or a file whose name ends in .json. */
int product_is_page(const char *path, apr_pool_t *p);

/* All or nothing. A folder: every .json file in it, by name. */
int product_pages_import(const char *path, sal_db_t *db, apr_pool_t *p);

int product_page_show(const char *name, sal_db_t *db, apr_pool_t *p);

/* description NULL, featured (of const char *) empty: these stay. */
int product_page_change(const char *name, const char *description,
                        const apr_array_header_t *featured, sal_db_t *db, apr_pool_t *p);

#endif
