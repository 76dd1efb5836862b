/*
 * What the readers of raw file formats share. Private to the room.
 */
#ifndef SAL_SYMBOLS_OBJECT_PRIVATE_H
#define SAL_SYMBOLS_OBJECT_PRIVATE_H

#include "symbols/object_id.h"

/* Fills everything of an ELF file; `whole` false: sections at its end may be out of reach. */
void object_read_elf(sal_object_t *o, sal_span_t file, bool whole);

/* Where an ELF file's tables lie: 0 for what is not there, or whose header is zero so far. */
typedef struct {
    uint64_t sections, names, names_size;
} object_tables_t;

/* False: no ELF file, or one without sections. */
bool object_elf_tables(object_tables_t *out, sal_span_t file);

/* ASCII upper-case copy; the buffers have the same size. */
void object_upper(char *to, const char *from);

#endif
