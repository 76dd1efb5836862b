/*
 * Statements put together from constant fragments for the lists of the books. Values only ever
 * become parameters.
 */
#ifndef SAL_BOOKS_SQL_H
#define SAL_BOOKS_SQL_H

#include "db/db.h"
#include "books/filter.h"

typedef struct books_sql_t {
    apr_pool_t *p;
    const char *where;          /* "" or " WHERE a AND b" */
    apr_array_header_t *params; /* sal_val_t */
} books_sql_t;

books_sql_t *books_sql_make(apr_pool_t *p);

/* "$3": a parameter of this value. */
const char *books_sql_bind(books_sql_t *q, sal_val_t value);

/* One more condition, of constant text and "$n". */
void books_sql_and(books_sql_t *q, const char *condition);

/* Conditions on a column (constant text): bytes, or times. */
void books_sql_sizes(books_sql_t *q, const char *column, const apr_array_header_t *conds);
void books_sql_dates(books_sql_t *q, const char *column, const apr_array_header_t *conds);

/* column LIKE %text%, column being lower-case already. */
void books_sql_part(books_sql_t *q, const char *column, const char *text, bool negated);

apr_status_t books_sql_run(books_sql_t *q, const char *sql, sal_rows_t **rows, sal_db_t *db,
                           sal_error_t *err);

#endif
