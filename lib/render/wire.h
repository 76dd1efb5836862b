/*
 * JSON as the public API writes it (docs/pages.md, "The API").
 */
#ifndef SAL_RENDER_WIRE_H
#define SAL_RENDER_WIRE_H

#include <stdbool.h>
#include <jansson.h>
#include "base/error.h"

/*
 * One line, keys in their order, ", " and ": ", ASCII with \uXXXX, every "</" written "<\/", so
 * that the text can stand in a page; pretty: two blanks of indent instead. In p.
 */
SAL_API const char *sal_wire_json(const json_t *v, bool pretty, apr_pool_t *p);

#endif
