/*
 * One report on its way through the collector. Every step and every concern of the module sees
 * this and nothing else of the others.
 */
#ifndef COLLECT_REPORT_H
#define COLLECT_REPORT_H

#include "collect_private.h"
#include "crash/form_type.h"

typedef enum { COLLECT_FORM, COLLECT_RAW_DUMP, COLLECT_ENVELOPE } collect_shape_t;

typedef struct collect_report_t {
    request_rec *r;
    collect_site_t *site;
    collect_dir_t *dir;
    apr_time_t now; /* of submitted_timestamp and of the id's date */
    collect_shape_t shape;
    const char *sentry;   /* project of the path, for Sentry's endpoints; else NULL */
    const char *event_id; /* Sentry's, if the client made one */
    char boundary[SAL_MULTIPART_BOUNDARY_MAX + 1];
    int gzip;
    sal_intake_t *intake; /* NULL until the body is read */
    apr_off_t wire_size;
    sal_verdict_t verdict; /* rule is NULL until the throttler has spoken */
    const char *id;
    int overwrite;     /* the client's id may replace a stored crash */
    const char *lines; /* further lines of the reply, each ending in LF; "" */
    sal_error_t err;   /* what was wrong, in words */
} collect_report_t;

/* The report of this request: NULL before the handler began, and in requests that are none. */
collect_report_t *collect_report(request_rec *r);

/* A step: true to go on; false after it has answered, with what the handler returns in *rc. */

/* ---- collect_headers.c ---- */
int collect_read_headers(collect_report_t *q, int *rc);

/* ---- collect_body.c ---- */
int collect_read_body(collect_report_t *q, int *rc);

/* ---- collect_sentry.c ---- */
int collect_map_sentry(collect_report_t *q, int *rc);

/* ---- collect_ledger.c: counting, one call a place ---- */
void collect_count_refusal(const char *reason); /* "malformed_no_boundary", "late", ... */
void collect_count_inflating(collect_report_t *q, int good); /* nothing if it is not gzip */
void collect_count_report(collect_report_t *q);              /* well-formed, before decisions */

/* ---- collect_submitter.c: clients that may bring their own id ---- */
int collect_read_uuid(collect_report_t *q, int *rc);

/* ---- collect_request.c ---- */
/* The store failed: answers, logs once, and returns what the handler returns. */
int collect_refuse_store(collect_report_t *q, apr_status_t rv);
/* Notes for the access log and counts, once q->verdict is final. */
void collect_note_verdict(collect_report_t *q);
/* All steps, for a request whose method is POST; q->shape is set by collect_read_headers. */
int collect_take_report(collect_report_t *q);

/*
 * Adds "name=value" to the reply of an accepted or discarded report. Only where the operator asked
 * for it: Crashpad and Breakpad on macOS keep the whole body as the report's id.
 */
void collect_add_line(collect_report_t *q, const char *name, const char *value);

#endif
