/*
 * Mustache templates with jansson data. Parsed once, shared by threads. {{x}} escapes for text and
 * double-quoted attributes; {{{x}}} is allowed only in files on the lint's list.
 */
#ifndef SAL_RENDER_TEMPLATE_H
#define SAL_RENDER_TEMPLATE_H

#include <jansson.h>
#include "base/error.h"

typedef struct sal_templates_t sal_templates_t;

/* Parses every *.mustache of dir; partials are the other templates by name. */
SAL_API apr_status_t sal_templates_load(sal_templates_t **out, const char *dir, apr_pool_t *p,
                                        sal_error_t *err);

/* Renders into p. APR_ENOENT for an unknown name. */
SAL_API apr_status_t sal_template_render(char **out, apr_size_t *size, const sal_templates_t *t,
                                         const char *name, const json_t *data, apr_pool_t *p,
                                         sal_error_t *err);

#endif
