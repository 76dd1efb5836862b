/*
 * Files: mapping for reading, whole reads with a cap, and writes that are all there or not at all.
 */
#ifndef SAL_BASE_FILE_H
#define SAL_BASE_FILE_H

#include <stdint.h>
#include "base/error.h"
#include "base/reader.h"

/*
 * Maps a regular file read-only. The mapping ends with the pool. An empty file gives size 0.
 * APR_ENOENT, APR_EACCES ... with the path in the message.
 */
SAL_API apr_status_t sal_file_map(sal_span_t *out, const char *path, apr_pool_t *p,
                                  sal_error_t *err);

/* Reads at most max bytes; SAL_E_TOOBIG if there are more. *out is NUL-terminated, from p. */
SAL_API apr_status_t sal_file_read(char **out, apr_size_t *size, const char *path, apr_size_t max,
                                   apr_pool_t *p, sal_error_t *err);

/*
 * Writes path as a whole: temporary file beside it, fsync, rename, fsync of the directory.
 * Readers see the old content or the new. Parents must exist.
 */
SAL_API apr_status_t sal_file_publish(const char *path, const void *data, apr_size_t size, int mode,
                                      apr_pool_t *p, sal_error_t *err);

/*
 * mkdir -p; with sync each created directory's parent is fsynced. Made by root, a directory belongs
 * to whom the one around it belongs to.
 */
SAL_API apr_status_t sal_dir_make(const char *path, int mode, int sync, apr_pool_t *p,
                                  sal_error_t *err);

/* fsync of a directory by name. */
SAL_API apr_status_t sal_dir_sync(const char *path, sal_error_t *err);

/* write(2) until all is written; EINTR is repeated. Returns APR_SUCCESS or an errno. */
SAL_API apr_status_t sal_fd_write_all(int fd, const void *data, apr_size_t size);

#endif
