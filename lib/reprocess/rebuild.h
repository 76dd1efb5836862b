/*
 * The database out of the crash store: rows of crashes, documents and searches, first-seen dates,
 * missing symbols, and a job for each crash that has no document.
 *
 * Work is divided by folder (YYYYMMDD/xx). A folder that is done is noted, so that a rebuild that
 * was interrupted goes on; several processes take folders in turn. Rows that are there stay as they
 * are: it may run beside everything else, and again. What cannot come back: docs/operations.md.
 */
#ifndef SAL_REPROCESS_REBUILD_H
#define SAL_REPROCESS_REBUILD_H

#include "crash/crash_store.h"
#include "db/db.h"

typedef struct sal_rebuilt_t {
    int64_t folders, of; /* done, and all there are */
    int64_t crashes;     /* looked at */
    int64_t documents;   /* rows restored */
    int64_t queued;      /* crashes that have no document */
    int64_t damaged;     /* containers and documents that cannot be read: the log names them */
} sal_rebuilt_t;

typedef struct sal_rebuild_t {
    const char *from, *to; /* days, "YYYYMMDD"; NULL: from the first, to the last */
    /* Told after each folder of this process; may be NULL. */
    void (*progress)(const sal_rebuilt_t *sum, void *baton);
    void *baton;
} sal_rebuild_t;

/*
 * Goes through the store. *sum is what this process did. The connection must be of its own: locks
 * are held in it, and commits do not wait for the disk (a lost one is done again).
 */
SAL_API apr_status_t sal_rebuild(sal_rebuilt_t *sum, const sal_rebuild_t *opts,
                                 sal_crash_store_t *store, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err);

/*
 * Forgets what an interrupted rebuild has done: the next one begins at the beginning. SAL_E_BUSY
 * while somebody rebuilds.
 */
SAL_API apr_status_t sal_rebuild_forget(sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
