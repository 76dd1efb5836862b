/*
 * How many requests may be under way: in all children of httpd together, and of one client.
 */
#ifndef MODULES_SYMBOLICATE_ADMIT_H
#define MODULES_SYMBOLICATE_ADMIT_H

#include "common/web.h"

typedef struct symbolicate_table_t symbolicate_table_t;

/*
 * A table of as many requests as there are places, shared with processes that are forked later;
 * gone with the pool, for this process.
 */
apr_status_t symbolicate_table_make(symbolicate_table_t **out, unsigned places, apr_pool_t *p);

/* This process is new: what one before it with the same number left behind is not its own. */
void symbolicate_table_adopt(symbolicate_table_t *t);

typedef struct symbolicate_limits_t {
    apr_int64_t all, client; /* most requests under way; 0: no limit */
} symbolicate_limits_t;

/*
 * Takes a place for a request: OK, HTTP_SERVICE_UNAVAILABLE (too many of all) or
 * HTTP_TOO_MANY_REQUESTS (of this client). *place is for symbolicate_leave, and may be none.
 */
int symbolicate_enter(int *place, symbolicate_table_t *t, const symbolicate_limits_t *limits,
                      request_rec *r);
void symbolicate_leave(symbolicate_table_t *t, int place);

#endif
