/*
 * How `salvage queue` shows what is in the queue: as text or, with json, as one JSON value.
 */
#ifndef TOOLS_QUEUE_SHOW_H
#define TOOLS_QUEUE_SHOW_H

#include <stdbool.h>

#include "queue/queue.h"

/* Counts of lanes, sums first. */
apr_status_t queue_show_stats(bool json, sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* Jobs of a state. */
apr_status_t queue_show_list(sal_queue_state_t state, int max, bool json, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err);
/* Lanes with their pauses, what is leased and by whom, what has died and why. */
apr_status_t queue_show_all(int max, bool json, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
