/*
 * The stackwalk document: rust-minidump's JSON schema, from a minidump and its symbols.
 */
#ifndef SAL_ANALYSIS_STACKWALK_H
#define SAL_ANALYSIS_STACKWALK_H

#include <stdio.h>
#include <jansson.h>
#include "minidump/minidump.h"
#include "symbols/supplier.h"

/* How far a walk has come. */
typedef struct sal_stackwalk_progress_t {
    size_t threads, threads_done, frames;
    const char *module; /* whose symbols are about to be fetched; NULL: a thread is begun */
} sal_stackwalk_progress_t;

typedef struct sal_stackwalk_opts_t {
    sal_supplier_t *supplier; /* NULL: no symbols */
    const json_t *extra;      /* annotations (docs/stackwalk.md "Annotations") or NULL */
    size_t max_frames;        /* per thread; 0: SAL_MAX_FRAMES */
    bool details;             /* for sal_stackwalk_human: also what JSON readers do not know */
    bool arguments;           /* with details: what x86 functions seem to have been called with */
    void (*progress)(const sal_stackwalk_progress_t *at, void *baton); /* or NULL */
    void *progress_baton;
} sal_stackwalk_opts_t;

/*
 * Walks every thread and describes the crash. *doc is a new reference. On failure err->message
 * begins with the name minidump-stackwalk prints ("MissingThreadList", ...), " - ", the reason.
 */
SAL_API apr_status_t sal_stackwalk(json_t **doc, const sal_minidump_t *md,
                                   const sal_stackwalk_opts_t *opts, apr_pool_t *p,
                                   sal_error_t *err);

/* Opens the bytes and walks them: what the processor's sandboxed child runs. */
SAL_API apr_status_t sal_stackwalk_bytes(json_t **doc, sal_span_t dump,
                                         const sal_stackwalk_opts_t *opts, apr_pool_t *p,
                                         sal_error_t *err);

/*
 * The same document for people, as minidump-stackwalk --human prints it. Of a document made without
 * opts->details it leaves out what that does not hold: registers but the crashing ones, offsets
 * from the start of a line, and the streams that were not understood.
 */
SAL_API char *sal_stackwalk_human(const json_t *doc, int brief, apr_pool_t *p);

/* The same into a stream, which keeps its errors. */
SAL_API void sal_stackwalk_print(FILE *f, const json_t *doc, int brief, apr_pool_t *p);

#endif
