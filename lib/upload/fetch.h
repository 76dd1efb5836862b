/*
 * Downloading an archive from a URL that a client names: each hop is checked by name and by the
 * addresses it resolves to, and the connection goes to an address that was checked.
 */
#ifndef SAL_UPLOAD_FETCH_H
#define SAL_UPLOAD_FETCH_H

#include <stdbool.h>
#include <stdint.h>
#include <apr_tables.h>
#include "base/error.h"

typedef struct sal_fetch_opts_t {
    const char *const *domains; /* hosts that are allowed */
    int n_domains;
    bool any_domain;  /* every host, and http:// */
    bool any_address; /* loopback, private and link-local ones too */
    const char *ca;   /* file of authorities, or NULL: the system's */
    uint64_t max;     /* bytes; more are SAL_E_TOOBIG */
} sal_fetch_opts_t;

typedef struct sal_fetch_t {
    sal_fetch_opts_t opts;
    const char *url;           /* as the client named it */
    const char *last;          /* where the redirects led */
    const char *name;          /* the archive's, from the path of url */
    apr_array_header_t *trail; /* of const char *, ends in NULL: where the redirects went */
    int status;                /* HTTP status for our client, once something failed */
    apr_pool_t *pool;
    const char *pin; /* "host:port:address" of last */
} sal_fetch_t;

/*
 * Whether the URL may be fetched at all; no network but the resolver. On failure f->status and the
 * message are the answer.
 */
SAL_API apr_status_t sal_fetch_begin(sal_fetch_t *f, const char *url, const sal_fetch_opts_t *opts,
                                     apr_pool_t *p, sal_error_t *err);

/* Follows redirects, five at most, with HEAD. */
SAL_API apr_status_t sal_fetch_find(sal_fetch_t *f, sal_error_t *err);

/* Hands the content to sink. What a sink returns but APR_SUCCESS is the result; status 0 then. */
typedef apr_status_t (*sal_fetch_sink_fn)(void *baton, const char *data, size_t size,
                                          sal_error_t *err);
SAL_API apr_status_t sal_fetch_get(sal_fetch_t *f, sal_fetch_sink_fn sink, void *baton,
                                   sal_error_t *err);

/* True for an address of the open internet; sa is a struct sockaddr. */
SAL_API bool sal_fetch_is_public(const void *sa);

#endif
