/*
 * Places of requests in memory that all children share.
 *
 * A place names its process, so that those of a child that was killed can be told and taken back;
 * for the same reason the lock is one that survives its holder.
 */
#include "symbolicate_admit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct place_t {
    apr_uint64_t client;
    pid_t pid; /* 0: free */
} place_t;

struct symbolicate_table_t {
    pthread_mutex_t lock;
    unsigned n;
    place_t places[];
};

static apr_size_t size_of(unsigned places)
{
    return sizeof(symbolicate_table_t) + places * sizeof(place_t);
}

static apr_status_t unmap(void *data)
{
    symbolicate_table_t *t = data;

    return munmap(t, size_of(t->n)) == 0 ? APR_SUCCESS : errno;
}

apr_status_t symbolicate_table_make(symbolicate_table_t **out, unsigned places, apr_pool_t *p)
{
    symbolicate_table_t *t =
        mmap(NULL, size_of(places), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attr;

    if (t == MAP_FAILED) {
        return errno;
    }
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&t->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    t->n = places;
    apr_pool_cleanup_register(p, t, unmap, apr_pool_cleanup_null);
    *out = t;
    return APR_SUCCESS;
}

/* Places are written whole or not at all, so whatever a dead holder left is consistent. */
static void lock(symbolicate_table_t *t)
{
    if (pthread_mutex_lock(&t->lock) == EOWNERDEAD) {
        pthread_mutex_consistent(&t->lock);
    }
}

void symbolicate_table_adopt(symbolicate_table_t *t)
{
    pid_t me = getpid();

    lock(t);
    for (unsigned i = 0; i < t->n; i++) {
        t->places[i].pid = t->places[i].pid == me ? 0 : t->places[i].pid;
    }
    pthread_mutex_unlock(&t->lock);
}

static apr_uint64_t client_of(const request_rec *r)
{
    unsigned char key[WEB_CLIENT_KEY];

    return XXH64(key, web_client_key(r, key), 0);
}

typedef struct count_t {
    apr_int64_t all, client;
    int free; /* a place, or -1 */
} count_t;

static count_t count(const symbolicate_table_t *t, apr_uint64_t client)
{
    count_t c = { 0, 0, -1 };

    for (unsigned i = 0; i < t->n; i++) {
        const place_t *place = &t->places[i];

        if (!place->pid) {
            c.free = c.free < 0 ? (int)i : c.free;
            continue;
        }
        c.all++;
        c.client += place->client == client;
    }
    return c;
}

/* Takes back the places of processes that are no more; true if there were any. */
static bool bury(symbolicate_table_t *t)
{
    bool any = false;

    for (unsigned i = 0; i < t->n; i++) {
        pid_t pid = t->places[i].pid;

        if (pid && kill(pid, 0) != 0 && errno == ESRCH) {
            t->places[i].pid = 0;
            any = true;
        }
    }
    return any;
}

static int judge(const count_t *c, const symbolicate_limits_t *limits)
{
    if (limits->client && c->client >= limits->client) {
        return HTTP_TOO_MANY_REQUESTS;
    }
    return limits->all && (c->all >= limits->all || c->free < 0) ? HTTP_SERVICE_UNAVAILABLE : OK;
}

int symbolicate_enter(int *place, symbolicate_table_t *t, const symbolicate_limits_t *limits,
                      request_rec *r)
{
    apr_uint64_t client = client_of(r);
    count_t c;
    int rc;

    *place = -1;
    if (!t || (!limits->all && !limits->client)) {
        return OK;
    }
    lock(t);
    c = count(t, client);
    rc = judge(&c, limits);
    if ((rc != OK || c.free < 0) && bury(t)) {
        c = count(t, client);
        rc = judge(&c, limits);
    }
    if (rc == OK && c.free >= 0) {
        t->places[c.free].client = client;
        t->places[c.free].pid = getpid();
        *place = c.free;
    }
    pthread_mutex_unlock(&t->lock);
    return rc;
}

void symbolicate_leave(symbolicate_table_t *t, int place)
{
    if (t && place >= 0) {
        lock(t);
        t->places[place].pid = 0;
        pthread_mutex_unlock(&t->lock);
    }
}
