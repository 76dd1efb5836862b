/* JSON read in place; see symbolicate_json.h. Knows no request. */
#include "symbolicate/json_text.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"

enum { MAX_DEPTH = 64, MAX_DIGITS = 4300 };

static const char *check_value(const char *p, int depth);

const char *js_space(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
        p++;
    }
    return p;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static const char *check_string(const char *p)
{
    for (p++; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20) {
            return NULL;
        }
        if (*p != '\\') {
            continue;
        }
        p++;
        if (*p == 'u') {
            for (int i = 1; i <= 4; i++) {
                if (hex_digit(p[i]) < 0) {
                    return NULL;
                }
            }
            p += 4;
        } else if (*p == '\0' || !strchr("\"\\/bfnrt", *p)) {
            return NULL;
        }
    }
    return p + 1;
}

static const char *digits_end(const char *p)
{
    while (is_digit(*p)) {
        p++;
    }
    return p;
}

static const char *check_number(const char *p)
{
    const char *start = *p == '-' ? ++p : p;

    if (!is_digit(*p)) {
        return NULL;
    }
    p = *p == '0' ? p + 1 : digits_end(p);
    if (*p != '.' && *p != 'e' && *p != 'E') {
        return p - start > MAX_DIGITS ? NULL : p;
    }
    if (*p == '.') {
        if (!is_digit(*++p)) {
            return NULL;
        }
        p = digits_end(p);
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        if (!is_digit(*p)) {
            return NULL;
        }
        p = digits_end(p);
    }
    return p;
}

static const char *check_members(const char *p, int depth)
{
    p = js_space(p + 1);
    if (*p == '}') {
        return p + 1;
    }
    for (;;) {
        if (*p != '"' || !(p = check_string(p)) || *(p = js_space(p)) != ':' ||
            !(p = check_value(js_space(p + 1), depth))) {
            return NULL;
        }
        p = js_space(p);
        if (*p == '}') {
            return p + 1;
        }
        if (*p != ',') {
            return NULL;
        }
        p = js_space(p + 1);
    }
}

static const char *check_elements(const char *p, int depth)
{
    p = js_space(p + 1);
    if (*p == ']') {
        return p + 1;
    }
    for (;;) {
        if (!(p = check_value(p, depth))) {
            return NULL;
        }
        p = js_space(p);
        if (*p == ']') {
            return p + 1;
        }
        if (*p != ',') {
            return NULL;
        }
        p = js_space(p + 1);
    }
}

static const char *check_value(const char *p, int depth)
{
    static const char *const words[] = { "true", "false", "null" };

    if (depth > MAX_DEPTH) {
        return NULL;
    }
    switch (*p) {
    case '{':
        return check_members(p, depth + 1);
    case '[':
        return check_elements(p, depth + 1);
    case '"':
        return check_string(p);
    default:
        break;
    }
    for (int i = 0; i < 3; i++) {
        if (strncmp(p, words[i], strlen(words[i])) == 0) {
            return p + strlen(words[i]);
        }
    }
    return check_number(p);
}

bool symbolicate_json_check(const char *text, apr_size_t len)
{
    const char *end;

    if (memchr(text, '\0', len) || !sal_utf8_valid(text, len)) {
        return false;
    }
    end = check_value(js_space(text), 0);
    return end && js_space(end) == text + len;
}

static const char *skip_string(const char *p)
{
    for (p++; *p != '"'; p++) {
        p += *p == '\\';
    }
    return p + 1;
}

const char *js_skip(const char *p)
{
    int depth = 0;

    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        depth += *p == '[' || *p == '{';
        depth -= *p == ']' || *p == '}';
        p++;
        if (depth == 0 && p[-1] != ']' && p[-1] != '}') {
            while (*p && !strchr(",]} \t\r\n", *p)) {
                p++; /* the rest of a number or a word */
            }
        }
    } while (depth > 0);
    return p;
}

bool js_is_array(const char *p)
{
    return *p == '[';
}

bool js_is_object(const char *p)
{
    return *p == '{';
}

const char *js_first(const char *array)
{
    const char *p;

    if (!js_is_array(array)) {
        return NULL;
    }
    p = js_space(array + 1);
    return *p == ']' ? NULL : p;
}

const char *js_next(const char *p)
{
    p = js_space(js_skip(p));
    return *p == ',' ? js_space(p + 1) : NULL;
}

const char *js_member(const char *object, const char *key, apr_pool_t *pool)
{
    const char *found = NULL;
    const char *p;

    if (!js_is_object(object)) {
        return NULL;
    }
    for (p = js_space(object + 1); *p == '"';) {
        const char *colon = js_space(skip_string(p));
        const char *value = js_space(colon + 1);
        size_t len = strlen(key);
        bool plain = strncmp(p + 1, key, len) == 0 && p[len + 1] == '"';

        /* Only a name with an escape needs decoding. */
        if (plain || (memchr(p, '\\', (size_t)(colon - p)) && strcmp(js_text(p, pool), key) == 0)) {
            found = value;
        }
        p = js_space(js_skip(value));
        p = *p == ',' ? js_space(p + 1) : p;
    }
    return found;
}

static unsigned four_digits(const char *p)
{
    return (unsigned)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 |
                      hex_digit(p[3]));
}

/* The escape at p (behind the backslash); returns the last byte of it. */
static const char *take_escape(const char *p, char **to)
{
    static const char from[] = "bfnrt";
    static const char into[] = "\b\f\n\r\t";
    const char *named = strchr(from, *p);
    unsigned c;

    if (*p != 'u') {
        *(*to)++ = named ? into[named - from] : *p;
        return p;
    }
    c = four_digits(p + 1);
    p += 4;
    if (c >= 0xd800 && c < 0xdc00 && p[1] == '\\' && p[2] == 'u') {
        unsigned low = four_digits(p + 3);

        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        }
    }
    *to = sal_utf8_put(*to, c == 0 || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c);
    return p;
}

const char *js_text(const char *p, apr_pool_t *pool)
{
    char *out;
    char *to;

    if (*p != '"') {
        return NULL;
    }
    out = to = apr_palloc(pool, (apr_size_t)(skip_string(p) - p));
    for (p++; *p != '"'; p++) {
        if (*p == '\\') {
            p = take_escape(p + 1, &to);
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return out;
}

bool js_integer(const char *p, js_int_t *v)
{
    const char *end;
    uint64_t x = 0;

    *v = (js_int_t){ .negative = *p == '-' };
    p += v->negative;
    end = digits_end(p);
    if (end == p || *end == '.' || *end == 'e' || *end == 'E') {
        return false;
    }
    v->digits = p;
    for (; p < end; p++) {
        unsigned d = (unsigned)(*p - '0');

        if (x > (UINT64_MAX - d) / 10) {
            v->big = true;
            return true;
        }
        x = x * 10 + d;
    }
    v->magnitude = x;
    v->negative = v->negative && x != 0;
    return true;
}

const char *js_big_hex(const char *digits, apr_pool_t *pool)
{
    enum { WORDS = MAX_DIGITS / 9 + 2 }; /* 9 digits fit into 32 bits with room */
    uint32_t words[WORDS] = { 0 };
    size_t n = 1;
    char *out;
    char *to;

    for (const char *end = digits_end(digits); digits < end;) {
        uint64_t carry = 0;
        uint64_t power = 1;

        for (int i = 0; i < 9 && digits < end; i++) {
            carry = carry * 10 + (uint64_t)(*digits++ - '0');
            power *= 10;
        }
        for (size_t i = 0; i < n; i++) {
            carry += words[i] * power;
            words[i] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry && n < WORDS) {
            words[n++] = (uint32_t)carry;
        }
    }
    out = to = apr_palloc(pool, n * 8 + 1);
    to += snprintf(to, 9, "%x", words[n - 1]);
    for (size_t i = n - 1; i > 0; i--) {
        to += snprintf(to, 9, "%08x", words[i - 1]);
    }
    return out;
}
