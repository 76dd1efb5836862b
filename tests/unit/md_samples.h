/*
 * Synthetic minidumps for tests: small ones with every stream the library decodes, either byte
 * order. What is in them stands in md_samples.c; tests repeat the numbers they expect.
 */
#ifndef MD_SAMPLES_H
#define MD_SAMPLES_H

#include "minidump/minidump.h"
#include "minidump/writer.h"

/* amd64 Linux with Breakpad's, Crashpad's and Linux's own streams. */
sal_span_t md_sample_linux(bool big_endian, apr_pool_t *p);

/* x86 Windows with PDBs, unloaded modules, handles, memory info, a 64-bit memory list. */
sal_span_t md_sample_windows(bool big_endian, apr_pool_t *p);

/* A dump with SystemInfo to which a test adds what it is about; md_sample_end finishes it. */
sal_mdw_t *md_sample_begin(uint32_t platform, uint16_t arch, bool big_endian, apr_pool_t *p);
sal_span_t md_sample_end(sal_mdw_t *w, apr_pool_t *p);

/* A stream of plain bytes. */
void md_sample_text(sal_mdw_t *w, uint32_t type, const char *text);

/*
 * Opens a copy that ends at a page nobody may touch, so that reading past the end kills the test.
 * Expects success.
 */
sal_minidump_t *md_open_guarded(sal_span_t bytes, apr_pool_t *p);

/* A copy of the bytes that ends at such a page; unmapped with the pool. */
sal_span_t md_guarded(sal_span_t bytes, apr_pool_t *p);

/* Reads everything an object offers, as a user would; returns a sum so that nothing is left out. */
uint64_t md_read_all(const sal_minidump_t *md);

#endif
