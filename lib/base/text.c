/*
 * Text helpers: hex, numbers, sizes, durations, basenames, SHA-256. Times are in time.c, UTF-8 in
 * utf8.c. Everything is locale-free and refuses what it does not fully understand.
 */
#include "base/text.h"

#include <string.h>

void sal_hex(char *out, const void *data, apr_size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = data;

    for (apr_size_t i = 0; i < size; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sal_parse_hex(const char *s, apr_size_t len, uint64_t *v)
{
    uint64_t value = 0;

    if (len < 1 || len > 16) {
        return false;
    }
    for (apr_size_t i = 0; i < len; i++) {
        int digit = hex_digit(s[i]);

        if (digit < 0) {
            return false;
        }
        value = value << 4 | (unsigned)digit;
    }
    *v = value;
    return true;
}

/* Leading decimal digits; *rest is what follows. False without a digit or past 2^64-1. */
static bool leading_number(const char *s, uint64_t *v, const char **rest)
{
    uint64_t value = 0;
    const char *at = s;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return false;
        }
    }
    *v = value;
    *rest = at;
    return at != s;
}

bool sal_parse_int(const char *s, int64_t min, int64_t max, int64_t *v)
{
    bool negative = *s == '-';
    uint64_t magnitude;
    int64_t value;
    const char *rest;

    if (!leading_number(s + negative, &magnitude, &rest) || *rest) {
        return false;
    }
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (value < min || value > max) {
        return false;
    }
    *v = value;
    return true;
}

typedef struct unit_t {
    const char *name;
    uint64_t factor;
} unit_t;

static bool number_with_unit(const char *s, const unit_t *units, uint64_t *v)
{
    uint64_t value;
    const char *rest;

    if (!leading_number(s, &value, &rest)) {
        return false;
    }
    for (; units->name; units++) {
        if (!strcmp(rest, units->name)) {
            return !__builtin_mul_overflow(value, units->factor, v);
        }
    }
    return false;
}

bool sal_parse_size(const char *s, uint64_t *v)
{
    static const unit_t units[] = {
        { "", 1 },        { "k", 1 << 10 },           { "K", 1 << 10 },
        { "m", 1 << 20 }, { "M", 1 << 20 },           { "g", 1 << 30 },
        { "G", 1 << 30 }, { "t", UINT64_C(1) << 40 }, { "T", UINT64_C(1) << 40 },
        { NULL, 0 },
    };

    return number_with_unit(s, units, v);
}

bool sal_parse_duration(const char *s, int64_t *seconds)
{
    static const unit_t units[] = {
        { "", 1 }, { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 }, { NULL, 0 },
    };
    uint64_t value;

    if (!number_with_unit(s, units, &value) || value > INT64_MAX) {
        return false;
    }
    *seconds = (int64_t)value;
    return true;
}

const char *sal_basename(const char *s)
{
    const char *last = s;

    for (; *s; s++) {
        if (*s == '/' || *s == '\\') {
            last = s + 1;
        }
    }
    return last;
}
