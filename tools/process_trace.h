/*
 * What `salvage process` remembers of a pass, and how it tells it.
 */
#ifndef TOOLS_PROCESS_TRACE_H
#define TOOLS_PROCESS_TRACE_H

#include <stdbool.h>
#include <jansson.h>
#include "process/process.h"

typedef struct process_trace_t {
    apr_pool_t *p;
    json_t *rules, *walks; /* arrays of what happened */
    json_t *before;        /* the document before the rule that runs */
    size_t notes;          /* that were there before it */
    apr_time_t began;
    apr_interval_time_t took;
    /* set by the caller for the report */
    const char *what, *ruleset; /* crash id or file names */
    const sal_siglists_t *lists;
    const json_t *doc;
    int pass;     /* number of this pass; 0: of no stored crash */
    bool written; /* the document was stored */
} process_trace_t;

/* A trace that begins now. previous: document that an overlaying ruleset starts from, or NULL. */
void process_trace_begin(process_trace_t *t, const json_t *previous, apr_pool_t *p);

/* A sal_rule_fn; its baton is the trace. */
void process_trace_rule(const char *rule, apr_interval_time_t took, const char *why,
                        const json_t *doc, const json_t *notes, void *baton);

/* A walk that ended. */
void process_trace_walk(process_trace_t *t, const sal_walk_result_t *walk,
                        apr_interval_time_t took);

void process_trace_print(const process_trace_t *t);
/* One object; false if it cannot be written. */
bool process_trace_json(const process_trace_t *t);

#endif
