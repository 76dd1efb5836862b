/*
 * Taking in symbol files: stage, skip what is there, publish, record.
 *
 * The calls in their order: sal_upload_begin; sal_upload_feed with an archive as it arrives and
 * sal_upload_end, or sal_upload_take for files one by one (nothing visible so far, no database);
 * sal_upload_compare (a query for 500 files), sal_upload_publish (durable files),
 * sal_upload_record (one transaction). Whoever stops in between leaves nothing but temporary files
 * that go with the pool, or wait for a retry that adopts them (upload_adopt.h), or files whose rows
 * a repeated upload writes.
 *
 * Thread rule: one owner. Memory does not grow with the number or size of files.
 */
#ifndef SAL_UPLOAD_H
#define SAL_UPLOAD_H

#include <apr_time.h>
#include <jansson.h>
#include "db/db.h"
#include "upload/log.h"
#include "upload/stream.h"

/* Who sends what; texts are borrowed. */
typedef struct sal_upload_opts_t {
    const char *archive_name; /* ends in .zip; "" for files one by one */
    const char *user;         /* never NULL */
    const char *address;      /* of the client, or NULL */
    const char *download_url; /* it was fetched from there, or NULL */
    const char *product;      /* of files whose header names none, or NULL */
    const char *version;
    const char **redirects;    /* NULL-terminated trail of the download, or NULL */
    int64_t user_id, token_id; /* 0: unknown */
    int64_t id;                /* of the upload's row where there is one already, or 0 */
    bool is_try;
    bool strict;         /* a .sym whose header does not match its key refuses the upload */
    apr_time_t received; /* when the request began */
    const sal_upload_limits_t *limits;
} sal_upload_opts_t;

typedef struct sal_upload_t sal_upload_t;

/* An upload that ends with its request. */
SAL_API apr_status_t sal_upload_begin(sal_upload_t **out, sal_symbol_store_t *store,
                                      const sal_upload_opts_t *opts, apr_pool_t *p,
                                      sal_error_t *err);

/*
 * One that goes on in another request: `log` and the mark are the session's, spool_fd holds the
 * archive. Its temporary files stay until sal_upload_publish or sal_upload_refuse.
 */
SAL_API apr_status_t sal_upload_resume(sal_upload_t **out, sal_symbol_store_t *store,
                                       const sal_upload_opts_t *opts, sal_upload_log_t *log,
                                       const sal_upload_mark_t *from, int spool_fd, apr_pool_t *p,
                                       sal_error_t *err);

/* The next bytes of an archive. Errors as sal_upload_stream_feed. */
SAL_API apr_status_t sal_upload_feed(sal_upload_t *up, const char *data, size_t size,
                                     sal_error_t *err);
SAL_API void sal_upload_mark(const sal_upload_t *up, sal_upload_mark_t *out);

/* The archive is complete. */
SAL_API apr_status_t sal_upload_end(sal_upload_t *up, sal_error_t *err);

/* How a file's bytes are packed on their way. */
typedef enum { SAL_PACKED_NOT, SAL_PACKED_GZIP, SAL_PACKED_ZLIB, SAL_PACKED_DEFLATE } sal_packed_t;

/*
 * Stages one file from an open descriptor, read from its beginning. *e has its sizes and digests,
 * *header what a .sym says of itself. SAL_E_MALFORMED for damaged packing.
 */
SAL_API apr_status_t sal_upload_take(sal_upload_t *up, const char *key, int fd, sal_packed_t packed,
                                     sal_upload_entry_t *e, sal_sym_header_t *header,
                                     sal_error_t *err);

/* Which it is may become known after the archive. */
SAL_API void sal_upload_set_try(sal_upload_t *up, bool is_try);

SAL_API void sal_upload_set_release(sal_upload_t *up, const char *product, const char *version);

/* Nothing of it shall be kept, not even for a retry. */
SAL_API void sal_upload_refuse(sal_upload_t *up);

/* Marks files whose content is stored under the same key already. baton: sal_upload_t *. */
SAL_API apr_status_t sal_upload_compare(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);

/* Makes the others visible and durable. SAL_E_MALFORMED where opts.strict finds a false header. */
SAL_API apr_status_t sal_upload_publish(sal_upload_t *up, sal_error_t *err);

/* Writes all rows in one transaction; the upload has its id. baton: sal_upload_t *. */
SAL_API apr_status_t sal_upload_record(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);

/*
 * The row of an upload whose files come later; sets its id. baton: sal_upload_opts_t *, of which
 * id is set; total: bytes announced.
 */
typedef struct sal_upload_announce_t {
    sal_upload_opts_t opts;
    uint64_t total;
} sal_upload_announce_t;
SAL_API apr_status_t sal_upload_announce(sal_db_t *db, void *baton, apr_pool_t *p,
                                         sal_error_t *err);

/* Leaves the reason why an announced upload came to nothing with its row. */
SAL_API apr_status_t sal_upload_note_failure(int64_t id, const char *why, sal_db_t *db,
                                             apr_pool_t *p, sal_error_t *err);

typedef struct sal_upload_sum_t {
    int64_t id;
    uint32_t files, skipped, ignored; /* files: without those that a later one replaced */
    uint64_t archive_size, unpacked, adopted;
} sal_upload_sum_t;
SAL_API void sal_upload_sum(const sal_upload_t *up, sal_upload_sum_t *out);

/* The answer, `{"upload": {...}}` (docs/symbols.md, "Answer"), in pieces of text. */
typedef void (*sal_upload_text_fn)(void *baton, const char *text, size_t size);
SAL_API void sal_upload_answer(sal_upload_t *up, sal_upload_text_fn out, void *baton);

/* A row is not enough to skip: the file must be there, and still be the one of the row. */
SAL_API bool sal_upload_still_stored(sal_symbol_store_t *store, const sal_symbol_key_t *key,
                                     bool is_try, const char *stored_sha256, apr_pool_t *p);

/* Kind of a stored file by its leaf: "sym", "pdb", "pe", "elf", "elf_debug", ... never NULL. */
SAL_API const char *sal_upload_kind(const char *leaf);

#endif
