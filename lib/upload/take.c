/*
 * Single files, from a descriptor: what sessions and Breakpad's clients send. gzip and zlib are
 * taken off, and their deflate stream goes to the stager as it is.
 */
#include "upload/upload_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

enum { CHUNK = 65536, GZIP_HEAD = 10, GZIP_TAIL = 8, ZLIB_TAIL = 4 };
enum { HAS_CRC = 2, HAS_EXTRA = 4, HAS_NAME = 8, HAS_COMMENT = 16 };

typedef struct {
    sal_upload_stager_t *stager;
    int fd;
    off_t at;
    char *buf;
    size_t used; /* bytes in buf */
    size_t tail; /* bytes that must follow the deflate stream */
    unsigned char trailer[GZIP_TAIL];
    size_t trailer_used;
} reader_t;

static apr_status_t fill(reader_t *r, sal_error_t *err)
{
    ssize_t n;

    do {
        n = pread(r->fd, r->buf, CHUNK, r->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return sal_fail_os(err, errno, "cannot read an upload");
    }
    r->used = (size_t)n;
    return APR_SUCCESS;
}

static apr_status_t damaged(sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED, "the file is damaged, or not packed as announced");
}

/* Length of a gzip header that lies whole in the first chunk, or 0. */
static size_t gzip_head(const unsigned char *d, size_t size)
{
    size_t at = GZIP_HEAD;

    if (size < GZIP_HEAD || d[0] != 0x1f || d[1] != 0x8b || d[2] != 8) {
        return 0;
    }
    if (d[3] & HAS_EXTRA) {
        at += size < at + 2 ? size : 2 + (size_t)(d[at] | d[at + 1] << 8);
    }
    for (int flag = HAS_NAME; flag <= HAS_COMMENT; flag <<= 1) {
        const unsigned char *end = (d[3] & flag) && at < size ? memchr(d + at, 0, size - at) : NULL;

        if (d[3] & flag) {
            at = end ? (size_t)(end - d) + 1 : size;
        }
    }
    at += d[3] & HAS_CRC ? 2 : 0;
    return at < size ? at : 0;
}

/* Finds where the deflate stream begins. */
static apr_status_t skip_head(reader_t *r, sal_packed_t packed, sal_error_t *err)
{
    const unsigned char *d = (const unsigned char *)r->buf;
    apr_status_t rv = fill(r, err);
    size_t n = 0;

    if (rv != APR_SUCCESS || packed == SAL_PACKED_NOT) {
        return rv;
    }
    if (packed == SAL_PACKED_GZIP) {
        r->tail = GZIP_TAIL;
        n = gzip_head(d, r->used);
        if (n == 0) {
            return damaged(err);
        }
    } else if (packed == SAL_PACKED_ZLIB && r->used >= 2 && (d[0] & 15) == 8 &&
               (d[0] << 8 | d[1]) % 31 == 0 && !(d[1] & 32)) {
        r->tail = ZLIB_TAIL;
        n = 2;
    }
    r->at += (off_t)n;
    return fill(r, err);
}

static apr_status_t take_trailer(reader_t *r, const char *data, size_t size, sal_error_t *err)
{
    if (size > r->tail - r->trailer_used) {
        return damaged(err);
    }
    memcpy(r->trailer + r->trailer_used, data, size);
    r->trailer_used += size;
    return APR_SUCCESS;
}

static apr_status_t pour(reader_t *r, bool deflated, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && r->used) {
        size_t took = 0;

        if (!deflated || !sal_upload_stager_ended(r->stager)) {
            rv = sal_upload_stager_feed(r->stager, r->buf, r->used, &took, err);
        }
        if (rv == APR_SUCCESS && took < r->used) {
            rv = take_trailer(r, r->buf + took, r->used - took, err);
        }
        r->at += (off_t)r->used;
        if (rv == APR_SUCCESS) {
            rv = fill(r, err);
        }
    }
    return rv == SAL_E_MALFORMED ? damaged(err) : rv;
}

static uint32_t le32(const unsigned char *d)
{
    return d[0] | (uint32_t)d[1] << 8 | (uint32_t)d[2] << 16 | (uint32_t)d[3] << 24;
}

static bool trailer_fits(const reader_t *r, const sal_upload_entry_t *e)
{
    return r->trailer_used == r->tail &&
           (r->tail != GZIP_TAIL ||
            (le32(r->trailer) == e->crc && le32(r->trailer + 4) == (uint32_t)e->size));
}

apr_status_t sal_upload_take(sal_upload_t *up, const char *key, int fd, sal_packed_t packed,
                             sal_upload_entry_t *e, sal_sym_header_t *header, sal_error_t *err)
{
    reader_t r = { .fd = fd, .buf = apr_palloc(up->pool, CHUNK) };
    bool deflated = packed != SAL_PACKED_NOT;
    const char *leaf = strrchr(key, '/');
    apr_status_t rv = APR_SUCCESS;

    if (!up->stager) {
        rv = sal_upload_stager_make(&up->stager, up->store, 'w', up->pool, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    r.stager = up->stager;
    *e = (sal_upload_entry_t){ .offset = UINT64_MAX, .flags = SAL_UPLOAD_FILE, .listed = up->pass };
    sal_upload_stager_limit(r.stager, up->opts.limits->member_size, up->opts.limits->ratio);
    if ((rv = sal_upload_stager_begin(r.stager, leaf ? leaf + 1 : key, deflated, err)) !=
            APR_SUCCESS ||
        (rv = skip_head(&r, packed, err)) != APR_SUCCESS ||
        (rv = pour(&r, deflated, err)) != APR_SUCCESS) {
        return rv;
    }
    if (deflated && !sal_upload_stager_ended(r.stager)) {
        return damaged(err);
    }
    if ((rv = sal_upload_stager_end(r.stager, e, header, up->pool, err)) == APR_SUCCESS) {
        rv = sal_upload_log_add(up->log, e, key, header, NULL, 0, err);
    }
    up->totals.unpacked += e->size;
    return rv == APR_SUCCESS && !trailer_fits(&r, e) ? damaged(err) : rv;
}
