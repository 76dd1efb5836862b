/*
 * Counted text for the signature room; see sig_text.h.
 */
#include "signature/sig_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <apr_strings.h>
#include "base/json.h"

#define SHORT 256

void sig_buf_init(buf_t *b, apr_pool_t *p)
{
    *b = (buf_t){ .p = p };
}

void sig_buf_reserve(buf_t *b, size_t n, apr_pool_t *p)
{
    *b = (buf_t){ .s = apr_palloc(p, n), .cap = n, .p = p };
}

void sig_buf_add(buf_t *b, const char *s, size_t n)
{
    if (b->n + n + 1 > b->cap) {
        size_t cap = (b->n + n + 1) * 2;
        char *grown = apr_palloc(b->p, cap < 64 ? 64 : cap);

        if (b->n) {
            memcpy(grown, b->s, b->n);
        }
        b->s = grown;
        b->cap = cap < 64 ? 64 : cap;
    }
    if (n) {
        memcpy(b->s + b->n, s, n);
        b->n += n;
    }
}

void sig_buf_str(buf_t *b, str_t v)
{
    sig_buf_add(b, v.s, v.n);
}

void sig_buf_lit(buf_t *b, const char *s)
{
    sig_buf_add(b, s, strlen(s));
}

str_t sig_buf_done(buf_t *b)
{
    sig_buf_add(b, "", 0);
    b->s[b->n] = '\0';
    return (str_t){ b->s, b->n };
}

str_t sig_cat(apr_pool_t *p, str_t a, str_t b, str_t c)
{
    buf_t out;

    sig_buf_reserve(&out, a.n + b.n + c.n + 1, p);
    sig_buf_str(&out, a);
    sig_buf_str(&out, b);
    sig_buf_str(&out, c);
    return sig_buf_done(&out);
}

bool sig_eq(str_t a, str_t b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

bool sig_starts(str_t s, str_t with)
{
    return s.n >= with.n && (with.n == 0 || memcmp(s.s, with.s, with.n) == 0);
}

bool sig_ends(str_t s, str_t with)
{
    return s.n >= with.n && (with.n == 0 || memcmp(s.s + s.n - with.n, with.s, with.n) == 0);
}

/* memmem prepares tables first, which a short text does not pay back. */
static size_t find_short(str_t s, str_t what, size_t from)
{
    const char *at = s.s + from, *last = s.s + s.n - what.n;

    while (at <= last && (at = memchr(at, what.s[0], (size_t)(last - at) + 1)) != NULL) {
        if (memcmp(at, what.s, what.n) == 0) {
            return (size_t)(at - s.s);
        }
        at++;
    }
    return SIZE_MAX;
}

size_t sig_find(str_t s, str_t what, size_t from)
{
    const char *hit;

    if (from > s.n || what.n == 0) {
        return SIZE_MAX;
    }
    if (s.n - from < what.n) {
        return SIZE_MAX;
    }
    if (s.n - from <= SHORT) {
        return find_short(s, what, from);
    }
    hit = memmem(s.s + from, s.n - from, what.s, what.n);
    return hit ? (size_t)(hit - s.s) : SIZE_MAX;
}

bool sig_has(str_t s, str_t what)
{
    return sig_find(s, what, 0) != SIZE_MAX;
}

str_t sig_sub(str_t s, size_t from, size_t to)
{
    return (str_t){ s.s + from, to - from };
}

uint32_t sig_next(str_t s, size_t *i)
{
    unsigned char c = (unsigned char)s.s[(*i)++];
    int more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    uint32_t v = more == 0 ? c : c & (0x3Fu >> more);

    while (more-- > 0 && *i < s.n) {
        v = v << 6 | ((unsigned char)s.s[(*i)++] & 0x3Fu);
    }
    return v;
}

bool sig_is_blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_graph(char c)
{
    return c > ' ' && c <= '~';
}

str_t sig_strip(str_t s)
{
    size_t i = 0, from = 0;

    if (s.n && is_graph(s.s[0]) && is_graph(s.s[s.n - 1])) {
        return s;
    }
    while (i < s.n && sig_is_blank(sig_next(s, &i))) {
        from = i;
    }
    s = sig_sub(s, from, s.n);
    while (s.n > 0) {
        size_t start = s.n - 1;

        while (start > 0 && ((unsigned char)s.s[start] & 0xC0) == 0x80) {
            start--;
        }
        i = start;
        if (!sig_is_blank(sig_next(s, &i))) {
            break;
        }
        s.n = start;
    }
    return s;
}

/* Eight bytes at a time: none above '~' (also none of several bytes), none below a space. */
bool sig_printable(str_t s)
{
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
    size_t i = 0;

    for (; i + sizeof(uint64_t) <= s.n; i += sizeof(uint64_t)) {
        uint64_t v;

        memcpy(&v, s.s + i, sizeof(v));
        if ((v | (v + ones) | ~((v | tops) - ones * ' ')) & tops) {
            return false;
        }
    }
    for (; i < s.n; i++) {
        if (s.s[i] < ' ' || s.s[i] > '~') {
            return false;
        }
    }
    return true;
}

size_t sig_points(str_t s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.s[i] & 0xC0) != 0x80;
    }
    return n;
}

str_t sig_head(str_t s, size_t n)
{
    size_t i = 0;

    while (n-- > 0 && i < s.n) {
        sig_next(s, &i);
    }
    return sig_sub(s, 0, i);
}

bool sig_truthy(const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT:
        return json_object_size(v) > 0;
    case JSON_ARRAY:
        return json_array_size(v) > 0;
    case JSON_STRING:
        return json_string_length(v) > 0;
    case JSON_INTEGER:
        return json_integer_value(v) != 0;
    case JSON_REAL:
        return json_real_value(v) != 0;
    case JSON_TRUE:
        return true;
    default:
        return false;
    }
}

str_t sig_of(const json_t *v)
{
    return (str_t){ json_string_value(v), json_string_length(v) };
}

/* The shortest decimal text that reads back as the same number, always with a point or exponent. */
static str_t real_text(double d, apr_pool_t *p)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d) {
            break;
        }
    }
    if (!strpbrk(text, ".en")) {
        strncat(text, ".0", sizeof(text) - strlen(text) - 1);
    }
    return (str_t){ apr_pstrdup(p, text), strlen(text) };
}

str_t sig_pystr(const json_t *v, apr_pool_t *p)
{
    const char *text;

    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        return sig_of(v);
    case JSON_INTEGER:
        text = apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(v));
        break;
    case JSON_REAL:
        return real_text(json_real_value(v), p);
    case JSON_TRUE:
        return STR("True");
    case JSON_FALSE:
        return STR("False");
    case JSON_NULL:
        return STR("None");
    default:
        text = sal_json_python(v, p);
    }
    return (str_t){ text, strlen(text) };
}

bool sig_pyint(str_t s, int64_t *v)
{
    size_t i = 0;
    bool negative = false, overflow = false, digit = false;
    int64_t value = 0;

    s = sig_strip(s);
    if (s.n && (s.s[0] == '-' || s.s[0] == '+')) {
        negative = s.s[i++] == '-';
    }
    for (; i < s.n; i++) {
        if (s.s[i] == '_' && digit) {
            digit = false;
            continue;
        }
        if (s.s[i] < '0' || s.s[i] > '9') {
            return false;
        }
        digit = true;
        overflow = overflow || __builtin_mul_overflow(value, 10, &value) ||
                   __builtin_add_overflow(value, s.s[i] - '0', &value);
    }
    if (!digit) {
        return false;
    }
    value = overflow ? INT64_MAX : value;
    *v = negative ? -value : value;
    return true;
}
