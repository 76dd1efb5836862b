/*
 * The question of the search page: what stands in its address, taken apart for people. Operators
 * with their words, chips, the sentence, lines of the form, contradictions, misspelt names, and
 * addresses that ask a little differently.
 *
 * Knows the field table and nothing of requests, databases and HTML. What a condition means is
 * said by lib/search; here it is only put into words.
 */
#ifndef SAL_RENDER_ASK_H
#define SAL_RENDER_ASK_H

#include <stdbool.h>
#include <jansson.h>
#include <apr_tables.h>
#include <apr_time.h>
#include "base/error.h"
#include "search/fields.h"

enum { SAL_ASK_MAX = 100 }; /* parameters of an address; more are not looked at */

typedef struct sal_ask_pair_t {
    const char *name, *value;
} sal_ask_pair_t;

/* The parameters of an address, in their order. Lives in p. */
typedef struct sal_ask_t {
    apr_array_header_t *pairs; /* sal_ask_pair_t */
    bool pii;                  /* the reader may use protected fields */
    apr_pool_t *p;
} sal_ask_t;

SAL_API sal_ask_t *sal_ask_make(bool pii, apr_pool_t *p);
/* Copies nothing: name and value live as long as the ask. Beyond SAL_ASK_MAX it does nothing. */
SAL_API void sal_ask_add(sal_ask_t *ask, const char *name, const char *value);
/* The first value of a name, or NULL. */
SAL_API const char *sal_ask_value(const sal_ask_t *ask, const char *name);
/* All values of a name, joined by ", ". */
SAL_API const char *sal_ask_values(const sal_ask_t *ask, const char *name);
/* The same question without the parameters of these names (NULL-terminated). */
SAL_API sal_ask_t *sal_ask_without(const sal_ask_t *ask, const char *const *names);
/* The same without its page: what every link to another question begins with. */
SAL_API sal_ask_t *sal_ask_first_page(const sal_ask_t *ask);
/* "a=b&c=d", percent-encoded; "" if there is none. */
SAL_API const char *sal_ask_query(const sal_ask_t *ask);
/* From such a text (sal_ask_query wrote it). */
SAL_API sal_ask_t *sal_ask_read(const char *query, bool pii, apr_pool_t *p);

/* ---- operators ---- */

typedef struct sal_ask_op_t {
    const char *code;  /* as it stands before the value: "", "!", "=", "!~", "__null__" */
    const char *words; /* "contains"; the last of a list has none */
    bool valued;       /* a value follows */
} sal_ask_op_t;

/* Those the form offers for a field, by its kind. */
SAL_API const sal_ask_op_t *sal_ask_ops(const sal_search_field_t *f);

typedef struct sal_ask_term_t {
    const sal_search_field_t *field;
    const sal_ask_op_t *op;
    bool negated, ranged, bare;
    const char *value; /* behind the operator */
} sal_ask_term_t;

/* Takes a value apart, as searches do. Truth values come as __true__ or its negation. */
SAL_API void sal_ask_split(sal_ask_term_t *out, const sal_search_field_t *f, const char *value,
                           apr_pool_t *p);

/* A parameter that matches a field's value exactly: operator and value for an address. */
SAL_API const char *sal_ask_exactly(const sal_search_field_t *f, const char *value, apr_pool_t *p);

/* ---- for people ---- */

/*
 * The conditions as groups, one a field, new reference: [{"field", "locked", "many", "chips":
 * [{"field", "words", "values": [{"value", "sep"}], "not", "join", "drop", "locked"}]}]. join: the
 * word before it within its field. drop: the query without it. A locked one is not asked for, and
 * shows no value. Dates are not among them.
 */
SAL_API json_t *sal_ask_groups(const sal_ask_t *ask);

/* The same as one sentence: "product is A and (signature contains b or signature is c)". */
SAL_API const char *sal_ask_sentence(const sal_ask_t *ask);

/* The same for chip number `chip`: the question without it, and its words; NULL beyond the last.
 *field: what it is about. Locked ones do not count. */
SAL_API sal_ask_t *sal_ask_relaxed(const sal_ask_t *ask, int chip, const char **words,
                                   sal_ask_term_t *term);

/*
 * Lines of the form for conditions that the simple inputs do not show, new reference: [{"number",
 * "field", "value", "valued", "ops": [{"code", "words", "selected"}]}]. add: a field for one more.
 */
SAL_API json_t *sal_ask_lines(const sal_ask_t *ask, const char *add);
/* What a simple input (product, version, platform, process_type) shows: "4.2.1, 4.3.0b". */
SAL_API const char *sal_ask_simple(const sal_ask_t *ask, const char *field);
/* Names of the fields with simple inputs; NULL-terminated. */
SAL_API const char *const *sal_ask_simple_fields(void);

/* SAL_E_MALFORMED: conditions that contradict each other, in Crash Stats' words. */
SAL_API apr_status_t sal_ask_check(const sal_ask_t *ask, sal_error_t *err);

/* Parameters that are no field, new reference: [{"name", "guess", "link"}]. link: the query with
   the guess in its place; guess and link may be missing. */
SAL_API json_t *sal_ask_unknown(const sal_ask_t *ask);
/* The field that a misspelt name most likely means, or NULL. */
SAL_API const char *sal_ask_guess(const char *name);

/* Fields that this reader may not use and that conditions, columns, facets or sorts name, new
   reference: [{"field"}]. */
SAL_API json_t *sal_ask_locked(const sal_ask_t *ask);

#endif
