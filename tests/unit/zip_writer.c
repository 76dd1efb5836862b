/*
 * Local headers, central directory, end record: PKWARE's APPNOTE 4.3, without Zip64.
 */
#include "zip_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static void put(zw_t *z, const void *data, size_t size)
{
    if (z->size + size > z->room) {
        z->room = (z->size + size) * 2;
        z->data = realloc(z->data, z->room);
    }
    memcpy(z->data + z->size, data, size);
    z->size += size;
}

static void put16(zw_t *z, uint32_t v)
{
    put(z, &(uint16_t){ (uint16_t)v }, 2);
}

static void put32(zw_t *z, uint32_t v)
{
    put(z, &v, 4);
}

static size_t squeeze(unsigned char *out, size_t room, const char *data)
{
    z_stream s = { 0 };

    deflateInit2(&s, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    s.next_in = (unsigned char *)(uintptr_t)data;
    s.avail_in = (uInt)strlen(data);
    s.next_out = out;
    s.avail_out = (uInt)room;
    deflate(&s, Z_FINISH);
    deflateEnd(&s);
    return s.total_out;
}

/* The fields that local header and central entry have in common. */
static void put_common(zw_t *z, const zw_member_t *m, size_t packed)
{
    put16(z, m->flags);
    put16(z, (uint16_t)((m->deflate ? 8 : 0) ^ m->method));
    put32(z, 0x00210000); /* 1980-01-01 00:00 */
    put32(z,
          (uint32_t)crc32(0, (const unsigned char *)m->data, (uInt)strlen(m->data)) ^ m->crc_xor);
    put32(z, (uint32_t)packed);
    put32(z, (uint32_t)strlen(m->data) + m->size_add);
    put16(z, (uint32_t)strlen(m->name));
    put16(z, 0);
}

static size_t put_local(zw_t *z, const zw_member_t *m)
{
    size_t plain = strlen(m->data), room = plain + plain / 2 + 64, packed = plain;
    unsigned char *buf = malloc(room);

    if (m->deflate) {
        packed = squeeze(buf, room, m->data);
    }
    put32(z, 0x04034b50);
    put16(z, 20);
    put_common(z, m, packed);
    put(z, m->name, strlen(m->name));
    put(z, m->deflate ? (const void *)buf : m->data, packed);
    free(buf);
    return packed;
}

static void put_central(zw_t *z, const zw_member_t *m, size_t packed, uint32_t offset)
{
    put32(z, 0x02014b50);
    put16(z, 20);
    put16(z, 20);
    put_common(z, m, packed);
    put16(z, 0);
    put16(z, 0);
    put16(z, 0);
    put32(z, 0);
    put32(z, offset);
    put(z, m->name, strlen(m->name));
}

zw_t zw_make(const zw_member_t *members, size_t n, uint16_t claim)
{
    uint32_t *offsets = calloc(n + 1, sizeof(*offsets)), start;
    size_t *packed = calloc(n + 1, sizeof(*packed));
    zw_t z = { 0 };

    for (size_t i = 0; i < n; i++) {
        offsets[i] = (uint32_t)z.size;
        packed[i] = put_local(&z, &members[i]);
    }
    start = (uint32_t)z.size;
    for (size_t i = 0; i < n; i++) {
        put_central(&z, &members[i], packed[i], offsets[i]);
    }
    offsets[n] = (uint32_t)z.size - start;
    put32(&z, 0x06054b50);
    put32(&z, 0);
    put16(&z, claim ? claim : (uint32_t)n);
    put16(&z, claim ? claim : (uint32_t)n);
    put32(&z, offsets[n]);
    put32(&z, start);
    put16(&z, 0);
    free(offsets);
    free(packed);
    return z;
}

int zw_file(const zw_t *zip)
{
    char path[] = "/tmp/salvage-zip-XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    if (write(fd, zip->data, zip->size) != (ssize_t)zip->size) {
        perror("write");
        abort();
    }
    return fd;
}
