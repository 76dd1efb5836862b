/*
 * Rates in memory that processes share: so many a minute of each key, with bursts, and so many a
 * day. No lock: a key's state is one 64-bit word, changed by compare-and-swap.
 *
 * A table has a fixed number of places; when all places where a key may stand are taken, the one
 * that would be free soonest is given away. So memory is bounded, and a flood of keys can only make
 * limits more generous. Keys are hashed with a secret of the table: what they were cannot be read
 * from it.
 */
#ifndef SAL_CRASH_RATE_H
#define SAL_CRASH_RATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

typedef struct sal_rate_t {
    apr_interval_time_t every; /* microseconds from one to the next; 0: no limit */
    int burst;                 /* so many at once; at least 1 */
} sal_rate_t;

/*
 * "10/s", "60/min", "1000/h", "5000/d", and how many may come at once: NULL is what comes in a
 * second, at least 1. "none": no limit. False for anything else.
 */
SAL_API bool sal_rate_parse(sal_rate_t *out, const char *rate, const char *burst);

typedef struct sal_rates_t sal_rates_t;

/* Bytes that a table of so many places needs (places are rounded up to a power of two). */
SAL_API apr_size_t sal_rates_size(int places);

/*
 * Uses memory, sal_rates_size() bytes, as a table. Memory that is all zero becomes an empty table
 * with a new secret; memory that was a table of as many places goes on being that.
 */
SAL_API sal_rates_t *sal_rates_open(void *memory, int places);

/*
 * Takes one of key. True: it may pass; *held (may be NULL) is how many were refused before it since
 * the last one passed. False: *wait (may be NULL) is the time after which one would pass.
 */
SAL_API bool sal_rate_take(sal_rates_t *t, const void *key, apr_size_t size, const sal_rate_t *rate,
                           apr_time_t now, apr_interval_time_t *wait, unsigned *held);

/* The same with at most `most` a day (of UTC); *wait goes to the next day. */
SAL_API bool sal_rate_take_daily(sal_rates_t *t, const void *key, apr_size_t size, int64_t most,
                                 apr_time_t now, apr_interval_time_t *wait);

#endif
