/*
 * Text in a minidump: UTF-16 and UTF-8 strings, fixed arrays, lines of Linux files -> UTF-8.
 *
 * Many records may point at one string, so that a small file could ask for gigabytes: all text of
 * a dump together is bounded by MD_MAX_TEXT.
 */
#include "minidump/minidump_private.h"

#include <apr_strings.h>
#include "base/text.h"

/* Before n bytes are looked at: bad text costs time, too. */
static bool look_at(sal_minidump_t *md, size_t n)
{
    if (n >= MD_MAX_LOOKED_AT - md->looked_at) {
        return false;
    }
    md->looked_at += n + 1;
    return true;
}

/* Takes n bytes off the dump's share. */
static bool charge(sal_minidump_t *md, size_t n)
{
    if (n >= MD_MAX_TEXT - md->text_used) {
        return false;
    }
    md->text_used += n;
    return true;
}

/* Code point at unit i; advances i. False for an unpaired surrogate. */
static bool next_point(const sal_span_t *s, uint32_t units, uint32_t *i, uint32_t *c)
{
    uint16_t hi = md_u16(s, (uint64_t)*i * 2), lo;

    (*i)++;
    *c = hi;
    if (hi < 0xd800 || hi > 0xdfff) {
        return true;
    }
    if (hi > 0xdbff || *i == units) {
        return false;
    }
    lo = md_u16(s, (uint64_t)*i * 2);
    if (lo < 0xdc00 || lo > 0xdfff) {
        return false;
    }
    (*i)++;
    *c = 0x10000 + ((uint32_t)(hi - 0xd800) << 10) + (lo - 0xdc00u);
    return true;
}

static size_t utf8_size(uint32_t c)
{
    return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

static const char *utf16_text(sal_minidump_t *md, const sal_span_t *s, uint32_t units)
{
    size_t size = 0;
    uint32_t c;
    char *text, *to;

    if (!look_at(md, (size_t)units * 2)) {
        return NULL;
    }
    for (uint32_t i = 0; i < units;) {
        if (!next_point(s, units, &i, &c)) {
            return NULL;
        }
        size += utf8_size(c);
    }
    if (!charge(md, size + 1)) {
        return NULL;
    }
    text = to = apr_palloc(md->pool, size + 1);
    for (uint32_t i = 0; i < units && next_point(s, units, &i, &c);) {
        to = sal_utf8_put(to, c);
    }
    *to = '\0';
    return text;
}

const char *md_utf16_at(sal_minidump_t *md, uint64_t rva)
{
    sal_span_t s;
    uint32_t size;

    if (!sal_span_u32(&md->file, rva, &size) || size % 2 || size > MD_MAX_STRING ||
        !sal_span_sub(&md->file, rva + 4, size, &s)) {
        return NULL;
    }
    return utf16_text(md, &s, size / 2);
}

const char *md_utf16_fixed(sal_minidump_t *md, const sal_span_t *s, uint64_t at, uint32_t units)
{
    sal_span_t part;
    uint32_t n = 0;

    if (!sal_span_sub(s, at, (uint64_t)units * 2, &part)) {
        return NULL;
    }
    while (n < units && md_u16(&part, (uint64_t)n * 2)) {
        n++;
    }
    return utf16_text(md, &part, n);
}

const char *md_utf8_at(sal_minidump_t *md, uint64_t rva, bool terminated)
{
    sal_span_t s;
    uint32_t size;
    uint8_t end = 0;

    if (!sal_span_u32(&md->file, rva, &size) || size > MD_MAX_STRING ||
        !sal_span_sub(&md->file, rva + 4, size, &s) ||
        (terminated && (!sal_span_u8(&md->file, rva + 4 + size, &end) || end)) ||
        !look_at(md, size) || !sal_utf8_valid((const char *)s.data, s.size) ||
        !charge(md, (size_t)size + 1)) {
        return NULL;
    }
    return apr_pstrmemdup(md->pool, (const char *)s.data, s.size);
}

const char *md_bytes_text(sal_minidump_t *md, const sal_span_t *s)
{
    const uint8_t *end = s->size ? memchr(s->data, 0, s->size) : NULL;
    size_t size = end ? (size_t)(end - s->data) : s->size;

    if (!size) {
        return "";
    }
    if (size > MD_MAX_STRING || !look_at(md, size)) {
        return NULL;
    }
    if (!charge(md, sal_utf8_valid((const char *)s->data, size) ? size + 1 : size * 3 + 1)) {
        return NULL; /* a bad byte becomes three */
    }
    return sal_utf8_clean((const char *)s->data, size, md->pool);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static void trim(const char **s, size_t *n)
{
    while (*n && is_blank((*s)[0])) {
        (*s)++;
        (*n)--;
    }
    while (*n && is_blank((*s)[*n - 1])) {
        (*n)--;
    }
    if (*n >= 2 && (*s)[0] == '"' && (*s)[*n - 1] == '"') {
        (*s)++;
        *n -= 2;
    }
}

bool md_next_line(const sal_span_t *text, char sep, size_t *pos, md_line_t *out)
{
    while (*pos < text->size) {
        const char *line = (const char *)text->data + *pos;
        const char *end = memchr(line, '\n', text->size - *pos);
        size_t len = end ? (size_t)(end - line) : text->size - *pos;
        const char *at = memchr(line, sep, len);

        *pos += len + (end != NULL);
        if (at) {
            out->key = line;
            out->key_len = (size_t)(at - line);
            out->value = at + 1;
            out->value_len = len - out->key_len - 1;
            trim(&out->key, &out->key_len);
            trim(&out->value, &out->value_len);
            return true;
        }
    }
    return false;
}
