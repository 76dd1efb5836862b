/*
 * JSON text through one buffer to the sink: an answer of any size costs 64 KiB. What is not UTF-8
 * becomes U+FFFD.
 */
#include "symbolicate/out.h"

#include <stdio.h>
#include <apr_strings.h>
#include "base/text.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

out_t *out_make(sal_symbolicate_sink_t sink, void *baton, apr_pool_t *p)
{
    out_t *o = apr_palloc(p, sizeof(*o));

    o->sink = sink;
    o->baton = baton;
    o->sent = o->deaf = false;
    o->used = 0;
    apr_pool_create(&o->scratch, p);
    return o;
}

static void out_flush(out_t *o, bool last)
{
    if (o->used > 0 && !o->deaf) {
        o->deaf = !o->sink(o->baton, o->buffer, o->used, last && !o->sent);
        o->sent = true;
    }
    o->used = 0;
}

static void out_bytes(out_t *o, const char *s, size_t len)
{
    while (len > 0) {
        size_t n = len < sizeof(o->buffer) - o->used ? len : sizeof(o->buffer) - o->used;

        memcpy(o->buffer + o->used, s, n);
        o->used += n;
        s += n;
        len -= n;
        if (o->used == sizeof(o->buffer)) {
            out_flush(o, false);
        }
    }
}

void out_text(out_t *o, const char *s)
{
    out_bytes(o, s, strlen(s));
}

static void out_escape(out_t *o, unsigned char c)
{
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *at = strchr(named, c);
    char text[8];

    if (c != 0 && at) {
        snprintf(text, sizeof(text), "\\%c", letters[at - named]);
    } else {
        snprintf(text, sizeof(text), "\\u%04x", c);
    }
    out_text(o, text);
}

static void out_valid(out_t *o, const char *s, size_t len)
{
    size_t plain = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
            out_bytes(o, s + plain, i - plain);
            out_escape(o, c);
            plain = i + 1;
        }
    }
    out_bytes(o, s + plain, len - plain);
}

/* Stands in JSON as it is. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#ifdef __SSE2__
static bool are_plain(const char *s)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)s);
    __m128i bad = _mm_or_si128(
        _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), /* signed: over 0x7f too */
                     _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))),
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                     _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));

    return _mm_movemask_epi8(bad) == 0;
}
#endif

/* Nearly all names and paths are: one look at each byte is half of what an answer costs. */
static bool all_plain(const char *s, size_t len)
{
    size_t i = 0;

#ifdef __SSE2__
    if (len >= 16) {
        for (; len - i > 16; i += 16) {
            if (!are_plain(s + i)) {
                return false;
            }
        }
        return are_plain(s + len - 16);
    }
#endif
    while (i < len && is_plain((unsigned char)s[i])) {
        i++;
    }
    return i == len;
}

void out_inside(out_t *o, const char *s, size_t len)
{
    if (all_plain(s, len)) {
        out_bytes(o, s, len);
        return;
    }
    if (memchr(s, '\0', len) || !sal_utf8_valid(s, len)) {
        const char *clean = sal_utf8_clean(s, len, o->scratch);

        out_valid(o, clean, strlen(clean));
        apr_pool_clear(o->scratch);
        return;
    }
    out_valid(o, s, len);
}

void out_string(out_t *o, const char *s, size_t len)
{
    out_bytes(o, "\"", 1);
    out_inside(o, s, len);
    out_bytes(o, "\"", 1);
}

/* Numbers are a third of an answer: no printf. */
static void out_digits(out_t *o, uint64_t v, unsigned base)
{
    char text[24];
    size_t at = sizeof(text);

    do {
        text[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    out_bytes(o, text + at, sizeof(text) - at);
}

void out_number(out_t *o, uint64_t v)
{
    out_digits(o, v, 10);
}

void out_hex(out_t *o, uint64_t v)
{
    out_bytes(o, "0x", 2);
    out_digits(o, v, 16);
}

void out_finish(out_t *o)
{
    out_flush(o, true);
}
