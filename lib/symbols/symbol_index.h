/*
 * Files of the symbol store by build id, as debuginfod's clients ask for them.
 *
 *   ROOT/buildid/<aa>/<rest>/{executable,debuginfo,source} -> ../../../key/<file>/<ID>/<leaf>
 *
 * An entry is a symbolic link to the key, made when the key is linked, so a file that is deleted or
 * replaced takes its entry along. A source bundle is entered under the id of its key, which may be
 * a debug id.
 */
#ifndef SAL_SYMBOLS_SYMBOL_INDEX_H
#define SAL_SYMBOLS_SYMBOL_INDEX_H

#include "symbols/symbol_store.h"

typedef enum {
    SAL_BUILD_EXECUTABLE, /* has code; may be stripped */
    SAL_BUILD_DEBUGINFO,  /* has DWARF, or at least a full symbol table */
    SAL_BUILD_SOURCE      /* a zip of sources */
} sal_build_part_t;

/* True for an even number of 4 to 128 hex digits. */
SAL_API bool sal_build_id_valid(const char *id);

/*
 * Path of a part, and its key (may be NULL), both in p. id: hex in any letter case. APR_ENOENT.
 * with_try: what the regular part lacks is looked for among try uploads.
 */
SAL_API apr_status_t sal_symbol_store_by_build(const char **path, sal_symbol_key_t *key,
                                               sal_symbol_store_t *store, const char *id,
                                               sal_build_part_t part, bool with_try, apr_pool_t *p,
                                               sal_error_t *err);

#endif
