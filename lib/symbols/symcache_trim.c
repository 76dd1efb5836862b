/*
 * Keeping the folder of symcaches within its bound: what was not used for longest goes.
 *
 * Any symcache may be deleted at any time: who has it mapped goes on reading, who wants it again
 * builds it. One process of a host trims at a time; the others skip their turn.
 */
#include "symbols/supplier.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/log.h"
#include "symbols/supplier_source.h"
#include "symbols/symcache_format.h"

enum { GRACE_SECONDS = 600, STALE_TEMP_SECONDS = 3600 };

typedef struct found_t {
    const char *path;
    time_t used;
    uint64_t bytes;
    bool old_version;
} found_t;

static bool ends_with(const char *s, const char *ending)
{
    size_t n = strlen(s);
    size_t m = strlen(ending);

    return n >= m && strcmp(s + n - m, ending) == 0;
}

/* DIR/vN/... of a version that is not ours. */
static bool is_old_version(const char *path, size_t dir_len)
{
    return strncmp(path + dir_len, "/v", 2) == 0 &&
           strtol(path + dir_len + 2, NULL, 10) < SYMX_VERSION;
}

static void look_at(apr_array_header_t *list, const FTSENT *e, size_t dir_len, time_t now)
{
    const struct stat *st = e->fts_statp;
    bool temp = strstr(e->fts_name, ".symx.tmp.") != NULL ||
                strncmp(e->fts_name, SUPPLY_PART, strlen(SUPPLY_PART)) == 0;
    found_t *f;

    if (temp && st->st_mtime < now - STALE_TEMP_SECONDS) {
        unlink(e->fts_path);
    }
    if (temp || !ends_with(e->fts_name, ".symx")) {
        return;
    }
    f = apr_array_push(list);
    f->path = apr_pstrdup(list->pool, e->fts_path);
    f->used = st->st_mtime;
    f->bytes = (uint64_t)st->st_blocks * 512;
    f->old_version = is_old_version(e->fts_path, dir_len);
}

static apr_array_header_t *scan(const char *dir, time_t now, apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, 64, sizeof(found_t));
    char *roots[] = { apr_pstrdup(p, dir), NULL };
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *e;

    while (fts && (e = fts_read(fts)) != NULL) {
        if (e->fts_info == FTS_F) {
            look_at(list, e, strlen(dir), now);
        }
    }
    if (fts) {
        fts_close(fts);
    }
    return list;
}

/* Other versions first, then by last use. */
static int by_use(const void *va, const void *vb)
{
    const found_t *a = va;
    const found_t *b = vb;

    if (a->old_version != b->old_version) {
        return a->old_version ? -1 : 1;
    }
    return a->used < b->used ? -1 : a->used > b->used;
}

static uint64_t sum_of(const apr_array_header_t *list)
{
    uint64_t sum = 0;

    for (int i = 0; i < list->nelts; i++) {
        sum += APR_ARRAY_IDX(list, i, found_t).bytes;
    }
    return sum;
}

static void trim(const char *dir, uint64_t max, apr_pool_t *p)
{
    time_t now = time(NULL);
    apr_array_header_t *list = scan(dir, now, p);
    uint64_t sum = sum_of(list);
    uint64_t before = sum;
    int gone = 0;

    if (sum <= max) {
        return;
    }
    qsort(list->elts, (size_t)list->nelts, sizeof(found_t), by_use);
    for (int i = 0; i < list->nelts && sum > max - max / 10; i++) {
        const found_t *f = &APR_ARRAY_IDX(list, i, found_t);

        if ((f->old_version || f->used < now - GRACE_SECONDS) && unlink(f->path) == 0) {
            sum -= f->bytes;
            gone++;
        }
    }
    sal_log(SAL_LOG_INFO, 2052, "symcaches: %d of %d removed, %llu bytes of %llu left", gone,
            list->nelts, (unsigned long long)sum, (unsigned long long)before);
}

apr_status_t sal_symcaches_trim(const char *dir, apr_uint64_t max, apr_pool_t *p, sal_error_t *err)
{
    const char *name = apr_pstrcat(p, dir, "/trim.lock", NULL);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    apr_pool_t *scratch;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", name);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        apr_pool_create(&scratch, p);
        trim(dir, max, scratch);
        apr_pool_destroy(scratch);
    }
    close(fd);
    return APR_SUCCESS;
}
