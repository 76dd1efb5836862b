/*
 * What the readers of raw file formats share. Private to the room.
 */
#ifndef SAL_SYMBOLS_OBJECT_PRIVATE_H
#define SAL_SYMBOLS_OBJECT_PRIVATE_H

#include "symbols/object_id.h"

/* Fills everything of an ELF file; `whole` false: sections at its end may be out of reach. */
void object_read_elf(sal_object_t *o, sal_span_t file, bool whole);

/* ASCII upper-case copy; the buffers have the same size. */
void object_upper(char *to, const char *from);

#endif
