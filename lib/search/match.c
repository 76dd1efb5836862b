/*
 * Comparisons of texts.
 */
#include "search/match.h"

#include <string.h>
#include <apr_strings.h>

#include "search/words.h"

/* The user's * and ? are wildcards, \ takes the next character as it is; % and _ never are. */
const char *sal_match_like(const char *text, sal_op_t op, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) * 2 + 3), *o = out;
    bool wild = op != SAL_OP_IS && op != SAL_OP_BARE;

    if (op == SAL_OP_CONTAINS || op == SAL_OP_ENDS) {
        *o++ = '%';
    }
    for (const char *s = text; *s; s++) {
        if (wild && *s == '\\' && s[1]) {
            s++;
        } else if (wild && (*s == '*' || *s == '?')) {
            *o++ = *s == '*' ? '%' : '_';
            continue;
        }
        if (*s == '%' || *s == '_' || *s == '\\') {
            *o++ = '\\';
        }
        *o++ = *s;
    }
    if (op == SAL_OP_CONTAINS || op == SAL_OP_STARTS) {
        *o++ = '%';
    }
    *o = '\0';
    return out;
}

/* A bare value of a list: any of its own elements. */
static bool any_element(sal_sql_t *sql, const sal_condition_t *c, const char *expr)
{
    char *last, *text = apr_pstrdup(sql->p, c->text), *element;
    bool any = false;

    for (element = apr_strtok(text, ";", &last); element; element = apr_strtok(NULL, ";", &last)) {
        sal_sql_addf(sql, "%s%s ILIKE ", any ? " OR " : "(", expr);
        sal_sql_param(sql, SAL_V_TEXT(sal_match_like(element, SAL_OP_IS, sql->p)), "::text");
        any = true;
    }
    sal_sql_add(sql, any ? ")" : "");
    return any;
}

static apr_status_t any_word(sal_sql_t *sql, bool *none, const sal_condition_t *c, const char *expr,
                             sal_error_t *err)
{
    const char *pattern;
    apr_status_t rv = sal_words_pattern(&pattern, c->text, sql->p, err);

    *none = !pattern;
    if (rv == APR_SUCCESS && pattern) {
        sal_sql_addf(sql, "%s ~* ", expr);
        sal_sql_param(sql, SAL_V_TEXT(pattern), "::text");
    }
    return rv;
}

apr_status_t sal_match_text(sal_sql_t *sql, bool *none, const sal_condition_t *c, const char *expr,
                            sal_error_t *err)
{
    bool fold = c->field->match == SAL_MATCH_LIST;

    *none = false;
    switch (c->op) {
    case SAL_OP_CONTAINS:
    case SAL_OP_STARTS:
    case SAL_OP_ENDS:
        sal_sql_addf(sql, "%s %s ", expr, fold ? "ILIKE" : "LIKE");
        sal_sql_param(sql, SAL_V_TEXT(sal_match_like(c->text, c->op, sql->p)), "::text");
        return APR_SUCCESS;
    case SAL_OP_REGEX:
        sal_sql_addf(sql, "%s %s ", expr, fold ? "~*" : "~");
        sal_sql_param(sql, SAL_V_TEXT(c->pattern), "::text");
        return APR_SUCCESS;
    case SAL_OP_BARE:
        if (c->field->match == SAL_MATCH_TEXT) {
            return any_word(sql, none, c, expr, err);
        }
        if (fold) {
            *none = !any_element(sql, c, expr);
            return APR_SUCCESS;
        }
        break;
    default:
        break;
    }
    if (fold) {
        sal_sql_addf(sql, "%s ILIKE ", expr);
        sal_sql_param(sql, SAL_V_TEXT(sal_match_like(c->text, SAL_OP_IS, sql->p)), "::text");
    } else {
        sal_sql_addf(sql, "%s = ", expr);
        sal_sql_param(sql, SAL_V_TEXT(c->text), "::text");
    }
    return APR_SUCCESS;
}
