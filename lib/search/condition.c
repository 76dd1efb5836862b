/*
 * Reading conditions. Which operators there are depends on the field's type; the first in the
 * order of the table that fits wins, anything else is part of the value.
 */
#include "search/condition.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "base/text.h"
#include "search/regex.h"

typedef struct {
    const char *prefix;
    sal_op_t op;
} prefix_t;

static const prefix_t of_text[] = { { "=", SAL_OP_IS },    { "~", SAL_OP_CONTAINS },
                                    { "$", SAL_OP_ENDS },  { "^", SAL_OP_STARTS },
                                    { "@", SAL_OP_REGEX }, { "__null__", SAL_OP_NULL },
                                    { "", SAL_OP_BARE } };
static const prefix_t of_enum[] = { { "__null__", SAL_OP_NULL }, { "", SAL_OP_BARE } };
static const prefix_t of_number[] = { { ">=", SAL_OP_GE },         { "<=", SAL_OP_LE },
                                      { "<", SAL_OP_LT },          { ">", SAL_OP_GT },
                                      { "__null__", SAL_OP_NULL }, { "", SAL_OP_BARE } };
static const prefix_t of_bool[] = { { "__true__", SAL_OP_TRUE },
                                    { "__null__", SAL_OP_NULL },
                                    { "", SAL_OP_BARE } };

bool sal_op_is_range(sal_op_t op)
{
    return op == SAL_OP_GE || op == SAL_OP_LE || op == SAL_OP_GT || op == SAL_OP_LT;
}

static const prefix_t *prefixes(const sal_search_field_t *f)
{
    switch (f->match) {
    case SAL_MATCH_BOOL:
        return of_bool;
    case SAL_MATCH_NUMBER:
    case SAL_MATCH_DATE:
        return of_number;
    default:
        return f->type == SAL_TYPE_ENUM ? of_enum : of_text;
    }
}

static void split_value(sal_condition_t *c, const char *value)
{
    const prefix_t *x = prefixes(c->field);

    if (*value == '!') {
        c->negated = true;
        value++;
    }
    while (strncmp(value, x->prefix, strlen(x->prefix)) != 0) {
        x++;
    }
    c->op = x->op;
    c->text = value + strlen(x->prefix);
}

static bool truth(const char *s)
{
    return strcasecmp(s, "true") == 0 || strcasecmp(s, "t") == 0 || strcmp(s, "1") == 0 ||
           strcasecmp(s, "y") == 0 || strcasecmp(s, "yes") == 0;
}

static apr_status_t bad(sal_error_t *err, const sal_condition_t *c, const char *type)
{
    return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter %s: not a valid %s",
                    c->field->name, type);
}

/* Blanks around a number, and a plus before it, are nothing. */
static const char *bare_number(const char *s, apr_pool_t *p)
{
    apr_size_t len;

    s += strspn(s, " \t\r\n");
    s += *s == '+' && isdigit((unsigned char)s[1]);
    len = strlen(s);
    while (len > 0 && strchr(" \t\r\n", s[len - 1])) {
        len--;
    }
    return apr_pstrmemdup(p, s, len);
}

/* A number with more digits than a column holds is a number all the same, beyond every value. */
static apr_status_t read_int(sal_condition_t *c, const char *s, sal_error_t *err)
{
    const char *digits = s + (*s == '-');

    if (sal_parse_int(s, INT64_MIN, INT64_MAX, &c->i)) {
        return APR_SUCCESS;
    }
    if (!*digits || strspn(digits, "0123456789") != strlen(digits)) {
        return bad(err, c, "int");
    }
    digits += strspn(digits, "0");
    if (strlen(digits) < 19) {
        c->i = strtoll(digits, NULL, 10) * (*s == '-' ? -1 : 1);
        return APR_SUCCESS;
    }
    c->beyond = *s == '-' ? -1 : 1;
    return APR_SUCCESS;
}

static apr_status_t read_number(sal_condition_t *c, apr_pool_t *p, sal_error_t *err)
{
    const char *s = bare_number(c->text, p);
    char *end;

    if (c->op == SAL_OP_NULL) {
        return APR_SUCCESS;
    }
    if (c->field->store == SAL_STORE_INT) {
        return read_int(c, s, err);
    }
    /* strtod reads more than a number as users know it: hex, infinities */
    if (!*s || strspn(s, "0123456789+-.eE") != strlen(s)) {
        return bad(err, c, "float");
    }
    c->d = strtod(s, &end);
    return *end || !isfinite(c->d) ? bad(err, c, "float") : APR_SUCCESS;
}

static apr_status_t read_date(sal_condition_t *c, apr_pool_t *p, sal_error_t *err)
{
    const char *s = c->text;

    if (!sal_op_is_range(c->op) || c->negated) {
        return sal_fail(err, SAL_E_MALFORMED, "date must have a prefix operator");
    }
    if (!sal_time_parse(strlen(s) == 10 ? apr_pstrcat(p, s, "T00:00:00", NULL) : s, &c->t)) {
        return bad(err, c, "datetime");
    }
    c->t -= ((c->t % APR_USEC_PER_SEC) + APR_USEC_PER_SEC) % APR_USEC_PER_SEC;
    return APR_SUCCESS;
}

/* What follows the operator, in the terms of the field's kind. */
static apr_status_t finish(sal_condition_t *c, apr_pool_t *p, sal_error_t *err)
{
    apr_size_t len = strlen(c->text);

    switch (c->field->match) {
    case SAL_MATCH_NUMBER:
        return read_number(c, p, err);
    case SAL_MATCH_DATE:
        return read_date(c, p, err);
    case SAL_MATCH_BOOL:
        c->i = truth(c->text);
        return APR_SUCCESS;
    default:
        break;
    }
    if (c->op == SAL_OP_REGEX) {
        return sal_regex_translate(&c->pattern, c->text, p, err);
    }
    /* "68.0b" stands for every beta of 68.0 */
    if (strcmp(c->field->name, "version") == 0 && c->op == SAL_OP_BARE && len > 1 &&
        c->text[len - 1] == 'b') {
        c->op = SAL_OP_STARTS;
    }
    return APR_SUCCESS;
}

apr_status_t sal_condition_read(sal_condition_t *c, const sal_search_field_t *f, const char *value,
                                apr_pool_t *p, sal_error_t *err)
{
    *c = (sal_condition_t){ .field = f };
    if (!sal_utf8_valid(value, strlen(value))) {
        return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter %s: not valid UTF-8",
                        f->name);
    }
    if (strlen(value) > SAL_CONDITION_MAX) {
        return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter %s: too long", f->name);
    }
    split_value(c, apr_pstrdup(p, value));
    return finish(c, p, err);
}
