/*
 * Names and ids of modules, and the path of their symbols.
 *
 * Canonical debug id: 32 upper-case hex digits and the age in lower-case hex; lookups compare
 * without case. Source: docs/symbols.md.
 */
#ifndef SAL_SYMBOLS_MODULE_ID_H
#define SAL_SYMBOLS_MODULE_ID_H

#include <stdbool.h>
#include "base/error.h"

/* Debug id of an ELF build id (first 16 bytes as a GUID, then "0"). out holds 34. */
SAL_API void sal_debug_id_of_build_id(char out[34], const void *build_id, apr_size_t size);

/* The same of a build id in hex (16 to 128 digits, an even number); NULL if it is none. */
SAL_API const char *sal_debug_id_of_hex(const char *build_id, apr_pool_t *p);

/* True for one to many hex digits that are not all zero. */
SAL_API bool sal_debug_id_valid(const char *id);

/*
 * Canonical form of an id as it comes: 32 hex digits with an age or without (then 0), a hyphenated
 * UUID, or a PDB 2.0 timestamp (8 digits) with its age. Of the age the first 8 digits count. False
 * for anything else and for all zeros.
 */
enum { SAL_DEBUG_ID_SIZE = 41 };
SAL_API bool sal_debug_id_canonical(char out[SAL_DEBUG_ID_SIZE], const char *id);

/* The same id, written differently or not. Ids of no known form compare without case. */
SAL_API bool sal_debug_id_same(const char *a, const char *b);

/* "xul.pdb" -> "xul.sym", "libc.so.6" -> "libc.so.6.sym". */
SAL_API const char *sal_symbols_leaf(const char *debug_file, apr_pool_t *p);

/* One component of a key: non-empty, not "." or "..", no forbidden character, <= 255 bytes. */
SAL_API bool sal_symbols_name_valid(const char *s, apr_size_t len);

#endif
