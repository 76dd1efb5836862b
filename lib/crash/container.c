/*
 * Writing a zip container (APPNOTE 4.3: local headers, central directory, end record; method 0).
 * Knows nothing of crashes.
 */
#include "config.h"
#include "crash/container.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <apr_strings.h>
#include <zlib.h>

#define LOCAL_LEN 30
#define CENTRAL_LEN 46
#define END_LEN 22
#define BYTES_MAX (UINT64_C(0xffffffff) - (1 << 20)) /* no zip64; room for the directory */
#define ENTRIES_MAX 65000
#define WRITEBACK_STEP (UINT64_C(1) << 20)

typedef struct entry_t {
    const char *name;
    apr_uint32_t crc, size;
    apr_uint64_t at;
} entry_t;

static void put16(unsigned char *to, apr_uint32_t v)
{
    to[0] = (unsigned char)v;
    to[1] = (unsigned char)(v >> 8);
}

static void put32(unsigned char *to, apr_uint32_t v)
{
    put16(to, v & 0xffff);
    put16(to + 2, v >> 16);
}

void sal_container_init(sal_container_t *c, int fd, apr_time_t now, char *buf, apr_size_t room,
                        apr_pool_t *p)
{
    apr_time_exp_t t;

    memset(c, 0, sizeof(*c));
    c->fd = fd;
    c->pool = p;
    c->entries = apr_array_make(p, 8, sizeof(entry_t));
    c->buf = buf;
    c->room = room;
    apr_time_exp_gmt(&t, now);
    if (t.tm_year >= 80) {
        c->dos_time = (apr_uint32_t)(t.tm_year - 80) << 25 | (apr_uint32_t)(t.tm_mon + 1) << 21 |
                      (apr_uint32_t)t.tm_mday << 16 | (apr_uint32_t)t.tm_hour << 11 |
                      (apr_uint32_t)t.tm_min << 5 | (apr_uint32_t)t.tm_sec / 2;
    }
}

void sal_container_move(sal_container_t *c, char *buf, apr_size_t room)
{
    memcpy(buf, c->buf, c->used);
    c->buf = buf;
    c->room = room;
}

static apr_uint64_t position(const sal_container_t *c)
{
    return c->offset + c->used;
}

#ifdef HAVE_ISAL
/* ISA-L's, ten times as fast as zlib's. Weak: the static `salvage` is linked without it. */
extern uint32_t crc32_gzip_refl(uint32_t crc, const unsigned char *data, uint64_t size)
    __attribute__((weak));
#endif

static apr_uint32_t sum_on(apr_uint32_t crc, const void *data, apr_size_t size)
{
#ifdef HAVE_ISAL
    if (crc32_gzip_refl) {
        return crc32_gzip_refl(crc, data, size);
    }
#endif
    return (apr_uint32_t)crc32_z(crc, data, size);
}

/* Skips n bytes of what is to be written. */
static void skip(struct iovec *v, apr_size_t n)
{
    for (int i = 0; i < 2; i++) {
        apr_size_t k = n < v[i].iov_len ? n : v[i].iov_len;

        v[i].iov_base = (char *)v[i].iov_base + k;
        v[i].iov_len -= k;
        n -= k;
    }
}

/* Bounds dirty pages and shortens the fsync; a failure shows there. */
static void start_writeback(sal_container_t *c)
{
    if (c->offset - c->started >= WRITEBACK_STEP) {
        sync_file_range(c->fd, (off_t)c->started, (off_t)(c->offset - c->started),
                        SYNC_FILE_RANGE_WRITE);
        c->started = c->offset;
    }
}

/* Writes the buffer and what comes after it. */
static apr_status_t flush_with(sal_container_t *c, const void *data, apr_size_t size)
{
    struct iovec v[2] = { { c->buf, c->used }, { (void *)(apr_uintptr_t)data, size } };

    while (v[0].iov_len + v[1].iov_len) {
        ssize_t n = pwritev(c->fd, v, 2, (off_t)c->offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        c->offset += (apr_uint64_t)n;
        skip(v, (apr_size_t)n);
    }
    c->used = 0;
    start_writeback(c);
    return APR_SUCCESS;
}

static apr_status_t put_raw(sal_container_t *c, const void *data, apr_size_t size)
{
    if (size > c->room - c->used) {
        return flush_with(c, data, size);
    }
    memcpy(c->buf + c->used, data, size);
    c->used += size;
    return APR_SUCCESS;
}

/* The fields that local and central header share: version needed .. extra length. */
static void common_fields(unsigned char *to, const sal_container_t *c, const entry_t *e)
{
    memset(to, 0, 26);
    put16(to, 10); /* version 1.0 can extract */
    put32(to + 6, c->dos_time);
    put32(to + 10, e->crc);
    put32(to + 14, e->size);
    put32(to + 18, e->size);
    put16(to + 22, (apr_uint32_t)strlen(e->name));
}

static void local_header(unsigned char *to, const sal_container_t *c, const entry_t *e)
{
    memcpy(to, "PK\003\004", 4);
    common_fields(to + 4, c, e);
}

/* The next entry with its local header. */
static apr_status_t add_entry(sal_container_t *c, const char *name, apr_uint32_t crc,
                              apr_size_t size)
{
    unsigned char header[LOCAL_LEN];
    entry_t *e;
    apr_status_t rv;

    if (c->entries->nelts >= ENTRIES_MAX || size > BYTES_MAX || position(c) > BYTES_MAX - size) {
        return SAL_E_TOOBIG;
    }
    e = apr_array_push(c->entries);
    *e = (entry_t){ apr_pstrdup(c->pool, name), crc, (apr_uint32_t)size, position(c) };
    local_header(header, c, e);
    rv = put_raw(c, header, sizeof(header));
    return rv == APR_SUCCESS ? put_raw(c, e->name, strlen(e->name)) : rv;
}

apr_status_t sal_container_begin(sal_container_t *c, const char *name)
{
    return add_entry(c, name, 0, 0);
}

static apr_status_t put_pieces(sal_container_t *c, const sal_piece_t *pieces, int n)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        rv = put_raw(c, pieces[i].data, pieces[i].size);
    }
    return rv;
}

/* Adds to a check sum; the number of bytes. */
static apr_size_t sum_pieces(apr_uint32_t *crc, const sal_piece_t *pieces, int n)
{
    apr_size_t size = 0;

    for (int i = 0; i < n; i++) {
        *crc = sum_on(*crc, pieces[i].data, pieces[i].size);
        size += pieces[i].size;
    }
    return size;
}

apr_status_t sal_container_put(sal_container_t *c, const char *name, const sal_piece_t *pieces,
                               int n)
{
    apr_uint32_t crc = 0;
    apr_size_t size = sum_pieces(&crc, pieces, n);
    apr_status_t rv = add_entry(c, name, crc, size);

    return rv == APR_SUCCESS ? put_pieces(c, pieces, n) : rv;
}

static entry_t *current(sal_container_t *c)
{
    return &APR_ARRAY_IDX(c->entries, c->entries->nelts - 1, entry_t);
}

apr_status_t sal_container_write(sal_container_t *c, const sal_piece_t *pieces, int n)
{
    entry_t *e = current(c);
    apr_uint32_t crc = e->crc;
    apr_size_t size = sum_pieces(&crc, pieces, n);

    if (size > BYTES_MAX || position(c) > BYTES_MAX - size) {
        return SAL_E_TOOBIG;
    }
    e->crc = crc;
    e->size += (apr_uint32_t)size;
    return put_pieces(c, pieces, n);
}

static apr_status_t pwrite_all(int fd, const unsigned char *data, apr_size_t size, apr_uint64_t at)
{
    while (size) {
        ssize_t n = pwrite(fd, data, size, (off_t)at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        data += n;
        size -= (apr_size_t)n;
        at += (apr_size_t)n;
    }
    return APR_SUCCESS;
}

/* The header may be in the file, in the buffer, or in both. */
static apr_status_t patch_header(sal_container_t *c, const entry_t *e)
{
    unsigned char header[LOCAL_LEN];
    apr_size_t in_file = 0;

    local_header(header, c, e);
    if (e->at < c->offset) {
        apr_uint64_t left = c->offset - e->at;

        in_file = left < LOCAL_LEN ? (apr_size_t)left : LOCAL_LEN;
    }
    if (in_file < LOCAL_LEN) {
        memcpy(c->buf + (e->at + in_file - c->offset), header + in_file, LOCAL_LEN - in_file);
    }
    return pwrite_all(c->fd, header, in_file, e->at);
}

apr_status_t sal_container_end(sal_container_t *c)
{
    return patch_header(c, current(c));
}

apr_status_t sal_container_drop(sal_container_t *c)
{
    entry_t *e = current(c);
    apr_uint64_t at = e->at;

    c->entries->nelts--;
    if (at >= c->offset) {
        c->used = (apr_size_t)(at - c->offset);
        return APR_SUCCESS;
    }
    c->used = 0;
    c->offset = at;
    c->started = c->started < at ? c->started : at;
    return ftruncate(c->fd, (off_t)at) == 0 ? APR_SUCCESS : errno;
}

static apr_status_t put_central(sal_container_t *c, const entry_t *e)
{
    unsigned char header[CENTRAL_LEN] = { 'P', 'K', 1, 2 };
    apr_status_t rv;

    put16(header + 4, 3 << 8 | 20); /* made on Unix, version 2.0 */
    common_fields(header + 6, c, e);
    put32(header + 38, 0100640u << 16);
    put32(header + 42, (apr_uint32_t)e->at);
    rv = put_raw(c, header, sizeof(header));
    return rv == APR_SUCCESS ? put_raw(c, e->name, strlen(e->name)) : rv;
}

apr_status_t sal_container_finish(sal_container_t *c)
{
    unsigned char end[END_LEN] = { 'P', 'K', 5, 6 };
    apr_uint64_t at = position(c);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < c->entries->nelts && rv == APR_SUCCESS; i++) {
        rv = put_central(c, &APR_ARRAY_IDX(c->entries, i, entry_t));
    }
    put16(end + 8, (apr_uint32_t)c->entries->nelts);
    put16(end + 10, (apr_uint32_t)c->entries->nelts);
    put32(end + 12, (apr_uint32_t)(position(c) - at));
    put32(end + 16, (apr_uint32_t)at);
    if (rv == APR_SUCCESS) {
        rv = put_raw(c, end, sizeof(end));
    }
    return rv == APR_SUCCESS ? flush_with(c, NULL, 0) : rv;
}
