/*
 * The field lists: what a processed crash and a raw crash may hold, of which type, and who may
 * see it. Read from conf/schema/<kind>.tsv (columns and grammar stand in the file's head); the same
 * files are compiled in as defaults. The processor copies by them, search, pages and API filter by
 * them.
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
    const char *name; /* "product"; members and items of a field: "a.b", "a.*", "a./RE/", "a[]" */
    sal_field_type_t type; /* the first of types; of a reference: that of the definition */
    unsigned types;        /* 1 << each type that is allowed */
    bool nullable;
    bool is_public;      /* false: protected */
    const char *ref;     /* definition ("@frame") that says what is below it, or NULL */
    const char *source;  /* annotation that is copied into it, or NULL */
    const char *rule;    /* what else writes it ("R24", "copy", "pipeline"), or NULL */
    const char *initial; /* JSON text set when the annotation is absent, or NULL */
    const char *meaning; /* one line for the reader, "" if none */
    const char *origin;  /* file it was read from */
    int line;            /* in that file, or in the compiled-in list */
} sal_field_t;

typedef struct sal_fields_t {
    const sal_field_t *field; /* in the order of the file, definitions among them */
    size_t n;
    struct apr_hash_t *by_name;
    const struct field_node_t *root; /* the same as a tree */
} sal_fields_t;

/*
 * Reads a list. SAL_E_MALFORMED names the line: a column that is none, a name that is there twice,
 * a definition that is not there, a pattern that is no regular expression.
 */
SAL_API apr_status_t sal_fields_load(sal_fields_t **out, const char *path, apr_pool_t *p,
                                     sal_error_t *err);

/*
 * Adds a product's own annotations to both lists: a file of lines `annotation, field, type,
 * permission, meaning` with a TAB between (docs/processor.md "Own annotations"). Both lists are
 * replaced by new ones in p. A name that is taken is an error that says by which line.
 */
SAL_API apr_status_t sal_fields_extend(sal_fields_t **processed, sal_fields_t **raw,
                                       const char *path, apr_pool_t *p, sal_error_t *err);

/* The compiled-in lists. */
SAL_API sal_fields_t *sal_fields_processed(apr_pool_t *p);
SAL_API sal_fields_t *sal_fields_raw(apr_pool_t *p);

/* NULL if it is not listed: then it is protected. */
SAL_API const sal_field_t *sal_fields_find(const sal_fields_t *fields, const char *name);

/* "string", "integer" ... */
SAL_API const char *sal_field_type_name(sal_field_type_t type);

/*
 * What may be shown to everybody: a new document, protected and unknown members left out, and with
 * them objects and lists of which the list says that nothing in them may be shown. A part that is
 * not of its type is left out, in a list null stands for it. New reference.
 */
SAL_API json_t *sal_fields_public(const sal_fields_t *fields, const json_t *doc);

/*
 * The same for who wants to know: SAL_E_MALFORMED with the path if a part that would be kept is not
 * of its type; then *out is NULL. Parts that are left out are not looked at.
 */
SAL_API apr_status_t sal_fields_reduce(json_t **out, const sal_fields_t *fields, const json_t *doc,
                                       sal_error_t *err);

/*
 * Compares a document with the list: each member that it does not name, each value of another type,
 * and what is nested deeper than 64 levels is given to fault (may be NULL) with its path and what
 * is wrong. Returns their number.
 */
typedef void (*sal_fields_fault_fn)(const char *path, const char *what, void *baton);
SAL_API size_t sal_fields_check(const sal_fields_t *fields, const json_t *doc,
                                sal_fields_fault_fn fault, void *baton, apr_pool_t *p);

/* The same of a value for one field; members that the list does not name are no fault. */
SAL_API size_t sal_fields_check_value(const sal_fields_t *fields, const char *name,
                                      const json_t *value, apr_pool_t *p);

/* Takes out of doc whatever sal_fields_check would complain of. Returns how much that was. */
SAL_API size_t sal_fields_conform(const sal_fields_t *fields, json_t *doc, apr_pool_t *p);

#endif
