/*
 * The table of mapped symcaches at work: who looks, who waits, who is told what.
 */
#include "symbols/supplier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_time.h>
#include "base/file.h"
#include "symbols/supplier_table.h"

enum { RECHECK_SECONDS = 5, TRIM_SECONDS = 60, MAX_FILLERS = 8 };
enum { NEGATIVE_LOCAL = 2, NEGATIVE_ASKED = 60, CORRUPT_SECONDS = 60, PENDING_SECONDS = 1 };
#define DEFAULT_MAX_MAPPED (UINT64_C(64) << 30)

/* Adopts what a look at the source brought; under the lock. */
static void settle(sal_supplier_t *s, entry_t *e, const supply_result_t *r, apr_pool_t *pool)
{
    sal_symcache_info_t info;
    map_t *m = NULL;

    e->filled = true;
    e->checked = apr_time_now();
    s->stats.builds += r->built;
    if (r->unchanged) {
        apr_pool_destroy(pool);
        return;
    }
    if (r->state == SAL_SYM_FOUND) {
        m = calloc(1, sizeof(*m));
    }
    supply_drop_map(s, e);
    if (m) {
        sal_symcache_info(r->cache, &info);
        *m = (map_t){ e, r->cache, pool, info.file_size, r->stamp, 0 };
        s->stats.mapped_bytes += m->size;
        e->map = m;
    } else {
        apr_pool_destroy(pool);
        e->failed = e->checked;
        e->failed_stamp = r->stamp;
    }
    e->state = r->state == SAL_SYM_FOUND && !m ? SAL_SYM_CORRUPT : r->state;
    e->unreachable = r->unreachable;
    e->pending = r->pending;
    memcpy(e->reason, r->reason, sizeof(e->reason));
}

/*
 * Stamp of the source whose outcome the entry has: the same again need not be looked into. What
 * failed is tried anew after a while, for it may have failed for want of room.
 */
static uint64_t known_stamp(const entry_t *e)
{
    if (e->map) {
        return e->map->stamp;
    }
    return e->state == SAL_SYM_CORRUPT &&
                   apr_time_now() - e->failed < apr_time_from_sec(CORRUPT_SECONDS)
               ? e->failed_stamp
               : 0;
}

/*
 * Looks at the source with the lock given up. A first look makes others wait (`busy`); a later one
 * does not: they go on with the map there is. True if the symcache was built; whoever takes the
 * entry next is told.
 */
static bool look(sal_supplier_t *s, entry_t *e, const supply_key_t *key, bool in_thread,
                 apr_pool_t *p)
{
    supply_place_t place = s->place;
    supply_result_t r;
    apr_pool_t *map_pool = NULL;
    apr_pool_t *scratch;
    uint64_t have = known_stamp(e);
    apr_time_t begun = apr_time_now();

    e->busy = !e->map;
    e->checked = begun;
    e->waiting++;
    pthread_mutex_unlock(&s->lock);
    apr_pool_create_unmanaged_ex(&map_pool, NULL, NULL);
    apr_pool_create(&scratch, p);
    place.in_turn = in_thread;
    supply_module(&r, &place, key, have, map_pool, scratch);
    apr_pool_destroy(scratch);
    pthread_mutex_lock(&s->lock);
    e->waiting--;
    settle(s, e, &r, map_pool);
    e->built = r.built ? apr_time_now() - begun + 1 : e->built;
    e->busy = false;
    pthread_cond_broadcast(&s->filled);
    return r.built;
}

/*
 * The same, if it takes neither a build nor a server: the symcache is there, or there is no text
 * and nobody else to ask. Needs no thread; leaves the entry as it was if it takes more.
 */
static void look_at_hand(sal_supplier_t *s, entry_t *e, const supply_key_t *key, apr_pool_t *p)
{
    supply_result_t r;
    apr_pool_t *map_pool = NULL;
    apr_pool_t *scratch;
    bool known;

    e->busy = true;
    e->waiting++;
    pthread_mutex_unlock(&s->lock);
    apr_pool_create_unmanaged_ex(&map_pool, NULL, NULL);
    apr_pool_create(&scratch, p);
    known = supply_at_hand(&r, &s->place, key, map_pool, scratch);
    apr_pool_destroy(scratch);
    pthread_mutex_lock(&s->lock);
    e->waiting--;
    e->busy = false;
    if (known) {
        settle(s, e, &r, map_pool);
    } else {
        apr_pool_destroy(map_pool);
    }
    pthread_cond_broadcast(&s->filled);
}

/* Only builds make the folder grow, so who built looks after its size; at most once a minute. */
static void trim_after_build(sal_supplier_t *s, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    bool due;

    if (s->place.opts.max_disk == 0) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    due = now - s->trimmed >= apr_time_from_sec(TRIM_SECONDS);
    s->trimmed = due ? now : s->trimmed;
    pthread_mutex_unlock(&s->lock);
    if (due) {
        sal_symcaches_trim(s->place.opts.symcache_dir, s->place.opts.max_disk, p, NULL);
    }
}

static bool fresh(const sal_supplier_t *s, const entry_t *e)
{
    apr_time_t age = apr_time_now() - e->checked;
    apr_time_t limit = s->negative;

    if (e->state == SAL_SYM_FOUND || e->unreachable) { /* the asker remembers what failed */
        limit = apr_time_from_sec(e->pending ? PENDING_SECONDS : RECHECK_SECONDS);
    }

    return e->filled && age >= 0 && age < limit && e->checked >= s->recheck;
}

void sal_supplier_recheck(sal_supplier_t *s)
{
    pthread_mutex_lock(&s->lock);
    s->recheck = apr_time_now();
    pthread_mutex_unlock(&s->lock);
}

/* ---- looking in a thread, for who cannot wait ---- */

typedef struct filler_t {
    sal_supplier_t *s;
    entry_t *e;
    supply_key_t key;
    apr_pool_t *pool;
} filler_t;

static void *fill(void *baton)
{
    filler_t *f = baton;
    sal_supplier_t *s = f->s;
    bool built;

    pthread_mutex_lock(&s->lock);
    built = look(s, f->e, &f->key, true, f->pool);
    f->e->waiting--;
    pthread_mutex_unlock(&s->lock);
    if (built) {
        trim_after_build(s, f->pool);
    }
    apr_pool_destroy(f->pool);
    pthread_mutex_lock(&s->lock);
    s->fillers--;
    pthread_cond_broadcast(&s->filled);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* False: as many as may be are at it, or there can be no thread. Under the lock. */
static bool start_filler(sal_supplier_t *s, entry_t *e, const supply_key_t *key)
{
    apr_pool_t *pool;
    filler_t *f;
    pthread_t thread;

    if (s->fillers >= MAX_FILLERS) {
        return false;
    }
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    f = apr_palloc(pool, sizeof(*f));
    *f = (filler_t){ s,
                     e,
                     { apr_pstrdup(pool, key->name), apr_pstrdup(pool, key->id),
                       apr_pstrdup(pool, key->sent_id), apr_pstrdup(pool, key->code_file),
                       apr_pstrdup(pool, key->code_id), apr_pstrdup(pool, key->code_path) },
                     pool };
    e->busy = true;
    e->waiting++;
    s->fillers++;
    if (pthread_create(&thread, NULL, fill, f) != 0) {
        e->busy = false;
        e->waiting--;
        s->fillers--;
        apr_pool_destroy(pool);
        return false;
    }
    pthread_detach(thread);
    return true;
}

/* Until something was filled; false: it is too late. */
static bool wait_filled(sal_supplier_t *s, entry_t *e, apr_time_t until)
{
    struct timespec at = { .tv_sec = apr_time_sec(until), .tv_nsec = apr_time_usec(until) * 1000 };
    int rc = 0;

    s->stats.waits++;
    e->waiting++;
    if (until) {
        rc = pthread_cond_timedwait(&s->filled, &s->lock, &at);
    } else {
        pthread_cond_wait(&s->filled, &s->lock);
    }
    e->waiting--;
    return rc == 0;
}

/*
 * Brings the entry up to now, waiting until a time (0: as long as it takes). False: it is too
 * late. A module that is mapped is looked at right here: that is a stat.
 */
static bool settle_entry(sal_supplier_t *s, entry_t *e, const supply_key_t *key, apr_time_t until,
                         apr_pool_t *p)
{
    bool tried = false;

    for (;;) {
        if (!e->busy) {
            if (fresh(s, e)) {
                return true;
            }
            if (!until || e->map) {
                look(s, e, key, false, p);
                return true;
            }
            if (!tried) {
                tried = true;
                look_at_hand(s, e, key, p);
                continue;
            }
            start_filler(s, e, key); /* or wait until there is room for one */
        }
        if (!wait_filled(s, e, until)) {
            return false;
        }
    }
}

/* The entry with what is known at `until`, *late if that is nothing new; under the lock. */
static entry_t *get_entry(sal_supplier_t *s, const supply_key_t *key, apr_time_t until, bool *late,
                          apr_pool_t *p)
{
    uint64_t hash = supply_key_hash(key);
    entry_t *e = supply_find_entry(s, key, hash);

    if (!e && !(e = supply_add_entry(s, key, hash))) {
        return NULL;
    }
    s->stats.lookups++;
    if (!e->busy && fresh(s, e)) {
        s->stats.hits++;
    } else {
        *late = !settle_entry(s, e, key, until, p);
    }
    supply_unlink_use(s, e);
    supply_link_newest(s, e);
    return e;
}

/* The entry's part of a call: reference, state, reason. */
static void get_by_key(sal_sym_ref_t *ref, sal_supplier_t *s, const supply_key_t *key,
                       apr_time_t until, apr_pool_t *p)
{
    bool late = false;
    entry_t *e;

    pthread_mutex_lock(&s->lock);
    e = get_entry(s, key, until, &late, p);
    if (!e) {
        ref->reason = "out of memory";
    } else if (late) {
        ref->pending = true;
        ref->reason = "its symbols are being prepared";
    } else if (e->state == SAL_SYM_FOUND) {
        e->map->refs++;
        ref->cache = e->map->cache;
        ref->state = SAL_SYM_FOUND;
        ref->entry = e->map;
        ref->built = e->built != 0;
        ref->parsing = e->built;
        e->built = 0;
        supply_evict(s);
    } else {
        ref->state = e->state;
        ref->unreachable = e->unreachable;
        ref->pending = e->pending;
        ref->reason = apr_pstrdup(p, e->reason);
    }
    pthread_mutex_unlock(&s->lock);
}

/* The key of a module, asked of a server if need be; false: ref says why there is none. */
static bool key_of(sal_sym_ref_t *ref, supply_key_t *key, const sal_supplier_t *s,
                   const sal_sym_module_t *module, apr_pool_t *p)
{
    sal_sym_module_t known = *module;

    *ref = (sal_sym_ref_t){ .state = SAL_SYM_MISSING };
    if (supply_identify(&known, &ref->unreachable, &s->place, p)) {
        ref->debug_file = known.debug_file;
        ref->debug_id = known.debug_id;
    }
    ref->reason = supply_key_make(key, &known, p);
    return !ref->reason;
}

void sal_supplier_get_until(sal_sym_ref_t *ref, sal_supplier_t *s, const sal_sym_module_t *module,
                            apr_time_t until, apr_pool_t *p)
{
    apr_time_t begun = apr_time_now();
    supply_key_t key;

    if (key_of(ref, &key, s, module, p)) {
        get_by_key(ref, s, &key, until, p);
        ref->elapsed = apr_time_now() - begun;
    }
    if (ref->built) {
        trim_after_build(s, p);
    }
}

void sal_supplier_get_module(sal_sym_ref_t *ref, sal_supplier_t *s, const sal_sym_module_t *module,
                             apr_pool_t *p)
{
    sal_supplier_get_until(ref, s, module, 0, p);
}

/* A map that is in no entry: it goes when it is given back. */
static void adopt_part(sal_sym_ref_t *ref, sal_supplier_t *s, const supply_result_t *r,
                       apr_pool_t *pool)
{
    sal_symcache_info_t info;
    map_t *m = calloc(1, sizeof(*m));

    if (!m) {
        apr_pool_destroy(pool);
        ref->reason = "out of memory";
        return;
    }
    sal_symcache_info(r->cache, &info);
    *m = (map_t){ NULL, r->cache, pool, info.file_size, 0, 1 };
    pthread_mutex_lock(&s->lock);
    s->stats.mapped_bytes += m->size;
    pthread_mutex_unlock(&s->lock);
    ref->state = SAL_SYM_FOUND;
    ref->cache = m->cache;
    ref->entry = m;
}

/* At most as many passes as there are processors: who comes later does better to wait. */
static bool enter_part(sal_supplier_t *s)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    bool room;

    pthread_mutex_lock(&s->lock);
    room = s->parts < (n > 1 ? (unsigned)n : 1);
    s->parts += room;
    pthread_mutex_unlock(&s->lock);
    return room;
}

static void leave_part(sal_supplier_t *s)
{
    pthread_mutex_lock(&s->lock);
    s->parts--;
    pthread_mutex_unlock(&s->lock);
}

void sal_supplier_get_part(sal_sym_ref_t *ref, sal_supplier_t *s, const sal_sym_module_t *module,
                           const uint64_t *offsets, size_t n, apr_pool_t *p)
{
    apr_time_t begun = apr_time_now();
    apr_pool_t *map_pool, *scratch;
    sal_sym_ref_t found;
    supply_result_t r;
    supply_key_t key;

    if (!key_of(&found, &key, s, module, p) || !enter_part(s)) {
        return;
    }
    apr_pool_create_unmanaged_ex(&map_pool, NULL, NULL);
    apr_pool_create(&scratch, p);
    supply_part(&r, &s->place, &key, offsets, n, map_pool, scratch);
    apr_pool_destroy(scratch);
    leave_part(s);
    if (r.state == SAL_SYM_FOUND) {
        *ref = found;
        adopt_part(ref, s, &r, map_pool);
        ref->part = true;
        ref->elapsed = ref->parsing = apr_time_now() - begun;
        return;
    }
    apr_pool_destroy(map_pool);
    if (r.state == SAL_SYM_CORRUPT) {
        ref->state = r.state;
        ref->pending = false;
        ref->reason = apr_pstrdup(p, r.reason);
    }
}

void sal_supplier_get(sal_sym_ref_t *ref, sal_supplier_t *s, const char *debug_file,
                      const char *debug_id, apr_pool_t *p)
{
    sal_sym_module_t module = { .debug_file = debug_file, .debug_id = debug_id };

    sal_supplier_get_module(ref, s, &module, p);
}

void sal_supplier_release(sal_supplier_t *s, sal_sym_ref_t *ref)
{
    map_t *m = ref->entry;

    ref->entry = NULL;
    ref->cache = NULL;
    if (!m) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    m->refs--;
    if (!m->entry && m->refs == 0) {
        supply_map_free(s, m);
    } else {
        supply_evict(s);
    }
    pthread_mutex_unlock(&s->lock);
}

void sal_supplier_stats(sal_supplier_t *s, sal_supplier_stats_t *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    pthread_mutex_unlock(&s->lock);
}

static apr_status_t supplier_free(void *data)
{
    sal_supplier_t *s = data;

    pthread_mutex_lock(&s->lock);
    while (s->fillers) {
        pthread_cond_wait(&s->filled, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    while (s->oldest) {
        if (s->oldest->map) { /* whoever still holds it is mistaken: the supplier is gone */
            s->oldest->map->refs = 0;
        }
        supply_entry_free(s, s->oldest);
    }
    pthread_cond_destroy(&s->filled);
    pthread_mutex_destroy(&s->lock);
    return APR_SUCCESS;
}

static const char *const *copy_list(const char *const *list, apr_pool_t *p)
{
    apr_size_t n = 0;
    const char **out;

    while (list && list[n]) {
        n++;
    }
    out = apr_pcalloc(p, (n + 1) * sizeof(*out));
    for (apr_size_t i = 0; i < n; i++) {
        out[i] = apr_pstrdup(p, list[i]);
    }
    return out;
}

apr_status_t sal_supplier_make(sal_supplier_t **out, const sal_supplier_opts_t *opts, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_supplier_t *s = apr_pcalloc(p, sizeof(*s));
    apr_status_t rv;

    s->place.opts = *opts;
    s->place.opts.symcache_dir = apr_pstrdup(p, opts->symcache_dir);
    s->place.opts.symbol_store = apr_pstrdup(p, opts->symbol_store);
    s->place.opts.paths = copy_list(opts->paths, p);
    for (const char *const *path = s->place.opts.paths; *path; path++) {
        s->place.any_url = s->place.any_url || (opts->upstream && supply_is_url(*path));
    }
    s->max_mapped = opts->max_mapped ? opts->max_mapped : DEFAULT_MAX_MAPPED;
    s->map_idle = apr_time_from_sec(opts->map_idle);
    s->negative = apr_time_from_sec(opts->negative_seconds > 0 ? opts->negative_seconds
                                    : opts->find || opts->make || opts->upstream ? NEGATIVE_ASKED
                                                                                 : NEGATIVE_LOCAL);
    if (!opts->symcache_dir) {
        return sal_fail(err, APR_EINVAL, "no directory for symcaches is set");
    }
    rv = sal_dir_make(opts->symcache_dir, 0755, 0, p, err);
    if (rv == APR_SUCCESS && opts->symbol_store) {
        rv = sal_symbol_store_open(&s->place.store, s->place.opts.symbol_store, p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->filled, NULL);
    apr_pool_cleanup_register(p, s, supplier_free, apr_pool_cleanup_null);
    *out = s;
    return APR_SUCCESS;
}

apr_status_t sal_supplier_shared(sal_supplier_t **out, const sal_supplier_opts_t *opts,
                                 sal_error_t *err)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    static sal_supplier_t *shared;
    apr_pool_t *pool;
    apr_status_t rv = APR_SUCCESS;

    pthread_mutex_lock(&once);
    if (!shared) {
        apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
        rv = sal_supplier_make(&shared, opts, pool, err);
        if (rv != APR_SUCCESS) {
            shared = NULL;
            apr_pool_destroy(pool);
        }
    }
    *out = shared;
    pthread_mutex_unlock(&once);
    return rv;
}
