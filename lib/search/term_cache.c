/*
 * The process's term cache: sets of eight entries, the oldest used of a set makes room.
 *
 * Memory is taken as a whole and touched as it fills: an idle process pays for nothing.
 */
#define XXH_INLINE_ALL
#include "search/term_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <apr_general.h>
#include <xxhash.h>

#include "search/index.h"

enum { WAYS = 8, SETS = 25600, LIFE_SECONDS = 24 * 3600 };

typedef struct {
    sal_term_key_t key;
    int32_t id;    /* 0: free */
    uint32_t used; /* seconds since the cache was made */
    uint32_t loaded;
} entry_t;

static struct {
    pthread_mutex_t lock;
    entry_t *entries; /* SETS * WAYS, NULL until first used */
    uint64_t seed;
    apr_time_t epoch;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

/*
 * A process that is forked begins with none: walkers are forked by the second, and to copy what
 * maps this memory would cost each of them, and the worker behind them, more than it is worth.
 */
static entry_t *new_entries(void)
{
    const size_t size = sizeof(entry_t) * SETS * WAYS;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(at, size, MADV_WIPEONFORK);
    return at;
}

/* The seed keeps strangers, who choose the values, from choosing collisions. */
static void cache_ready(void)
{
    if (!cache.seed) {
        (void)apr_generate_random_bytes((unsigned char *)&cache.seed, sizeof cache.seed);
        cache.seed |= 1;
        cache.epoch = apr_time_now() - apr_time_from_sec(1);
        cache.entries = new_entries();
    }
}

void sal_term_key(sal_term_key_t *out, uint64_t database, int field, const char *value)
{
    XXH128_hash_t h;
    uint64_t seed;

    pthread_mutex_lock(&cache.lock);
    cache_ready();
    seed = cache.seed;
    pthread_mutex_unlock(&cache.lock);
    h = XXH3_128bits_withSeed(value, strlen(value),
                              seed ^ database ^ ((uint64_t)field * 0x9e3779b97f4a7c15u));
    out->high = h.high64;
    out->low = h.low64;
}

static uint32_t seconds(apr_time_t now)
{
    return now <= cache.epoch ? 0 : (uint32_t)apr_time_sec(now - cache.epoch);
}

static entry_t *set_of(const sal_term_key_t *key)
{
    return cache.entries + (key->low % SETS) * WAYS;
}

int32_t sal_term_cache_get(const sal_term_key_t *key, apr_time_t now)
{
    int32_t id = 0;

    pthread_mutex_lock(&cache.lock);
    if (cache.entries) {
        entry_t *e = set_of(key);

        for (int i = 0; i < WAYS; i++) {
            if (e[i].id && e[i].key.high == key->high && e[i].key.low == key->low) {
                if (seconds(now) - e[i].loaded < LIFE_SECONDS) {
                    e[i].used = seconds(now);
                    id = e[i].id;
                }
                break;
            }
        }
    }
    pthread_mutex_unlock(&cache.lock);
    return id;
}

void sal_term_cache_put(const sal_term_key_t *key, int32_t id, apr_time_t now)
{
    pthread_mutex_lock(&cache.lock);
    if (cache.entries) {
        entry_t *e = set_of(key), *to = e;

        for (int i = 0; i < WAYS; i++) {
            if (e[i].key.high == key->high && e[i].key.low == key->low) {
                to = &e[i];
                break;
            }
            if (!e[i].id || (to->id && e[i].used < to->used)) {
                to = &e[i];
            }
        }
        *to = (entry_t){ *key, id, seconds(now), seconds(now) };
    }
    pthread_mutex_unlock(&cache.lock);
}

void sal_search_forget_terms(void)
{
    pthread_mutex_lock(&cache.lock);
    if (cache.entries) {
        memset(cache.entries, 0, sizeof *cache.entries * SETS * WAYS);
    }
    pthread_mutex_unlock(&cache.lock);
}
