/*
 * What else is known of one minidump, by its SHA-256: the crash pings of the same crash, and other
 * reports with the very same bytes (a client that sent again, a replay).
 */
#ifndef SAL_PING_KIN_H
#define SAL_PING_KIN_H

#include <jansson.h>
#include "db/db.h"

enum { SAL_KIN_MAX = 20 }; /* of each kind */

/*
 * { "pings": [ { "document_id", "received" } ], "reports": [ { "crash_id", "received" } ] }, a new
 * reference; oldest first, times as ISO text, at most SAL_KIN_MAX of each. Reports of 60 days
 * before and after `around` are looked at, without the one named not_this. What is processed is
 * known.
 */
SAL_API apr_status_t sal_kin_of_dump(json_t **out, const char *sha256, const char *not_this,
                                     apr_time_t around, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

#endif
