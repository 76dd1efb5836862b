/*
 * UTF-8 as Unicode defines it (table 3-7): no overlong forms, no surrogates, nothing past
 * U+10FFFF. A bad sequence is replaced the way Unicode recommends and Python does: one U+FFFD for
 * each maximal part that could have started a character.
 */
#include "base/text.h"

#include <string.h>

/*
 * Looks at the sequence at s. Returns its length if it is valid, else minus the number of bytes
 * that one replacement stands for.
 */
static int sequence(const unsigned char *s, apr_size_t len)
{
    unsigned char low = 0x80, high = 0xbf, c = s[0];
    int need;

    if (c < 0x80) {
        return c ? 1 : -1;
    }
    if (c >= 0xc2 && c <= 0xdf) {
        need = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        need = 2;
        low = c == 0xe0 ? 0xa0 : low;
        high = c == 0xed ? 0x9f : high;
    } else if (c >= 0xf0 && c <= 0xf4) {
        need = 3;
        low = c == 0xf0 ? 0x90 : low;
        high = c == 0xf4 ? 0x8f : high;
    } else {
        return -1;
    }
    for (int i = 1; i <= need; i++) {
        if ((apr_size_t)i >= len || s[i] < low || s[i] > high) {
            return -i;
        }
        low = 0x80;
        high = 0xbf;
    }
    return need + 1;
}

bool sal_utf8_valid(const char *s, apr_size_t len)
{
    const unsigned char *at = (const unsigned char *)s;

    while (len) {
        int n = sequence(at, len);

        if (n < 0) {
            return false;
        }
        at += n;
        len -= (apr_size_t)n;
    }
    return true;
}

/* Copies to out if it is given; returns the length in either case. */
static apr_size_t clean_into(char *out, const unsigned char *at, apr_size_t len)
{
    apr_size_t used = 0;

    while (len) {
        int n = sequence(at, len);
        apr_size_t step = (apr_size_t)(n < 0 ? -n : n);
        apr_size_t put = n < 0 ? 3 : step;

        if (out) {
            memcpy(out + used, n < 0 ? "\xef\xbf\xbd" : (const char *)at, put);
        }
        used += put;
        at += step;
        len -= step;
    }
    return used;
}

const char *sal_utf8_clean(const char *s, apr_size_t len, apr_pool_t *p)
{
    apr_size_t size = clean_into(NULL, (const unsigned char *)s, len);
    char *out = apr_palloc(p, size + 1);

    clean_into(out, (const unsigned char *)s, len);
    out[size] = '\0';
    return out;
}

void sal_utf8_cut(char *s, apr_size_t max)
{
    if (strlen(s) <= max) {
        return;
    }
    while (max && ((unsigned char)s[max] & 0xc0) == 0x80) {
        max--;
    }
    s[max] = '\0';
}

char *sal_utf8_put(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}
