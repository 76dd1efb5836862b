/*
 * The body of a report, streamed through lib/crash. Nothing of it is kept here.
 */
#include "collect_report.h"

APLOG_USE_MODULE(crash_collect);

static apr_status_t feed(void *baton, const char *data, apr_size_t size)
{
    collect_report_t *q = baton;

    return sal_intake_feed(q->intake, data, size, &q->err);
}

/* What a failed pump means for the client. */
static int refuse_pump(collect_report_t *q, int rc)
{
    switch (rc) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return collect_refuse(q->r, REFUSED_TOO_LARGE);
    case HTTP_REQUEST_TIME_OUT:
        return collect_refuse(q->r, REFUSED_LATE);
    case HTTP_BAD_REQUEST:
        return collect_refuse(q->r, REFUSED_STRUCTURE);
    default:
        return rc; /* a filter has answered, or the client is gone */
    }
}

static apr_status_t make_intake(collect_report_t *q)
{
    sal_intake_limits_t limits;

    collect_limits(q->dir, &limits);
    if (q->shape != COLLECT_FORM) {
        return sal_intake_make_other(&q->intake, q->site->store,
                                     q->shape == COLLECT_ENVELOPE ? SAL_BODY_ENVELOPE
                                                                  : SAL_BODY_DUMP,
                                     q->gzip, q->now, &limits, q->r->pool, &q->err);
    }
    return sal_intake_make(&q->intake, q->site->store, q->boundary, q->gzip, q->now, &limits,
                           q->r->pool, &q->err);
}

/* *rv is what the library made of the body, if it is not all well. */
static int pump(collect_report_t *q, apr_status_t *rv, int *rc)
{
    int code;

    web_body_keep_packed(q->r);
    code = web_body_pump(q->r, collect_max_body(q->dir), feed, q, &q->wire_size, rv);
    if (*rv == APR_SUCCESS && code != OK) {
        *rc = refuse_pump(q, code);
        return 0;
    }
    if (*rv == APR_SUCCESS && q->wire_size == 0) {
        *rc = collect_refuse(q->r, REFUSED_NO_CONTENT_LENGTH);
        return 0;
    }
    return 1;
}

int collect_read_body(collect_report_t *q, int *rc)
{
    apr_status_t rv;

    rv = make_intake(q);
    if (rv != APR_SUCCESS) {
        *rc = rv == SAL_E_MALFORMED ? collect_refuse(q->r, REFUSED_NO_BOUNDARY)
                                    : collect_refuse_store(q, rv);
        return 0;
    }
    if (!pump(q, &rv, rc)) {
        return 0;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_intake_finish(q->intake, &q->err);
    }
    collect_count_inflating(q, rv == APR_SUCCESS);
    if (rv == APR_SUCCESS) {
        return 1;
    }
    *rc = sal_intake_fault(q->intake) == SAL_FAULT_STORE
              ? collect_refuse_store(q, rv)
              : collect_refuse_fault(q->r, sal_intake_fault(q->intake));
    return 0;
}
