/*
 * Length of what a stored gzip file holds.
 */
#ifndef SAL_SYMBOLS_SYMBOL_GZIP_H
#define SAL_SYMBOLS_SYMBOL_GZIP_H

#include <stdint.h>
#include "base/error.h"

/*
 * The trailer tells it modulo 4 GiB, which is enough for small files; a large one is inflated once
 * and the length left on it as an extended attribute. SAL_E_MALFORMED: no whole gzip file.
 */
SAL_API apr_status_t sal_gzip_size(uint64_t *size, int fd);

#endif
