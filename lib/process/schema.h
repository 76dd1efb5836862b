/*
 * The field lists: what a processed crash and a raw crash may hold, of which type, and who may
 * see it. Read from conf/schema/<kind>.tsv (columns stand in the file's head); the same files are
 * compiled in as defaults. The processor copies by them, search, pages and API filter by them.
 *
 * A list is read-only once loaded and may be shared by threads.
 */
#ifndef SAL_PROCESS_SCHEMA_H
#define SAL_PROCESS_SCHEMA_H

#include <stdbool.h>
#include <jansson.h>
#include "base/error.h"

typedef enum {
    SAL_FIELD_STRING,
    SAL_FIELD_INTEGER,
    SAL_FIELD_NUMBER,
    SAL_FIELD_BOOLEAN,
    SAL_FIELD_OBJECT,
    SAL_FIELD_ARRAY,
    SAL_FIELD_ANY
} sal_field_type_t;

typedef struct sal_field_t {
    const char *name; /* "product"; with dots: a member of the field before the first dot */
    sal_field_type_t type;
    bool nullable;
    bool is_public;      /* false: protected */
    const char *source;  /* annotation that is copied into it, or NULL */
    const char *rule;    /* what else writes it ("R24", "copy", "pipeline"), or NULL */
    const char *initial; /* JSON text set when the annotation is absent, or NULL */
    const char *meaning; /* one line for the reader, "" if none */
} sal_field_t;

typedef struct sal_fields_t {
    const sal_field_t *field; /* in the order of the file */
    size_t n;
    struct apr_hash_t *by_name;
} sal_fields_t;

/* Reads a list. SAL_E_MALFORMED names the line. */
SAL_API apr_status_t sal_fields_load(sal_fields_t **out, const char *path, apr_pool_t *p,
                                     sal_error_t *err);

/* The compiled-in lists. */
SAL_API sal_fields_t *sal_fields_processed(apr_pool_t *p);
SAL_API sal_fields_t *sal_fields_raw(apr_pool_t *p);

/* NULL if it is not listed: then it is protected. */
SAL_API const sal_field_t *sal_fields_find(const sal_fields_t *fields, const char *name);

/* "string", "integer" ... */
SAL_API const char *sal_field_type_name(sal_field_type_t type);

/* What may be shown to everybody: a new document, protected members left out. New reference. */
SAL_API json_t *sal_fields_public(const sal_fields_t *fields, const json_t *doc);

#endif
