/*
 * The page that tries the service: a form, and what came of it. Works without scripts.
 */
#ifndef MODULES_SYMBOLICATE_PAGE_H
#define MODULES_SYMBOLICATE_PAGE_H

#include "common/web.h"
#include "render/template.h"

/* An answer to the body of a v5 request, in r->pool; NULL with *problem, one line for people. */
typedef const char *(*symbolicate_try_fn)(request_rec *r, const char *body, const char **problem);

/* conf may be NULL. */
int symbolicate_page(request_rec *r, const sal_templates_t *templates, const sal_conf_t *conf,
                     symbolicate_try_fn try);

#endif
