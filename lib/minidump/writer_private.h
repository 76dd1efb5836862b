/*
 * A dump in the making, as its two files (container, streams) see it.
 */
#ifndef SAL_MINIDUMP_WRITER_PRIVATE_H
#define SAL_MINIDUMP_WRITER_PRIVATE_H

#include <apr_tables.h>
#include "minidump/writer.h"

struct sal_mdw_t {
    apr_pool_t *pool;
    bool swap, too_big;
    uint64_t at;           /* end of the file so far */
    const uint8_t *header; /* set by sal_mdw_finish */
    apr_array_header_t *pieces, *directory;
    sal_mdw_record_t *threads, *modules, *memory, *names; /* entries of lists; NULL: none yet */
    uint32_t n_threads, n_modules, n_memory, n_names;
};

/* Ends the lists that have entries and makes them streams. */
void sal_mdw_write_lists(sal_mdw_t *w);

/* What a record holds so far. */
sal_span_t sal_mdw_record_bytes(const sal_mdw_record_t *r);

#endif
