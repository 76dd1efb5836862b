/*
 * What rules see: the state of one pass, and helpers to read annotations and to set fields.
 */
#ifndef SAL_PROCESS_RULE_H
#define SAL_PROCESS_RULE_H

#include "process/process.h"
#include "process/tables_private.h"

typedef struct pass_t {
    apr_pool_t *p;
    const sal_process_source_t *source;
    const sal_process_opts_t *opts;
    const sal_fields_t *fields;
    const sal_process_tables_t *tables;
    json_t *raw;            /* our copy: rules may repair it */
    const json_t *previous; /* the document of the last pass, or NULL */
    json_t *doc;            /* the processed crash */
    json_t *notes;          /* array of strings */
    apr_status_t fatal;     /* set by a rule when the pass must not be completed */
    sal_error_t *err;
} pass_t;

/* A rule: NULL, or a word of ours why it failed (it goes into public notes: no data in it). */
typedef const char *(*rule_fn)(pass_t *pass);

typedef struct rule_t {
    const char *name; /* upstream's class name: notes and metrics carry it */
    rule_fn run;
} rule_t;

void rule_note(pass_t *pass, const char *fmt, ...) SAL_PRINTF(2, 3);

/* One observation for who collects them; label "" if there is none. */
void rule_metric(const pass_t *pass, sal_metric_kind_t kind, const char *name, const char *label,
                 int64_t value);
void rule_count(const pass_t *pass, const char *name, const char *label);

/* Text of an annotation, NULL if it is absent or no text. */
const char *rule_raw(const pass_t *pass, const char *name);
/* The same, NULL also if it is empty. */
const char *rule_raw_set(const pass_t *pass, const char *name);
/* Text of a field of the processed crash, or NULL. */
const char *rule_text(const pass_t *pass, const char *name);
/* Member of the stackwalk document by a dotted path, or NULL. */
const json_t *rule_dump(const pass_t *pass, const char *path);

void rule_set(pass_t *pass, const char *name, json_t *value);          /* steals value */
void rule_set_text(pass_t *pass, const char *name, const char *value); /* NULL sets null */
void rule_set_int(pass_t *pass, const char *name, int64_t value);
/* A reference to v, or null. */
void rule_set_ref(pass_t *pass, const char *name, const json_t *v);

/* Integer text: optional blanks, sign, ASCII digits, within 64 bits. */
bool rule_integer(const char *text, int64_t *v);
/* At most max characters of a text that public notes may show, printable ASCII only. */
const char *rule_shown(const char *text, size_t max, apr_pool_t *p);
/* True if a value is nested deeper than the members of a document may be. */
bool rule_deep(const json_t *v, int levels);
/* Copy without blanks at both ends. */
const char *rule_trim(const char *text, apr_pool_t *p);
const char *rule_lower(const char *text, apr_pool_t *p);
bool rule_starts(const char *text, const char *with);
/* Frames of the crashing thread, or NULL. */
const json_t *rule_crashing_frames(const pass_t *pass);

/* Takes the stacks that a client sent in place of a dump, if it did. */
void rule_client_stacks(pass_t *pass);

/* One function a rule, `rule_` + its name; their order is that of rules.def. */
#define RULE(name) const char *rule_##name(pass_t *pass);
#include "process/rules.def"
#undef RULE

#endif
