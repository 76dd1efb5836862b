/*
 * The header block of one part: Content-Disposition, Content-Type, Content-Transfer-Encoding.
 * Private to the room; multipart.c finds the block, this reads it.
 */
#ifndef SAL_CRASH_PART_HEADER_H
#define SAL_CRASH_PART_HEADER_H

#include "crash/multipart.h"

#define SAL_PART_HEADER_MAX 8192

/* A part and its strings, in room that the caller gives. */
typedef struct sal_part_header_t {
    sal_part_t part;
    apr_size_t each; /* bytes of each of the five */
    char *name, *filename, *type, *disposition;
    char *value; /* scratch: one parameter */
    char charset[64];
} sal_part_header_t;

/* Each string is a piece of the block, or decoded to something shorter. */
#define SAL_PART_HEADER_ROOM(size) (5 * ((size) + 1))

/*
 * Fills h->part from the lines of [block, block+size). room has SAL_PART_HEADER_ROOM(size) bytes
 * and must last as long as h. SAL_E_MALFORMED.
 */
apr_status_t sal_part_header_read(sal_part_header_t *h, char *room, const char *block,
                                  apr_size_t size, sal_error_t *err);

#endif
