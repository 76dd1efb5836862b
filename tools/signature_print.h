/*
 * How `salvage signature` prints what it made: plain results of crash data, and records of crashes
 * that were fetched, with the signature they have now beside the one they would get.
 */
#ifndef TOOLS_SIGNATURE_PRINT_H
#define TOOLS_SIGNATURE_PRINT_H

#include <stdbool.h>
#include <jansson.h>

#include "signature/signature.h"

typedef enum { PRINT_JSON, PRINT_TEXT, PRINT_CSV, PRINT_MARKDOWN } print_format_t;

typedef struct print_style_t {
    print_format_t format;
    bool lines;         /* JSON: one object a line */
    bool verbose;       /* the debug log and the normalised frames too */
    bool explain;       /* the explanation too; not in CSV */
    const char *server; /* of links in Markdown; NULL: no links */
} print_style_t;

/* One result. Strings are borrowed; NUL-terminated texts are cut at a NUL they hold. */
typedef struct print_record_t {
    const char *crash_id; /* NULL: crash data from standard input */
    const char *old;      /* signature before; NULL: none known */
    const sal_signature_t *sig;
    const json_t *why; /* explanation; not NULL with verbose or explain */
} print_record_t;

/* False for an unknown name. */
bool print_format_of(print_format_t *out, const char *name);

/* What stands before the first record (the CSV header). */
void print_begin(const print_style_t *style);
void print_record(const print_style_t *style, const print_record_t *record, apr_pool_t *p);

#endif
