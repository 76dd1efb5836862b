/*
 * Shapes that streams have in common: locations, the two kinds of list, address maps.
 */
#include "minidump/minidump_private.h"

#include <stdlib.h>

uint16_t md_u16(const sal_span_t *s, uint64_t at)
{
    uint16_t v = 0;

    sal_span_u16(s, at, &v);
    return v;
}

uint32_t md_u32(const sal_span_t *s, uint64_t at)
{
    uint32_t v = 0;

    sal_span_u32(s, at, &v);
    return v;
}

uint64_t md_u64(const sal_span_t *s, uint64_t at)
{
    uint64_t v = 0;

    sal_span_u64(s, at, &v);
    return v;
}

void *md_array(sal_minidump_t *md, size_t n, size_t size)
{
    /* n is bounded by MD_MAX_*, so the product fits; a NULL array would trip sorts of 0 elements */
    return apr_pcalloc(md->pool, (n ? n : 1) * size);
}

bool md_location(const sal_minidump_t *md, const sal_span_t *s, uint64_t at, sal_span_t *out)
{
    uint32_t size, rva;

    return sal_span_u32(s, at, &size) && sal_span_u32(s, at + 4, &rva) &&
           sal_span_sub(&md->file, rva, size, out);
}

static bool list_set(sal_minidump_t *md, md_list_t *out, uint64_t at, uint32_t count, uint32_t size,
                     uint32_t max)
{
    out->at = at;
    out->size = size;
    out->count = count;
    if (count > max) {
        md->bad_records += count - max;
        out->count = max;
    }
    return true;
}

bool md_list(sal_minidump_t *md, uint32_t type, uint32_t entry_size, uint32_t max, md_list_t *out)
{
    uint32_t count;
    uint64_t need;

    if (!sal_minidump_stream(md, type, &out->bytes) || !sal_span_u32(&out->bytes, 0, &count)) {
        return false;
    }
    need = 4 + (uint64_t)count * entry_size;
    if (out->bytes.size == need) {
        return list_set(md, out, 4, count, entry_size, max);
    }
    if (out->bytes.size == need + 4) { /* padded to 8 bytes after the count */
        return list_set(md, out, 8, count, entry_size, max);
    }
    md->bad_records++;
    return false;
}

bool md_list_ext(sal_minidump_t *md, uint32_t type, uint32_t header_size, uint32_t entry_size,
                 uint32_t max, md_list_t *out)
{
    uint32_t header, size, count;

    if (!sal_minidump_stream(md, type, &out->bytes) || !sal_span_has(&out->bytes, 0, header_size)) {
        return false;
    }
    header = md_u32(&out->bytes, 0);
    size = md_u32(&out->bytes, 4);
    /* a header of 16 bytes has a count of 64 bits; no file holds more than its low half */
    count = header_size == 16 ? (uint32_t)md_u64(&out->bytes, 8) : md_u32(&out->bytes, 8);
    if (header < header_size || size != entry_size ||
        !sal_span_has(&out->bytes, header, (uint64_t)count * size)) {
        md->bad_records++;
        return false;
    }
    return list_set(md, out, header, count, size, max);
}

sal_span_t md_entry(const md_list_t *list, uint32_t i)
{
    sal_span_t s = { NULL, 0, list->bytes.swap };

    sal_span_sub(&list->bytes, list->at + (uint64_t)i * list->size, list->size, &s);
    return s;
}

bool md_range_set(md_range_t *r, uint64_t base, uint64_t size, uint32_t index)
{
    if (!size || base + (size - 1) < base) {
        return false;
    }
    *r = (md_range_t){ base, base + (size - 1), index };
    return true;
}

static int range_order(const void *a, const void *b)
{
    const md_range_t *x = a, *y = b;

    if (x->first != y->first) {
        return x->first < y->first ? -1 : 1;
    }
    if (x->last != y->last) {
        return x->last < y->last ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

size_t md_ranges_keep(md_range_t *r, size_t n)
{
    size_t kept = 0;

    qsort(r, n, sizeof(*r), range_order);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || r[i].first > r[kept - 1].last) {
            r[kept++] = r[i];
        }
    }
    return kept;
}
