/*
 * The rule pipeline: raw crash and dumps -> processed crash document.
 *
 * Rules run in a fixed order; a rule that fails leaves a note and the next one runs. What the
 * pipeline needs from outside (walking a dump) comes as a callback, so that the daemon can run it
 * in a sandboxed child and a test can run it in place.
 */
#ifndef SAL_PROCESS_PROCESS_H
#define SAL_PROCESS_PROCESS_H

#include <jansson.h>
#include <apr_time.h>
#include "crash/crash_store.h"
#include "signature/signature.h"

typedef struct sal_walk_result_t {
    json_t *doc;                  /* stackwalk document or NULL; new reference */
    int exit_code;                /* 0, positive exit, negative signal */
    int timed_out;
    const char *status;           /* "OK", "MissingHeader", ...; never NULL */
    const char *log;              /* what the walker wrote to its log, "" if nothing */
} sal_walk_result_t;

typedef apr_status_t (*sal_walk_fn)(sal_walk_result_t *out, sal_span_t dump, const json_t *raw,
                                    void *baton, apr_pool_t *p, sal_error_t *err);

typedef struct sal_process_opts_t {
    const sal_siglists_t *siglists;
    sal_walk_fn walk;
    void *walk_baton;
    int safe_mode;                /* skip the stackwalker: this crash has killed workers */
    const char *host;             /* for the first note */
    apr_time_t now;
} sal_process_opts_t;

/*
 * Runs a ruleset. previous is the document of the last pass or NULL. *out is a new reference.
 * Fails only if the raw crash itself cannot be read.
 */
SAL_API apr_status_t sal_process_crash(json_t **out, sal_crash_reader_t *crash, const char *ruleset,
                                       const json_t *previous, const sal_process_opts_t *opts,
                                       apr_pool_t *p, sal_error_t *err);

#endif
