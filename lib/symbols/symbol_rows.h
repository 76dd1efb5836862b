/*
 * Questions to the symbol tables that are no part of an upload.
 */
#ifndef SAL_SYMBOLS_SYMBOL_ROWS_H
#define SAL_SYMBOLS_SYMBOL_ROWS_H

#include "db/db.h"
#include "symbols/symbol_store.h"

/*
 * The key of the symbols of a module that is known by code file and code id, newest first and only
 * if the store has them; regular ones before try ones. APR_ENOENT.
 */
SAL_API apr_status_t sal_symbol_by_code(sal_symbol_key_t *out, const char *code_file,
                                        const char *code_id, bool with_try,
                                        sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

/* ELF files by name, a regular expression of PostgreSQL: kind, build id (lower-case), debug file of
 * each in a row of *rows, max of them. */
SAL_API apr_status_t sal_symbol_build_names(sal_rows_t **rows, const char *pattern, int max,
                                            sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* What downloads asked for in vain: n elements each, valid UTF-8. */
typedef struct sal_missing_symbols_t {
    apr_size_t n;
    const char **debug_file, **debug_id, **leaf, **code_file, **code_id;
} sal_missing_symbols_t;

/* Counts each once in 24 hours, however often and from whichever process it is told. */
SAL_API apr_status_t sal_missing_symbols_add(const sal_missing_symbols_t *list, sal_db_t *db,
                                             apr_pool_t *p, sal_error_t *err);

#endif
