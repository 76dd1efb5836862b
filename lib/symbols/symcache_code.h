/*
 * How ranges are written: each as what differs from the one before it. Shared by builder and
 * reader; private to the room.
 *
 * A byte of flags, the distance to the start before it, then the differences the flags announce.
 * Numbers have seven bits a byte, the lowest first; differences are modulo 2^32 and folded, so that
 * small ones of either sign are short. A calls B, inlined, and goes on: so the whole location is
 * often that of the range before the last, which is one flag.
 */
#ifndef SAL_SYMBOLS_SYMCACHE_CODE_H
#define SAL_SYMBOLS_SYMCACHE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include "symbols/symcache_format.h"

enum {
    SYMX_C_FUNC = 1,
    SYMX_C_FILE = 2,
    SYMX_C_LINE = 4,
    SYMX_C_PARENT = 8,
    SYMX_C_LINE_CONT = 16,
    SYMX_C_INLINE_CONT = 32,
    SYMX_C_BACK = 64, /* location of the range before the last; no differences follow */
    SYMX_C_MAX = 1 + 5 * 5
};

typedef struct symx_range_t {
    uint32_t start;
    symx_loc_t loc;
} symx_range_t;

/* The last two ranges; {0} with last.start set where a sequence begins. */
typedef struct symx_codec_t {
    symx_range_t last, before;
} symx_codec_t;

static inline uint8_t *symx_put_number(uint8_t *to, uint32_t v)
{
    for (; v >= 0x80; v >>= 7) {
        *to++ = (uint8_t)(v | 0x80);
    }
    *to++ = (uint8_t)v;
    return to;
}

static inline uint32_t symx_fold(uint32_t difference)
{
    return difference << 1 ^ (uint32_t) - (int32_t)(difference >> 31);
}

static inline uint32_t symx_unfold(uint32_t v)
{
    return v >> 1 ^ (uint32_t) - (int32_t)(v & 1);
}

static inline bool symx_same_place(const symx_loc_t *a, const symx_loc_t *b)
{
    return a->func == b->func && a->file == b->file && a->parent == b->parent &&
           ((a->line ^ b->line) & SYMX_LINE_MAX) == 0;
}

/* Writes r behind what c has seen, at most SYMX_C_MAX bytes; returns the end. */
static inline uint8_t *symx_encode(symx_codec_t *c, const symx_range_t *r, uint8_t *to)
{
    const symx_loc_t *was = &c->last.loc, *is = &r->loc;
    uint32_t line = (is->line & SYMX_LINE_MAX) - (was->line & SYMX_LINE_MAX);
    uint8_t *flags = to++;

    *flags = (is->line & SYMX_LINE_CONT ? SYMX_C_LINE_CONT : 0) |
             (is->line & SYMX_INLINE_CONT ? SYMX_C_INLINE_CONT : 0);
    to = symx_put_number(to, r->start - c->last.start);
    if (symx_same_place(is, &c->before.loc)) {
        *flags |= SYMX_C_BACK;
    } else {
        if (is->func != was->func) {
            *flags |= SYMX_C_FUNC;
            to = symx_put_number(to, symx_fold(is->func - was->func));
        }
        if (is->file != was->file) {
            *flags |= SYMX_C_FILE;
            to = symx_put_number(to, symx_fold(is->file - was->file));
        }
        if (line != 0) {
            *flags |= SYMX_C_LINE;
            to = symx_put_number(to, symx_fold(line));
        }
        if (is->parent != was->parent) {
            *flags |= SYMX_C_PARENT;
            to = symx_put_number(to, symx_fold(is->parent - was->parent));
        }
    }
    c->before = c->last;
    c->last = *r;
    return to;
}

static inline bool symx_take_number(const uint8_t **at, const uint8_t *end, uint32_t *v)
{
    const uint8_t *p = *at;
    uint32_t sum = 0;

    for (unsigned shift = 0; p < end && shift < 35; shift += 7) {
        sum |= (uint32_t)(*p & 0x7f) << shift;
        if (!(*p++ & 0x80)) {
            *at = p;
            *v = sum;
            return true;
        }
    }
    return false;
}

static inline bool symx_take_difference(const uint8_t **at, const uint8_t *end, uint32_t *v)
{
    uint32_t folded;

    if (!symx_take_number(at, end, &folded)) {
        return false;
    }
    *v += symx_unfold(folded);
    return true;
}

/* Reads the next range into c->last; false at the end or in damaged bytes. */
static inline bool symx_decode(symx_codec_t *c, const uint8_t **at, const uint8_t *end)
{
    symx_range_t r = c->last;
    uint32_t distance, flags, line = r.loc.line & SYMX_LINE_MAX;

    if (*at >= end) {
        return false;
    }
    flags = *(*at)++;
    if (!symx_take_number(at, end, &distance)) {
        return false;
    }
    r.start += distance;
    if (flags & SYMX_C_BACK) {
        r.loc = c->before.loc;
        line = r.loc.line & SYMX_LINE_MAX;
    } else if ((flags & SYMX_C_FUNC && !symx_take_difference(at, end, &r.loc.func)) ||
               (flags & SYMX_C_FILE && !symx_take_difference(at, end, &r.loc.file)) ||
               (flags & SYMX_C_LINE && !symx_take_difference(at, end, &line)) ||
               (flags & SYMX_C_PARENT && !symx_take_difference(at, end, &r.loc.parent))) {
        return false;
    }
    r.loc.line = (line & SYMX_LINE_MAX) | (flags & SYMX_C_LINE_CONT ? SYMX_LINE_CONT : 0) |
                 (flags & SYMX_C_INLINE_CONT ? SYMX_INLINE_CONT : 0);
    c->before = c->last;
    c->last = r;
    return true;
}

#endif
