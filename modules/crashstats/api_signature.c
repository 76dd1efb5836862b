/*
 * CrashSignature: signatures of crash data that a client has itself.
 */
#include "crashstats/api.h"

#include <apr_strings.h>

#include "base/json.h"

enum { BODY_MAX = 16 * 1024 * 1024, JOBS_MAX = 1000 };

static int detail(api_call_t *c, int status, const char *text)
{
    return crashstats_api_reply(c->q, status, json_pack("{s:s}", "detail", text));
}

/* The frames that the last stack walked over, as they were compared. */
static json_t *normalized(const json_t *why)
{
    const json_t *stacks = json_object_get(why, "stacks"), *frame;
    const json_t *stack = json_array_get(stacks, json_array_size(stacks) - 1);
    json_t *out = json_array();
    size_t i;

    json_array_foreach(json_object_get(stack, "frames"), i, frame)
    {
        json_array_append(out, json_object_get(frame, "normalized"));
    }
    return out;
}

static json_t *result_of(api_call_t *c, const json_t *job, bool debug)
{
    json_t *out, *why, *extra = json_object();
    sal_signature_t sig;

    why = sal_signature_explain(&sig, job, c->q->conf->siglists, c->q->r->pool);
    if (sig.proto_signature) {
        json_object_set_new(extra, "proto_signature",
                            json_stringn_nocheck(sig.proto_signature, sig.proto_size));
        json_object_set_new(extra, "normalized_frames", normalized(why));
    }
    out = json_pack("{s:s, s:o, s:o}", "signature", sig.signature, "notes",
                    sal_signature_lines_json(&sig.notes), "extra", extra);
    if (debug) {
        json_object_set_new(out, "debug_log", sal_signature_lines_json(&sig.debug));
    }
    json_decref(why);
    return out;
}

static int answer_jobs(api_call_t *c, const json_t *jobs)
{
    bool debug = apr_table_get(c->q->r->subprocess_env, "DEBUG") &&
                 strcmp(apr_table_get(c->q->r->subprocess_env, "DEBUG"), "1") == 0;
    json_t *results = json_array(), *job;
    size_t i;

    json_array_foreach(jobs, i, job)
    {
        if (!json_is_object(job)) {
            json_decref(results);
            return detail(c, HTTP_BAD_REQUEST, "A job is not an object.");
        }
    }
    json_array_foreach(jobs, i, job)
    {
        json_array_append_new(results, result_of(c, job, debug));
    }
    return crashstats_api_reply(c->q, HTTP_OK, json_pack("{s:o}", "results", results));
}

static int answer_text(api_call_t *c, const char *text, apr_size_t size)
{
    sal_error_t err = { 0 };
    const json_t *jobs;
    json_t *doc = NULL;

    if (size && sal_json_parse(&doc, text, size, c->q->r->pool, &err) != APR_SUCCESS) {
        return detail(c, HTTP_BAD_REQUEST,
                      apr_pstrcat(c->q->r->pool, "JSON parse error - ", err.message, NULL));
    }
    jobs = json_object_get(doc, "jobs");
    if (!json_is_array(jobs) || json_array_size(jobs) == 0) {
        return crashstats_api_error(c->q, HTTP_BAD_REQUEST, "no jobs specified");
    }
    if (json_array_size(jobs) > JOBS_MAX) {
        return crashstats_api_error(c->q, HTTP_BAD_REQUEST, "more than 1,000 jobs specified");
    }
    return answer_jobs(c, jobs);
}

int api_crash_signature(api_call_t *c)
{
    request_rec *r = c->q->r;
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    apr_size_t size;
    char *text;
    int rc;

    if (!c->q->conf->siglists) {
        sal_error_t err = { 0 };

        (void)sal_fail(&err, SAL_E_SICK, "the signature lists are not loaded");
        return crashstats_api_failed(c->q, SAL_E_SICK, &err);
    }
    if (c->q->answer) { /* from the form of the page */
        text = (char *)api_string(c, "jobs");
        return answer_text(c, text, strlen(text));
    }
    if (type && !web_type_is(r, "application/json")) {
        return detail(c, HTTP_UNSUPPORTED_MEDIA_TYPE,
                      apr_psprintf(r->pool, "Unsupported media type \"%s\" in request.", type));
    }
    rc = web_body_text(r, BODY_MAX, &text, &size);
    if (rc == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return detail(c, rc, "The body is larger than 16 MB.");
    }
    return rc == OK ? answer_text(c, text, size) : detail(c, rc, "The body did not come whole.");
}
