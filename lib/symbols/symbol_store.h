/*
 * The symbol store: files content-addressed on disk, a row per key in the database, and an index
 * on disk that answers downloads and the supplier without the database.
 *
 *   ROOT/blob/aa/bb/SHA256            the stored bytes (a .sym as gzip, other kinds as they came)
 *   ROOT/key/<debug_file>/<DEBUG_ID>/<leaf>   hard link to the blob; the id upper-case
 *
 * Published: blob fsynced, then the key link renamed into place, then the row committed. So a
 * reader sees the old file or the new one; ROOT/try/key/... holds try uploads.
 */
#ifndef SAL_SYMBOLS_SYMBOL_STORE_H
#define SAL_SYMBOLS_SYMBOL_STORE_H

#include <stdbool.h>
#include "base/error.h"

typedef struct sal_symbol_store_t sal_symbol_store_t;

SAL_API apr_status_t sal_symbol_store_open(sal_symbol_store_t **out, const char *root,
                                           apr_pool_t *p, sal_error_t *err);

/*
 * Path of a stored file; APR_ENOENT. The id is compared without case, the leaf of a .sym by kind.
 * *gzipped tells whether the stored bytes are gzip of what the client asked for.
 */
SAL_API apr_status_t sal_symbol_store_find(const char **path, bool *gzipped,
                                           sal_symbol_store_t *store, const char *debug_file,
                                           const char *debug_id, const char *leaf, bool with_try,
                                           apr_pool_t *p, sal_error_t *err);

#endif
