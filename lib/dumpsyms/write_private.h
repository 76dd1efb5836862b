/*
 * Between write.c, which decides what is written in which order, and write_text.c, which turns it
 * into text on several threads.
 */
#ifndef DUMPSYMS_WRITE_PRIVATE_H
#define DUMPSYMS_WRITE_PRIVATE_H

#include "dumpsyms/dump_private.h"

/* FUNC and PUBLIC records in order of address: an index, with the bit for a PUBLIC. */
#define DUMP_ITEM_PUBLIC UINT32_C(0x80000000)

typedef struct dump_text_t {
    const dump_funcs_t *funcs;
    const dump_publics_t *publics;
    const uint32_t *item;
    uint32_t items;
    const uint32_t *file_number, *origin_number; /* by the numbers in funcs */
    const uint32_t *origin_order;                /* origins as they are written */
    uint32_t n_origins;
    int threads;
} dump_text_t;

/* INLINE_ORIGIN records. */
apr_status_t dump_text_origins(FILE *out, const dump_text_t *t, sal_error_t *err);
/* FUNC with INLINE and lines, PUBLIC. */
apr_status_t dump_text_items(FILE *out, const dump_text_t *t, sal_error_t *err);

/* One name as a line may hold it: demangled, no control characters, UTF-8. */
void dump_text_name(dump_buf_t *b, const dump_name_t *name);

#endif
