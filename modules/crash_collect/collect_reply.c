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
    [REFUSED_NO_MINIDUMP] = { 400, "Discarded=malformed_no_minidump" },
    [REFUSED_TOO_LARGE] = { 413, "Discarded=malformed_too_large" },
    [REFUSED_UUID] = { 400, "Discarded=malformed_invalid_uuid" },
    [REFUSED_TOKEN] = { 401, "Discarded=unauthorized_uuid" },
    [REFUSED_KEY] = { 401, "Discarded=unauthorized_key" },
    [REFUSED_LATE] = { 408, "" },
};

/* Headers of every reply; clients do not expect it to be compressed. */
static void set_headers(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    if (!strcmp(ap_http_scheme(r), "https")) { /* browsers must ignore it on plain HTTP */
        apr_table_setn(r->headers_out, "Strict-Transport-Security", "max-age=31536000");
    }
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
}

static int reply(request_rec *r, int status, const char *body)
{
    set_headers(r);
    return web_reply(r, status, "text/plain", body, strlen(body));
}

/* Sentry's clients read {"detail": words, "causes": [reason]}. */
static int reply_sentry_error(collect_report_t *q, int status, const char *reason)
{
    const char *detail = q && q->err.message[0] ? q->err.message : reason;

    set_headers(q->r);
    return web_reply_json(q->r, status,
                          json_pack("{s:s, s:[s]}", "detail", detail, "causes", reason));
}

/* Of what is too large it says which limit, in our own words: nothing of the client's is in it. */
static const char *explain(collect_report_t *q, collect_refusal_t why, const char *reason)
{
    if (!q || why != REFUSED_TOO_LARGE) {
        return reason;
    }
    if (!q->err.message[0]) {
        (void)sal_fail(&q->err, SAL_E_TOOBIG, "body over %" APR_INT64_T_FMT " bytes",
                       (apr_int64_t)collect_max_body(q->dir));
    }
    return apr_pstrcat(q->r->pool, reason, "; ", q->err.message, NULL);
}

int collect_refuse(request_rec *r, collect_refusal_t why)
{
    collect_report_t *q = collect_report(r);
    const char *reason = strchr(refusals[why].body, '=');
    int status = refusals[why].status;

    reason = reason ? reason + 1 : "late";
    apr_table_setn(r->notes, "crash-discarded", reason);
    apr_table_setn(r->headers_out, "X-Crash-Reason", explain(q, why, reason));
    collect_count_refusal(reason);
    if (collect_log_may(r, apr_pstrcat(r->pool, "SAL1011 ", reason, NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL1011: report refused: %s",
                      why == REFUSED_LATE ? "the body came too late" : reason);
    }
    if (status == 413) {
        r->connection->keepalive = AP_CONN_CLOSE; /* what is left of the body is not read */
    }
    if (q && collect_style(q) == COLLECT_STYLE_SENTRY) {
        return reply_sentry_error(q, status, reason);
    }
    if (q && !strncmp(reason, "malformed_", 10) && collect_reject_is_200(q)) {
        status = HTTP_OK;
    }
    return reply(r, status, refusals[why].body);
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

static const char *without_dashes(const char *uuid, apr_pool_t *p)
{
    char *hex = apr_palloc(p, strlen(uuid) + 1), *to = hex;

    for (; *uuid; uuid++) {
        *to = *uuid;
        to += *uuid != '-';
    }
    *to = '\0';
    return hex;
}

int collect_accept(collect_report_t *q)
{
    const char *id = q->event_id ? q->event_id : q->id;

    switch (collect_style(q)) {
    case COLLECT_STYLE_ID:
        return reply(q->r, HTTP_OK, q->id);
    case COLLECT_STYLE_SENTRY:
        apr_table_setn(q->r->headers_out, "X-Crash-Id",
                       apr_pstrcat(q->r->pool, "bp-", q->id, NULL));
        if (q->shape != COLLECT_ENVELOPE) {
            return reply(q->r, HTTP_OK, id);
        }
        set_headers(q->r);
        return web_reply_json(q->r, HTTP_OK,
                              json_pack("{s:s}", "id", without_dashes(id, q->r->pool)));
    default:
        return reply(q->r, HTTP_OK,
                     apr_pstrcat(q->r->pool, "CrashID=bp-", q->id, "\n", q->lines, NULL));
    }
}

void collect_retry_after(request_rec *r, int seconds)
{
    unsigned char jitter = 0;

    apr_generate_random_bytes(&jitter, 1);
    apr_table_setn(r->headers_out, "Retry-After",
                   apr_psprintf(r->pool, "%d", seconds + jitter % (seconds / 2 + 1)));
}

int collect_busy(request_rec *r, const char *why, int retry_after)
{
    collect_count(COLLECT_BUSY, why);
    apr_table_setn(r->notes, "crash-busy", why);
    collect_retry_after(r, retry_after);
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
