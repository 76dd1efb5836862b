/*
 * How ranges are written: each as what differs from the one before it. Shared by builder and
 * reader; private to the room.
 *
 * Two bytes say how wide everything behind them is, so a range is read without a branch that
 * depends on its data: mispredicted ones would cost more than all else of a lookup. Differences are
 * modulo 2^32 and short if they are small, of either sign. A calls B, inlined, and goes
 * on: so the whole location is often that of the range before the last, which is one bit.
 */
#ifndef SAL_SYMBOLS_SYMCACHE_CODE_H
#define SAL_SYMBOLS_SYMCACHE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "symbols/symcache_format.h"

/*
 * Byte 0: bytes of the differences of function, file, line and parent, two bits each, 0 to 3.
 * Byte 1: below. Then what the distance to the start before lacks, then the differences.
 */
enum {
    SYMX_C_NEAR = 7,         /* the lowest three bits of the distance */
    SYMX_C_FAR_SHIFT = 3,    /* two bits: 0, 1, 2 or 4 bytes hold the rest of it */
    SYMX_C_INLINE_CONT = 32, /* SYMX_INLINE_CONT and SYMX_LINE_CONT, shifted */
    SYMX_C_LINE_CONT = 64,
    SYMX_C_CONT_SHIFT = 25,
    SYMX_C_BACK = 128, /* no differences: the location of the range before the last; else all
                          differences that are there have 4 bytes */
    SYMX_C_MAX = 2 + 5 * 4,
    SYMX_C_PAD = 24 /* so much may be read from the start of a range */
};

typedef struct symx_range_t {
    uint32_t start;
    symx_loc_t loc;
} symx_range_t;

/* The range before the last one, and the last; {0} with seen[1].start set where all begins. */
typedef struct symx_codec_t {
    symx_range_t seen[2];
} symx_codec_t;

/* A difference of n bytes is written with half their range added, so that none has a sign. */
static const uint32_t symx_mask[5] = { 0, 0xff, 0xffff, 0xffffff, 0xffffffff };
static const uint32_t symx_half[5] = { 0, 0x80, 0x8000, 0x800000, 0x80000000 };

static inline bool symx_same_place(const symx_loc_t *a, const symx_loc_t *b)
{
    return ((a->func ^ b->func) | (a->file ^ b->file) | (a->parent ^ b->parent) |
            ((a->line ^ b->line) & SYMX_LINE_MAX)) == 0;
}

/* How many bytes v has, 0 to 4. */
static inline uint32_t symx_width(uint32_t v)
{
    uint32_t bits = (uint32_t)__builtin_clzll((uint64_t)v << 1 | 1) ^ 63;

    return (bits + 7) / 8;
}

/* How many bytes a difference takes: of a small one of either sign, few. */
static inline uint32_t symx_difference_width(uint32_t v)
{
    return symx_width(v << 1 ^ (uint32_t) - (int32_t)(v >> 31));
}

/* The first n bytes of v; four are written. */
static inline uint8_t *symx_put_bytes(uint8_t *to, uint32_t v, uint32_t n)
{
    v = htole32(v);
    memcpy(to, &v, sizeof(v));
    return to + n;
}

/*
 * Writes r behind what c has seen, at most SYMX_C_MAX bytes; returns the end. SYMX_C_PAD bytes must
 * be writable at `to`.
 */
static inline uint8_t *symx_encode(symx_codec_t *c, const symx_range_t *r, uint8_t *to)
{
    const symx_loc_t *was = &c->seen[1].loc, *is = &r->loc;
    bool flag = symx_same_place(is, &c->seen[0].loc);
    uint32_t distance = r->start - c->seen[1].start, far = symx_width(distance >> 3);
    uint32_t keep = flag ? 0 : UINT32_MAX; /* of BACK there are no differences */
    uint32_t func = (is->func - was->func) & keep, file = (is->file - was->file) & keep;
    uint32_t line = ((is->line & SYMX_LINE_MAX) - (was->line & SYMX_LINE_MAX)) & keep;
    uint32_t parent = (is->parent - was->parent) & keep;
    uint32_t n_func = symx_difference_width(func), n_file = symx_difference_width(file);
    uint32_t n_line = symx_difference_width(line), n_parent = symx_difference_width(parent);
    uint8_t *head = to;

    if (__builtin_expect((n_func | n_file | n_line | n_parent) & 4, 0)) {
        n_func = n_func ? 4 : 0;
        n_file = n_file ? 4 : 0;
        n_line = n_line ? 4 : 0;
        n_parent = n_parent ? 4 : 0;
        flag = true;
    }
    far = far > 2 ? 3 : far;
    head[1] =
        (uint8_t)((distance & SYMX_C_NEAR) | far << SYMX_C_FAR_SHIFT |
                  (is->line & ~SYMX_LINE_MAX) >> SYMX_C_CONT_SHIFT | (flag ? SYMX_C_BACK : 0));
    to = symx_put_bytes(to + 2, distance >> 3, far + (far > 2));
    head[0] = (uint8_t)((n_func - (n_func >> 2)) | (n_file - (n_file >> 2)) << 2 |
                        (n_line - (n_line >> 2)) << 4 | (n_parent - (n_parent >> 2)) << 6);
    to = symx_put_bytes(to, func + symx_half[n_func], n_func);
    to = symx_put_bytes(to, file + symx_half[n_file], n_file);
    to = symx_put_bytes(to, line + symx_half[n_line], n_line);
    to = symx_put_bytes(to, parent + symx_half[n_parent], n_parent);
    c->seen[0] = c->seen[1];
    c->seen[1] = *r;
    return to;
}

static inline uint32_t symx_word(const uint8_t *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return le32toh(v);
}

/* v plus the difference of n bytes; four are read. */
static inline uint32_t symx_add(const uint8_t *at, uint32_t n, uint32_t v)
{
    return v + (symx_word(at) & symx_mask[n]) - symx_half[n];
}

/* How far the range at `at` starts behind the one before it. */
static inline uint32_t symx_distance(const uint8_t *at)
{
    uint32_t far = at[1] >> SYMX_C_FAR_SHIFT & 3;

    return (symx_word(at + 2) & symx_mask[far + (far > 2)]) << 3 | (at[1] & SYMX_C_NEAR);
}

/*
 * Reads the range behind *last, in front of which is the one before it; returns the end. Any bytes
 * are some range. SYMX_C_PAD bytes must be readable at `at`.
 */
static inline const uint8_t *symx_decode(const uint8_t *at, const symx_range_t *last,
                                         symx_range_t *r)
{
    uint32_t widths = at[0], flags = at[1], far = flags >> SYMX_C_FAR_SHIFT & 3;
    uint32_t func = widths & 3, file = widths >> 2 & 3, line = widths >> 4 & 3,
             parent = widths >> 6;
    size_t back = (flags >> 7) & (widths == 0);
    const symx_loc_t *was = &(last - back)->loc;

    if (__builtin_expect((flags >> 7) > back, 0)) {
        func += func ? 4 - func : 0;
        file += file ? 4 - file : 0;
        line += line ? 4 - line : 0;
        parent += parent ? 4 - parent : 0;
    }
    r->start = last->start + symx_distance(at);
    at += 2 + far + (far > 2);
    r->loc.func = symx_add(at, func, was->func);
    at += func;
    r->loc.file = symx_add(at, file, was->file);
    at += file;
    r->loc.line = (symx_add(at, line, was->line) & SYMX_LINE_MAX) |
                  (flags & (SYMX_C_INLINE_CONT | SYMX_C_LINE_CONT)) << SYMX_C_CONT_SHIFT;
    at += line;
    r->loc.parent = symx_add(at, parent, was->parent);
    return at + parent;
}

/* Lengths of texts stand before them, seven bits a byte, the lowest first: how many bytes. */
static inline uint32_t symx_length_bytes(uint32_t len)
{
    return 1 + (len > 0x7f) + (len > 0x3fff) + (len > 0x1fffff) + (len > 0xfffffff);
}

static inline uint8_t *symx_put_length(uint8_t *to, uint32_t len)
{
    for (; len >= 0x80; len >>= 7) {
        *to++ = (uint8_t)(len | 0x80);
    }
    *to++ = (uint8_t)len;
    return to;
}

static inline bool symx_take_length(const uint8_t **at, const uint8_t *end, uint32_t *len)
{
    const uint8_t *p = *at;
    uint32_t sum = 0;

    for (unsigned shift = 0; p < end && shift < 35; shift += 7) {
        sum |= (uint32_t)(*p & 0x7f) << shift;
        if (!(*p++ & 0x80)) {
            *at = p;
            *len = sum;
            return true;
        }
    }
    return false;
}

#endif
