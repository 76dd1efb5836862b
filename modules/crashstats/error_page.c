/*
 * /error/: what httpd itself refuses (ErrorDocument), in the form that suits who asked: a page for
 * people, a list for scripts on pages, JSON for programs that call the API, a line of text for all
 * others.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "common/person.h"

static const char *api_text(int status, apr_pool_t *p)
{
    const char *line;

    switch (status) {
    case HTTP_NOT_FOUND:
        return "Page not found";
    case HTTP_INTERNAL_SERVER_ERROR:
        return "Internal Server Error";
    case HTTP_METHOD_NOT_ALLOWED:
        return "Method not allowed";
    default:
        line = ap_get_status_line(status);
        return apr_pstrdup(p, strlen(line) > 4 ? line + 4 : line);
    }
}

static int as_json(crashstats_req_t *q, const request_rec *asked, int status)
{
    return crashstats_api_reply(q, status,
                                json_pack("{s:s, s:s, s:s}", "error", api_text(status, q->r->pool),
                                          "path", asked->uri, "query_string",
                                          asked->args ? asked->args : ""));
}

static int as_text(crashstats_req_t *q, int status)
{
    const char *body = apr_pstrcat(q->r->pool, ap_get_status_line(status), "\n", NULL);

    return web_reply(q->r, status, "text/plain; charset=UTF-8", body, strlen(body));
}

/* The request that went wrong first; error pages of error pages are not asked for. */
static request_rec *first(request_rec *r)
{
    while (r->prev && r->prev->status != HTTP_OK) {
        r = r->prev;
    }
    return r;
}

int crashstats_error(crashstats_req_t *q, const char *rest)
{
    request_rec *asked = first(q->r);
    sal_error_t err = { 0 };
    int status = asked->status;

    (void)rest;
    if (asked == q->r) {
        return crashstats_message(q, HTTP_NOT_FOUND, NULL, NULL);
    }
    if (status < 400 || status > 599) {
        status = HTTP_INTERNAL_SERVER_ERROR;
    }
    if (asked->uri && !strncmp(asked->uri, "/api/", 5) && !web_is_xhr(asked)) {
        return as_json(q, asked, status);
    }
    if (!web_wants_html(asked) && !web_is_xhr(asked)) {
        return as_text(q, status);
    }
    if (asked->uri && asked->user && status != HTTP_SERVICE_UNAVAILABLE) {
        (void)web_person(asked, &q->who, &err); /* whose page it is, if that is known */
    }
    return crashstats_message(q, status, NULL, NULL);
}
