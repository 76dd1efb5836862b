/*
 * The bounded reader: every size and offset that comes from input is checked here and nowhere else.
 *
 * A sal_span_t is bytes we do not own (a mapping, a buffer). Loads never run past it and never
 * overflow; they answer false and leave the output alone. Either byte order.
 */
#ifndef SAL_BASE_READER_H
#define SAL_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct sal_span_t {
    const uint8_t *data;
    size_t size;
    bool swap; /* true: the bytes are big endian */
} sal_span_t;

/* True if [offset, offset+size) lies in the span. */
static inline bool sal_span_has(const sal_span_t *s, uint64_t offset, uint64_t size)
{
    return offset <= s->size && size <= s->size - offset;
}

/* The part [offset, offset+size) of s, or false. */
static inline bool sal_span_sub(const sal_span_t *s, uint64_t offset, uint64_t size,
                                sal_span_t *out)
{
    if (!sal_span_has(s, offset, size)) {
        return false;
    }
    *out = (sal_span_t){ s->data + offset, (size_t)size, s->swap };
    return true;
}

static inline bool sal_span_u8(const sal_span_t *s, uint64_t offset, uint8_t *v)
{
    if (!sal_span_has(s, offset, 1)) {
        return false;
    }
    *v = s->data[offset];
    return true;
}

static inline bool sal_span_u16(const sal_span_t *s, uint64_t offset, uint16_t *v)
{
    if (!sal_span_has(s, offset, 2)) {
        return false;
    }
    memcpy(v, s->data + offset, 2);
    *v = s->swap ? __builtin_bswap16(*v) : *v;
    return true;
}

static inline bool sal_span_u32(const sal_span_t *s, uint64_t offset, uint32_t *v)
{
    if (!sal_span_has(s, offset, 4)) {
        return false;
    }
    memcpy(v, s->data + offset, 4);
    *v = s->swap ? __builtin_bswap32(*v) : *v;
    return true;
}

static inline bool sal_span_u64(const sal_span_t *s, uint64_t offset, uint64_t *v)
{
    if (!sal_span_has(s, offset, 8)) {
        return false;
    }
    memcpy(v, s->data + offset, 8);
    *v = s->swap ? __builtin_bswap64(*v) : *v;
    return true;
}

#endif
