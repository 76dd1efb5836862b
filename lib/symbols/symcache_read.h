/*
 * An open symcache and its elements, each checked before it is used. Shared by the readers of the
 * room; private to it.
 */
#ifndef SYMBOLS_SYMCACHE_READ_H
#define SYMBOLS_SYMCACHE_READ_H

#include <string.h>
#include "symbols/symcache.h"
#include "symbols/symcache_code.h"

struct sal_symcache_t {
    sal_span_t file;
    const uint8_t *section[SYMX_SECTIONS];
    uint32_t count[SYMX_SECTIONS];
    uint32_t shift, ranges;
    bool mapped; /* from a file of its own */
    symx_header_t header;
    const char *strings[SYMX_STRINGS]; /* copies, for sal_symcache_info */
};

/* Words of the file. Sections are aligned, but the start of a mapping from memory may not be. */
static inline uint32_t word(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

/* Element i of a section, or NULL. */
static inline const uint8_t *at(const sal_symcache_t *c, int section, uint32_t i)
{
    return i < c->count[section] ? c->section[section] + (size_t)i * symx_element[section] : NULL;
}

static inline sal_str_t text_at(const sal_symcache_t *c, uint32_t offset, uint32_t len)
{
    return offset <= c->count[SYMX_BYTES] && len <= c->count[SYMX_BYTES] - offset
               ? (sal_str_t){ (const char *)c->section[SYMX_BYTES] + offset, len }
               : (sal_str_t){ "", 0 };
}

/* The text whose length stands at offset; none: "". */
static inline sal_str_t string_at(const sal_symcache_t *c, uint32_t offset)
{
    const uint8_t *bytes = c->section[SYMX_BYTES], *p = at(c, SYMX_BYTES, offset);
    uint32_t len;

    if (!p || !symx_take_length(&p, bytes + c->count[SYMX_BYTES], &len)) {
        return (sal_str_t){ "", 0 };
    }
    return text_at(c, (uint32_t)(p - bytes), len);
}

static inline bool loc_at(const sal_symcache_t *c, int section, uint32_t i, symx_loc_t *loc)
{
    const uint8_t *p = at(c, section, i);

    if (!p) {
        return false;
    }
    *loc = (symx_loc_t){ word(p), word(p + 4), word(p + 8), word(p + 12) };
    return true;
}

static inline bool func_at(const sal_symcache_t *c, uint32_t i, symx_func_t *f)
{
    const uint8_t *p = at(c, SYMX_FUNC, i);

    if (!p) {
        return false;
    }
    *f = (symx_func_t){ word(p), word(p + 4), word(p + 8), word(p + 12), word(p + 16) };
    return true;
}

#endif
