/*
 * What the files of alerts share.
 */
#ifndef SAL_JOBS_ALERTS_PRIVATE_H
#define SAL_JOBS_ALERTS_PRIVATE_H

#include <jansson.h>
#include "jobs/alerts.h"

/* What a look at an alert has found. */
typedef struct look_t {
    const sal_alerts_t *run;
    const sal_alert_t *alert;
    apr_time_t from, to;
    double value, usual;
    int64_t mark_count;      /* nth: crashes since the mark */
    int64_t older_count;     /* nth: those of them that go over into counted */
    apr_time_t mark;         /* nth: the next one */
    const char **signatures; /* new: with at least the threshold; first look: all */
    int64_t *counts;
    int n;
    json_t *top; /* signatures for the reader, [{"signature", "count", "link"}] */
} look_t;

/* Asks the search. SAL_E_DENIED: the owner may not ask that any more. */
apr_status_t alerts_find(look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* The top signatures of the span, for the body. */
apr_status_t alerts_top(look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The JSON of an alarm, in p. event 0: not known yet. */
const char *alerts_body(const look_t *l, int64_t event, bool test, apr_pool_t *p);

#endif
