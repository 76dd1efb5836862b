/*
 * salvage submit: what its files share. submit_dialect.c knows how each sender speaks,
 * submit_form.c writes bodies, submit_send.c sends them.
 */
#ifndef TOOLS_SUBMIT_H
#define TOOLS_SUBMIT_H

#include <stdbool.h>
#include <stdio.h>
#include <apr_pools.h>
#include <apr_tables.h>

#define SUBMIT_MAIN_DUMP "upload_file_minidump"

typedef enum { SUBMIT_FORM, SUBMIT_FORM_JSON, SUBMIT_ENVELOPE } submit_shape_t;
typedef enum { NAME_AS_IS, NAME_GOOGLE, NAME_ELECTRON, NAME_SENTRY } submit_names_t;

/* A sender's manner. Sources: the collector's specification, section 12. */
typedef struct submit_dialect_t {
    const char *name, *help;
    const char *path;     /* where a server without a path is asked */
    const char *agent;    /* NULL: none is sent */
    const char *boundary; /* each '*' becomes a hex digit */
    submit_shape_t shape;
    submit_names_t names;
    bool gzip, chunked;
    bool untyped;         /* files have no Content-Type */
    bool tight;           /* no line break behind a file */
    bool gap;             /* a line break before the end marker */
    bool escaped;         /* names and values percent-encoded */
    bool query;           /* product, version and guid in the URL */
    const char *filename; /* NULL: the file's own, "GUID": the report's */
    const char *folder;   /* before the file's name */
} submit_dialect_t;

typedef struct submit_pair_t {
    const char *name, *value;
} submit_pair_t;

typedef struct submit_t {
    const submit_dialect_t *dialect;
    const char *server, *token;
    apr_array_header_t *annotations, *dumps; /* of submit_pair_t */
    bool gzip, chunked;
    submit_shape_t shape;
    int count, jobs;
    char boundary[80], guid[40];
    apr_pool_t *pool;
} submit_t;

/* ---- submit_dialect.c ---- */
const submit_dialect_t *submit_find_dialect(const char *name);
/* "breakpad-linux, breakpad-windows, ..." */
const char *submit_dialect_names(apr_pool_t *p);
/* Boundary and guid of a report; CMD_OK or CMD_FAILED after saying why. */
int submit_make_names(submit_t *s);
/* The annotations under the names that this dialect gives them. */
apr_array_header_t *submit_fields(const submit_t *s);
const char *submit_value(const submit_t *s, const char *name); /* of an annotation, or NULL */
/* Percent-encoded for a URL. */
const char *submit_escape(const char *text, apr_pool_t *p);

/* ---- submit_form.c ---- */
/* The body in a temporary file; NULL after saying why. */
FILE *submit_body(const submit_t *s);

/* ---- submit_send.c ---- */
/* Sends it s->count times over s->jobs connections; prints what came back. An exit code. */
int submit_send(const submit_t *s, FILE *body);

#endif
