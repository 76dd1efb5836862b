/*
 * What a child remembers of stored files: digest and form, by inode.
 *
 * A blob is never modified, and a key that gets another content gets another inode, so device,
 * inode, change time and size name a content. An entry that is pushed out is read again from the
 * file. Knows nothing of keys: which file a request gets is decided anew each time.
 */
#include "symbols_private.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { STRIPES = 16, SLOTS = 256 }; /* 4096 entries, 450 kB a child */

typedef struct {
    apr_dev_t device;
    apr_ino_t inode;
    apr_time_t ctime;
    apr_off_t size;
    symbols_meta_t meta;
} slot_t;

typedef struct {
    pthread_mutex_t lock;
    slot_t slot[SLOTS];
} stripe_t;

struct symbols_metas_t {
    stripe_t stripe[STRIPES];
};

symbols_metas_t *symbols_metas_make(apr_pool_t *p)
{
    symbols_metas_t *m = apr_pcalloc(p, sizeof(*m));

    for (int i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&m->stripe[i].lock, NULL);
    }
    return m;
}

static slot_t *slot_of(symbols_metas_t *m, const apr_finfo_t *f, pthread_mutex_t **lock)
{
    apr_uint64_t h = (apr_uint64_t)f->inode * UINT64_C(0x9e3779b97f4a7c15);
    stripe_t *s = &m->stripe[(h >> 60) % STRIPES];

    *lock = &s->lock;
    return &s->slot[(h >> 40) % SLOTS];
}

static int is_slot_of(const slot_t *s, const apr_finfo_t *f)
{
    return s->inode == f->inode && s->device == f->device && s->ctime == f->ctime &&
           s->size == f->size && s->inode;
}

static void read_meta(symbols_meta_t *out, int fd)
{
    unsigned char head[2] = { 0, 0 };

    memset(out, 0, sizeof(*out));
    if (!sal_symbol_store_digest(out->digest, fd)) {
        out->digest[0] = '\0';
    }
    out->gzip = pread(fd, head, 2, 0) == 2 && head[0] == 0x1f && head[1] == 0x8b;
    out->cab = head[0] == 'M' && head[1] == 'S';
}

void symbols_meta_get(symbols_meta_t *out, symbols_metas_t *m, int fd, const apr_finfo_t *f)
{
    pthread_mutex_t *lock;
    slot_t *slot = slot_of(m, f, &lock);
    int found;

    pthread_mutex_lock(lock);
    if ((found = is_slot_of(slot, f))) {
        *out = slot->meta;
    }
    pthread_mutex_unlock(lock);
    if (found) {
        return;
    }
    read_meta(out, fd);
    pthread_mutex_lock(lock);
    *slot = (slot_t){ f->device, f->inode, f->ctime, f->size, *out };
    pthread_mutex_unlock(lock);
}
