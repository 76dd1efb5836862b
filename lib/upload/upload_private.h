/*
 * What the files of an upload share. Private to the room.
 */
#ifndef SAL_UPLOAD_PRIVATE_H
#define SAL_UPLOAD_PRIVATE_H

#include "upload/upload.h"
#include "upload/adopt.h"
#include "upload/stager.h"

struct sal_upload_t {
    sal_upload_opts_t opts;
    sal_symbol_store_t *store;
    sal_upload_log_t *log;
    sal_upload_stream_t *stream;
    sal_upload_stager_t *stager; /* of sal_upload_take */
    sal_adopt_t *adopt;
    sal_upload_totals_t totals;
    uint32_t pass; /* entries listed in it count */
    uint32_t files, skipped, ignored, stored;
    bool lasting; /* temporary files outlive the pool: another request goes on */
    bool refused, finished, cleaned;
    int64_t id;
    apr_time_t completed;
    apr_pool_t *pool;
};

/* Files that are to be stored, not replaced by a later one. */
static inline bool upload_counts(const sal_upload_t *up, const sal_upload_entry_t *e)
{
    return (e->flags & SAL_UPLOAD_FILE) && !(e->flags & SAL_UPLOAD_REPLACED) &&
           e->listed == up->pass;
}

/* Calls fn with each entry that counts; a scratch pool is cleared after each. */
typedef apr_status_t (*upload_each_fn)(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e,
                                       void *baton, apr_pool_t *p, sal_error_t *err);
/* Removes temporary files and notes that nobody will need; once. */
void upload_clean(sal_upload_t *up);

apr_status_t upload_each(sal_upload_t *up, upload_each_fn fn, void *baton, sal_error_t *err);

/* The rows of the files, in a transaction: a few statements, however many they are. */
apr_status_t upload_add_files(sal_upload_t *up, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
