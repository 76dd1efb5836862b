/*
 * MessagePack to JSON. Every length is checked against what is left before it is believed.
 */
#include "crash/msgpack.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef struct scan_t {
    const unsigned char *at, *end;
    int values;
    apr_status_t fault;
} scan_t;

static json_t *fault(scan_t *s, apr_status_t rv)
{
    if (s->fault == APR_SUCCESS) {
        s->fault = rv;
    }
    return NULL;
}

/* n bytes, big-endian; false at the end of the input. */
static bool take_uint(scan_t *s, int n, uint64_t *v)
{
    if (s->end - s->at < n) {
        return false;
    }
    for (*v = 0; n; n--) {
        *v = *v << 8 | *s->at++;
    }
    return true;
}

static json_t *read_value(scan_t *s, int depth);

static json_t *read_text(scan_t *s, uint64_t len)
{
    json_t *text;

    if (len > (uint64_t)(s->end - s->at)) {
        return fault(s, SAL_E_MALFORMED);
    }
    text = json_stringn((const char *)s->at, (size_t)len);
    s->at += len;
    return text ? text : json_null(); /* no UTF-8 */
}

static json_t *skip(scan_t *s, uint64_t len)
{
    if (len > (uint64_t)(s->end - s->at)) {
        return fault(s, SAL_E_MALFORMED);
    }
    s->at += len;
    return json_null();
}

static json_t *read_array(scan_t *s, uint64_t n, int depth)
{
    json_t *array;

    if (n > (uint64_t)(s->end - s->at)) { /* a value has a byte at least */
        return fault(s, SAL_E_MALFORMED);
    }
    array = json_array();
    while (n-- && s->fault == APR_SUCCESS) {
        json_t *v = read_value(s, depth + 1);

        if (v) {
            json_array_append_new(array, v);
        }
    }
    return array;
}

static json_t *read_map(scan_t *s, uint64_t n, int depth)
{
    json_t *map;

    if (n > (uint64_t)(s->end - s->at) / 2) {
        return fault(s, SAL_E_MALFORMED);
    }
    map = json_object();
    while (n-- && s->fault == APR_SUCCESS) {
        json_t *key = read_value(s, depth + 1);
        json_t *v = s->fault == APR_SUCCESS ? read_value(s, depth + 1) : NULL;

        if (v && json_is_string(key) &&
            !memchr(json_string_value(key), 0, json_string_length(key))) {
            json_object_set(map, json_string_value(key), v);
        }
        json_decref(v);
        json_decref(key);
    }
    return map;
}

static json_t *read_float(scan_t *s, int n)
{
    uint64_t bits;
    double d;

    if (!take_uint(s, n, &bits)) {
        return fault(s, SAL_E_MALFORMED);
    }
    if (n == 4) {
        uint32_t half = (uint32_t)bits;
        float f;

        memcpy(&f, &half, sizeof(f));
        d = (double)f;
    } else {
        memcpy(&d, &bits, sizeof(d));
    }
    return isfinite(d) ? json_real(d) : json_null();
}

static json_t *read_int(scan_t *s, int n, bool is_signed)
{
    uint64_t v;
    int64_t i;

    if (!take_uint(s, n, &v)) {
        return fault(s, SAL_E_MALFORMED);
    }
    if (!is_signed) {
        return v > INT64_MAX ? json_real((double)v) : json_integer((json_int_t)v);
    }
    v <<= 64 - 8 * n;
    memcpy(&i, &v, sizeof(i));
    return json_integer(i >> (64 - 8 * n));
}

/* The forms whose length stands in 1, 2 or 4 bytes behind the first. */
static json_t *read_long(scan_t *s, unsigned char c, int depth)
{
    static const int widths[] = { 1, 2, 4 };
    uint64_t n;
    int width = c >= 0xdc ? 2 << (c & 1) : widths[c >= 0xd9 ? c - 0xd9 : (c - 0xc4) % 3];

    if (!take_uint(s, width, &n)) {
        return fault(s, SAL_E_MALFORMED);
    }
    if (c >= 0xde) {
        return read_map(s, n, depth);
    }
    if (c >= 0xdc) {
        return read_array(s, n, depth);
    }
    if (c >= 0xd9) {
        return read_text(s, n);
    }
    return skip(s, c >= 0xc7 ? n + 1 : n); /* ext has its type byte, bin has none */
}

static json_t *read_value(scan_t *s, int depth)
{
    unsigned char c;

    if (depth > SAL_MSGPACK_DEPTH_MAX || ++s->values > SAL_MSGPACK_VALUES_MAX) {
        return fault(s, SAL_E_TOOBIG);
    }
    if (s->at >= s->end) {
        return fault(s, SAL_E_MALFORMED);
    }
    c = *s->at++;
    if (c < 0x80 || c >= 0xe0) {
        return json_integer(c < 0x80 ? c : (int)c - 256);
    }
    if (c < 0x90) {
        return read_map(s, c & 15, depth);
    }
    if (c < 0xa0) {
        return read_array(s, c & 15, depth);
    }
    if (c < 0xc0) {
        return read_text(s, c & 31);
    }
    switch (c) {
    case 0xc0:
        return json_null();
    case 0xc1:
        return fault(s, SAL_E_MALFORMED);
    case 0xc2:
    case 0xc3:
        return json_boolean(c == 0xc3);
    case 0xca:
    case 0xcb:
        return read_float(s, c == 0xca ? 4 : 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return read_int(s, 1 << (c - 0xcc), false);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return read_int(s, 1 << (c - 0xd0), true);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return skip(s, (1u << (c - 0xd4)) + 1);
    default:
        return read_long(s, c, depth);
    }
}

apr_status_t sal_msgpack_read(json_t **out, const void *data, apr_size_t size, sal_error_t *err)
{
    scan_t s = { data, (const unsigned char *)data + size, 0, APR_SUCCESS };
    json_t *v = read_value(&s, 0);

    if (s.fault == APR_SUCCESS && v) {
        *out = v;
        return APR_SUCCESS;
    }
    json_decref(v);
    return sal_fail_at(err, s.fault == APR_SUCCESS ? APR_ENOMEM : s.fault,
                       (apr_uint64_t)(s.at - (const unsigned char *)data), "MessagePack: %s",
                       s.fault == SAL_E_TOOBIG ? "too deep, or too many values" : "broken");
}
