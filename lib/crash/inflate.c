/*
 * gzip bodies, on zlib. Knows nothing of what is inside.
 */
#include "crash/inflate.h"

#include <stddef.h>
#include <string.h>
#include <zlib.h>

#define PIECE 4096
#define MAGIC_LEN 3

typedef enum { IN_MEMBER, BETWEEN, JUNK } state_t;

struct sal_inflate_t {
    z_stream z;
    state_t state;
    int broken;
    apr_uint64_t total, max;
    apr_interval_time_t spent;
    sal_inflate_sink sink;
    void *baton;
    unsigned char magic[MAGIC_LEN]; /* what came after a member, until we know what it is */
    apr_size_t magic_len;
    char out[PIECE];
};

static apr_status_t end_stream(void *data)
{
    inflateEnd(&((sal_inflate_t *)data)->z);
    return APR_SUCCESS;
}

apr_status_t sal_inflate_make(sal_inflate_t **out, apr_uint64_t max, sal_inflate_sink sink,
                              void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_inflate_t *z = apr_palloc(p, sizeof(*z));

    memset(z, 0, offsetof(sal_inflate_t, out));
    z->max = max;
    z->sink = sink;
    z->baton = baton;
    if (inflateInit2(&z->z, 16 + MAX_WBITS) != Z_OK) {
        return sal_fail(err, APR_ENOMEM, "no memory for inflating");
    }
    apr_pool_cleanup_register(p, z, end_stream, apr_pool_cleanup_null);
    *out = z;
    return APR_SUCCESS;
}

static apr_status_t broken(sal_inflate_t *z, sal_error_t *err, const char *what)
{
    z->broken = 1;
    return sal_fail(err, SAL_E_MALFORMED, "gzip: %s", what);
}

/* Hands what is in out to the sink, within the cap. */
static apr_status_t pass_on(sal_inflate_t *z, sal_error_t *err)
{
    apr_size_t n = PIECE - z->z.avail_out;

    if (n > z->max - z->total) {
        return sal_fail(err, SAL_E_TOOBIG, "inflated body is over %" APR_UINT64_T_FMT " bytes",
                        z->max);
    }
    z->total += n;
    return n ? z->sink(z->baton, z->out, n, err) : APR_SUCCESS;
}

/* Inflates from the member until input or member ends. */
static apr_status_t run_member(sal_inflate_t *z, sal_error_t *err)
{
    int code;

    do {
        apr_time_t begun = apr_time_now();
        apr_status_t rv;

        z->z.next_out = (Bytef *)z->out;
        z->z.avail_out = PIECE;
        code = inflate(&z->z, Z_NO_FLUSH);
        z->spent += apr_time_now() - begun;
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
            return broken(z, err, z->z.msg ? z->z.msg : "cannot be inflated");
        }
        rv = pass_on(z, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    } while (code == Z_OK && (z->z.avail_in || z->z.avail_out == 0));
    if (code == Z_STREAM_END) {
        z->state = BETWEEN;
        z->magic_len = 0;
    }
    return APR_SUCCESS;
}

/* Collects the bytes after a member until they are known to begin another, or not to. */
static apr_status_t look_behind(sal_inflate_t *z, sal_error_t *err)
{
    static const unsigned char gzip_magic[MAGIC_LEN] = { 0x1f, 0x8b, 0x08 };
    Bytef *rest;
    uInt rest_len;
    apr_status_t rv;

    while (z->magic_len < MAGIC_LEN && z->z.avail_in) {
        z->magic[z->magic_len++] = *z->z.next_in++;
        z->z.avail_in--;
        if (memcmp(z->magic, gzip_magic, z->magic_len)) {
            z->state = JUNK;
            return APR_SUCCESS;
        }
    }
    if (z->magic_len < MAGIC_LEN) {
        return APR_SUCCESS;
    }
    inflateReset(&z->z);
    z->state = IN_MEMBER;
    rest = z->z.next_in;
    rest_len = z->z.avail_in;
    z->z.next_in = z->magic;
    z->z.avail_in = MAGIC_LEN;
    rv = run_member(z, err);
    z->z.next_in = rest;
    z->z.avail_in = rest_len;
    return rv;
}

apr_status_t sal_inflate_feed(sal_inflate_t *z, const char *data, apr_size_t size, sal_error_t *err)
{
    while (size) {
        uInt n = size > PIECE ? PIECE : (uInt)size;

        z->z.next_in = (Bytef *)data;
        z->z.avail_in = n;
        while (z->z.avail_in && z->state != JUNK) {
            apr_status_t rv = z->state == BETWEEN ? look_behind(z, err) : run_member(z, err);

            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
        data += n;
        size -= n;
    }
    return APR_SUCCESS;
}

apr_status_t sal_inflate_finish(sal_inflate_t *z, sal_error_t *err)
{
    return z->state == IN_MEMBER ? broken(z, err, "the stream ends too early") : APR_SUCCESS;
}

apr_uint64_t sal_inflate_spent(const sal_inflate_t *z, apr_interval_time_t *time)
{
    *time = z->spent;
    return z->total;
}

int sal_inflate_broken(const sal_inflate_t *z)
{
    return z->broken;
}
