/*
 * Where a crash stands in the database: its processed document's key, its job.
 */
#ifndef SAL_SEARCH_LOOKUP_H
#define SAL_SEARCH_LOOKUP_H

#include <stdbool.h>
#include "db/db.h"

typedef struct sal_lookup_t {
    const char *blob; /* key of the processed document, NULL if there is none */
    bool queued;      /* there is a job: the members below are its */
    bool busy, dead;
    bool deferred;          /* by the throttler: its job waits until somebody asks for it */
    int lane;               /* sal_lane_t */
    const char *last_error; /* "" if none */
    apr_time_t enqueued;
    int64_t ahead, waiting; /* ready jobs before it, all ready jobs */
} sal_lookup_t;

/* Asks for the document, and for the job if there is no document. */
SAL_API apr_status_t sal_lookup_crash(sal_lookup_t *out, const char *crash_id, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

#endif
