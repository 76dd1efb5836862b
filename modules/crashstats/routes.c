/*
 * From paths to pages, by the table routes.def.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "common/person.h"

enum { FORM_MAX = 1 << 20 };

typedef enum { PAGE, UNDER } match_t;

typedef struct route_t {
    const char *path;
    match_t match;
    const char *methods;
    int (*handler)(crashstats_req_t *q, const char *rest);
} route_t;

int crashstats_robots(crashstats_req_t *q, const char *rest)
{
    static const char text[] = "User-agent: *\nDisallow: /\n";

    (void)rest;
    return web_reply(q->r, HTTP_OK, "text/plain; charset=UTF-8", text, sizeof text - 1);
}

int crashstats_favicon(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return web_redirect(q->r, HTTP_MOVED_PERMANENTLY, "/static/favicon.svg");
}

/* to, with the query that was asked. */
static int moved(request_rec *r, const char *to)
{
    return web_redirect(r, HTTP_MOVED_PERMANENTLY,
                        apr_pstrcat(r->pool, to, r->args ? "?" : "", r->args ? r->args : "", NULL));
}

/* The search page of older versions. */
int crashstats_query(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return moved(q->r, "/search/");
}

static const route_t routes[] = {
#define CRASHSTATS_ROUTE(path, match, methods, handler) { path, match, methods, handler },
#include "crashstats/routes.def"
#undef CRASHSTATS_ROUTE
};

static bool fits(const route_t *route, const char *uri)
{
    return route->match == PAGE ? strcmp(uri, route->path) == 0
                                : strncmp(uri, route->path, strlen(route->path)) == 0;
}

/* A path that would fit with a '/' at its end. */
static bool lacks_slash(const route_t *route, const char *uri)
{
    apr_size_t n = strlen(uri);

    return strncmp(uri, route->path, n) == 0 && strcmp(route->path + n, "/") == 0;
}

static bool takes(const route_t *route, request_rec *r)
{
    bool post = strcmp(route->methods, "POST") == 0;

    return post == (r->method_number == M_POST) || *route->methods == '*' ||
           strstr(route->methods, r->method);
}

/*
 * Forms change something, so they must come from a page of ours; handlers need not look again. The
 * API looks itself: what it takes from browsers of others differs.
 */
static bool is_forged(crashstats_req_t *q, const route_t *route)
{
    return q->r->method_number == M_POST && *route->methods != '*' &&
           !web_form_trusted(q->r, &q->who, web_form_sent(q->r, web_form(q->r, FORM_MAX)));
}

static int answer(crashstats_req_t *q, const route_t *route)
{
    int rc = *route->methods == '*' ? OK : web_allow(q->r, route->methods);

    if (rc != OK) {
        return rc;
    }
    if (is_forged(q, route)) {
        return crashstats_message(q, HTTP_FORBIDDEN, "The form is too old",
                                  "Open the page again and repeat what you did.");
    }
    return route->handler(q, q->r->uri + strlen(route->path));
}

int crashstats_route(crashstats_req_t *q)
{
    const route_t *other = NULL, *slash = NULL;
    request_rec *r = q->r;

    for (apr_size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const route_t *route = &routes[i];

        if (fits(route, r->uri)) {
            if (takes(route, r)) {
                return answer(q, route);
            }
            other = route;
        } else if (!slash && lacks_slash(route, r->uri)) {
            slash = route;
        }
    }
    if (other) {
        return web_allow(r, other->methods);
    }
    if (slash) {
        return moved(r, slash->path);
    }
    return crashstats_message(q, HTTP_NOT_FOUND, NULL, NULL);
}
