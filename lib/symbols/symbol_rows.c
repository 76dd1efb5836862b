/*
 * Lookups by code id, and the record of what was missing.
 */
#include "symbols/symbol_rows.h"

#include <string.h>

#include <apr_strings.h>

#include "symbols/module_id.h"

/* The row is history: the store decides whether the file is still there, and under which leaf. */
static bool stored_key(sal_symbol_key_t *out, const sal_rows_t *rows, int row, bool with_try,
                       sal_symbol_store_t *store, apr_pool_t *p)
{
    const char *file = sal_rows_text(rows, row, 0), *id = sal_rows_text(rows, row, 1), *path;

    if (sal_symbol_store_find(&path, NULL, store, file, id, sal_symbols_leaf(file, p), with_try, p,
                              NULL) != APR_SUCCESS) {
        return false;
    }
    out->debug_file = apr_pstrdup(p, file);
    out->debug_id = apr_pstrdup(p, id);
    out->leaf = strrchr(path, '/') + 1;
    return true;
}

apr_status_t sal_symbol_by_code(sal_symbol_key_t *out, const char *code_file, const char *code_id,
                                bool with_try, sal_symbol_store_t *store, sal_db_t *db,
                                apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_symbol_by_code, &rows, p, err, SAL_V_TEXT(code_file),
                                  SAL_V_TEXT(code_id), SAL_V_BOOL(with_try));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < sal_rows_count(rows); i++) {
        if (stored_key(out, rows, i, with_try, store, p)) {
            return APR_SUCCESS;
        }
    }
    return sal_fail(err, APR_ENOENT, "no symbols for code file %s, code id %s", code_file, code_id);
}

apr_status_t sal_symbol_build_names(sal_rows_t **rows, const char *pattern, int max, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_symbol_build_names, rows, p, err, SAL_V_TEXT(pattern),
                       SAL_V_INT(max));
}

apr_status_t sal_missing_symbols_add(const sal_missing_symbols_t *list, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_missing_symbol_add, NULL, p, err,
                       SAL_V_TEXTS(list->debug_file, list->n), SAL_V_TEXTS(list->debug_id, list->n),
                       SAL_V_TEXTS(list->leaf, list->n), SAL_V_TEXTS(list->code_file, list->n),
                       SAL_V_TEXTS(list->code_id, list->n));
}
