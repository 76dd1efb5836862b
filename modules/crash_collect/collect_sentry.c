/*
 * SetHandler crash-sentry: the endpoints of Sentry that crash reporters use.
 *
 *   /api/PROJECT/minidump/  a form, or the bare dump as the body
 *   /api/PROJECT/envelope/  an envelope with a minidump
 *
 * All else below /api/PROJECT/ is 404; for .../upload/ that tells clients to send dumps whole.
 */
#include "collect_report.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include "crash/sentry.h"

APLOG_USE_MODULE(crash_collect);

#define PROJECT_MAX 64

/* The last two segments of the path: project and endpoint. NULL if it is none of ours. */
static const char *split_path(const request_rec *r, const char **endpoint)
{
    const char *end = r->uri + strlen(r->uri), *slash, *project;

    if (end > r->uri && end[-1] == '/') {
        end--;
    }
    for (slash = end; slash > r->uri && slash[-1] != '/';) {
        slash--;
    }
    if (slash < r->uri + 2) {
        return NULL;
    }
    *endpoint = apr_pstrmemdup(r->pool, slash, (apr_size_t)(end - slash));
    for (project = --slash; project > r->uri && project[-1] != '/';) {
        project--;
    }
    if (project == slash || slash - project > PROJECT_MAX) {
        return NULL;
    }
    return apr_pstrmemdup(r->pool, project, (apr_size_t)(slash - project));
}

static int project_ok(const char *s)
{
    for (; *s; s++) {
        if (!apr_isalnum(*s) && !strchr("-_.", *s)) {
            return 0;
        }
    }
    return 1;
}

/* What the body is. Clients may send an envelope without a type; its path tells. */
static void find_shape(collect_report_t *q, const char *endpoint)
{
    const char *type = apr_table_get(q->r->headers_in, "Content-Type");

    if (!strcmp(endpoint, "envelope")) {
        q->shape = COLLECT_ENVELOPE;
    } else if (type && (sal_form_type_is(type, "application/octet-stream") ||
                        sal_form_type_is(type, "application/x-dmp"))) {
        q->shape = COLLECT_RAW_DUMP;
    }
}

int collect_sentry_handler(request_rec *r)
{
    const char *endpoint, *project;
    collect_report_t *q;

    if (!r->handler || strcmp(r->handler, "crash-sentry")) {
        return DECLINED;
    }
    project = split_path(r, &endpoint);
    if (!project || !project_ok(project) ||
        (strcmp(endpoint, "minidump") && strcmp(endpoint, "envelope"))) {
        return HTTP_NOT_FOUND;
    }
    if (r->method_number != M_POST) {
        return collect_method(r, r->method_number == M_OPTIONS ? "POST" : "POST, OPTIONS");
    }
    q = apr_pcalloc(r->pool, sizeof(*q));
    q->r = r;
    q->dir = collect_dir(r);
    q->sentry = project;
    find_shape(q, endpoint);
    return collect_take_report(q);
}

int collect_map_sentry(collect_report_t *q, int *rc)
{
    if (sal_intake_has_dump(q->intake, "upload_file_minidump")) {
        sal_intake_map_sentry(&q->event_id, q->intake, q->sentry);
        return 1;
    }
    if (q->shape == COLLECT_ENVELOPE) { /* sessions and the like: nothing to keep, no fault */
        *rc = web_reply(q->r, HTTP_OK, "application/json", "{}", 2);
    } else {
        *rc = collect_refuse(q->r, REFUSED_NO_MINIDUMP);
    }
    return 0;
}
