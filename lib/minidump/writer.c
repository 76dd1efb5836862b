/*
 * The container side of writing a minidump: pieces, records, text, directory.
 *
 * A dump in the making is a list of pieces in file order, owned or referred to; offsets are final
 * as soon as a piece is added, except for header and directory, which come last.
 */
#include "minidump/writer_private.h"

#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"

enum { HEADER_SIZE = 32, ALIGNMENT = 4 };

static const uint32_t signature = 0x504d444d, version = 0xa793;

typedef struct piece_t {
    const void *data;
    size_t size;
} piece_t;

typedef struct entry_t {
    uint32_t type;
    sal_mdw_loc_t loc;
} entry_t;

sal_mdw_t *sal_mdw_make(bool big_endian, apr_pool_t *p)
{
    sal_mdw_t *w = apr_pcalloc(p, sizeof(*w));

    w->pool = p;
    w->swap = big_endian;
    w->pieces = apr_array_make(p, 64, sizeof(piece_t));
    w->directory = apr_array_make(p, 16, sizeof(entry_t));
    w->at = HEADER_SIZE;
    return w;
}

sal_mdw_loc_t sal_mdw_refer(sal_mdw_t *w, const void *data, size_t size)
{
    static const char zeros[ALIGNMENT];
    size_t pad = (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
    sal_mdw_loc_t loc = { (uint32_t)size, (uint32_t)w->at };

    if (size > UINT32_MAX || w->at + size + pad > UINT32_MAX) {
        w->too_big = true;
        return (sal_mdw_loc_t){ 0, 0 };
    }
    APR_ARRAY_PUSH(w->pieces, piece_t) = (piece_t){ data, size };
    if (pad) {
        APR_ARRAY_PUSH(w->pieces, piece_t) = (piece_t){ zeros, pad };
    }
    w->at += size + pad;
    return loc;
}

sal_mdw_loc_t sal_mdw_copy(sal_mdw_t *w, const void *data, size_t size)
{
    return sal_mdw_refer(w, apr_pmemdup(w->pool, data, size), size);
}

/* ---- records ---- */

struct sal_mdw_record_t {
    sal_mdw_t *w;
    uint8_t *data;
    size_t size, room;
};

sal_mdw_record_t *sal_mdw_record(sal_mdw_t *w)
{
    sal_mdw_record_t *r = apr_pcalloc(w->pool, sizeof(*r));

    r->w = w;
    r->room = 256;
    r->data = apr_palloc(w->pool, r->room);
    return r;
}

static uint8_t *record_room(sal_mdw_record_t *r, size_t size)
{
    if (size > r->room - r->size) {
        uint8_t *old = r->data;

        r->room = r->room * 2 + size;
        r->data = apr_palloc(r->w->pool, r->room);
        memcpy(r->data, old, r->size);
    }
    r->size += size;
    return r->data + r->size - size;
}

void sal_mdw_put(sal_mdw_record_t *r, const void *data, size_t size)
{
    if (size) {
        memcpy(record_room(r, size), data, size);
    }
}

void sal_mdw_zero(sal_mdw_record_t *r, size_t size)
{
    memset(record_room(r, size), 0, size);
}

void sal_mdw_u8(sal_mdw_record_t *r, uint8_t v)
{
    sal_mdw_put(r, &v, sizeof(v));
}

void sal_mdw_u16(sal_mdw_record_t *r, uint16_t v)
{
    v = r->w->swap ? __builtin_bswap16(v) : v;
    sal_mdw_put(r, &v, sizeof(v));
}

void sal_mdw_u32(sal_mdw_record_t *r, uint32_t v)
{
    v = r->w->swap ? __builtin_bswap32(v) : v;
    sal_mdw_put(r, &v, sizeof(v));
}

void sal_mdw_u64(sal_mdw_record_t *r, uint64_t v)
{
    v = r->w->swap ? __builtin_bswap64(v) : v;
    sal_mdw_put(r, &v, sizeof(v));
}

void sal_mdw_loc(sal_mdw_record_t *r, sal_mdw_loc_t loc)
{
    sal_mdw_u32(r, loc.size);
    sal_mdw_u32(r, loc.rva);
}

sal_span_t sal_mdw_record_bytes(const sal_mdw_record_t *r)
{
    return (sal_span_t){ r->data, r->size, r->w->swap };
}

sal_mdw_loc_t sal_mdw_end(sal_mdw_record_t *r)
{
    return sal_mdw_refer(r->w, r->data, r->size);
}

/* ---- text ---- */

/* Code point of valid UTF-8 at *s; moves *s behind it. */
static uint32_t next_point(const char **s)
{
    const unsigned char *at = (const unsigned char *)*s;
    int more = at[0] < 0x80 ? 0 : at[0] < 0xe0 ? 1 : at[0] < 0xf0 ? 2 : 3;
    uint32_t c = more ? at[0] & (0x3fu >> more) : at[0];

    for (int i = 1; i <= more; i++) {
        c = c << 6 | (at[i] & 0x3f);
    }
    *s += more + 1;
    return c;
}

uint32_t sal_mdw_utf16(sal_mdw_t *w, const char *text)
{
    sal_mdw_record_t *units = sal_mdw_record(w), *r = sal_mdw_record(w);

    text = sal_utf8_clean(text, strlen(text), w->pool);
    while (*text) {
        uint32_t c = next_point(&text);

        if (c >= 0x10000) {
            sal_mdw_u16(units, (uint16_t)(0xd800 + ((c - 0x10000) >> 10)));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        sal_mdw_u16(units, (uint16_t)c);
    }
    sal_mdw_u32(r, (uint32_t)units->size);
    sal_mdw_put(r, units->data, units->size);
    sal_mdw_u16(r, 0);
    return sal_mdw_end(r).rva;
}

uint32_t sal_mdw_utf8(sal_mdw_t *w, const char *text)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, (uint32_t)strlen(text));
    sal_mdw_put(r, text, strlen(text) + 1);
    return sal_mdw_end(r).rva;
}

/* ---- directory and output ---- */

void sal_mdw_stream(sal_mdw_t *w, uint32_t type, sal_mdw_loc_t loc)
{
    APR_ARRAY_PUSH(w->directory, entry_t) = (entry_t){ type, loc };
}

apr_status_t sal_mdw_finish(sal_mdw_t *w, uint32_t time_date_stamp, uint64_t flags,
                            sal_error_t *err)
{
    sal_mdw_record_t *directory = sal_mdw_record(w), *header = sal_mdw_record(w);
    sal_mdw_loc_t loc;

    sal_mdw_write_lists(w);
    for (int i = 0; i < w->directory->nelts; i++) {
        const entry_t *e = &APR_ARRAY_IDX(w->directory, i, entry_t);

        sal_mdw_u32(directory, e->type);
        sal_mdw_loc(directory, e->loc);
    }
    loc = sal_mdw_end(directory);
    if (w->too_big) {
        return sal_fail(err, SAL_E_TOOBIG, "the minidump would be larger than 4 GiB");
    }
    sal_mdw_u32(header, signature);
    sal_mdw_u32(header, version);
    sal_mdw_u32(header, (uint32_t)w->directory->nelts);
    sal_mdw_u32(header, loc.rva);
    sal_mdw_u32(header, 0);
    sal_mdw_u32(header, time_date_stamp);
    sal_mdw_u64(header, flags);
    w->header = header->data;
    return APR_SUCCESS;
}

sal_span_t sal_mdw_bytes(const sal_mdw_t *w, apr_pool_t *p)
{
    uint8_t *data = apr_palloc(p, w->at), *to = data + HEADER_SIZE;

    memcpy(data, w->header, HEADER_SIZE);
    for (int i = 0; i < w->pieces->nelts; i++) {
        const piece_t *piece = &APR_ARRAY_IDX(w->pieces, i, piece_t);

        if (piece->size) {
            memcpy(to, piece->data, piece->size);
            to += piece->size;
        }
    }
    return (sal_span_t){ data, w->at, w->swap };
}

apr_status_t sal_mdw_write(const sal_mdw_t *w, int fd, sal_error_t *err)
{
    apr_status_t rv = sal_fd_write_all(fd, w->header, HEADER_SIZE);

    for (int i = 0; rv == APR_SUCCESS && i < w->pieces->nelts; i++) {
        const piece_t *piece = &APR_ARRAY_IDX(w->pieces, i, piece_t);

        rv = sal_fd_write_all(fd, piece->data, piece->size);
    }
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "writing the minidump");
}
