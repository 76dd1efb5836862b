/*
 * What rules count and time: a table of numbers in memory that its owner chooses, so that forked
 * workers can share one (MAP_SHARED) and any of them, or their parent, can read it.
 *
 * Names are upstream's without the prefix "processor."; a label is "key:value" or several joined
 * by ','. Nothing here locks: a reader may see a count that is one ahead of its sum. A table that
 * is full counts what has no place under "metrics.lost".
 */
#ifndef SAL_PROCESS_METRICS_H
#define SAL_PROCESS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef enum { SAL_METRIC_COUNT, SAL_METRIC_GAUGE, SAL_METRIC_TIMING } sal_metric_kind_t;

/*
 * Takes one observation: COUNT adds value, GAUGE keeps it, TIMING is a duration in microseconds.
 * label: "" if there is none.
 */
typedef void (*sal_metric_fn)(sal_metric_kind_t kind, const char *name, const char *label,
                              int64_t value, void *baton);

typedef struct sal_metrics_t sal_metrics_t;

typedef struct sal_metric_t {
    sal_metric_kind_t kind;
    const char *name, *label; /* valid as long as the table */
    uint64_t count;           /* observations */
    int64_t sum, last, max;   /* COUNT: sum; GAUGE: last and max; TIMING: sum and max */
} sal_metric_t;

/* Bytes that a table takes. */
SAL_API size_t sal_metrics_size(void);
/* Makes an empty table of zeroed memory of that size, aligned to 8. */
SAL_API sal_metrics_t *sal_metrics_at(void *memory);

/* A sal_metric_fn; its baton is a sal_metrics_t. */
SAL_API void sal_metrics_add(sal_metric_kind_t kind, const char *name, const char *label,
                             int64_t value, void *baton);

/*
 * The metric number i in no order; false behind the last. One that two processes began at the same
 * moment may be there twice: the two add up.
 */
SAL_API bool sal_metrics_get(const sal_metrics_t *table, size_t i, sal_metric_t *out);

#endif
