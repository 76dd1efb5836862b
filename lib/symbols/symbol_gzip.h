/*
 * What a stored gzip file holds: its length, a part of it, a section where it is an ELF file.
 * Of several members the first counts.
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

/*
 * Passes size bytes from offset on, in pieces of at most 64 KiB, and stops where the sink does not
 * return APR_SUCCESS. SAL_E_MALFORMED: damaged, or shorter. The time is that of inflating up to
 * the end of the range.
 */
typedef apr_status_t (*sal_gzip_sink_fn)(void *baton, const void *data, apr_size_t size);
SAL_API apr_status_t sal_gzip_range(int fd, uint64_t offset, uint64_t size, sal_gzip_sink_fn sink,
                                    void *baton, sal_error_t *err);

/* As sal_elf_section, of the ELF file that is packed: offset and size count in what it holds. */
SAL_API apr_status_t sal_gzip_elf_section(uint64_t *offset, uint64_t *size, int fd,
                                          const char *name, sal_error_t *err);

#endif
