/*
 * A fixed table of sets; the oldest of a set makes room. A flood of invented tokens can only cost
 * the others a query.
 */
#include "auth_crash_token/token_cache.h"

#include <string.h>
#include <apr_thread_mutex.h>

enum { SETS = 128, WAYS = 4 };

typedef struct {
    unsigned char digest[32];
    apr_time_t until; /* 0: empty */
    token_answer_t answer;
} slot_t;

struct token_cache_t {
    apr_thread_mutex_t *lock;
    slot_t slots[SETS][WAYS];
};

token_cache_t *token_cache_make(apr_pool_t *p)
{
    token_cache_t *c = apr_pcalloc(p, sizeof(*c));

    if (apr_thread_mutex_create(&c->lock, APR_THREAD_MUTEX_UNNESTED, p) != APR_SUCCESS) {
        return NULL;
    }
    return c;
}

/* Takes as long for a near miss as for a hit. */
static bool same_digest(const unsigned char *a, const unsigned char *b)
{
    unsigned char differ = 0;

    for (int i = 0; i < 32; i++) {
        differ |= a[i] ^ b[i];
    }
    return differ == 0;
}

static slot_t *find(token_cache_t *c, const unsigned char digest[32])
{
    slot_t *set = c->slots[digest[0] % SETS], *found = NULL;

    for (int i = 0; i < WAYS; i++) {
        if (same_digest(set[i].digest, digest)) {
            found = &set[i];
        }
    }
    return found;
}

bool token_cache_get(token_answer_t *out, token_cache_t *cache, const unsigned char digest[32],
                     apr_time_t now)
{
    bool fresh = false;
    slot_t *s;

    if (!cache) {
        return false;
    }
    apr_thread_mutex_lock(cache->lock);
    s = find(cache, digest);
    if (s && s->until > now) {
        *out = s->answer;
        fresh = true;
    }
    apr_thread_mutex_unlock(cache->lock);
    return fresh;
}

void token_cache_put(token_cache_t *cache, const unsigned char digest[32],
                     const token_answer_t *answer, apr_time_t now)
{
    slot_t *s, *set;

    if (!cache) {
        return;
    }
    apr_thread_mutex_lock(cache->lock);
    s = find(cache, digest);
    set = cache->slots[digest[0] % SETS];
    for (int i = 0; !s && i < WAYS; i++) {
        bool oldest = true;

        for (int j = 0; j < WAYS; j++) {
            oldest = oldest && set[i].until <= set[j].until;
        }
        s = oldest ? &set[i] : NULL;
    }
    memcpy(s->digest, digest, 32);
    s->answer = *answer;
    s->until = now + apr_time_from_sec(TOKEN_CACHE_SECONDS);
    apr_thread_mutex_unlock(cache->lock);
}
