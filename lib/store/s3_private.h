/*
 * What the files of the S3 client share: s3_http.c makes one call, with its tries; s3.c knows what
 * the calls mean.
 */
#ifndef SAL_STORE_S3_PRIVATE_H
#define SAL_STORE_S3_PRIVATE_H

#include <pthread.h>
#include <curl/curl.h>
#include "store/s3.h"

#define S3_IDLE 8
#define S3_ERROR_MAX 65536

struct sal_s3_t {
    sal_s3_opts_t opts;
    const char *base; /* endpoint/bucket */
    const char *sigv4;
    bool (*stopping)(void *baton);
    void *stop_baton;
    pthread_mutex_t lock; /* guards the two below */
    CURL *idle[S3_IDLE];  /* with their connections */
    int n_idle;
};

/* One call. The caller fills the first part, s3_perform the second. */
typedef struct s3_call_t {
    sal_s3_t *s3;
    const char *method;         /* "GET", "PUT", "HEAD", "DELETE" */
    const char *path;           /* encoded, "" for the bucket */
    const char *query;          /* encoded and sorted, NULL: none */
    const char *const *headers; /* further ones, NULL-terminated, or NULL */
    const char *content_type;
    const char *sha256; /* of the body, hex; NULL: it has none */
    const void *data;   /* of a PUT; NULL: it comes from fd */
    int fd;
    apr_uint64_t size;
    apr_size_t most; /* of the reply's body */

    long status;
    char *reply; /* malloc'd, NUL-terminated, or NULL */
    apr_size_t got;
    bool too_big;
    sal_s3_info_t info;
    apr_uint64_t sent;
    CURL *curl;
} s3_call_t;

/* All tries of a call. APR_SUCCESS: there is an answer of 2xx. The caller frees reply. */
apr_status_t s3_perform(s3_call_t *call, const char *what, sal_error_t *err);

/* Percent-encodes as signatures want it; slash: '/' stays. In p. */
const char *s3_encode(const char *text, bool slash, apr_pool_t *p);

/* Text of <name>...</name> in [*at, end), unescaped, in p; *at moves behind it. NULL: none. */
const char *s3_xml(const char **at, const char *end, const char *name, apr_pool_t *p);

#endif
