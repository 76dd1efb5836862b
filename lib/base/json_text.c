/*
 * JSON as text: compact UTF-8, and the form of Python's json.dumps(sort_keys=True) that hashes and
 * byte comparisons of our peers rest on. Numbers are written as Python writes them in both forms
 * (shortest digits that read back as the same double), without regard to the locale.
 */
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct form_t {
    const char *item;  /* between items */
    const char *colon; /* between key and value */
    int ascii, sorted, indent;
} form_t;

typedef struct buf_t {
    char *data;
    size_t size, room;
    int depth;
} buf_t;

static void put(buf_t *b, const char *s, size_t n)
{
    if (b->room - b->size <= n) {
        size_t room = (b->size + n + 1) * 2;
        char *data = realloc(b->data, room);

        if (!data) {
            abort(); /* as APR does: no caller can continue without memory */
        }
        b->data = data;
        b->room = room;
    }
    memcpy(b->data + b->size, s, n);
    b->size += n;
}

static void put_text(buf_t *b, const char *s)
{
    put(b, s, strlen(s));
}

/* jansson guarantees valid UTF-8, so lead bytes can be trusted. */
static unsigned code_point(const unsigned char *s, size_t *len)
{
    if (s[0] < 0xe0) {
        *len = 2;
        return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
    }
    if (s[0] < 0xf0) {
        *len = 3;
        return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    }
    *len = 4;
    return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

static void put_u(buf_t *b, unsigned unit)
{
    char text[8];

    snprintf(text, sizeof(text), "\\u%04x", unit & 0xffffu);
    put(b, text, 6);
}

static void put_escaped(buf_t *b, unsigned char c)
{
    static const char names[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *at = c ? strchr(names, c) : NULL;
    char pair[2] = { '\\', 0 };

    if (at) {
        pair[1] = letters[at - names];
        put(b, pair, 2);
    } else {
        put_u(b, c);
    }
}

static void put_wide(buf_t *b, const unsigned char *s, size_t *len)
{
    unsigned cp = code_point(s, len);

    if (cp >= 0x10000) {
        put_u(b, 0xd800 + ((cp - 0x10000) >> 10));
        put_u(b, 0xdc00 + ((cp - 0x10000) & 0x3ff));
    } else {
        put_u(b, cp);
    }
}

static void put_string(buf_t *b, const char *text, size_t n, const form_t *form)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + n;

    put(b, "\"", 1);
    while (s < end) {
        const unsigned char *run = s;
        size_t len = 1;

        while (s < end && *s >= 0x20 && *s != '"' && *s != '\\' && (*s < 0x7f || !form->ascii)) {
            s++;
        }
        put(b, (const char *)run, (size_t)(s - run));
        if (s == end) {
            break;
        }
        if (*s >= 0x80) {
            put_wide(b, s, &len);
        } else {
            put_escaped(b, *s);
        }
        s += len;
    }
    put(b, "\"", 1);
}

/* Shortest significant digits of v > 0 that read back as v; *point: v = 0.DIGITS * 10^point. */
static int shortest_digits(double v, char digits[20], int *point)
{
    for (int precision = 0; precision < 17; precision++) {
        char text[40];
        int n = 0;
        const char *e;

        snprintf(text, sizeof(text), "%.*e", precision, v);
        if (precision < 16 && strtod(text, NULL) != v) {
            continue;
        }
        for (e = text; *e != 'e'; e++) {
            if (*e >= '0' && *e <= '9') {
                digits[n++] = *e;
            }
        }
        digits[n] = '\0';
        *point = (int)strtol(e + 1, NULL, 10) + 1;
        return n;
    }
    return 0;
}

static void put_zeros(buf_t *b, int n)
{
    for (; n > 0; n--) {
        put(b, "0", 1);
    }
}

/* repr(float): exponent form below 1e-4 and from 1e16 on, else plain with at least ".0". */
static void put_real(buf_t *b, double v)
{
    char digits[20], exponent[16];
    int point, n;

    if (v < 0 || (v == 0 && __builtin_signbit(v))) {
        put(b, "-", 1);
        v = -v;
    }
    if (v == 0) {
        put(b, "0.0", 3);
        return;
    }
    n = shortest_digits(v, digits, &point);
    if (point > 16 || point < -3) {
        put(b, digits, 1);
        if (n > 1) {
            put(b, ".", 1);
            put(b, digits + 1, (size_t)n - 1);
        }
        snprintf(exponent, sizeof(exponent), "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
        put_text(b, exponent);
    } else if (point <= 0) {
        put(b, "0.", 2);
        put_zeros(b, -point);
        put(b, digits, (size_t)n);
    } else if (point >= n) {
        put(b, digits, (size_t)n);
        put_zeros(b, point - n);
        put(b, ".0", 2);
    } else {
        put(b, digits, (size_t)point);
        put(b, ".", 1);
        put(b, digits + point, (size_t)(n - point));
    }
}

static void put_value(buf_t *b, const json_t *v, const form_t *form);

/* Python indents items, and what closes them, but not an empty list. */
static void put_break(buf_t *b, const form_t *form)
{
    if (form->indent) {
        put(b, "\n", 1);
        for (int n = b->depth * form->indent; n > 0; n--) {
            put(b, " ", 1);
        }
    }
}

static void put_open(buf_t *b, const char *bracket, size_t n, const form_t *form)
{
    put(b, bracket, 1);
    b->depth++;
    if (n) {
        put_break(b, form);
    }
}

static void put_close(buf_t *b, const char *bracket, size_t n, const form_t *form)
{
    b->depth--;
    if (n) {
        put_break(b, form);
    }
    put(b, bracket, 1);
}

static void put_array(buf_t *b, const json_t *v, const form_t *form)
{
    size_t n = json_array_size(v);

    put_open(b, "[", n, form);
    for (size_t i = 0; i < n; i++) {
        if (i) {
            put_text(b, form->item);
            put_break(b, form);
        }
        put_value(b, json_array_get(v, i), form);
    }
    put_close(b, "]", n, form);
}

typedef struct member_t {
    const char *key;
    size_t key_len;
    const json_t *value;
} member_t;

/* Byte order of UTF-8 is code point order, which is Python's. */
static int by_key(const void *a, const void *b)
{
    return strcmp(((const member_t *)a)->key, ((const member_t *)b)->key);
}

static void put_object(buf_t *b, const json_t *v, const form_t *form)
{
    json_t *object = (json_t *)v;
    size_t n = json_object_size(v), i = 0;
    member_t *members = n ? malloc(n * sizeof(*members)) : NULL;

    if (n && !members) {
        abort();
    }
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it), i++) {
        members[i] = (member_t){ json_object_iter_key(it), json_object_iter_key_len(it),
                                 json_object_iter_value(it) };
    }
    if (form->sorted && n) {
        qsort(members, n, sizeof(*members), by_key);
    }
    put_open(b, "{", n, form);
    for (i = 0; i < n; i++) {
        if (i) {
            put_text(b, form->item);
            put_break(b, form);
        }
        put_string(b, members[i].key, members[i].key_len, form);
        put_text(b, form->colon);
        put_value(b, members[i].value, form);
    }
    put_close(b, "}", n, form);
    free(members);
}

static void put_integer(buf_t *b, json_int_t v)
{
    char text[32];

    snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, v);
    put_text(b, text);
}

static void put_value(buf_t *b, const json_t *v, const form_t *form)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        put_object(b, v, form);
        break;
    case JSON_ARRAY:
        put_array(b, v, form);
        break;
    case JSON_STRING:
        put_string(b, json_string_value(v), json_string_length(v), form);
        break;
    case JSON_INTEGER:
        put_integer(b, json_integer_value(v));
        break;
    case JSON_REAL:
        put_real(b, json_real_value(v));
        break;
    case JSON_TRUE:
        put_text(b, "true");
        break;
    case JSON_FALSE:
        put_text(b, "false");
        break;
    case JSON_NULL:
        put_text(b, "null");
        break;
    }
}

static apr_status_t release_text(void *text)
{
    free(text);
    return APR_SUCCESS;
}

static char *dump(const json_t *v, const form_t *form, apr_pool_t *p)
{
    buf_t b = { NULL, 0, 0, 0 };

    if (!v) {
        return NULL;
    }
    put_value(&b, v, form);
    b.data[b.size] = '\0';
    apr_pool_cleanup_register(p, b.data, release_text, apr_pool_cleanup_null);
    return b.data;
}

char *sal_json_text(const json_t *v, apr_pool_t *p)
{
    static const form_t compact = { ",", ":", 0, 0, 0 };

    return dump(v, &compact, p);
}

char *sal_json_python(const json_t *v, apr_pool_t *p)
{
    static const form_t python = { ", ", ": ", 1, 1, 0 };

    return dump(v, &python, p);
}

char *sal_json_sorted(const json_t *v, apr_pool_t *p)
{
    static const form_t sorted = { ",", ":", 1, 1, 0 };

    return dump(v, &sorted, p);
}

char *sal_json_dumps(const json_t *v, bool pretty, apr_pool_t *p)
{
    static const form_t line = { ", ", ": ", 1, 0, 0 }, lines = { ",", ": ", 1, 0, 2 };

    return dump(v, pretty ? &lines : &line, p);
}
