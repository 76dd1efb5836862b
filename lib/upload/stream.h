/*
 * A zip of symbol files read as it arrives: no byte is kept that has been dealt with, names are
 * checked before the bulk behind them, members are staged one by one. What cannot be followed from
 * the front (a stored member whose length comes behind it, bytes between members) is spooled from
 * there on and judged by the central directory at the end.
 *
 * Memory: about 1.5 MiB, 3 MiB more where the list has 100000 members; independent of sizes.
 * Thread rule: one owner.
 */
#ifndef SAL_UPLOAD_STREAM_H
#define SAL_UPLOAD_STREAM_H

#include "upload/log.h"
#include "upload/zip.h"

typedef struct sal_upload_stream_t sal_upload_stream_t;

typedef struct sal_upload_stream_opts_t {
    sal_symbol_store_t *store;
    const sal_upload_limits_t *limits;
    int64_t token_id; /* whose broken uploads may be taken up; 0: nobody's */
    int spool_fd;     /* -1, or a file that holds each byte at its offset before it is fed */
    char prefix;      /* of temporary names, 'w' or 's' (symbol_store.h) */
} sal_upload_stream_opts_t;

/* A place between two members at which reading can begin again; plain bytes. */
typedef struct sal_upload_mark_t {
    uint64_t offset, text_size, unpacked;
    uint32_t count, pass;
    unsigned char sha_state[128];
} sal_upload_mark_t;

/* from: NULL, or the mark to begin at, with the log cut to it. */
SAL_API apr_status_t sal_upload_stream_make(sal_upload_stream_t **out,
                                            const sal_upload_stream_opts_t *opts,
                                            sal_upload_log_t *log, const sal_upload_mark_t *from,
                                            apr_pool_t *p, sal_error_t *err);

/* SAL_E_MALFORMED or SAL_E_TOOBIG with the text for the client; APR codes for our own failures. */
SAL_API apr_status_t sal_upload_stream_feed(sal_upload_stream_t *s, const char *data, size_t size,
                                            sal_error_t *err);

/* The archive is complete: afterwards the log's entries with `listed` equal to the pass count. */
SAL_API apr_status_t sal_upload_stream_finish(sal_upload_stream_t *s, sal_error_t *err);

SAL_API void sal_upload_stream_mark(const sal_upload_stream_t *s, sal_upload_mark_t *out);

typedef struct sal_upload_totals_t {
    uint64_t archive_size, unpacked, adopted; /* adopted: packed bytes not inflated again */
    unsigned char sha256[32];
    uint32_t pass;
} sal_upload_totals_t;

SAL_API void sal_upload_stream_totals(sal_upload_stream_t *s, sal_upload_totals_t *out);

#endif
