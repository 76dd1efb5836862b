/*
 * Conditions of the books' lists.
 */
#include "books/query.h"

#include <apr_strings.h>

books_sql_t *books_sql_make(apr_pool_t *p)
{
    books_sql_t *q = apr_palloc(p, sizeof(*q));

    *q = (books_sql_t){ p, "", apr_array_make(p, 16, sizeof(sal_val_t)) };
    return q;
}

const char *books_sql_bind(books_sql_t *q, sal_val_t value)
{
    APR_ARRAY_PUSH(q->params, sal_val_t) = value;
    return apr_psprintf(q->p, "$%d", q->params->nelts);
}

void books_sql_and(books_sql_t *q, const char *condition)
{
    q->where = apr_pstrcat(q->p, q->where, *q->where ? " AND " : " WHERE ", condition, NULL);
}

static const char *const operators[] = { [SAL_CMP_EQ] = " = ",
                                         [SAL_CMP_LT] = " < ",
                                         [SAL_CMP_LE] = " <= ",
                                         [SAL_CMP_GT] = " > ",
                                         [SAL_CMP_GE] = " >= " };

void books_sql_sizes(books_sql_t *q, const char *column, const apr_array_header_t *conds)
{
    for (int i = 0; conds && i < conds->nelts; i++) {
        const sal_books_cond_t *c = &APR_ARRAY_IDX(conds, i, sal_books_cond_t);

        books_sql_and(q, apr_pstrcat(q->p, column, operators[c->cmp],
                                     books_sql_bind(q, SAL_V_INT(c->value)), "::bigint", NULL));
    }
}

void books_sql_dates(books_sql_t *q, const char *column, const apr_array_header_t *conds)
{
    for (int i = 0; conds && i < conds->nelts; i++) {
        const sal_books_cond_t *c = &APR_ARRAY_IDX(conds, i, sal_books_cond_t);

        if (c->null) {
            books_sql_and(q, apr_pstrcat(q->p, column, " IS NULL", NULL));
        } else {
            books_sql_and(q, apr_pstrcat(q->p, column, operators[c->cmp],
                                         books_sql_bind(q, SAL_V_TIME(c->value)), "::timestamptz",
                                         NULL));
        }
    }
}

/* The text with the signs of LIKE made plain. */
static const char *like_text(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, 2 * strlen(text) + 3), *to = out;

    *to++ = '%';
    for (; *text; text++) {
        if (*text == '%' || *text == '_' || *text == '\\') {
            *to++ = '\\';
        }
        *to++ = *text;
    }
    *to++ = '%';
    *to = '\0';
    return out;
}

void books_sql_part(books_sql_t *q, const char *column, const char *text, bool negated)
{
    books_sql_and(q, apr_pstrcat(q->p, column, negated ? " NOT LIKE lower(" : " LIKE lower(",
                                 books_sql_bind(q, SAL_V_TEXT(like_text(text, q->p))), "::text)",
                                 NULL));
}

apr_status_t books_sql_run(books_sql_t *q, const char *sql, sal_rows_t **rows, sal_db_t *db,
                           sal_error_t *err)
{
    return sal_db_run_text(db, sql, (const sal_val_t *)q->params->elts, q->params->nelts, rows,
                           q->p, err);
}
