/*
 * Keeping caches of symbols within their bounds: what came from upstream servers, and what was made
 * of this host's own files. Any file may go at any time: who has it open reads on, who wants it
 * again gets it again.
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
    const char *own;           /* the cache's own folder, with a slash; "": there is none */
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

/* Taking a lock's name away would let two processes hold "the" lock. */
static bool is_lock(const char *name)
{
    size_t n = strlen(name);

    return n >= 5 && !strcmp(name + n - 5, ".lock");
}

static void look_at(trim_t *t, const FTSENT *e)
{
    const struct stat *st = e->fts_statp;
    size_t own = strlen(t->own);
    found_t *f;

    if (!own && is_lock(e->fts_name)) {
        return;
    }
    if (own && !strncmp(e->fts_path, t->own, own) &&
        strncmp(e->fts_path + own, "buildid/", 8) != 0) {
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

/* own: of the cache at dir; what: it, for the log. max 0: no bound. */
static void trim(const char *dir, const char *own, uint64_t max, const char *what, apr_pool_t *p)
{
    trim_t t = { apr_array_make(p, 64, sizeof(found_t)), own, time(NULL), 0 };
    int gone = 0;

    scan(&t, dir, p);
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
    sal_log(SAL_LOG_INFO, 2083, "cache of %s symbols: %d of %d files removed, %llu bytes left",
            what, gone, t.files->nelts, (unsigned long long)t.sum);
}

/* One process of a host at a time; *fd is -1 if another one is at it. */
static apr_status_t take_turn(int *fd, const char *name, sal_error_t *err)
{
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    if (*fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", name);
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        close(*fd);
        *fd = -1;
    }
    return APR_SUCCESS;
}

apr_status_t sal_upstream_trim(sal_upstream_t *u, apr_pool_t *p, sal_error_t *err)
{
    const char *name = apr_pstrcat(p, u->opts.cache_dir, "/" UPSTREAM_OWN "/trim.lock", NULL);
    apr_pool_t *scratch;
    int fd;
    apr_status_t rv = take_turn(&fd, name, err);

    if (rv == APR_SUCCESS && fd >= 0) {
        apr_pool_create(&scratch, p);
        trim(u->opts.cache_dir, apr_pstrcat(scratch, u->opts.cache_dir, "/" UPSTREAM_OWN "/", NULL),
             u->opts.max_disk, "upstream", scratch);
        apr_pool_destroy(scratch);
        close(fd);
    }
    return rv;
}

apr_status_t sal_local_trim(const char *dir, uint64_t max, apr_pool_t *p, sal_error_t *err)
{
    const char *name = apr_pstrcat(p, dir, "/trim.lock", NULL);
    apr_pool_t *scratch;
    int fd;
    apr_status_t rv = take_turn(&fd, name, err);

    if (rv == APR_SUCCESS && fd >= 0) {
        apr_pool_create(&scratch, p);
        trim(dir, "", max, "local", scratch);
        apr_pool_destroy(scratch);
        close(fd);
    }
    return rv;
}
