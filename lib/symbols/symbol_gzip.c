/*
 * Length of what a gzip file holds. Knows nothing of the store but where marks are left.
 */
#include "symbols/symbol_gzip.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <zlib.h>

#define SIZE_MARK "user.salvage.inflated"

enum { CHUNK = 65536 };

/* Deflate cannot pack better than 1 : 1032, so below this many bytes there are less than 4 GiB. */
#define SMALL (UINT32_MAX / 1032)

static apr_status_t trailer(uint64_t *size, int fd, off_t end)
{
    unsigned char tail[4];

    if (end < 18 || pread(fd, tail, 4, end - 4) != 4) {
        return SAL_E_MALFORMED;
    }
    *size = (uint64_t)tail[0] | (uint64_t)tail[1] << 8 | (uint64_t)tail[2] << 16 |
            (uint64_t)tail[3] << 24;
    return APR_SUCCESS;
}

static apr_status_t inflate_all(uint64_t *size, int fd)
{
    unsigned char in[CHUNK], out[CHUNK];
    z_stream z = { 0 };
    off_t at = 0;
    ssize_t n;
    int rc = Z_OK;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        return APR_ENOMEM;
    }
    *size = 0;
    while (rc == Z_OK && (n = pread(fd, in, CHUNK, at)) > 0) {
        at += n;
        z.next_in = in;
        z.avail_in = (uInt)n;
        do {
            z.next_out = out;
            z.avail_out = CHUNK;
            rc = inflate(&z, Z_NO_FLUSH);
            *size += CHUNK - z.avail_out;
        } while (rc == Z_OK && z.avail_out == 0);
        rc = rc == Z_BUF_ERROR ? Z_OK : rc;
    }
    inflateEnd(&z);
    return rc == Z_STREAM_END ? APR_SUCCESS : SAL_E_MALFORMED;
}

apr_status_t sal_gzip_size(uint64_t *size, int fd)
{
    struct stat st;
    apr_status_t rv;

    if (fstat(fd, &st)) {
        return SAL_E_MALFORMED;
    }
    if (st.st_size < (off_t)SMALL) {
        return trailer(size, fd, st.st_size);
    }
    if (fgetxattr(fd, SIZE_MARK, size, sizeof(*size)) == sizeof(*size)) {
        return APR_SUCCESS;
    }
    rv = inflate_all(size, fd);
    if (rv == APR_SUCCESS) {
        (void)!fsetxattr(fd, SIZE_MARK, size, sizeof(*size), 0);
    }
    return rv;
}
