/*
 * The telemetry export: a processed crash reduced to what may be published and to the members that
 * its readers know. conf/schema/telemetry.tsv lists them; the JSON Schema that readers validate
 * with is made of the same list (docs/export.md).
 *
 * A member of the wrong type is left out, never the crash. A list of objects keeps its length, so
 * that indexes into it stay right: an item that is no object becomes an empty one.
 */
#ifndef SAL_EXPORT_TELEMETRY_H
#define SAL_EXPORT_TELEMETRY_H

#include <jansson.h>
#include "process/schema.h"

/* Where readers find the schema, below the root of a destination. */
#define SAL_TELEMETRY_SCHEMA_KEY "telemetry_socorro_crash.json"
/* "$target_version": changes inside objects, of types or of what is required raise it. */
#define SAL_TELEMETRY_VERSION 2

typedef struct sal_telemetry_t sal_telemetry_t;

/* Reads a list; SAL_E_MALFORMED names the line. Read-only once loaded. */
SAL_API apr_status_t sal_telemetry_load(sal_telemetry_t **out, const char *path, apr_pool_t *p,
                                        sal_error_t *err);

/* The compiled-in list. */
SAL_API sal_telemetry_t *sal_telemetry_builtin(apr_pool_t *p);

/*
 * The document that is exported; new reference. fields: which members are public. *dropped (may be
 * NULL) counts members and items that had the wrong type. NULL if the document has no crash id.
 */
SAL_API json_t *sal_telemetry_reduce(const sal_telemetry_t *t, const sal_fields_t *fields,
                                     const json_t *doc, int *dropped);

/* The JSON Schema, draft 4; new reference. fields: for descriptions. */
SAL_API json_t *sal_telemetry_schema(const sal_telemetry_t *t, const sal_fields_t *fields);

#endif
