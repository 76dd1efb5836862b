/*
 * What the crash store holds, folder by folder: for work that goes through all of it.
 */
#ifndef SAL_CRASH_STORED_H
#define SAL_CRASH_STORED_H

#include <apr_tables.h>
#include "crash/crash_store.h"

/* Days ("YYYYMMDD", const char *) that have containers or documents, oldest first. */
SAL_API apr_status_t sal_stored_days(apr_array_header_t **out, sal_crash_store_t *store,
                                     apr_pool_t *p, sal_error_t *err);

/* A crash of a folder. */
typedef struct sal_stored_t {
    const char *id;
    bool container; /* the raw crash is there */
    const char *
        *docs; /* keys of processed documents, NULL-terminated, the likeliest newest first */
    apr_int64_t last_job; /* the highest that a document's name tells */
} sal_stored_t;

/*
 * The crashes of a folder "YYYYMMDD/xx", by id; *out is an array of sal_stored_t. A folder holds
 * the 256th part of a day. Strange files are passed over.
 */
SAL_API apr_status_t sal_stored_part(apr_array_header_t **out, sal_crash_store_t *store,
                                     const char *part, apr_pool_t *p, sal_error_t *err);

/* One crash; false if there is nothing of it. */
SAL_API bool sal_stored_find(sal_stored_t *out, sal_crash_store_t *store, const char *id,
                             apr_pool_t *p);

/*
 * The document of the last pass, owned by p, and its key. Of several the one that has been through
 * most passes, then the one that was completed last; damaged ones are passed over (*damaged counts
 * them, may be NULL). APR_ENOENT if there is none that can be read.
 */
SAL_API apr_status_t sal_stored_document(json_t **doc, const char **key, int *damaged,
                                         const sal_stored_t *crash, sal_crash_store_t *store,
                                         apr_pool_t *p, sal_error_t *err);

/* The passes that a document tells of: this one and those in its history. */
SAL_API int sal_stored_passes(const json_t *doc);

#endif
