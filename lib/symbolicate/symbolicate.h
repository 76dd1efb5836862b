/*
 * Symbolication requests of the v4 and v5 APIs: a body in, an answer out, through the symcaches of
 * a supplier. Knows no HTTP: mod_symbolicate and `salvage symbolicate` share it. The protocol is
 * described in docs/symbolicate.md.
 *
 * The calls in their order: read, fetch, write, release.
 */
#ifndef SAL_SYMBOLICATE_SYMBOLICATE_H
#define SAL_SYMBOLICATE_SYMBOLICATE_H

#include <stdbool.h>
#include <apr_tables.h>
#include <apr_time.h>
#include "symbols/supplier.h"

enum { SAL_SYMBOLICATE_MAX_MODULES = 20000, SAL_SYMBOLICATE_MAX_FRAMES = 2000000 };

/* A pair of debug file and id, once a request however many jobs name it. */
typedef struct sal_symbolicate_module_t {
    const char *name, *id; /* as sent, UTF-8 */
    bool plain;            /* name and id of the form that clients may send */
    bool lookable;         /* plain, not empty, an id: may be looked up */
    bool empty;            /* name or id is empty */
    bool used;             /* some frame of some job refers to it */
    uint64_t n_frames;     /* that do */
    sal_sym_ref_t ref;     /* once looked up */
    const char *shown;     /* "module" of frames */
} sal_symbolicate_module_t;

typedef struct sal_symbolicate_job_t {
    const char *stacks; /* in the body; checked */
    uint32_t *modules;  /* indexes into the request's */
    uint32_t n_modules;
} sal_symbolicate_job_t;

typedef struct sal_symbolicate_request_t {
    int version; /* 4 or 5 */
    sal_symbolicate_job_t *jobs;
    int n_jobs;
    apr_array_header_t *modules; /* sal_symbolicate_module_t */
    uint64_t n_frames, n_found;
} sal_symbolicate_request_t;

typedef struct sal_symbolicate_limits_t {
    int max_jobs;
    bool strict_names; /* a bad module name or id fails the whole request */
} sal_symbolicate_limits_t;

/*
 * Reads and checks the body (NUL-terminated, stays in use). NULL, or the title of the 400: the
 * first failure in the order that clients know.
 */
SAL_API const char *sal_symbolicate_read(sal_symbolicate_request_t *req, const char *body,
                                         apr_size_t len, const sal_symbolicate_limits_t *limits,
                                         apr_pool_t *p);

/*
 * Looks up every module that a frame refers to, waiting until a time and no longer (0: as long as
 * it takes). Give them back with sal_symbolicate_release.
 */
SAL_API void sal_symbolicate_fetch(sal_symbolicate_request_t *req, sal_supplier_t *supplier,
                                   apr_time_t until, apr_pool_t *p);

/* Symbols of some module were not there in time, and will be. */
SAL_API bool sal_symbolicate_pending(const sal_symbolicate_request_t *req);

SAL_API void sal_symbolicate_release(sal_symbolicate_request_t *req, sal_supplier_t *supplier);

typedef struct sal_symbolicate_style_t {
    bool extensions; /* function_size, multiple, module_errors */
    bool debug;
    bool extend_lines; /* over gaps between line records (sal_symcache_extend) */
    apr_time_t begun;
} sal_symbolicate_style_t;

/*
 * Takes a piece of the answer; whole: this is all of it. False: nobody listens any more, the rest
 * is not made.
 */
typedef bool (*sal_symbolicate_sink_t)(void *baton, const char *data, apr_size_t size, bool whole);

/* Writes the answer in pieces of at most 64 KiB. p: for the time of the call. */
SAL_API void sal_symbolicate_write(sal_symbolicate_request_t *req,
                                   const sal_symbolicate_style_t *style,
                                   sal_symbolicate_sink_t sink, void *baton, apr_pool_t *p);

#endif
