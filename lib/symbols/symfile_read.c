/*
 * Where .sym text comes from: a descriptor or a buffer, plain or gzip or zstd, inflated and parsed
 * in one pipeline; the text is never on disk nor whole in memory.
 */
#include "symbols/symfile.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>
#include "symbols/gunzip.h"

enum { PIECE = 128 * 1024 };
#define MAX_TEXT (UINT64_C(16) << 30)

/* Input: fills *data with the next piece, *size 0 at the end. */
typedef struct source_t {
    int fd; /* -1: memory */
    const char *name;
    sal_span_t mem;
    char *buf;
    char *out; /* inflated text */
    uint64_t fed;
} source_t;

static apr_status_t next_piece(source_t *s, const char **data, size_t *size, sal_error_t *err)
{
    ssize_t n;

    if (s->fd < 0) {
        *data = (const char *)s->mem.data;
        *size = s->mem.size < PIECE ? s->mem.size : PIECE;
        if (*size > 0) {
            s->mem.data += *size;
            s->mem.size -= *size;
        }
        return APR_SUCCESS;
    }
    do {
        n = read(s->fd, s->buf, PIECE);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return sal_fail_os(err, errno, "cannot read %s", s->name);
    }
    *data = s->buf;
    *size = (size_t)n;
    return APR_SUCCESS;
}

static apr_status_t feed(source_t *s, sal_symfile_t *f, const char *data, size_t size,
                         sal_error_t *err)
{
    apr_status_t rv;

    s->fed += size;
    if (s->fed > MAX_TEXT) {
        return sal_fail(err, SAL_E_TOOBIG, "%s: more than 16 GiB of text", s->name);
    }
    rv = sal_symfile_feed(f, data, size);
    if (rv != APR_SUCCESS && err && err->message[0] == '\0') {
        return sal_fail_os(err, rv, "%s: cannot be taken in", s->name);
    }
    return rv;
}

static apr_status_t read_plain(source_t *s, sal_symfile_t *f, const char *data, size_t size,
                               sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && size > 0) {
        rv = feed(s, f, data, size, err);
        if (rv == APR_SUCCESS) {
            rv = next_piece(s, &data, &size, err);
        }
    }
    return rv;
}

/* Inflates a piece of input; *ended after the last byte of a member. */
static apr_status_t inflate_piece(source_t *s, sal_symfile_t *f, gunzip_t *g, const char *data,
                                  size_t size, bool *ended, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    size_t made = 0;

    /* a full buffer may leave output behind when the input is used up */
    while (rv == APR_SUCCESS && (size > 0 || (made == PIECE && !*ended))) {
        gunzip_state_t state;

        if (*ended) { /* members may follow one another; other bytes are padding */
            if (*data != 0x1f) {
                break;
            }
            gunzip_again(g);
        }
        state = gunzip_step(g, &data, &size, s->out, PIECE, &made);
        if (state == GUNZIP_BAD) {
            return sal_fail(err, SAL_E_MALFORMED, "%s: damaged gzip stream", s->name);
        }
        *ended = state == GUNZIP_END;
        rv = feed(s, f, s->out, made, err);
    }
    return rv;
}

static apr_status_t read_gzip(source_t *s, sal_symfile_t *f, const char *data, size_t size,
                              sal_error_t *err)
{
    gunzip_t *g = gunzip_make();
    bool ended = false;
    apr_status_t rv = APR_SUCCESS;

    if (!g) {
        return sal_fail_os(err, APR_ENOMEM, "%s: cannot inflate", s->name);
    }
    while (rv == APR_SUCCESS && size > 0) {
        rv = inflate_piece(s, f, g, data, size, &ended, err);
        if (rv == APR_SUCCESS) {
            rv = next_piece(s, &data, &size, err);
        }
    }
    gunzip_free(g);
    if (rv == APR_SUCCESS && !ended) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: the gzip stream ends early", s->name);
    }
    return rv;
}

static apr_status_t unzstd_piece(source_t *s, sal_symfile_t *f, ZSTD_DCtx *z, ZSTD_inBuffer *in,
                                 size_t *hint, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    ZSTD_outBuffer out;

    do {
        out = (ZSTD_outBuffer){ s->out, PIECE, 0 };
        *hint = ZSTD_decompressStream(z, &out, in);
        if (ZSTD_isError(*hint)) {
            return sal_fail(err, SAL_E_MALFORMED, "%s: damaged zstd stream: %s", s->name,
                            ZSTD_getErrorName(*hint));
        }
        rv = feed(s, f, s->out, out.pos, err);
    } while (rv == APR_SUCCESS && (in->pos < in->size || out.pos == out.size));
    return rv;
}

static apr_status_t read_zstd(source_t *s, sal_symfile_t *f, const char *data, size_t size,
                              sal_error_t *err)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    size_t hint = 1;
    apr_status_t rv = APR_SUCCESS;

    if (!z) {
        return sal_fail_os(err, APR_ENOMEM, "%s: cannot decompress", s->name);
    }
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 27);
    while (rv == APR_SUCCESS && size > 0) {
        ZSTD_inBuffer in = { data, size, 0 };

        rv = unzstd_piece(s, f, z, &in, &hint, err);
        if (rv == APR_SUCCESS) {
            rv = next_piece(s, &data, &size, err);
        }
    }
    ZSTD_freeDCtx(z);
    if (rv == APR_SUCCESS && hint != 0) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: the zstd stream ends early", s->name);
    }
    return rv;
}

static apr_status_t read_source(source_t *s, sal_symfile_t *f, sal_symfile_stats_t *stats,
                                sal_error_t *err)
{
    const char *data = NULL;
    size_t size = 0;
    apr_status_t rv = next_piece(s, &data, &size, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (size >= 2 && memcmp(data, "\x1f\x8b", 2) == 0) {
        rv = read_gzip(s, f, data, size, err);
    } else if (size >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0) {
        rv = read_zstd(s, f, data, size, err);
    } else {
        rv = read_plain(s, f, data, size, err);
    }
    return rv == APR_SUCCESS ? sal_symfile_finish(f, stats) : rv;
}

static apr_status_t with_buffers(source_t *s, sal_symfile_t *f, sal_symfile_stats_t *stats,
                                 sal_error_t *err)
{
    apr_status_t rv;

    if (err) {
        err->message[0] = '\0';
    }
    s->buf = malloc(PIECE);
    s->out = malloc(PIECE);
    rv = s->buf && s->out ? read_source(s, f, stats, err)
                          : sal_fail_os(err, APR_ENOMEM, "cannot read %s", s->name);
    free(s->buf);
    free(s->out);
    return rv;
}

apr_status_t sal_symfile_read_fd(sal_symfile_t *f, int fd, const char *name,
                                 sal_symfile_stats_t *stats, sal_error_t *err)
{
    source_t s = { .fd = fd, .name = name };

    return with_buffers(&s, f, stats, err);
}

apr_status_t sal_symfile_read_mem(sal_symfile_t *f, sal_span_t data, sal_symfile_stats_t *stats,
                                  sal_error_t *err)
{
    source_t s = { .fd = -1, .name = "symbols in memory", .mem = data };

    return with_buffers(&s, f, stats, err);
}
