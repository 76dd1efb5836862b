/*
 * A query between parsing (query.c) and SQL (where.c, hits.c, facet.c).
 */
#ifndef SAL_SEARCH_QUERY_PRIVATE_H
#define SAL_SEARCH_QUERY_PRIVATE_H

#include <apr_tables.h>
#include "search/condition.h"
#include "search/query.h"
#include "search/sql.h"

typedef struct sal_sort_t {
    const sal_search_field_t *field;
    bool descending;
} sal_sort_t;

struct sal_query_t {
    apr_pool_t *p;
    apr_time_t now;
    bool pii;
    bool neg_and;                   /* negated conditions of a field are ANDed */
    apr_array_header_t *conditions; /* sal_condition_t, without those on date */
    apr_time_t from, to;            /* 0: not said */
    bool from_after, to_upto;       /* date>x, date<=x */
    int limit, offset;
    apr_array_header_t *sort; /* sal_sort_t; none: newest first */
    apr_time_t after;         /* with after_uuid: only what comes after this one */
    const char *after_uuid;
};

/* sal_query_t's where clause, without the word; made once, put into every statement. */
typedef struct sal_where_t {
    sal_sql_t *sql;
    bool nothing; /* no crash can match: no statement need be sent */
} sal_where_t;

/* Resolves the conditions' texts in the dictionary. */
apr_status_t sal_where(sal_where_t *out, const sal_query_t *q, sal_run_t *run, sal_error_t *err);

/* The start of every search: which fields have values outside the dictionary in the window. */
apr_status_t sal_run_begin(sal_run_t *run, const sal_query_t *q, sal_error_t *err);

/* All that match. */
apr_status_t sal_count(int64_t *total, const sal_where_t *where, sal_run_t *run, sal_error_t *err);

#endif
