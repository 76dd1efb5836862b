/*
 * Product names against the list of products and the dictionary.
 */
#include "search/products.h"

#include "search/fields.h"

apr_status_t sal_search_unknown_products(const char **out, const char *const *names, int n,
                                         sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_search_unknown_products, &rows, p, err,
                                  SAL_V_TEXTS(names, (apr_size_t)n),
                                  SAL_V_INT(sal_search_field("product")->number));

    *out = rv == APR_SUCCESS && !sal_rows_null(rows, 0, 0) ? sal_rows_text(rows, 0, 0) : NULL;
    return rv;
}
