/*
 * Objects in a bucket of an S3 server: whole or absent, checked from end to end.
 *
 * Requests are signed (AWS Signature Version 4, path-style addresses) and tried again when the
 * server or the network fails: connection errors, silence, 429 and 5xx; no other status. What is
 * put carries the SHA-256 of its bytes in the signature, so that the server refuses what arrived
 * damaged, and as x-amz-meta-sha256, so that the reader finds out about damage later.
 *
 * A key is valid UTF-8 of at most 1024 bytes without control characters.
 * Thread rule: a sal_s3_t is shared freely by threads; do not carry it over a fork.
 */
#ifndef SAL_STORE_S3_H
#define SAL_STORE_S3_H

#include <stdbool.h>
#include <apr_time.h>
#include "base/error.h"
#include "base/reader.h"

typedef struct sal_s3_opts_t {
    const char *endpoint; /* "https://s3.example.com", without a path */
    const char *region;   /* NULL: "us-east-1" */
    const char *bucket;
    const char *key, *secret;
    int connect_seconds; /* 0: 5 */
    int stall_seconds;   /* without a byte; 0: 20 */
    int total_seconds;   /* of a call with all its tries; 0: 300 */
    int tries;           /* 0: 5 */
} sal_s3_opts_t;

typedef struct sal_s3_t sal_s3_t;

/* Are these options of use? Asks nobody. APR_EINVAL says what is wrong. */
SAL_API apr_status_t sal_s3_check(const sal_s3_opts_t *opts, sal_error_t *err);

/* Checks them, too. */
SAL_API apr_status_t sal_s3_make(sal_s3_t **out, const sal_s3_opts_t *opts, apr_pool_t *p,
                                 sal_error_t *err);

/* Asks, often and from any thread, whether the process is to end: then calls end with APR_EINTR. */
SAL_API void sal_s3_stops_if(sal_s3_t *s3, bool (*stopping)(void *), void *baton);

/*
 * What calls return: APR_ENOENT no such key or bucket; SAL_E_DENIED the server refuses our key
 * (401, 403); SAL_E_MALFORMED what came is not what was put; APR_EINVAL a bad key, another 4xx;
 * APR_TIMEUP, APR_ECONNREFUSED or APR_EGENERAL the server cannot be reached or fails (every try
 * did). The message has the server's code ("SlowDown") and never a secret.
 */
typedef struct sal_s3_info_t {
    apr_uint64_t size;
    char etag[72];   /* with its quotes */
    char sha256[65]; /* of the bytes, "" if it was put by somebody who said nothing */
    apr_time_t changed;
} sal_s3_info_t;

/* One of these "name: value" headers of the object, e.g. "x-amz-meta-pass: 2"; NULL-terminated. */
SAL_API apr_status_t sal_s3_put(sal_s3_t *s3, const char *key, const void *data, apr_size_t size,
                                const char *content_type, const char *const *headers,
                                sal_error_t *err);
/* From a file descriptor, from its beginning to its end, in constant memory. */
SAL_API apr_status_t sal_s3_put_fd(sal_s3_t *s3, const char *key, int fd, const char *content_type,
                                   const char *const *headers, sal_error_t *err);
/* All of it, at most max bytes (SAL_E_TOOBIG), in p. info may be NULL. */
SAL_API apr_status_t sal_s3_get(sal_span_t *out, sal_s3_info_t *info, sal_s3_t *s3, const char *key,
                                apr_size_t max, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_s3_head(sal_s3_info_t *info, sal_s3_t *s3, const char *key,
                                 sal_error_t *err);
/* One that is not there is no error. */
SAL_API apr_status_t sal_s3_delete(sal_s3_t *s3, const char *key, sal_error_t *err);

typedef struct sal_s3_entry_t {
    const char *key;
    apr_uint64_t size;
    const char *etag;
} sal_s3_entry_t;
/* Called for each; another status than APR_SUCCESS ends the listing and is returned. */
typedef apr_status_t (*sal_s3_list_fn)(void *baton, const sal_s3_entry_t *entry, sal_error_t *err);
/* Keys that begin with prefix, in order of their bytes, as many pages as there are. */
SAL_API apr_status_t sal_s3_list(sal_s3_t *s3, const char *prefix, sal_s3_list_fn fn, void *baton,
                                 apr_pool_t *p, sal_error_t *err);

#endif
