/*
 * What the files of mod_symbolicate share.
 *
 * mod_symbolicate.c      directives, start-up, the handler, HTTP's part of the answers
 * symbolicate_request.c  body -> checked request; knows no httpd
 * symbolicate_answer.c   request -> modules looked up, answer written as it is made
 * symbolicate_out.c      JSON text through a buffer to the client
 * symbolicate_json.c     JSON read in place
 */
#ifndef SYMBOLICATE_H
#define SYMBOLICATE_H

#include "common/web.h"
#include "symbolicate_json.h"
#include "symbols/supplier.h"

enum { SYMBOLICATE_MAX_MODULES = 20000, SYMBOLICATE_MAX_FRAMES = 2000000 };

/* A pair of debug file and id, once a request however many jobs name it. */
typedef struct symbolicate_module_t {
    const char *name, *id; /* as sent, UTF-8 */
    bool plain;            /* name and id of the form that clients may send */
    bool lookable;         /* plain, not empty, an id: may be looked up */
    bool empty;            /* name or id is empty */
    bool used;             /* some frame of some job refers to it */
    sal_sym_ref_t ref;     /* once looked up */
    const char *shown;     /* "module" of frames */
} symbolicate_module_t;

typedef struct symbolicate_job_t {
    const char *stacks; /* in the body; checked */
    uint32_t *modules;  /* indexes into the request's */
    uint32_t n_modules;
} symbolicate_job_t;

typedef struct symbolicate_request_t {
    int version; /* 4 or 5 */
    symbolicate_job_t *jobs;
    int n_jobs;
    apr_array_header_t *modules; /* symbolicate_module_t */
    uint64_t n_frames, n_found;
} symbolicate_request_t;

typedef struct symbolicate_limits_t {
    int max_jobs;
    bool strict_names; /* a bad module name or id fails the whole request */
} symbolicate_limits_t;

/*
 * Reads and checks the body (NUL-terminated, stays in use). NULL, or the title of the 400: the
 * first failure in the order that clients know.
 */
const char *symbolicate_read(symbolicate_request_t *req, const char *body, apr_size_t len,
                             const symbolicate_limits_t *limits, apr_pool_t *p);

/* Looks up every module that a frame refers to. Give them back with symbolicate_release. */
void symbolicate_fetch(symbolicate_request_t *req, sal_supplier_t *supplier, apr_pool_t *p);
void symbolicate_release(symbolicate_request_t *req, sal_supplier_t *supplier);

typedef struct symbolicate_style_t {
    bool extensions; /* function_size, multiple, module_errors */
    bool debug;
    apr_time_t begun;
} symbolicate_style_t;

/* Writes the answer; it has no other end than the last byte or a client that went away. */
void symbolicate_write(symbolicate_request_t *req, const symbolicate_style_t *style,
                       request_rec *r);

/* ---- output ---- */

typedef struct out_t {
    request_rec *r;
    apr_pool_t *scratch; /* for text that has to be mended */
    bool sent;           /* something has left the buffer */
    size_t used;
    char buffer[65536];
} out_t;

out_t *out_make(request_rec *r);
void out_text(out_t *o, const char *s);               /* as it is */
void out_string(out_t *o, const char *s, size_t len); /* quoted and escaped */
void out_inside(out_t *o, const char *s, size_t len); /* escaped, without quotes */
void out_number(out_t *o, uint64_t v);
void out_hex(out_t *o, uint64_t v); /* 0x..., without quotes */
/* Sends the rest; a short answer gets its Content-Length. */
void out_finish(out_t *o);

#endif
