/*
 * Addresses of the search page: parameters, operators, and questions that differ a little.
 */
#include "render/ask.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "render/format.h"
#include "triage/saved.h"

/* ---- parameters ---- */

sal_ask_t *sal_ask_make(bool pii, apr_pool_t *p)
{
    sal_ask_t *ask = apr_pcalloc(p, sizeof *ask);

    ask->p = p;
    ask->pii = pii;
    ask->pairs = apr_array_make(p, 16, sizeof(sal_ask_pair_t));
    return ask;
}

void sal_ask_add(sal_ask_t *ask, const char *name, const char *value)
{
    if (ask->pairs->nelts < SAL_ASK_MAX) {
        APR_ARRAY_PUSH(ask->pairs, sal_ask_pair_t) = (sal_ask_pair_t){ name, value };
    }
}

const char *sal_ask_value(const sal_ask_t *ask, const char *name)
{
    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (strcmp(one->name, name) == 0) {
            return one->value;
        }
    }
    return NULL;
}

const char *sal_ask_values(const sal_ask_t *ask, const char *name)
{
    const char *out = "";

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (strcmp(one->name, name) == 0 && *one->value) {
            out = apr_pstrcat(ask->p, out, *out ? ", " : "", one->value, NULL);
        }
    }
    return out;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0) {
        names++;
    }
    return *names != NULL;
}

sal_ask_t *sal_ask_without(const sal_ask_t *ask, const char *const *names)
{
    sal_ask_t *out = sal_ask_make(ask->pii, ask->p);

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (!is_one_of(one->name, names)) {
            sal_ask_add(out, one->name, one->value);
        }
    }
    return out;
}

sal_ask_t *sal_ask_first_page(const sal_ask_t *ask)
{
    static const char *const names[] = { "page", "_after", "_dont_run", "_new", NULL };

    return sal_ask_without(ask, names);
}

const char *sal_ask_query(const sal_ask_t *ask)
{
    apr_array_header_t *parts = apr_array_make(ask->p, 16, sizeof(const char *));

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        APR_ARRAY_PUSH(parts, const char *) =
            apr_pstrcat(ask->p, sal_format_urlencode(one->name, ask->p), "=",
                        sal_format_urlencode(one->value, ask->p), NULL);
    }
    return apr_array_pstrcat(ask->p, parts, '&');
}

static void read_pair(void *ask, const char *name, const char *value)
{
    sal_ask_add(ask, name, value);
}

sal_ask_t *sal_ask_read(const char *query, bool pii, apr_pool_t *p)
{
    sal_ask_t *ask = sal_ask_make(pii, p);

    sal_saved_read(query, read_pair, ask, p);
    return ask;
}

/* ---- operators ---- */

#define TEXT_OPS                                                                                   \
    { "=", "is exactly", true }, { "!=", "is not exactly", true }, { "~", "contains", true },      \
        { "!~", "does not contain", true }, { "^", "starts with", true },                          \
        { "!^", "does not start with", true }, { "$", "ends with", true },                         \
        { "!$", "does not end with", true }, { "@", "matches regex", true },                       \
    {                                                                                              \
        "!@", "does not match regex", true                                                         \
    }
#define NULL_OPS                                                                                   \
    { "__null__", "does not exist", false }, { "!__null__", "exists", false },                     \
    {                                                                                              \
        NULL, NULL, false                                                                          \
    }

static const sal_ask_op_t text_ops[] = {
    { "", "matches", true }, { "!", "does not match", true }, TEXT_OPS, NULL_OPS
};
static const sal_ask_op_t keyword_ops[] = {
    { "", "is", true }, { "!", "is not", true }, TEXT_OPS, NULL_OPS
};
static const sal_ask_op_t enum_ops[] = { { "", "is", true }, { "!", "is not", true }, NULL_OPS };
static const sal_ask_op_t number_ops[] = { { "", "is", true },
                                           { "!", "is not", true },
                                           { ">=", "≥", true },
                                           { ">", ">", true },
                                           { "<=", "≤", true },
                                           { "<", "<", true },
                                           NULL_OPS };
static const sal_ask_op_t bool_ops[] = { { "__true__", "is true", false },
                                         { "!__true__", "is false or missing", false },
                                         NULL_OPS };
static const sal_ask_op_t date_ops[] = { { ">=", "since", true },
                                         { ">", "after", true },
                                         { "<=", "up to", true },
                                         { "<", "before", true },
                                         { NULL, NULL, false } };
/* Not offered, but may stand in an address. */
static const sal_ask_op_t rare_ops[] = { { "!>=", "is not ≥", true },
                                         { "!<=", "is not ≤", true },
                                         { "!<", "is not <", true },
                                         { "!>", "is not >", true },
                                         { NULL, NULL, false } };

const sal_ask_op_t *sal_ask_ops(const sal_search_field_t *f)
{
    switch (f->match) {
    case SAL_MATCH_BOOL:
        return bool_ops;
    case SAL_MATCH_NUMBER:
        return number_ops;
    case SAL_MATCH_DATE:
        return date_ops;
    default:
        return f->type == SAL_TYPE_ENUM        ? enum_ops
               : f->match == SAL_MATCH_KEYWORD ? keyword_ops
                                               : text_ops;
    }
}

/* What may stand behind a "!", in the order in which it is looked for. */
static const char *const *prefixes(const sal_search_field_t *f)
{
    static const char *const text[] = { "=", "~", "$", "^", "@", "__null__", "", NULL };
    static const char *const choice[] = { "__null__", "", NULL };
    static const char *const number[] = { ">=", "<=", "<", ">", "__null__", "", NULL };
    static const char *const truth[] = { "__true__", "__null__", "", NULL };

    switch (f->match) {
    case SAL_MATCH_BOOL:
        return truth;
    case SAL_MATCH_NUMBER:
    case SAL_MATCH_DATE:
        return number;
    default:
        return f->type == SAL_TYPE_ENUM ? choice : text;
    }
}

static const sal_ask_op_t *find_op(const sal_ask_op_t *list, const char *code)
{
    while (list->code && strcmp(list->code, code) != 0) {
        list++;
    }
    return list->code ? list : NULL;
}

static bool truthy(const char *s)
{
    static const char *const words[] = { "true", "t", "1", "y", "yes", NULL };

    return is_one_of(s, words);
}

void sal_ask_split(sal_ask_term_t *out, const sal_search_field_t *f, const char *value,
                   apr_pool_t *p)
{
    const char *const *prefix = prefixes(f);
    const char *code;

    *out = (sal_ask_term_t){ .field = f, .negated = *value == '!' };
    value += out->negated;
    while (strncmp(value, *prefix, strlen(*prefix)) != 0) {
        prefix++;
    }
    code = *prefix;
    out->value = value + strlen(code);
    if (f->match == SAL_MATCH_BOOL && !*code) {
        out->negated = out->negated != !truthy(out->value);
        code = "__true__";
    }
    out->bare = !*code;
    out->ranged = *code == '<' || *code == '>';
    code = out->negated ? apr_pstrcat(p, "!", code, NULL) : code;
    out->op = find_op(sal_ask_ops(f), code);
    if (!out->op) {
        out->op = find_op(rare_ops, code);
    }
    if (!out->op) { /* "date=2026-11-22", which searches refuse */
        out->op = &enum_ops[out->negated];
    }
    if (!out->op->valued) {
        out->value = "";
    }
}

const char *sal_ask_exactly(const sal_search_field_t *f, const char *value, apr_pool_t *p)
{
    switch (f->match) {
    case SAL_MATCH_BOOL:
        return truthy(value) || strcmp(value, "T") == 0 ? "__true__" : "!__true__";
    case SAL_MATCH_NUMBER:
        return value;
    case SAL_MATCH_DATE:
        return apr_pstrcat(p, ">=", value, NULL);
    default:
        return f->type == SAL_TYPE_ENUM ? value : apr_pstrcat(p, "=", value, NULL);
    }
}

/* ---- contradictions ---- */

static double number_of(const sal_ask_term_t *t)
{
    return strtod(t->value, NULL);
}

/* Two bounds in opposite directions with nothing between them. */
static bool excluded(const sal_ask_term_t *a, const sal_ask_term_t *b)
{
    const sal_ask_term_t *low = *a->op->code == '>' ? a : b, *high = low == a ? b : a;
    int order;

    if (*a->op->code == *b->op->code) {
        return false;
    }
    if (a->field->match == SAL_MATCH_DATE) {
        order = strcmp(low->value, high->value);
    } else {
        double x = number_of(low), y = number_of(high);

        order = x < y ? -1 : x > y;
    }
    return order > 0 || (order == 0 && !(low->op->code[1] && high->op->code[1]));
}

static apr_status_t check_pair(const sal_ask_term_t *a, const sal_ask_term_t *b, sal_error_t *err)
{
    bool null = strcmp(a->op->code, "__null__") == 0;

    if (null && strcmp(b->op->code, "__null__") != 0) {
        return sal_fail(err, SAL_E_MALFORMED, "Can't combine __null__ with other filters");
    }
    if (a->ranged && b->ranged && !a->negated && !b->negated && excluded(a, b)) {
        return sal_fail(err, SAL_E_MALFORMED, "Operator combination failed: %s %s %s", a->value,
                        a->op->code, b->value);
    }
    return APR_SUCCESS;
}

apr_status_t sal_ask_check(const sal_ask_t *ask, sal_error_t *err)
{
    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *x = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);
        const sal_search_field_t *f = sal_search_field(x->name);
        sal_ask_term_t a, b;

        if (!f || (f->match != SAL_MATCH_NUMBER && f->match != SAL_MATCH_DATE)) {
            continue;
        }
        sal_ask_split(&a, f, x->value, ask->p);
        for (int j = 0; j < ask->pairs->nelts; j++) {
            const sal_ask_pair_t *y = &APR_ARRAY_IDX(ask->pairs, j, sal_ask_pair_t);
            apr_status_t rv;

            if (j == i || strcmp(x->name, y->name) != 0) {
                continue;
            }
            sal_ask_split(&b, f, y->value, ask->p);
            if ((rv = check_pair(&a, &b, err)) != APR_SUCCESS) {
                return rv;
            }
        }
    }
    return APR_SUCCESS;
}
