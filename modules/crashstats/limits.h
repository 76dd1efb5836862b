/*
 * How often a client may ask, counted by all children of this host together.
 */
#ifndef MODULES_CRASHSTATS_LIMITS_H
#define MODULES_CRASHSTATS_LIMITS_H

#include "common/web.h"

/* What is counted by itself. */
typedef enum {
    CRASHSTATS_BUCKET_API,
    CRASHSTATS_BUCKET_VERIFY,
    CRASHSTATS_BUCKET_MISSING,
    CRASHSTATS_BUCKET_SIGNATURE,
    CRASHSTATS_BUCKET_SEARCH, /* /search/results/ */
    CRASHSTATS_BUCKETS
} crashstats_bucket_t;

/* Calls a minute; 0: not set, -1: no limit. */
typedef struct crashstats_rate_t {
    apr_int64_t anonymous, known;
} crashstats_rate_t;

/* Memory that children share; without it nothing is limited. Call from post_config. */
void crashstats_limits_make(apr_pool_t *p, server_rec *s);

/*
 * Counts a call: 0, or the seconds until the client may come again. Windows of a minute stand still
 * and begin at another second for each client; refused calls count.
 */
int crashstats_limit(request_rec *r, crashstats_bucket_t bucket, const crashstats_rate_t *rate,
                     bool known);

/* "100/min", "100", "off"; the message of httpd -t or NULL. known NULL: as anonymous. */
const char *crashstats_rate_set(cmd_parms *cmd, crashstats_rate_t *out, const char *anonymous,
                                const char *known);

#endif
