/*
 * The frame of every page: places, theme, account, headers, conditional requests; redirects.
 */
#ifndef MODULES_COMMON_PAGE_H
#define MODULES_COMMON_PAGE_H

#include "common/web.h"
#include "render/template.h"

typedef struct web_page_t {
    request_rec *r;
    const sal_templates_t *templates;
    const sal_conf_t *shared; /* sign-in-url, sign-out-url, bug-url; may be NULL */
    const char *user;         /* who is signed in, or NULL */
    const char *place;        /* name of the current place in the navigation, or NULL */
    int secret;               /* nobody may store the page */
    int permissions;          /* of the reader: which menus they see */
    const char *product;      /* that the page is about, NULL: none */
    const char *version;      /* the same */
    const char *report;       /* "home", "topcrashers", "search": which report the menus lead to */
} web_page_t;

/*
 * Renders a template with data (stolen) in the frame. Anonymous pages can be asked for again by
 * their tag. Returns OK with r->status set, or what the request's conditions ask for.
 */
int web_page(const web_page_t *page, int status, const char *name, json_t *data);

/*
 * What went wrong, as a page; for scripts on a page (X-Requested-With: XMLHttpRequest) as the bare
 * list <ul><li>text</li></ul>. heading and text may be NULL: what is usual for the status.
 */
int web_problem(const web_page_t *page, int status, const char *heading, const char *text);

/* The request comes from a script on a page. */
int web_is_xhr(request_rec *r);

/* What a browser may do with pages: nothing but our own styles, scripts, forms and pictures. */
void web_page_headers(request_rec *r);

int web_redirect(request_rec *r, int status, const char *to);

/* May a page lead there that was given from outside? A path of this server and nothing else. */
bool web_is_own_path(const char *path);

/* A request of a browser that would rather read a page than JSON. */
int web_wants_html(request_rec *r);

#endif
