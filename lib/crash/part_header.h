/*
 * The header block of one part: Content-Disposition, Content-Type, Content-Transfer-Encoding.
 * Private to the room; multipart.c finds the block, this reads it.
 */
#ifndef SAL_CRASH_PART_HEADER_H
#define SAL_CRASH_PART_HEADER_H

#include "crash/multipart.h"

#define SAL_PART_HEADER_MAX 8192

/* Room for the strings of a part: each is a piece of the block, or decoded to something shorter. */
typedef struct sal_part_header_t {
    sal_part_t part;
    char name[SAL_PART_HEADER_MAX + 1];
    char filename[SAL_PART_HEADER_MAX + 1];
    char type[SAL_PART_HEADER_MAX + 1];
    char charset[64];
    char disposition[SAL_PART_HEADER_MAX + 1];
    char value[SAL_PART_HEADER_MAX + 1]; /* scratch: one parameter */
} sal_part_header_t;

/* Fills h->part from the lines of [block, block+size). SAL_E_MALFORMED. */
apr_status_t sal_part_header_read(sal_part_header_t *h, const char *block, apr_size_t size,
                                  sal_error_t *err);

#endif
