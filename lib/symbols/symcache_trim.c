/*
 * Keeping the folder of symcaches within its bound: what each of its files is.
 */
#include "symbols/supplier.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/trim.h"
#include "symbols/supplier_source.h"
#include "symbols/symcache_format.h"

enum { STALE_TEMP_SECONDS = 3600 };

static bool ends_with(const char *s, const char *ending)
{
    size_t n = strlen(s);
    size_t m = strlen(ending);

    return n >= m && strcmp(s + n - m, ending) == 0;
}

/* vN/... of a version that is not ours: nobody reads it once an upgrade is over. */
static bool is_old_version(const char *name)
{
    return *name == 'v' && strtol(name + 1, NULL, 10) < SYMX_VERSION;
}

static sal_trim_kind_t judge(const char *name, const struct stat *st, time_t now, time_t *used)
{
    const char *slash = strrchr(name, '/');
    const char *leaf = slash ? slash + 1 : name;

    (void)used;
    if (strstr(leaf, ".symx.tmp.") || !strncmp(leaf, SUPPLY_PART, strlen(SUPPLY_PART))) {
        return st->st_mtime < now - STALE_TEMP_SECONDS ? SAL_TRIM_DROP : SAL_TRIM_LEAVE;
    }
    if (!ends_with(leaf, ".symx")) {
        return SAL_TRIM_LEAVE;
    }
    return is_old_version(name) ? SAL_TRIM_FORSAKE : SAL_TRIM_COUNT;
}

apr_status_t sal_symcaches_trim(const char *dir, apr_uint64_t max, apr_pool_t *p, sal_error_t *err)
{
    sal_trim_t how = { dir, max, judge };
    sal_trimmed_t done;
    apr_status_t rv = sal_trim(&done, &how, apr_pstrcat(p, dir, "/trim.lock", NULL), p, err);

    if (rv == APR_SUCCESS && done.gone > 0) {
        sal_log(SAL_LOG_INFO, 2052, "symcaches: %d of %d removed, %llu bytes of %llu left",
                done.gone, done.files, (unsigned long long)done.left,
                (unsigned long long)done.before);
    }
    return rv;
}
