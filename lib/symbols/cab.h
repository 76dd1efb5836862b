/*
 * Cabinets of one file, as symbol servers keep them (xul.pd_): stored, MSZIP and LZX, by libmspack.
 * Quantum is refused: no symbol tool writes it, and its decoder is one more door.
 *
 * Input may be hostile: what is unpacked is as long as the cabinet says, 4 GiB at most, and goes to
 * a sink piece by piece. Built without libmspack every call answers SAL_E_UNSUPPORTED.
 */
#ifndef SAL_SYMBOLS_CAB_H
#define SAL_SYMBOLS_CAB_H

#include <stdint.h>
#include "base/error.h"

typedef struct sal_cab_t sal_cab_t;

/*
 * Opens the cabinet in fd, which stays the caller's. SAL_E_MALFORMED: none, or without a file;
 * SAL_E_UNSUPPORTED: packed by another method.
 */
SAL_API apr_status_t sal_cab_open(sal_cab_t **out, int fd, apr_pool_t *p, sal_error_t *err);

/* Length of its first file, unpacked. */
SAL_API uint64_t sal_cab_size(const sal_cab_t *cab);

/* A piece of the file; anything but APR_SUCCESS ends the unpacking, which then returns it. */
typedef apr_status_t (*sal_cab_sink_fn)(void *baton, const void *data, apr_size_t size);

/* Unpacks the first file, once. SAL_E_MALFORMED: damaged, the sink has seen a part. */
SAL_API apr_status_t sal_cab_unpack(sal_cab_t *cab, sal_cab_sink_fn sink, void *baton,
                                    sal_error_t *err);

#endif
