/*
 * Caches on disk within their bounds: files that were not used for longest go first.
 *
 * What is trimmed must bear that any file goes at any time: who has it open reads on, who wants it
 * again gets it again. The cache says what each of its files is; this room knows no file names.
 */
#ifndef SAL_BASE_TRIM_H
#define SAL_BASE_TRIM_H

#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <apr_pools.h>
#include "base/api.h"
#include "base/error.h"

typedef enum {
    SAL_TRIM_LEAVE,  /* not counted, stays */
    SAL_TRIM_DROP,   /* not counted, goes at once: a leftover */
    SAL_TRIM_COUNT,  /* goes in the order of its use, never within ten minutes after it */
    SAL_TRIM_FORSAKE /* goes before the others, whenever it was used */
} sal_trim_kind_t;

typedef struct sal_trim_t {
    const char *dir;
    uint64_t max; /* bytes on disk; 0: no bound, only leftovers go */
    /* name: the path below dir. *used is st's st_mtime before the call, and may be changed. */
    sal_trim_kind_t (*judge)(const char *name, const struct stat *st, time_t now, time_t *used);
} sal_trim_t;

typedef struct sal_trimmed_t {
    int gone, files;       /* of the files that count; gone is 0 where all was within the bound */
    uint64_t before, left; /* bytes */
} sal_trimmed_t;

/*
 * Removes files until a tenth less than max is left. One process of a host at a time, by a lock on
 * the file `lock`, which is made; *out stays empty if another one is at it.
 */
SAL_API apr_status_t sal_trim(sal_trimmed_t *out, const sal_trim_t *how, const char *lock,
                              apr_pool_t *p, sal_error_t *err);

#endif
