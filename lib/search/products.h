/*
 * Product names that searches are asked for.
 */
#ifndef SAL_SEARCH_PRODUCTS_H
#define SAL_SEARCH_PRODUCTS_H

#include "db/db.h"

/*
 * Those of the names that are no product, in their order: where a list of products is kept
 * (`salvage product`), those that neither stand in it nor ever sent a crash; where none is kept,
 * every name is as good as another. *out: "A, B", NULL if there are none.
 */
SAL_API apr_status_t sal_search_unknown_products(const char **out, const char *const *names, int n,
                                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
