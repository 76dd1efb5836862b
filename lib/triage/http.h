/*
 * A GET into memory, bounded in time and size: for jobs that ask other services. Private to the
 * room.
 */
#ifndef SAL_TRIAGE_HTTP_H
#define SAL_TRIAGE_HTTP_H

#include "base/error.h"

typedef struct http_get_t {
    const char *url;    /* http or https */
    const char *header; /* "Name: value", or NULL */
    int seconds;        /* for all of it */
    size_t max;         /* bytes of the body */
} http_get_t;

/*
 * The body of a 200 answer, NUL-terminated, from p. Redirects are followed, three at most; none of
 * a request with a header, which is for that host alone. APR_TIMEUP, SAL_E_TOOBIG, APR_ENOENT (404,
 * 410), else APR_EGENERAL; messages name the URL without its query.
 */
apr_status_t http_get(char **body, size_t *len, const http_get_t *get, apr_pool_t *p,
                      sal_error_t *err);

/* What was wrong with an answer, with the URL before it; returns rv. */
apr_status_t http_blame(const char *url, apr_status_t rv, const sal_error_t *why, apr_pool_t *p,
                        sal_error_t *err);

/* Appends "name=value" to a query, encoded. */
const char *http_query(const char *url, const char *name, const char *value, apr_pool_t *p);

#endif
