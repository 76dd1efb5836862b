/*
 * Packed JSON: a writer that fills one buffer, a reader that believes no length.
 */
#include "base/json_pack.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { KEYS = 1024, SLOTS = 2048, KEY_MAX = 1024 }; /* keys that are numbered; the others are new */

/* ---- writing ---- */

typedef struct writer_t {
    unsigned char *data;
    size_t size, room;
    bool failed;
    unsigned n_keys;
    const char *key[KEYS];
    uint16_t slot[SLOTS]; /* number + 1 of the key, by hash */
} writer_t;

static unsigned char *room_for(writer_t *w, size_t n)
{
    if (w->room - w->size < n) {
        size_t room = (w->size + n) * 2 + 65536;
        unsigned char *data = w->failed ? NULL : realloc(w->data, room);

        if (!data) {
            w->failed = true;
            return NULL;
        }
        w->data = data;
        w->room = room;
    }
    return w->data + w->size;
}

static void put_bytes(writer_t *w, const void *bytes, size_t n)
{
    unsigned char *at = room_for(w, n);

    if (at) {
        memcpy(at, bytes, n);
        w->size += n;
    }
}

static void put_tag(writer_t *w, char tag)
{
    put_bytes(w, &tag, 1);
}

static void put_count(writer_t *w, uint64_t n)
{
    unsigned char bytes[10];
    size_t len = 0;

    do {
        bytes[len++] = (unsigned char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
        n >>= 7;
    } while (n);
    put_bytes(w, bytes, len);
}

static void put_string(writer_t *w, const char *s, size_t n)
{
    put_count(w, n);
    put_bytes(w, s, n);
}

/* Keys of a document are few, and each is there many times. */
static void put_key(writer_t *w, const char *key)
{
    unsigned hash = 5381;
    unsigned at; /* free slots remain: there are twice as many as keys */

    for (const char *c = key; *c; c++) {
        hash = hash * 33 + (unsigned char)*c;
    }
    for (at = hash % SLOTS; w->slot[at]; at = (at + 1) % SLOTS) {
        unsigned number = w->slot[at] - 1u;

        if (!strcmp(w->key[number], key)) {
            put_count(w, number);
            return;
        }
    }
    put_count(w, w->n_keys);
    put_string(w, key, strlen(key));
    if (w->n_keys < KEYS) {
        w->key[w->n_keys++] = key;
        w->slot[at] = (uint16_t)w->n_keys;
    }
}

static void put_value(writer_t *w, const json_t *v, int depth);

static void put_object(writer_t *w, const json_t *v, int depth)
{
    put_tag(w, 'o');
    put_count(w, json_object_size(v));
    for (void *at = json_object_iter((json_t *)v); at;
         at = json_object_iter_next((json_t *)v, at)) {
        put_key(w, json_object_iter_key(at));
        put_value(w, json_object_iter_value(at), depth);
    }
}

static void put_array(writer_t *w, const json_t *v, int depth)
{
    size_t n = json_array_size(v);

    put_tag(w, 'a');
    put_count(w, n);
    for (size_t i = 0; i < n; i++) {
        put_value(w, json_array_get(v, i), depth);
    }
}

static void put_number(writer_t *w, const json_t *v)
{
    int64_t i = json_is_integer(v) ? json_integer_value(v) : 0;
    double d = json_real_value(v);

    put_tag(w, json_is_integer(v) ? 'i' : 'd');
    put_bytes(w, json_is_integer(v) ? (const void *)&i : &d, 8);
}

static void put_value(writer_t *w, const json_t *v, int depth)
{
    if (depth >= SAL_JSON_PACK_DEPTH) {
        w->failed = true;
        return;
    }
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        put_object(w, v, depth + 1);
        break;
    case JSON_ARRAY:
        put_array(w, v, depth + 1);
        break;
    case JSON_STRING:
        put_tag(w, 's');
        put_string(w, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        put_number(w, v);
        break;
    default:
        put_tag(w, json_is_true(v) ? 't' : json_is_false(v) ? 'f' : 'n');
    }
}

apr_status_t sal_json_pack(void **out, apr_size_t *size, const json_t *v)
{
    writer_t *w = calloc(1, sizeof(*w));
    bool failed;

    *out = NULL;
    *size = 0;
    if (!w) {
        return APR_ENOMEM;
    }
    put_value(w, v, 0);
    if (!(failed = w->failed)) {
        *out = w->data;
        *size = w->size;
    } else {
        free(w->data);
    }
    free(w);
    return failed ? APR_ENOMEM : APR_SUCCESS;
}

/* ---- reading ---- */

typedef struct pack_key_t {
    const char *s;
    size_t len;
} pack_key_t;

typedef struct packed_t {
    const unsigned char *at, *end;
    const char *why; /* NULL: well so far */
    unsigned values, n_keys;
    pack_key_t key[KEYS];
} packed_t;

static json_t *wrong(packed_t *r, const char *why)
{
    r->why = r->why ? r->why : why;
    return NULL;
}

static uint64_t take_count(packed_t *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 63 && r->at < r->end; shift += 7) {
        unsigned char c = *r->at++;

        n |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            return n;
        }
    }
    wrong(r, "a number that has no end");
    return 0;
}

static const char *take_bytes(packed_t *r, uint64_t n)
{
    const char *at = (const char *)r->at;

    if (r->why || n > (uint64_t)(r->end - r->at)) {
        wrong(r, "a length that goes beyond the end");
        return NULL;
    }
    r->at += n;
    return at;
}

static bool take_key(packed_t *r, pack_key_t *key)
{
    uint64_t number = take_count(r), len;
    const char *s;

    if (!r->why && number < r->n_keys) {
        *key = r->key[number];
        return true;
    }
    len = number == r->n_keys ? take_count(r) : KEY_MAX + 1;
    s = len <= KEY_MAX ? take_bytes(r, len) : NULL;
    if (!s || r->why || memchr(s, '\0', (size_t)len) || !sal_utf8_valid(s, (size_t)len)) {
        wrong(r, "a key that is none");
        return false;
    }
    *key = (pack_key_t){ s, (size_t)len };
    if (r->n_keys < KEYS) {
        r->key[r->n_keys++] = *key;
    }
    return true;
}

static json_t *take_value(packed_t *r, int depth);

static json_t *take_object(packed_t *r, int depth)
{
    uint64_t n = take_count(r);
    json_t *o = json_object();

    for (uint64_t i = 0; i < n && !r->why; i++) {
        pack_key_t key;
        json_t *v = take_key(r, &key) ? take_value(r, depth) : NULL;

        if (v && json_object_setn_new_nocheck(o, key.s, key.len, v) != 0) {
            wrong(r, "no memory");
        }
    }
    return o;
}

static json_t *take_array(packed_t *r, int depth)
{
    uint64_t n = take_count(r);
    json_t *a = json_array();

    for (uint64_t i = 0; i < n && !r->why; i++) {
        json_t *v = take_value(r, depth);

        if (v && json_array_append_new(a, v) != 0) {
            wrong(r, "no memory");
        }
    }
    return a;
}

static json_t *take_string(packed_t *r)
{
    uint64_t n = take_count(r);
    const char *s = take_bytes(r, n);
    json_t *v = s ? json_stringn(s, (size_t)n) : NULL;

    return v ? v : wrong(r, "a string that is not UTF-8");
}

static json_t *take_number(packed_t *r, char tag)
{
    const char *s = take_bytes(r, 8);
    json_t *v = NULL;
    int64_t i;
    double d;

    if (s && tag == 'i') {
        memcpy(&i, s, sizeof(i));
        v = json_integer(i);
    } else if (s) {
        memcpy(&d, s, sizeof(d));
        v = json_real(d); /* NULL if it is no number */
    }
    return v ? v : wrong(r, "a number that is none");
}

static json_t *take_value(packed_t *r, int depth)
{
    const char *tag = take_bytes(r, 1);

    if (!tag || depth >= SAL_JSON_PACK_DEPTH || ++r->values > SAL_JSON_PACK_VALUES) {
        return wrong(r, "more than there may be");
    }
    switch (*tag) {
    case 'o':
        return take_object(r, depth + 1);
    case 'a':
        return take_array(r, depth + 1);
    case 's':
        return take_string(r);
    case 'i':
    case 'd':
        return take_number(r, *tag);
    case 't':
        return json_true();
    case 'f':
        return json_false();
    case 'n':
        return json_null();
    default:
        return wrong(r, "a value of no kind");
    }
}

apr_status_t sal_json_unpack(json_t **out, const void *data, apr_size_t size, sal_error_t *err)
{
    packed_t *r = calloc(1, sizeof(*r));
    apr_status_t rv = APR_SUCCESS;

    *out = NULL;
    if (!r) {
        return sal_fail(err, APR_ENOMEM, "packed JSON: no memory");
    }
    r->at = data;
    r->end = r->at + size;
    *out = take_value(r, 0);
    if (!r->why && r->at != r->end) {
        r->why = "something behind its end";
    }
    if (r->why) {
        json_decref(*out);
        *out = NULL;
        rv = sal_fail(err, SAL_E_MALFORMED, "packed JSON has %s at byte %llu", r->why,
                      (unsigned long long)(r->at - (const unsigned char *)data));
    }
    free(r);
    return rv;
}
