/*
 * What the files of the symbol store share. Private to the room.
 */
#ifndef SAL_SYMBOLS_SYMBOL_STORE_PRIVATE_H
#define SAL_SYMBOLS_SYMBOL_STORE_PRIVATE_H

#include "symbols/symbol_store.h"

struct sal_symbol_store_t {
    const char *root;
};

/* Upper part of the store for one kind of upload: ROOT or ROOT/try. */
const char *symbol_store_base(const sal_symbol_store_t *store, bool is_try, apr_pool_t *p);

/*
 * Index of build ids (symbol_index.c). Both look at the file that the key stands for at the time:
 * forget before it is replaced, note when it is in place.
 */
void symbol_index_forget(sal_symbol_store_t *store, const sal_symbol_key_t *key, bool is_try,
                         apr_pool_t *p);
apr_status_t symbol_index_note(sal_symbol_store_t *store, const sal_symbol_key_t *key, bool is_try,
                               bool sync, apr_pool_t *p, sal_error_t *err);

#endif
