/*
 * The two ways of inflating behind gunzip.h. The program `salvage` is linked statically, for which
 * there is no ISA-L: it compiles this file for itself (SALVAGE_QUICK).
 */
#include "config.h"
#include "symbols/gunzip.h"

#include <stdlib.h>

#if defined(HAVE_ISAL) && !defined(SALVAGE_QUICK)

#include <isa-l/igzip_lib.h>

struct gunzip_t {
    struct inflate_state state;
};

gunzip_t *gunzip_make(void)
{
    gunzip_t *g = malloc(sizeof(*g));

    if (g) {
        isal_inflate_init(&g->state);
        g->state.crc_flag = ISAL_GZIP;
    }
    return g;
}

void gunzip_free(gunzip_t *g)
{
    free(g);
}

void gunzip_again(gunzip_t *g)
{
    isal_inflate_reset(&g->state);
    g->state.crc_flag = ISAL_GZIP;
}

gunzip_state_t gunzip_step(gunzip_t *g, const char **in, size_t *n, char *out, size_t size,
                           size_t *made)
{
    struct inflate_state *s = &g->state;
    int code;

    s->next_in = (uint8_t *)*in;
    s->avail_in = (uint32_t)*n;
    s->next_out = (uint8_t *)out;
    s->avail_out = (uint32_t)size;
    code = isal_inflate(s);
    *in = (const char *)s->next_in;
    *n = s->avail_in;
    *made = size - s->avail_out;
    if (code < 0) {
        return GUNZIP_BAD;
    }
    return s->block_state == ISAL_BLOCK_FINISH ? GUNZIP_END : GUNZIP_MORE;
}

#else

#include <zlib.h>

struct gunzip_t {
    z_stream z;
};

gunzip_t *gunzip_make(void)
{
    gunzip_t *g = calloc(1, sizeof(*g));

    if (g && inflateInit2(&g->z, 15 + 16) != Z_OK) {
        free(g);
        return NULL;
    }
    return g;
}

void gunzip_free(gunzip_t *g)
{
    if (g) {
        inflateEnd(&g->z);
        free(g);
    }
}

void gunzip_again(gunzip_t *g)
{
    inflateReset(&g->z);
}

gunzip_state_t gunzip_step(gunzip_t *g, const char **in, size_t *n, char *out, size_t size,
                           size_t *made)
{
    int code;

    g->z.next_in = (Bytef *)*in;
    g->z.avail_in = (uInt)*n;
    g->z.next_out = (Bytef *)out;
    g->z.avail_out = (uInt)size;
    code = inflate(&g->z, Z_NO_FLUSH);
    *in = (const char *)g->z.next_in;
    *n = g->z.avail_in;
    *made = size - g->z.avail_out;
    if (code == Z_STREAM_END) {
        return GUNZIP_END;
    }
    return code == Z_OK || code == Z_BUF_ERROR ? GUNZIP_MORE : GUNZIP_BAD;
}

#endif
