/*
 * Dumps that a client compressed before it sent them. The store keeps them as they came; who reads
 * a dump unpacks it here.
 */
#ifndef SAL_CRASH_UNPACK_H
#define SAL_CRASH_UNPACK_H

#include "base/error.h"
#include "base/reader.h"

/* "gzip" or "zstd" by the first bytes; NULL if it is neither. */
SAL_API const char *sal_packed_with(const void *head, apr_size_t size);

/*
 * Unpacks once; *out is mallocked memory that goes with p. SAL_E_MALFORMED; SAL_E_TOOBIG over max
 * bytes, whatever the input says of itself; SAL_E_UNSUPPORTED if it is not packed.
 */
SAL_API apr_status_t sal_unpack(sal_span_t *out, sal_span_t packed, apr_uint64_t max, apr_pool_t *p,
                                sal_error_t *err);

#endif
