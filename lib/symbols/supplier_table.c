/*
 * Entries and maps of the supplier's table: finding, adding, giving up. All of it under the lock.
 */
#include "symbols/supplier_table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { MAX_ENTRIES = 100000 };

static const char *entry_id(const entry_t *e)
{
    return e->key + e->name_len + 1;
}

void supply_unlink_use(sal_supplier_t *s, entry_t *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

void supply_link_newest(sal_supplier_t *s, entry_t *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    e->used = apr_time_now();
}

uint64_t supply_key_hash(const supply_key_t *key)
{
    return XXH3_64bits_withSeed(key->id, strlen(key->id),
                                XXH3_64bits(key->name, strlen(key->name)));
}

void supply_map_free(sal_supplier_t *s, map_t *m)
{
    s->stats.mapped_bytes -= m->size;
    apr_pool_destroy(m->pool);
    free(m);
}

/* The entry's map is no longer the current one; it goes with its last reference. */
void supply_drop_map(sal_supplier_t *s, entry_t *e)
{
    map_t *m = e->map;

    e->map = NULL;
    if (m) {
        m->entry = NULL;
        if (m->refs == 0) {
            supply_map_free(s, m);
        }
    }
}

void supply_entry_free(sal_supplier_t *s, entry_t *e)
{
    entry_t **at = &s->buckets[e->hash % SUPPLY_BUCKETS];

    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    supply_unlink_use(s, e);
    supply_drop_map(s, e);
    s->stats.entries--;
    free(e);
}

static bool idle(const entry_t *e)
{
    return !e->busy && e->waiting == 0 && (!e->map || e->map->refs == 0);
}

static void evict_unused(sal_supplier_t *s)
{
    apr_time_t now = s->map_idle ? apr_time_now() : 0;
    entry_t *e = s->oldest;

    while (e && now - e->used > s->map_idle) {
        entry_t *newer = e->newer;

        if (idle(e)) {
            s->stats.evictions += e->map != NULL;
            supply_entry_free(s, e);
        }
        e = newer;
    }
}

void supply_evict(sal_supplier_t *s)
{
    entry_t *e;

    if (s->map_idle) {
        evict_unused(s);
    }
    e = s->oldest;
    while (e && (s->stats.mapped_bytes > s->max_mapped || s->stats.entries > MAX_ENTRIES)) {
        entry_t *newer = e->newer;

        if (idle(e) && (e->map || s->stats.entries > MAX_ENTRIES)) {
            s->stats.evictions += e->map != NULL;
            supply_entry_free(s, e);
        }
        e = newer;
    }
}

entry_t *supply_find_entry(sal_supplier_t *s, const supply_key_t *key, uint64_t hash)
{
    entry_t *e = s->buckets[hash % SUPPLY_BUCKETS];

    while (e && (e->hash != hash || strcmp(e->key, key->name) != 0 ||
                 strcmp(entry_id(e), key->id) != 0)) {
        e = e->next;
    }
    return e;
}

entry_t *supply_add_entry(sal_supplier_t *s, const supply_key_t *key, uint64_t hash)
{
    size_t name_len = strlen(key->name);
    size_t id_len = strlen(key->id);
    entry_t *e = calloc(1, sizeof(*e) + name_len + id_len + 2);

    if (!e) {
        return NULL;
    }
    e->hash = hash;
    e->name_len = name_len;
    memcpy(e->key, key->name, name_len + 1);
    memcpy(e->key + name_len + 1, key->id, id_len + 1);
    e->next = s->buckets[hash % SUPPLY_BUCKETS];
    s->buckets[hash % SUPPLY_BUCKETS] = e;
    supply_link_newest(s, e);
    s->stats.entries++;
    supply_evict(s);
    return e;
}
