/*
 * Replies to crash reporters. They compare bytes: the strings below are the protocol, and stand
 * nowhere else.
 */
#include "collect_report.h"

#include <apr_strings.h>

APLOG_USE_MODULE(crash_collect);

static const struct {
    int status;
    const char *body;
} refusals[] = {
    [REFUSED_NO_CONTENT_TYPE] = { 400, "Discarded=malformed_no_content_type" },
    [REFUSED_WRONG_CONTENT_TYPE] = { 400, "Discarded=malformed_wrong_content_type" },
    [REFUSED_NO_BOUNDARY] = { 400, "Discarded=malformed_no_boundary" },
    [REFUSED_NO_CONTENT_LENGTH] = { 400, "Discarded=malformed_no_content_length" },
    [REFUSED_ENCODING] = { 415, "Discarded=malformed_unsupported_encoding" },
    [REFUSED_BAD_GZIP] = { 400, "Discarded=malformed_bad_gzip" },
    [REFUSED_STRUCTURE] = { 400, "Discarded=malformed_invalid_payload_structure" },
    [REFUSED_JSON] = { 400, "Discarded=malformed_invalid_json" },
    [REFUSED_JSON_VALUE] = { 400, "Discarded=malformed_invalid_json_value" },
    [REFUSED_DUMP_NAME] = { 400, "Discarded=malformed_invalid_dump_name" },
    [REFUSED_NO_ANNOTATIONS] = { 400, "Discarded=malformed_no_annotations" },
    [REFUSED_TOO_LARGE] = { 413, "Discarded=malformed_too_large" },
    [REFUSED_UUID] = { 400, "Discarded=malformed_invalid_uuid" },
    [REFUSED_TOKEN] = { 401, "Discarded=unauthorized_uuid" },
    [REFUSED_LATE] = { 408, "" },
};

static int reply(request_rec *r, int status, const char *body)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->subprocess_env, "no-gzip", "1"); /* clients do not expect it */
    return web_reply(r, status, "text/plain", body, strlen(body));
}

int collect_refuse(request_rec *r, collect_refusal_t why)
{
    const char *reason = strchr(refusals[why].body, '=');

    apr_table_setn(r->notes, "crash-discarded", reason ? reason + 1 : "late");
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL1011: report refused: %s",
                  reason ? reason + 1 : "the body came too late");
    if (refusals[why].status == 413) {
        r->connection->keepalive = AP_CONN_CLOSE; /* what is left of the body is not read */
    }
    return reply(r, refusals[why].status, refusals[why].body);
}

int collect_refuse_fault(request_rec *r, sal_fault_t fault)
{
    static const collect_refusal_t map[] = {
        [SAL_FAULT_BAD_GZIP] = REFUSED_BAD_GZIP,
        [SAL_FAULT_STRUCTURE] = REFUSED_STRUCTURE,
        [SAL_FAULT_JSON] = REFUSED_JSON,
        [SAL_FAULT_JSON_VALUE] = REFUSED_JSON_VALUE,
        [SAL_FAULT_DUMP_NAME] = REFUSED_DUMP_NAME,
        [SAL_FAULT_NO_ANNOTATIONS] = REFUSED_NO_ANNOTATIONS,
        [SAL_FAULT_TOO_LARGE] = REFUSED_TOO_LARGE,
    };

    return collect_refuse(r, fault == SAL_FAULT_NONE ? REFUSED_STRUCTURE : map[fault]);
}

int collect_discard(collect_report_t *q)
{
    return reply(q->r, HTTP_OK,
                 apr_pstrcat(q->r->pool, "Discarded=rule_", q->verdict.rule, *q->lines ? "\n" : "",
                             q->lines, NULL));
}

int collect_accept(collect_report_t *q)
{
    return reply(q->r, HTTP_OK,
                 apr_pstrcat(q->r->pool, "CrashID=bp-", q->id, "\n", q->lines, NULL));
}

int collect_busy(request_rec *r, int retry_after)
{
    unsigned char jitter = 0;

    /* So that those who were sent away together do not come back together. */
    apr_generate_random_bytes(&jitter, 1);
    apr_table_setn(r->headers_out, "Retry-After",
                   apr_psprintf(r->pool, "%d", retry_after + jitter % (retry_after / 2 + 1)));
    return reply(r, HTTP_SERVICE_UNAVAILABLE, "");
}

int collect_failed(request_rec *r)
{
    return reply(r, HTTP_INTERNAL_SERVER_ERROR, "");
}

int collect_method(request_rec *r, const char *allow)
{
    apr_table_setn(r->headers_out, "Allow", allow);
    return r->method_number == M_OPTIONS
               ? reply(r, HTTP_OK, "")
               : reply(r, HTTP_METHOD_NOT_ALLOWED, "405 Method Not Allowed");
}
