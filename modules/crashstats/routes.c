/*
 * From paths to pages, by the table routes.def.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

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

int crashstats_route(crashstats_req_t *q)
{
    const route_t *other = NULL, *slash = NULL;
    request_rec *r = q->r;

    for (apr_size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const route_t *route = &routes[i];

        if (fits(route, r->uri)) {
            if (takes(route, r)) {
                int rc = *route->methods == '*' ? OK : web_allow(r, route->methods);

                return rc != OK ? rc : route->handler(q, r->uri + strlen(route->path));
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
    return crashstats_message(q, HTTP_NOT_FOUND, "There is no such page",
                              "The address may be mistyped, or from an older version.");
}
