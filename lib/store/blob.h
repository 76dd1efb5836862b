/*
 * Blobs by key on a local file system: whole or absent, never torn (but for sal_blob_name).
 *
 * A key is a relative path of [A-Za-z0-9._-] components joined by '/', no "." or "..". Writing:
 * unnamed or temporary file, fsync, link or rename, fsync of the directory.
 */
#ifndef SAL_STORE_BLOB_H
#define SAL_STORE_BLOB_H

#include "base/error.h"
#include "base/reader.h"

typedef struct sal_store_t sal_store_t;

/* Opens (and makes, if missing) the store at root. */
SAL_API apr_status_t sal_store_open(sal_store_t **out, const char *root, apr_pool_t *p,
                                    sal_error_t *err);
SAL_API const char *sal_store_root(const sal_store_t *store);

typedef struct sal_blob_writer_t sal_blob_writer_t;

/* Begins a blob; nothing is visible until sal_blob_commit. Abandoned with the pool. */
SAL_API apr_status_t sal_blob_begin(sal_blob_writer_t **out, sal_store_t *store, apr_pool_t *p,
                                    sal_error_t *err);
SAL_API apr_status_t sal_blob_write(sal_blob_writer_t *w, const void *data, apr_size_t size,
                                    sal_error_t *err);
/* Descriptor of the file being written, positioned at its end. */
SAL_API int sal_blob_fd(sal_blob_writer_t *w);
/* Durable under key when this returns. An existing blob is replaced. */
SAL_API apr_status_t sal_blob_commit(sal_blob_writer_t *w, const char *key, sal_error_t *err);

/*
 * The same in two steps, for a key that nobody is told of between them: named first, then made
 * durable. As the name is there before the file is on disk, one journal commit holds both, and
 * other work can be done meanwhile. A power cut between the two may leave a torn file under the
 * key. The writer is at its end after an error, and after sal_blob_sync.
 */
SAL_API apr_status_t sal_blob_name(sal_blob_writer_t *w, const char *key, sal_error_t *err);
SAL_API apr_status_t sal_blob_sync(sal_blob_writer_t *w, sal_error_t *err);

/* Maps a blob; APR_ENOENT. */
SAL_API apr_status_t sal_blob_map(sal_span_t *out, sal_store_t *store, const char *key,
                                  apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_blob_remove(sal_store_t *store, const char *key, apr_pool_t *p,
                                     sal_error_t *err);
/* Absolute path of a key (for file replies and mappings); NULL for a bad key. */
SAL_API const char *sal_blob_path(const sal_store_t *store, const char *key, apr_pool_t *p);

#endif
