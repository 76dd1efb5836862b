/*
 * jansson with pool lifetimes, and the textual form our peers use.
 *
 * A json_t handed to sal_json_own is released with the pool; callers borrow it.
 */
#ifndef SAL_BASE_JSON_H
#define SAL_BASE_JSON_H

#include <stdbool.h>
#include <jansson.h>
#include "base/error.h"

/* Registers json_decref as a pool cleanup and returns v. */
SAL_API json_t *sal_json_own(json_t *v, apr_pool_t *p);

/* Parses; SAL_E_MALFORMED with line and column. Duplicate keys: the last wins. Owned by p. */
SAL_API apr_status_t sal_json_parse(json_t **out, const char *text, apr_size_t len, apr_pool_t *p,
                                    sal_error_t *err);

/* Compact dump, freed with p; NULL for NULL. */
SAL_API char *sal_json_text(const json_t *v, apr_pool_t *p);

/* Keys sorted, ", " and ": ", ASCII with \uXXXX: as Python's json.dumps(sort_keys=True) writes. */
SAL_API char *sal_json_python(const json_t *v, apr_pool_t *p);

/* As json.dumps(v), keys in their order; pretty: as json.dumps(v, indent=2). */
SAL_API char *sal_json_dumps(const json_t *v, bool pretty, apr_pool_t *p);

/* The sorted form without blanks. */
SAL_API char *sal_json_sorted(const json_t *v, apr_pool_t *p);

/* String member or NULL; never the text of another type. */
SAL_API const char *sal_json_str(const json_t *obj, const char *key);

/* Member by a dotted path ("json_dump.threads.0.frames"; digits index an array), or NULL. */
SAL_API json_t *sal_json_path(const json_t *v, const char *path);

#endif
