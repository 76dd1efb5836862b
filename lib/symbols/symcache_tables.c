/*
 * Growing tables of the symcache builder. Memory is the heap's, not a pool's: tables double as they
 * grow, and a pool would keep every size they once had.
 */
#include "symbols/symcache_build.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

bool symx_reserve(symx_vec_t *v, size_t more)
{
    size_t want = v->count + more;
    void *grown;

    if (want <= v->capacity) {
        return true;
    }
    if (want < v->capacity + v->capacity / 2) {
        want = v->capacity + v->capacity / 2;
    }
    want = want < 64 ? 64 : want;
    grown = realloc(v->data, want * v->element);
    if (!grown) {
        return false;
    }
    v->data = grown;
    v->capacity = want;
    return true;
}

void *symx_push(symx_vec_t *v)
{
    if (v->count >= SYMX_NONE - 1 || !symx_reserve(v, 1)) {
        return NULL;
    }
    return (char *)v->data + v->element * v->count++;
}

static uint32_t mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ x >> 16;
}

static bool map_grow(symx_map_t *m)
{
    uint32_t old = m->capacity, capacity = old ? old * 2 : 256;
    symx_map_t wider = *m;

    wider.slots = calloc(capacity, sizeof(*m->slots));
    wider.capacity = capacity;
    if (!wider.slots) {
        return false;
    }
    for (uint32_t i = 0; i < old; i++) {
        uint32_t at = mix(m->slots[i].key) & (capacity - 1);

        if (m->slots[i].value == 0) {
            continue;
        }
        while (wider.slots[at].value != 0) {
            at = (at + 1) & (capacity - 1);
        }
        wider.slots[at] = m->slots[i];
    }
    free(m->slots);
    *m = wider;
    return true;
}

static bool dense_grow(symx_map_t *m, uint32_t key)
{
    uint32_t want = m->n_dense ? m->n_dense : 1024;
    uint32_t *wider;

    while (want <= key) {
        want *= 2;
    }
    wider = calloc(want, sizeof(*wider));
    if (!wider) {
        return false;
    }
    if (m->n_dense) {
        memcpy(wider, m->dense, m->n_dense * sizeof(*wider));
    }
    free(m->dense);
    m->dense = wider;
    m->n_dense = want;
    return true;
}

bool symx_map_get(symx_map_t *m, uint32_t key, uint32_t **value)
{
    uint32_t at;

    if (key < m->n_dense || (key < SYMX_DENSE_KEYS && dense_grow(m, key))) {
        *value = &m->dense[key];
        return true;
    }
    if (key < SYMX_DENSE_KEYS ||
        (m->count >= m->capacity / 2 && (m->capacity > UINT32_MAX / 4 || !map_grow(m)))) {
        return false;
    }
    at = mix(key) & (m->capacity - 1);
    while (m->slots[at].value != 0 && m->slots[at].key != key) {
        at = (at + 1) & (m->capacity - 1);
    }
    if (m->slots[at].value == 0) {
        m->slots[at].key = key;
        m->count++;
    }
    *value = &m->slots[at].value;
    return true;
}

uint32_t symx_map_peek(const symx_map_t *m, uint32_t key)
{
    uint32_t at;

    if (key < SYMX_DENSE_KEYS || m->capacity == 0) {
        return key < m->n_dense ? m->dense[key] : 0;
    }
    at = mix(key) & (m->capacity - 1);
    while (m->slots[at].value != 0 && m->slots[at].key != key) {
        at = (at + 1) & (m->capacity - 1);
    }
    return m->slots[at].value;
}

static uint32_t hash_text(const char *s, size_t len)
{
    return (uint32_t)XXH3_64bits(s, len);
}

static bool str_grow(symx_build_t *b)
{
    uint32_t old = b->str_table.capacity, capacity = old ? old * 2 : 1024;
    symx_slot_t *slots = calloc(capacity, sizeof(*slots));

    if (!slots) {
        return false;
    }
    for (uint32_t i = 0; i < old; i++) {
        uint32_t at = b->str_table.slots[i].hash & (capacity - 1);

        if (b->str_table.slots[i].index == 0) {
            continue;
        }
        while (slots[at].index != 0) {
            at = (at + 1) & (capacity - 1);
        }
        slots[at] = b->str_table.slots[i];
    }
    free(b->str_table.slots);
    b->str_table.slots = slots;
    b->str_table.capacity = capacity;
    return true;
}

static bool str_is(const symx_build_t *b, uint32_t index, const char *s, size_t len)
{
    const symx_str_t *str = SYMX_AT(b->strs, symx_str_t, index);

    return str->len == len && memcmp((char *)b->bytes.data + str->offset, s, len) == 0;
}

/* The text goes behind its length. */
static uint32_t str_add(symx_build_t *b, const char *s, size_t len)
{
    enum { LENGTH_MAX = 5 };
    symx_str_t *str;
    uint8_t *to;

    if (b->bytes.count + len >= UINT32_MAX - LENGTH_MAX ||
        !symx_reserve(&b->bytes, len + LENGTH_MAX) || !(str = symx_push(&b->strs))) {
        return SYMX_NONE;
    }
    to = symx_put_length((uint8_t *)b->bytes.data + b->bytes.count, (uint32_t)len);
    memcpy(to, s, len);
    b->bytes.count = (size_t)(to - (uint8_t *)b->bytes.data);
    *str = (symx_str_t){ (uint32_t)b->bytes.count, (uint32_t)len };
    b->bytes.count += len;
    return (uint32_t)b->strs.count - 1;
}

uint32_t symx_string(symx_build_t *b, const char *s, size_t len)
{
    symx_slot_t *slots;
    uint32_t at, hash;

    if (b->strs.count >= b->str_table.capacity / 4 * 3 &&
        (b->str_table.capacity > UINT32_MAX / 4 || !str_grow(b))) {
        return SYMX_NONE;
    }
    slots = b->str_table.slots;
    hash = hash_text(s, len);
    at = hash & (b->str_table.capacity - 1);
    while (slots[at].index != 0) {
        if (slots[at].hash == hash && str_is(b, slots[at].index - 1, s, len)) {
            return slots[at].index - 1;
        }
        at = (at + 1) & (b->str_table.capacity - 1);
    }
    slots[at] = (symx_slot_t){ str_add(b, s, len) + 1, hash }; /* SYMX_NONE + 1: an empty slot */
    return slots[at].index - 1;
}

static bool in_order(const symx_vec_t *v, symx_compare_fn compare, void *baton)
{
    const char *at = v->data;

    for (size_t i = 1; i < v->count; i++, at += v->element) {
        if (compare(at, at + v->element, baton) > 0) {
            return false;
        }
    }
    return true;
}

/* Merges the runs [lo, mid) and [mid, hi) of from into to. */
static void merge_runs(const symx_vec_t *v, const char *from, char *to, size_t lo, size_t mid,
                       size_t hi, symx_compare_fn compare, void *baton)
{
    size_t e = v->element;
    size_t a = lo;
    size_t b = mid;

    for (size_t i = lo; i < hi; i++) {
        bool left = b >= hi || (a < mid && compare(from + a * e, from + b * e, baton) <= 0);

        memcpy(to + i * e, from + (left ? a : b) * e, e);
        a += left;
        b += !left;
    }
}

bool symx_sort(symx_vec_t *v, symx_compare_fn compare, void *baton)
{
    char *from = v->data;
    char *other;
    char *to;

    if (in_order(v, compare, baton)) {
        return true;
    }
    other = to = malloc(v->count * v->element);
    if (!other) {
        return false;
    }
    for (size_t width = 1; width < v->count; width *= 2) {
        char *t = from;

        for (size_t lo = 0; lo < v->count; lo += 2 * width) {
            size_t mid = lo + width < v->count ? lo + width : v->count;
            size_t hi = mid + width < v->count ? mid + width : v->count;

            merge_runs(v, from, to, lo, mid, hi, compare, baton);
        }
        from = to;
        to = t;
    }
    if (from != v->data) {
        memcpy(v->data, from, v->count * v->element);
    }
    free(other);
    return true;
}
