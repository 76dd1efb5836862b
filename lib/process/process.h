/*
 * The rule pipeline: raw crash and dumps -> processed crash document.
 *
 * Rules run in a fixed order; a rule that fails leaves a note and the next one runs. What the
 * pipeline needs from outside (walking a dump) comes as a callback, so that the daemon can run it
 * in a sandboxed child and a test can run it in place. Rules, notes, fields: docs/processor.md.
 */
#ifndef SAL_PROCESS_PROCESS_H
#define SAL_PROCESS_PROCESS_H

#include <jansson.h>
#include <apr_time.h>
#include "crash/crash_store.h"
#include "process/metrics.h"
#include "process/schema.h"
#include "process/tables.h"
#include "signature/signature.h"

typedef struct sal_walk_result_t {
    json_t *doc;          /* what it printed, of any type, or NULL; new reference */
    const char *not_json; /* why what it printed is no JSON, or NULL */
    int exit_code;        /* 0, positive exit, negative signal */
    int timed_out;
    const char *log; /* what it wrote to its log, "" if nothing */
} sal_walk_result_t;

/*
 * Walks a dump. A dump that cannot be walked is a result (exit_code, log), not an error; an
 * error means that this pass must not be completed (lease lost, no memory to fork).
 */
typedef apr_status_t (*sal_walk_fn)(sal_walk_result_t *out, sal_span_t dump, const json_t *raw,
                                    void *baton, apr_pool_t *p, sal_error_t *err);

/* Version text of a product's build ("108.0b3"), or NULL if nothing is known of it. */
typedef const char *(*sal_version_fn)(const char *product, const char *channel, const char *build,
                                      void *baton, apr_pool_t *p);

/*
 * Told after each rule: how long it took, why it failed (or NULL), the document and the notes
 * (array of strings) as it left them.
 */
typedef void (*sal_rule_fn)(const char *rule, apr_interval_time_t took, const char *why,
                            const json_t *doc, const json_t *notes, void *baton);

typedef struct sal_process_opts_t {
    const sal_siglists_t *siglists;
    sal_walk_fn walk;
    void *walk_baton;
    int safe_mode;    /* skip the stackwalker: this crash has killed workers */
    const char *host; /* for the first note */
    apr_time_t now;
    const sal_fields_t *fields;         /* of the processed crash; NULL: the compiled-in list */
    const sal_process_tables_t *tables; /* NULL: the compiled-in ones */
    sal_version_fn version;             /* NULL: nothing is known of beta versions */
    void *version_baton;
    const char *beta_products; /* names between blanks whose betas it is asked for; NULL: Firefox
                                  and Thunderbird */
    apr_uint64_t max_dump;     /* bytes of a dump that are read at most; 0: 2 GiB */
    sal_metric_fn metric;      /* takes what rules count and time (docs/processor.md); or NULL */
    void *metric_baton;        /* for sal_metrics_add: the table */
    sal_rule_fn rule;          /* watches the rules (salvage process); or NULL */
    void *rule_baton;
} sal_process_opts_t;

/* Where a raw crash and its dumps come from: the crash store, or memory. */
typedef struct sal_process_source_t {
    const json_t *raw;        /* the raw crash document */
    const char *const *dumps; /* names, NULL-terminated */
    /* Bytes of a dump, at most max. */
    apr_status_t (*dump)(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                         apr_pool_t *p, sal_error_t *err);
    void *baton;
} sal_process_source_t;

/*
 * Runs a ruleset ("default", "regenerate_signature"). previous is the document of the last pass or
 * NULL. *out is a new reference. Fails only if the raw crash itself cannot be read, the ruleset is
 * unknown (APR_EINVAL), or the walk callback failed.
 */
SAL_API apr_status_t sal_process_crash(json_t **out, sal_crash_reader_t *crash, const char *ruleset,
                                       const json_t *previous, const sal_process_opts_t *opts,
                                       apr_pool_t *p, sal_error_t *err);

/* The same for any source. */
SAL_API apr_status_t sal_process_source(json_t **out, const sal_process_source_t *source,
                                        const char *ruleset, const json_t *previous,
                                        const sal_process_opts_t *opts, apr_pool_t *p,
                                        sal_error_t *err);

/*
 * True if the ruleset works on the document of the last pass alone: neither raw crash nor dump is
 * read, so that it runs where they are gone.
 */
SAL_API bool sal_process_stored_only(const char *ruleset);

/* Runs such a ruleset. */
SAL_API apr_status_t sal_process_stored(json_t **out, const char *ruleset, const json_t *previous,
                                        const sal_process_opts_t *opts, apr_pool_t *p,
                                        sal_error_t *err);

/*
 * The document of a crash that cannot be processed: identity, date, the reason as a note, success
 * false. submitted 0: the day of the crash id. New reference.
 */
SAL_API json_t *sal_process_stub(const char *crash_id, const char *reason, apr_time_t submitted,
                                 const sal_process_opts_t *opts, apr_pool_t *p);

/* True if there is such a ruleset. */
SAL_API bool sal_process_ruleset(const char *name);

#endif
