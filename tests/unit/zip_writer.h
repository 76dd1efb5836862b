/*
 * A zip writer for tests that may lie: flags, methods, sizes and checksums are what a test says.
 */
#ifndef TESTS_UNIT_ZIP_WRITER_H
#define TESTS_UNIT_ZIP_WRITER_H

#include <stddef.h>
#include <stdint.h>

typedef struct zw_member_t {
    const char *name;
    const char *data;       /* NUL-terminated content */
    int deflate;            /* really packed */
    uint16_t flags, method; /* xored into the headers */
    uint32_t crc_xor;       /* breaks the checksum */
    uint32_t size_add;      /* breaks the size */
} zw_member_t;

typedef struct zw_t {
    unsigned char *data;
    size_t size, room;
} zw_t;

/* The bytes of an archive; free(out.data). claim: number of entries to claim, 0 for the truth. */
zw_t zw_make(const zw_member_t *members, size_t n, uint16_t claim);

/* The same in a nameless file, open for reading. */
int zw_file(const zw_t *zip);

#endif
