/*
 * Trimming a cache: one walk, one sort, deletions. Knows nothing of what the files are.
 */
#include "base/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>

enum { GRACE_SECONDS = 600 };

typedef struct found_t {
    const char *path;
    time_t used;
    uint64_t bytes;
    bool forsaken;
} found_t;

typedef struct walk_t {
    const sal_trim_t *how;
    apr_array_header_t *files; /* found_t */
    time_t now;
    uint64_t sum;
} walk_t;

static void look_at(walk_t *w, const FTSENT *e)
{
    const struct stat *st = e->fts_statp;
    time_t used = st->st_mtime;
    const char *name = e->fts_path + strlen(w->how->dir);
    sal_trim_kind_t kind = w->how->judge(name + (*name == '/'), st, w->now, &used);
    found_t *f;

    if (kind == SAL_TRIM_DROP) {
        unlink(e->fts_path);
    }
    if (kind == SAL_TRIM_DROP || kind == SAL_TRIM_LEAVE) {
        return;
    }
    f = apr_array_push(w->files);
    f->path = apr_pstrdup(w->files->pool, e->fts_path);
    f->used = used;
    f->bytes = (uint64_t)st->st_blocks * 512;
    f->forsaken = kind == SAL_TRIM_FORSAKE;
    w->sum += f->bytes;
}

static void scan(walk_t *w, apr_pool_t *p)
{
    char *roots[] = { apr_pstrdup(p, w->how->dir), NULL };
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *e;

    while (fts && (e = fts_read(fts)) != NULL) {
        if (e->fts_info == FTS_F) {
            look_at(w, e);
        }
    }
    if (fts) {
        fts_close(fts);
    }
}

static int by_use(const void *va, const void *vb)
{
    const found_t *a = va, *b = vb;

    if (a->forsaken != b->forsaken) {
        return a->forsaken ? -1 : 1;
    }
    return a->used < b->used ? -1 : a->used > b->used;
}

static void trim(sal_trimmed_t *out, const sal_trim_t *how, apr_pool_t *p)
{
    walk_t w = { how, apr_array_make(p, 64, sizeof(found_t)), time(NULL), 0 };

    scan(&w, p);
    out->files = w.files->nelts;
    out->before = w.sum;
    if (how->max > 0 && w.sum > how->max) {
        qsort(w.files->elts, (size_t)w.files->nelts, sizeof(found_t), by_use);
        for (int i = 0; i < w.files->nelts && w.sum > how->max - how->max / 10; i++) {
            const found_t *f = &APR_ARRAY_IDX(w.files, i, found_t);

            if ((f->forsaken || f->used < w.now - GRACE_SECONDS) && unlink(f->path) == 0) {
                w.sum -= f->bytes;
                out->gone++;
            }
        }
    }
    out->left = w.sum;
}

apr_status_t sal_trim(sal_trimmed_t *out, const sal_trim_t *how, const char *lock, apr_pool_t *p,
                      sal_error_t *err)
{
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    apr_pool_t *scratch;

    memset(out, 0, sizeof(*out));
    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", lock);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        apr_pool_create(&scratch, p);
        trim(out, how, scratch);
        apr_pool_destroy(scratch);
    }
    close(fd);
    return APR_SUCCESS;
}
