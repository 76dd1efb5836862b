/*
 * What the process that serves metrics knows, and how it is written.
 */
#ifndef PROCESSOR_METRICS_H
#define PROCESSOR_METRICS_H

#include "board.h"

typedef struct queue_look_t {
    apr_time_t taken; /* 0: never */
    bool good;        /* the database answered */
    sal_queue_stats_t stats;
    sal_queue_pause_t pauses[3];
    int64_t transaction_seconds; /* age of the oldest transaction */
} queue_look_t;

/* The page in Prometheus' text format; malloc'd, NULL if there is no memory. */
char *metrics_text(size_t *size, const settings_t *s, const queue_look_t *look, apr_pool_t *p);

#endif
