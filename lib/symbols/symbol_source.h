/*
 * Source files out of an uploaded bundle: a zip, found by the path that the debug information
 * names.
 *
 * A bundle with a manifest.json (Sentry's source bundles: {"files": {member: {"path": ...}}}) is
 * searched by it; in any other zip a file /usr/src/a.c is the member usr/src/a.c or
 * files/usr/src/a.c.
 */
#ifndef SAL_SYMBOLS_SYMBOL_SOURCE_H
#define SAL_SYMBOLS_SYMBOL_SOURCE_H

#include <stdint.h>
#include "base/error.h"

typedef struct sal_source_t sal_source_t;

/* path: absolute, with or without its first slash; compared as it is, then with "//", "." and ".."
 * resolved. APR_ENOENT: the bundle has no such file. */
SAL_API apr_status_t sal_source_open(sal_source_t **out, const char *bundle, const char *path,
                                     apr_pool_t *p, sal_error_t *err);
SAL_API uint64_t sal_source_size(const sal_source_t *s);
SAL_API const char *sal_source_name(const sal_source_t *s); /* the absolute path */

/* Hands the content to the sink; anything but APR_SUCCESS of it ends the reading. */
SAL_API apr_status_t sal_source_read(sal_source_t *s,
                                     apr_status_t (*sink)(void *, const void *, apr_size_t),
                                     void *baton, sal_error_t *err);

/* "a/./b//../c" -> "/a/c"; never above the root. */
SAL_API const char *sal_path_resolve(const char *path, apr_pool_t *p);

#endif
