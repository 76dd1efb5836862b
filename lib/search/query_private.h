/*
 * A query between parsing (query.c) and SQL (query_sql.c).
 */
#ifndef SAL_SEARCH_QUERY_PRIVATE_H
#define SAL_SEARCH_QUERY_PRIVATE_H

#include <apr_tables.h>
#include "search/query.h"

typedef enum {
    SAL_OP_BARE,
    SAL_OP_IS,
    SAL_OP_CONTAINS,
    SAL_OP_STARTS,
    SAL_OP_ENDS,
    SAL_OP_REGEX,
    SAL_OP_NULL,
    SAL_OP_TRUE,
    SAL_OP_GE,
    SAL_OP_LE,
    SAL_OP_GT,
    SAL_OP_LT
} sal_op_t;

typedef struct sal_condition_t {
    const sal_search_field_t *field;
    sal_op_t op;
    bool negated;
    const char *text;
    double number;
} sal_condition_t;

struct sal_query_t {
    apr_pool_t *p;
    apr_time_t now;
    bool pii;
    apr_array_header_t *conditions; /* sal_condition_t, without those on date */
    apr_time_t from, to;            /* 0: not said */
    bool from_after, to_upto;       /* date>x, date<=x */
    int limit, offset;
    const sal_search_field_t *sort;
    bool descending;
};

/* A statement being put together. */
typedef struct sal_sql_t {
    apr_pool_t *p;
    apr_array_header_t *text;   /* const char * pieces */
    apr_array_header_t *params; /* sal_val_t */
} sal_sql_t;

sal_sql_t *sal_sql_make(apr_pool_t *p);
void sal_sql_add(sal_sql_t *sql, const char *piece);
/* "$n" of a new parameter. */
const char *sal_sql_param(sal_sql_t *sql, sal_val_t value);

/*
 * Appends the WHERE clause of the query. *nothing is set if no row can match, so that the
 * statement need not be sent.
 */
apr_status_t sal_sql_where(sal_sql_t *sql, bool *nothing, const sal_query_t *q, sal_db_t *db,
                           sal_error_t *err);

apr_status_t sal_sql_run(sal_sql_t *sql, sal_rows_t **rows, sal_db_t *db, apr_pool_t *p,
                         sal_error_t *err);

#endif
