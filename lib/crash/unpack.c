/*
 * Compressed dumps. Output grows as it comes: sizes that the input claims are not believed.
 */
#include "crash/unpack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "crash/inflate.h"

#define PIECE 65536

typedef struct grown_t {
    char *data;
    apr_size_t size, room;
    apr_uint64_t max;
} grown_t;

const char *sal_packed_with(const void *head, apr_size_t size)
{
    if (size >= 2 && !memcmp(head, "\x1f\x8b", 2)) {
        return "gzip";
    }
    return size >= 4 && !memcmp(head, "\x28\xb5\x2f\xfd", 4) ? "zstd" : NULL;
}

static apr_status_t append(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    grown_t *g = baton;

    if (size > g->max - g->size) {
        return sal_fail(err, SAL_E_TOOBIG, "unpacked dump is over %" APR_UINT64_T_FMT " bytes",
                        g->max);
    }
    if (g->size + size > g->room) {
        apr_size_t room = (g->size + size) * 2;
        char *data_now = realloc(g->data, room);

        if (!data_now) {
            return sal_fail(err, APR_ENOMEM, "no memory for an unpacked dump");
        }
        g->data = data_now;
        g->room = room;
    }
    memcpy(g->data + g->size, data, size);
    g->size += size;
    return APR_SUCCESS;
}

static apr_status_t unpack_gzip(grown_t *g, sal_span_t packed, apr_pool_t *p, sal_error_t *err)
{
    sal_inflate_t *z;
    apr_status_t rv = sal_inflate_make(&z, g->max, append, g, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_inflate_feed(z, (const char *)packed.data, packed.size, err);
    }
    return rv == APR_SUCCESS ? sal_inflate_finish(z, err) : rv;
}

static apr_status_t free_stream(void *data)
{
    ZSTD_freeDStream(data);
    return APR_SUCCESS;
}

static apr_status_t unpack_zstd(grown_t *g, sal_span_t packed, apr_pool_t *p, sal_error_t *err)
{
    ZSTD_inBuffer in = { packed.data, packed.size, 0 };
    ZSTD_DStream *z = ZSTD_createDStream();
    char *piece = apr_palloc(p, PIECE);
    size_t left = 1;

    if (!z) {
        return sal_fail(err, APR_ENOMEM, "no memory for unpacking a dump");
    }
    apr_pool_cleanup_register(p, z, free_stream, apr_pool_cleanup_null);
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 27);
    while (in.pos < in.size || left) {
        ZSTD_outBuffer out = { piece, PIECE, 0 };
        size_t before = in.pos;
        apr_status_t rv;

        left = ZSTD_decompressStream(z, &out, &in);
        if (ZSTD_isError(left) || (left && !out.pos && in.pos == before)) {
            return sal_fail(err, SAL_E_MALFORMED, "zstd: %s",
                            ZSTD_isError(left) ? ZSTD_getErrorName(left) : "it ends too early");
        }
        rv = append(g, piece, out.pos, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t free_data(void *data)
{
    free(data);
    return APR_SUCCESS;
}

apr_status_t sal_unpack(sal_span_t *out, sal_span_t packed, apr_uint64_t max, apr_pool_t *p,
                        sal_error_t *err)
{
    const char *with = sal_packed_with(packed.data, packed.size);
    grown_t g = { NULL, 0, 0, max };
    apr_pool_t *tmp;
    apr_status_t rv;

    if (!with) {
        return sal_fail(err, SAL_E_UNSUPPORTED, "not compressed");
    }
    apr_pool_create(&tmp, p);
    rv = (*with == 'g' ? unpack_gzip : unpack_zstd)(&g, packed, tmp, err);
    apr_pool_destroy(tmp);
    if (rv != APR_SUCCESS) {
        free(g.data);
        return rv;
    }
    apr_pool_cleanup_register(p, g.data, free_data, apr_pool_cleanup_null);
    *out = (sal_span_t){ (const uint8_t *)g.data, g.size, packed.swap };
    return APR_SUCCESS;
}
