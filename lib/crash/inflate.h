/*
 * gzip bodies: pushed in, inflated out, under a cap that is enforced while inflating.
 *
 * Members that follow one another are concatenated; anything else after a member is ignored, as
 * every gzip reader does. A bad header, a bad check sum or an end in the middle is malformed.
 */
#ifndef SAL_CRASH_INFLATE_H
#define SAL_CRASH_INFLATE_H

#include "base/error.h"

typedef struct sal_inflate_t sal_inflate_t;

/* Gets the inflated bytes in pieces of at most 4 KiB; a failure ends the stream. */
typedef apr_status_t (*sal_inflate_sink)(void *baton, const char *data, apr_size_t size,
                                         sal_error_t *err);

/* max: bytes that may come out in all. */
SAL_API apr_status_t sal_inflate_make(sal_inflate_t **out, apr_uint64_t max, sal_inflate_sink sink,
                                      void *baton, apr_pool_t *p, sal_error_t *err);

/* SAL_E_MALFORMED, SAL_E_TOOBIG (over max) or what the sink returned. */
SAL_API apr_status_t sal_inflate_feed(sal_inflate_t *z, const char *data, apr_size_t size,
                                      sal_error_t *err);

/* End of input; SAL_E_MALFORMED in the middle of a member or before the first. */
SAL_API apr_status_t sal_inflate_finish(sal_inflate_t *z, sal_error_t *err);

/* True once the fault was in the gzip stream itself, not in what the sink made of it. */
SAL_API int sal_inflate_broken(const sal_inflate_t *z);

/* Bytes that came out so far, and the time that inflating them took (without the sink's). */
SAL_API apr_uint64_t sal_inflate_spent(const sal_inflate_t *z, apr_interval_time_t *time);

#endif
