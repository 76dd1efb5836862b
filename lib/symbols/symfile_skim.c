/*
 * A block of a FUNC is some thirty lines, of which who asks for few addresses wants none. Heads are
 * told by their first byte, and an INLINE_ORIGIN from the INLINEs, of which there are many, by its
 * seventh; sixteen bytes at a time where the processor can.
 */
#include "symbols/symfile_skim.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LOOK = 8 }; /* bytes of a line, its LF before it included, that tell a head */

/* What is too short to tell may be one. */
static bool may_be_head(const char *p, const char *end)
{
    switch (*p) {
    case 'F':
    case 'M':
    case 'P':
        return true;
    case 'I':
        return end - p < LOOK - 1 || p[6] == '_' || p[2] == 'F';
    default:
        return false;
    }
}

#ifdef __SSE2__
static __m128i equals(const char *p, char c)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8(c));
}

/* The LF before a head, or where fewer bytes are left than a look takes. */
static const char *before_head(const char *p, const char *end)
{
    for (; end - p >= 16 + LOOK; p += 16) {
        __m128i first =
            _mm_or_si128(_mm_or_si128(equals(p + 1, 'F'), equals(p + 1, 'P')), equals(p + 1, 'M'));
        __m128i origin =
            _mm_and_si128(equals(p + 1, 'I'), _mm_or_si128(equals(p + 7, '_'), equals(p + 3, 'F')));
        int found = _mm_movemask_epi8(_mm_and_si128(equals(p, '\n'), _mm_or_si128(first, origin)));

        if (found) {
            return p + __builtin_ctz((unsigned)found);
        }
    }
    return p;
}
#else
static const char *before_head(const char *p, const char *end)
{
    (void)end;
    return p;
}
#endif

const char *symfile_next_head(const char *data, const char *end, bool *inside)
{
    if (data == end) {
        return end;
    }
    if (!*inside && may_be_head(data, end)) {
        return data;
    }
    for (data = before_head(data, end);; data = before_head(data, end)) {
        const char *lf = memchr(data, '\n', (size_t)(end - data));

        *inside = !lf;
        if (!lf || lf + 1 == end) {
            return end;
        }
        data = lf + 1;
        if (may_be_head(data, end)) {
            return data;
        }
    }
}
