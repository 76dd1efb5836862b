/*
 * Keeping the cache of upstream symbols within its bound, and free of what has run out. Any file of
 * it may go at any time: who has it open reads on, who wants it again downloads it.
 */
#include "upstream/upstream_private.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/log.h"

enum { GRACE_SECONDS = 600, STALE_TEMP_SECONDS = 3600, MEMORY_SECONDS = 86400 };

typedef struct found_t {
    const char *path;
    time_t used;
    uint64_t bytes;
} found_t;

typedef struct trim_t {
    apr_array_header_t *files; /* found_t */
    const char *own;           /* the cache's own folder, with a slash */
    time_t now;
    uint64_t sum;
} trim_t;

/* Memories are small, but there is one a question; those a day past their end are of no use. */
static void look_at_own(const trim_t *t, const char *name, const char *path, const struct stat *st)
{
    bool temp = !strncmp(name, "tmp/", 4);
    bool memory = !strncmp(name, "miss/", 5) || !strncmp(name, "down/", 5);

    if ((temp && st->st_mtime < t->now - STALE_TEMP_SECONDS) ||
        (memory && st->st_mtime < t->now - 8 * MEMORY_SECONDS)) {
        unlink(path);
    }
}

static void look_at(trim_t *t, const FTSENT *e)
{
    const struct stat *st = e->fts_statp;
    size_t own = strlen(t->own);
    found_t *f;

    if (!strncmp(e->fts_path, t->own, own) && strncmp(e->fts_path + own, "buildid/", 8) != 0) {
        look_at_own(t, e->fts_path + own, e->fts_path, st);
        return;
    }
    f = apr_array_push(t->files);
    f->path = apr_pstrdup(t->files->pool, e->fts_path);
    f->used = st->st_atime > st->st_mtime ? st->st_atime : st->st_mtime;
    f->bytes = (uint64_t)st->st_blocks * 512;
    t->sum += f->bytes;
}

static void scan(trim_t *t, const char *dir, apr_pool_t *p)
{
    char *roots[] = { apr_pstrdup(p, dir), NULL };
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *e;

    while (fts && (e = fts_read(fts)) != NULL) {
        if (e->fts_info == FTS_F) {
            look_at(t, e);
        }
    }
    if (fts) {
        fts_close(fts);
    }
}

static int by_use(const void *va, const void *vb)
{
    const found_t *a = va;
    const found_t *b = vb;

    return a->used < b->used ? -1 : a->used > b->used;
}

static void trim(const sal_upstream_t *u, apr_pool_t *p)
{
    trim_t t = { apr_array_make(p, 64, sizeof(found_t)),
                 apr_pstrcat(p, u->opts.cache_dir, "/" UPSTREAM_OWN "/", NULL), time(NULL), 0 };
    uint64_t max = u->opts.max_disk;
    int gone = 0;

    scan(&t, u->opts.cache_dir, p);
    if (max == 0 || t.sum <= max) {
        return;
    }
    qsort(t.files->elts, (size_t)t.files->nelts, sizeof(found_t), by_use);
    for (int i = 0; i < t.files->nelts && t.sum > max - max / 10; i++) {
        const found_t *f = &APR_ARRAY_IDX(t.files, i, found_t);

        if (f->used < t.now - GRACE_SECONDS && unlink(f->path) == 0) {
            t.sum -= f->bytes;
            gone++;
        }
    }
    sal_log(SAL_LOG_INFO, 2083,
            "cache of upstream symbols: %d of %d files removed, %llu bytes left", gone,
            t.files->nelts, (unsigned long long)t.sum);
}

apr_status_t sal_upstream_trim(sal_upstream_t *u, apr_pool_t *p, sal_error_t *err)
{
    const char *name = upstream_cache_path(u, UPSTREAM_OWN "/trim.lock", p);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    apr_pool_t *scratch;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", name);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        apr_pool_create(&scratch, p);
        trim(u, scratch);
        apr_pool_destroy(scratch);
    }
    close(fd);
    return APR_SUCCESS;
}
