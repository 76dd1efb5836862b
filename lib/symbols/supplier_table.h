/*
 * What the supplier's table is made of. Private to the supplier.
 *
 * One mutex guards all of it; nothing under it does I/O but unmapping. A module is an entry; what
 * is mapped is a map of its own, so that a source that was replaced can be mapped anew while the
 * old map is still in use. An entry that is being filled is `busy`: others wait on the condition.
 */
#ifndef SYMBOLS_SUPPLIER_TABLE_H
#define SYMBOLS_SUPPLIER_TABLE_H

#include <pthread.h>
#include <apr_time.h>
#include "symbols/supplier_source.h"

enum { SUPPLY_BUCKETS = 4096 };

typedef struct entry_t entry_t;

typedef struct map_t {
    entry_t *entry; /* NULL: no longer the entry's current map */
    const sal_symcache_t *cache;
    apr_pool_t *pool; /* holds the mapping */
    uint64_t size, stamp;
    uint32_t refs;
} map_t;

struct entry_t {
    entry_t *next;          /* in the bucket */
    entry_t *newer, *older; /* by last use */
    uint64_t hash;
    sal_sym_state_t state;
    bool busy, filled;
    uint32_t waiting;   /* threads that hold a pointer to the entry */
    apr_time_t used;    /* when it was last asked for */
    apr_time_t checked; /* when the source was last looked at */
    apr_time_t failed;  /* of CORRUPT: when it was found out, and of what state */
    uint64_t failed_stamp;
    map_t *map; /* of FOUND */
    bool unreachable, pending;
    apr_interval_time_t built; /* how long that took; 0: told, or not built */
    char reason[200];
    size_t name_len;
    char key[]; /* name, NUL, id, NUL */
};

struct sal_supplier_t {
    supply_place_t place;
    uint64_t max_mapped;
    apr_time_t negative;
    apr_time_t recheck;  /* what was looked at before is looked at again */
    apr_time_t map_idle; /* what was not asked for so long goes; 0: stays */
    pthread_mutex_t lock;
    pthread_cond_t filled;
    entry_t *buckets[SUPPLY_BUCKETS];
    entry_t *newest, *oldest;
    apr_time_t trimmed; /* when the folder was last held against its bound */
    unsigned fillers;   /* threads that look at a source for others */
    unsigned parts;     /* passes over a text under way */
    sal_supplier_stats_t stats;
};

/* The order of last use. */
void supply_unlink_use(sal_supplier_t *s, entry_t *e);
void supply_link_newest(sal_supplier_t *s, entry_t *e);

uint64_t supply_key_hash(const supply_key_t *key);
entry_t *supply_find_entry(sal_supplier_t *s, const supply_key_t *key, uint64_t hash);
/* NULL: no memory. */
entry_t *supply_add_entry(sal_supplier_t *s, const supply_key_t *key, uint64_t hash);
void supply_entry_free(sal_supplier_t *s, entry_t *e);

void supply_map_free(sal_supplier_t *s, map_t *m);
/* The entry's map is no longer the current one; it goes with its last reference. */
void supply_drop_map(sal_supplier_t *s, entry_t *e);

/* Gives up what was not used for too long, and what was not for longest until the bounds hold. */
void supply_evict(sal_supplier_t *s);

#endif
