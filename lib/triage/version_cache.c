/*
 * Version texts that this process has asked for. One lock, one list in the order of insertion, one
 * hash table of chains over it; entries are malloc'd and bounded in number.
 */
#include "triage/versions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <xxhash.h>
#include "base/log.h"

enum { ENTRIES = 5000, CHAINS = 4096, HIT_HOURS = 24, MISS_MINUTES = 30 };

typedef struct entry_t {
    struct entry_t *chain, *newer;
    apr_time_t until;
    size_t version; /* offset in key; 0: nothing is known of the build */
    char key[];
} entry_t;

static struct {
    pthread_mutex_t lock;
    entry_t *chains[CHAINS], *oldest, *newest;
    int n;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static entry_t **place_of(const char *key)
{
    entry_t **e = &cache.chains[XXH64(key, strlen(key), 0) % CHAINS];

    while (*e && strcmp((*e)->key, key)) {
        e = &(*e)->chain;
    }
    return e;
}

/* Takes the oldest entry out of list and table. */
static void drop_oldest(void)
{
    entry_t *e = cache.oldest, **place = place_of(e->key);

    while (*place != e) { /* one of the same key that had run out */
        place = &(*place)->chain;
    }
    *place = e->chain;
    cache.oldest = e->newer;
    if (!cache.oldest) {
        cache.newest = NULL;
    }
    cache.n--;
    free(e);
}

void sal_version_cache_clear(void)
{
    pthread_mutex_lock(&cache.lock);
    while (cache.oldest) {
        drop_oldest();
    }
    pthread_mutex_unlock(&cache.lock);
}

static bool recall(const char **out, const char *key, apr_time_t now, apr_pool_t *p)
{
    entry_t *e;
    bool found;

    pthread_mutex_lock(&cache.lock);
    e = *place_of(key);
    found = e && e->until > now;
    if (found) {
        *out = e->version ? apr_pstrdup(p, e->key + e->version) : NULL;
    }
    pthread_mutex_unlock(&cache.lock);
    return found;
}

/* An entry of the same key that has run out stays behind this one, and goes in its turn. */
static void remember(const char *key, const char *version, apr_time_t now)
{
    size_t len = strlen(key) + 1, more = version ? strlen(version) + 1 : 0;
    entry_t *e = malloc(sizeof(*e) + len + more), **place;

    if (!e) {
        return;
    }
    memcpy(e->key, key, len);
    if (version) {
        memcpy(e->key + len, version, more);
    }
    e->version = version ? len : 0;
    e->until = now + (version ? apr_time_from_sec(HIT_HOURS * 3600)
                              : apr_time_from_sec(MISS_MINUTES * 60));
    e->newer = NULL;
    pthread_mutex_lock(&cache.lock);
    while (cache.n >= ENTRIES) {
        drop_oldest();
    }
    place = &cache.chains[XXH64(key, len - 1, 0) % CHAINS];
    e->chain = *place;
    *place = e;
    *(cache.newest ? &cache.newest->newer : &cache.oldest) = e;
    cache.newest = e;
    cache.n++;
    pthread_mutex_unlock(&cache.lock);
}

apr_status_t sal_version_cached(const char **out, bool *hit, const char *product,
                                const char *channel, const char *build, apr_time_t now,
                                sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *key = apr_pstrcat(p, product, "\x1f", channel, "\x1f", build, NULL);
    const char **versions;
    apr_status_t rv;

    *out = NULL;
    if (hit) {
        *hit = true;
    }
    if (recall(out, key, now, p)) {
        return APR_SUCCESS;
    }
    if (hit) {
        *hit = false;
    }
    rv = sal_version_lookup(&versions, product, channel, build, db, p, err);
    if (rv == APR_SUCCESS) {
        *out = versions[0];
        remember(key, *out, now);
    }
    return rv;
}

/* ---- for rules ---- */

typedef struct asker_t {
    const sal_process_opts_t *opts;
    sal_version_db_fn get;
    void *baton;
} asker_t;

static void count(const asker_t *a, const char *name, const char *label)
{
    if (a->opts->metric) {
        a->opts->metric(SAL_METRIC_COUNT, name, label, 1, a->opts->metric_baton);
    }
}

static const char *ask(const char *product, const char *channel, const char *build, void *baton,
                       apr_pool_t *p)
{
    const asker_t *a = baton;
    sal_db_t *db = a->get(a->baton);
    const char *version = NULL;
    bool hit = false;
    sal_error_t err;
    apr_status_t rv;

    if (!db) {
        return NULL;
    }
    rv = sal_version_cached(&version, &hit, product, channel, build, apr_time_now(), db, p, &err);
    count(a, "betaversionrule.cache", hit ? "result:hit" : "result:miss");
    if (rv != APR_SUCCESS) {
        sal_log(SAL_LOG_WARNING, 9220, "the version of a build could not be looked up: %s",
                err.message);
    } else if (!hit) {
        count(a, "betaversionrule.lookup", version ? "result:success" : "result:fail");
    }
    return version;
}

void sal_version_wire(sal_process_opts_t *opts, sal_version_db_fn get, void *baton, apr_pool_t *p)
{
    asker_t *a = apr_palloc(p, sizeof(*a));

    *a = (asker_t){ opts, get, baton };
    opts->version = ask;
    opts->version_baton = a;
}
