/*
 * The symbol store: files content-addressed on disk, a row per key in the database, and an index
 * on disk that answers downloads and the supplier without the database.
 *
 *   ROOT/blob/aa/bb/SHA256            the stored bytes (a .sym as gzip, other kinds as they came)
 *   ROOT/key/<debug_file>/<DEBUG_ID>/<leaf>   hard link to the blob; the id upper-case
 *   ROOT/fold/<lower-case debug_file>/<debug_file>  empty: names that differ by letter case
 *   ROOT/buildid/...                          files by build id (symbol_index.h)
 *   ROOT/try/...                              the same for try uploads
 *   ROOT/tmp/                         what is being written
 *
 * Published: blob fsynced, then the key link renamed into place, then the row committed. So a
 * reader sees the old file or the new one. A blob is never modified.
 *
 * Thread rule: an open store is immutable and shared freely; a temporary file has one owner.
 */
#ifndef SAL_SYMBOLS_SYMBOL_STORE_H
#define SAL_SYMBOLS_SYMBOL_STORE_H

#include <stdbool.h>
#include "base/error.h"

typedef struct sal_symbol_store_t sal_symbol_store_t;

/* Opens the store at root, which is made if missing; nothing below it is made before a write. */
SAL_API apr_status_t sal_symbol_store_open(sal_symbol_store_t **out, const char *root,
                                           apr_pool_t *p, sal_error_t *err);

/*
 * Path of a stored file; APR_ENOENT. The id is compared without case, the leaf of a .sym by kind.
 * Names match exactly first, then without regard to ASCII case (the newest of several wins).
 * *gzipped tells whether the stored bytes are gzip of what the client asked for.
 * with_try: what the regular part lacks is looked for among try uploads.
 */
SAL_API apr_status_t sal_symbol_store_find(const char **path, bool *gzipped,
                                           sal_symbol_store_t *store, const char *debug_file,
                                           const char *debug_id, const char *leaf, bool with_try,
                                           apr_pool_t *p, sal_error_t *err);

enum { SAL_SHA256_HEX = 64, SAL_SYMBOL_KEY_MAX = 300 };

/* A key, `<debug_file>/<debug_id>/<leaf>`. */
typedef struct sal_symbol_key_t {
    const char *debug_file;
    const char *debug_id; /* upper-case once parsed; the store upper-cases it anyway */
    const char *leaf;
} sal_symbol_key_t;

/* Takes a key apart, in p. False unless it obeys the grammar (docs/symbols.md), UTF-8 and all. */
SAL_API bool sal_symbol_key_parse(sal_symbol_key_t *out, const char *text, apr_size_t len,
                                  apr_pool_t *p);

/* True for a file whose stored form is gzip of the text: the leaf ends in ".sym", any case. */
SAL_API bool sal_symbol_leaf_is_sym(const char *leaf);

/* A file in ROOT/tmp that is becoming a blob; unlinked with its pool unless committed. */
typedef struct sal_symbol_temp_t sal_symbol_temp_t;

SAL_API apr_status_t sal_symbol_temp_begin(sal_symbol_temp_t **out, sal_symbol_store_t *store,
                                           apr_pool_t *p, sal_error_t *err);

/* Its descriptor, open for reading and writing until sal_symbol_temp_close. */
SAL_API int sal_symbol_temp_fd(const sal_symbol_temp_t *temp);

/* Gives the descriptor back, so that an archive of many members does not hold one for each. */
SAL_API void sal_symbol_temp_close(sal_symbol_temp_t *temp);

/* Unlinks it now. */
SAL_API void sal_symbol_temp_drop(sal_symbol_temp_t *temp);

/*
 * For uploads of more files than memory should know: gives the file up to its name, which lives in
 * p, and forgets it; whoever holds the name takes it up again, links a second one to it, or drops
 * it. A name that begins with "s" is swept after eight days, another after one.
 */
SAL_API const char *sal_symbol_temp_release(sal_symbol_temp_t *temp, apr_pool_t *p);
SAL_API sal_symbol_temp_t *sal_symbol_temp_take(sal_symbol_store_t *store, const char *name,
                                                apr_pool_t *p);
SAL_API apr_status_t sal_symbol_temp_begin_as(sal_symbol_temp_t **out, sal_symbol_store_t *store,
                                              char prefix, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_symbol_temp_link(sal_symbol_temp_t **out, sal_symbol_store_t *store,
                                          const char *name, apr_pool_t *p, sal_error_t *err);

/* The directory of the store, for rooms that keep files of their own below it. */
SAL_API const char *sal_symbol_store_root(const sal_symbol_store_t *store);

/*
 * Publishing is three steps: seal the bytes, make them a blob, point a key at the blob. With sync
 * each is durable when it returns. Without, sal_symbol_store_sync has to stand between sealing and
 * the rest, so that no name ever leads to bytes that a power cut can take, and at the end: for an
 * archive of many files two calls take the place of thousands.
 *
 * sha256 is the lower-case hex digest of the bytes (trusted); p is scratch.
 */
SAL_API apr_status_t sal_symbol_temp_seal(sal_symbol_temp_t *temp, const char *sha256, bool sync,
                                          sal_error_t *err);

/* A blob that is already there is kept and the sealed file dropped. */
SAL_API apr_status_t sal_symbol_temp_commit(sal_symbol_temp_t *temp, const char *sha256, bool sync,
                                            apr_pool_t *p, sal_error_t *err);

/* Replaces what the key stood for, and enters a file with a build id into the index. */
SAL_API apr_status_t sal_symbol_store_link(sal_symbol_store_t *store, const sal_symbol_key_t *key,
                                           bool is_try, const char *sha256, bool sync,
                                           apr_pool_t *p, sal_error_t *err);

/* Everything written to the store's file system so far is durable when this returns. */
SAL_API apr_status_t sal_symbol_store_sync(sal_symbol_store_t *store, sal_error_t *err);

/* Path at which exactly this key is stored, whether or not it is there. */
SAL_API const char *sal_symbol_store_path(const sal_symbol_store_t *store,
                                          const sal_symbol_key_t *key, bool is_try, apr_pool_t *p);

/*
 * Digest of an open stored file, 64 hex digits and NUL, from the mark left on the blob. False
 * where the file system keeps no marks (extended attributes).
 */
SAL_API bool sal_symbol_store_digest(char out[SAL_SHA256_HEX + 1], int fd);

/* A nameless file in the store's file system, for spooling; the caller closes it. -1: see err. */
SAL_API int sal_symbol_store_spool(sal_symbol_store_t *store, apr_pool_t *p, sal_error_t *err);

/* Removes what killed processes left in ROOT/tmp more than a day ago; returns how many. */
SAL_API int sal_symbol_store_sweep(sal_symbol_store_t *store, apr_pool_t *p);

/* ---- removing: symbol_store_drop.c ---- */

/*
 * Ends what a key stands for, if that is still this blob: what was stored under it since stays.
 * Nothing to end is success. Whoever reads the file at the time reads it to its end.
 */
SAL_API apr_status_t sal_symbol_store_unlink(sal_symbol_store_t *store, const sal_symbol_key_t *key,
                                             bool is_try, const char *sha256, apr_pool_t *p,
                                             sal_error_t *err);

/*
 * Removes a blob that no key leads to and that was not touched for min_age seconds. *freed: its
 * bytes, 0 if it stays.
 */
SAL_API apr_status_t sal_symbol_store_blob_drop(int64_t *freed, sal_symbol_store_t *store,
                                                const char *sha256, int min_age, apr_pool_t *p,
                                                sal_error_t *err);

/* Calls fn with every blob that no key leads to and that was not touched for min_age seconds. */
typedef apr_status_t (*sal_symbol_blob_fn)(void *baton, const char *sha256, sal_error_t *err);
SAL_API apr_status_t sal_symbol_store_loose_blobs(sal_symbol_store_t *store, int min_age,
                                                  sal_symbol_blob_fn fn, void *baton, apr_pool_t *p,
                                                  sal_error_t *err);

#endif
