/*
 * Keeping caches of symbols within their bounds: what came from upstream servers, and what was made
 * of this host's own files. Here is what each of their files is.
 */
#include "upstream/upstream_private.h"

#include <stdbool.h>
#include <string.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/trim.h"

enum { STALE_TEMP_SECONDS = 3600, MEMORY_SECONDS = 86400 };

/* Texts are read more often than they are written. */
static sal_trim_kind_t by_access(const struct stat *st, time_t *used)
{
    *used = st->st_atime > st->st_mtime ? st->st_atime : st->st_mtime;
    return SAL_TRIM_COUNT;
}

/* Memories are small, but there is one a question; those a day past their end are of no use. */
static sal_trim_kind_t judge_own(const char *name, const struct stat *st, time_t now)
{
    bool temp = !strncmp(name, "tmp/", 4);
    bool memory = !strncmp(name, "miss/", 5) || !strncmp(name, "down/", 5);

    return (temp && st->st_mtime < now - STALE_TEMP_SECONDS) ||
                   (memory && st->st_mtime < now - 8 * MEMORY_SECONDS)
               ? SAL_TRIM_DROP
               : SAL_TRIM_LEAVE;
}

static sal_trim_kind_t judge_upstream(const char *name, const struct stat *st, time_t now,
                                      time_t *used)
{
    static const char own[] = UPSTREAM_OWN "/";
    const char *below = name + sizeof(own) - 1;

    if (strncmp(name, own, sizeof(own) - 1) != 0 || !strncmp(below, "buildid/", 8)) {
        return by_access(st, used);
    }
    return judge_own(below, st, now);
}

/* Taking a lock's name away would let two processes hold "the" lock. */
static sal_trim_kind_t judge_local(const char *name, const struct stat *st, time_t now,
                                   time_t *used)
{
    size_t n = strlen(name);

    (void)now;
    return n >= 5 && !strcmp(name + n - 5, ".lock") ? SAL_TRIM_LEAVE : by_access(st, used);
}

/* what: the cache, for the log. */
static apr_status_t trim(const sal_trim_t *how, const char *lock, const char *what, apr_pool_t *p,
                         sal_error_t *err)
{
    sal_trimmed_t done;
    apr_status_t rv = sal_trim(&done, how, lock, p, err);

    if (rv == APR_SUCCESS && done.gone > 0) {
        sal_log(SAL_LOG_INFO, 2083, "cache of %s symbols: %d of %d files removed, %llu bytes left",
                what, done.gone, done.files, (unsigned long long)done.left);
    }
    return rv;
}

apr_status_t sal_upstream_trim(sal_upstream_t *u, apr_pool_t *p, sal_error_t *err)
{
    sal_trim_t how = { u->opts.cache_dir, u->opts.max_disk, judge_upstream };

    return trim(&how, apr_pstrcat(p, how.dir, "/" UPSTREAM_OWN "/trim.lock", NULL), "upstream", p,
                err);
}

apr_status_t sal_local_trim(const char *dir, uint64_t max, apr_pool_t *p, sal_error_t *err)
{
    sal_trim_t how = { dir, max, judge_local };

    return trim(&how, apr_pstrcat(p, dir, "/trim.lock", NULL), "local", p, err);
}
