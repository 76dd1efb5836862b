/*
 * Names and paths, each once, for all threads: a table behind one lock.
 *
 * Threads come here once for each name of a unit, not for each use. Names live in mapped sections
 * wherever they can; only what had to be put together is kept here.
 */
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dwarf_private.h"

enum { BLOCK = 64 * 1024, FIRST_SLOTS = 1024 };

bool dw_intern_init(dw_intern_t *t)
{
    memset(t, 0, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->slots = FIRST_SLOTS;
    t->slot = calloc(t->slots, sizeof(*t->slot));
    return t->slot != NULL;
}

void dw_intern_free(dw_intern_t *t)
{
    if (t->slots == 0) {
        return;
    }
    for (uint32_t i = 0; i < t->blocks; i++) {
        free(t->block[i]);
    }
    free(t->block);
    free(t->name);
    free(t->slot);
    pthread_mutex_destroy(&t->lock);
    memset(t, 0, sizeof(*t));
}

static const char *copy(dw_intern_t *t, const char *text)
{
    size_t n = strlen(text) + 1;
    char *at;

    if (n > t->size - t->used) {
        size_t size = n > BLOCK ? n : BLOCK;
        char *block;

        if (!DW_ROOM(t->block, t->cap_block, t->blocks) || (block = malloc(size)) == NULL) {
            t->failed = true;
            return NULL;
        }
        t->block[t->blocks++] = block;
        t->size = size;
        t->used = 0;
    }
    at = t->block[t->blocks - 1] + t->used;
    memcpy(at, text, n);
    t->used += n;
    return at;
}

const char *dw_intern_copy(dw_intern_t *t, const char *text)
{
    const char *kept;

    pthread_mutex_lock(&t->lock);
    kept = copy(t, text);
    pthread_mutex_unlock(&t->lock);
    return kept;
}

/* FNV-1a over eight bytes at a time would need alignment; names are short enough. */
static uint32_t hash_of(const char *text, bool plain)
{
    uint64_t h = UINT64_C(14695981039346656037) + plain;

    for (; *text != '\0'; text++) {
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    }
    return (uint32_t)(h ^ h >> 32);
}

static bool grow_slots(dw_intern_t *t)
{
    uint32_t slots = t->slots * 2, *slot = calloc(slots, sizeof(*slot));

    if (slot == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t at = hash_of(t->name[i].text, t->name[i].plain) & (slots - 1);

        while (slot[at] != 0) {
            at = (at + 1) & (slots - 1);
        }
        slot[at] = i + 1;
    }
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    return true;
}

static uint32_t find_or_add(dw_intern_t *t, const char *text, bool plain, bool keep, uint32_t h)
{
    uint32_t at = h & (t->slots - 1);
    dump_name_t name = { text, plain };

    while (t->slot[at] != 0) {
        const dump_name_t *have = &t->name[t->slot[at] - 1];

        if (have->plain == plain && (have->text == text || strcmp(have->text, text) == 0)) {
            return t->slot[at] - 1;
        }
        at = (at + 1) & (t->slots - 1);
    }
    if (!DW_ROOM(t->name, t->cap, t->n) || (keep && (name.text = copy(t, text)) == NULL)) {
        t->failed = true;
        return 0;
    }
    t->name[t->n] = name;
    t->slot[at] = ++t->n;
    return t->n - 1;
}

uint32_t dw_intern(dw_intern_t *t, const char *text, bool plain, bool keep)
{
    uint32_t h = hash_of(text, plain), id;

    pthread_mutex_lock(&t->lock);
    if (t->n >= t->slots / 2 && !grow_slots(t)) {
        t->failed = true;
        id = 0;
    } else {
        id = find_or_add(t, text, plain, keep, h);
    }
    pthread_mutex_unlock(&t->lock);
    return id;
}
