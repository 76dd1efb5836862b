/*
 * Questions about crash pings: filters, counts, facets, hits; and which signatures have many pings
 * and few reports. Fields are compiled in (docs/pings.md lists them); values travel as parameters.
 *
 * Permissions are decided here and nowhere else: a reader without the right to protected data gets
 * SAL_E_DENIED for a protected field, be it as filter, facet, column or order.
 */
#ifndef SAL_PING_SEARCH_H
#define SAL_PING_SEARCH_H

#include <stdbool.h>
#include <jansson.h>
#include "db/db.h"

typedef struct sal_ping_query_t sal_ping_query_t;

/* Of the last 7 days, 100 hits. */
SAL_API sal_ping_query_t *sal_ping_query_make(apr_time_t now, bool may_protected, apr_pool_t *p);

/*
 * A filter. Values begin with an operator: `=` is, `~` contains, `^` starts with, `$` ends with,
 * `@` regular expression, `!` before any of them: not; none: is. `__null__`: has no value. Times
 * have `>=`, `>`, `<=`, `<`. Filters of a field are alternatives (negated ones and ranges: all).
 * Fields besides columns: report=1|0 (there is a report with the ping's minidump).
 * APR_ENOENT: no such field; SAL_E_MALFORMED: the value; SAL_E_DENIED.
 */
SAL_API apr_status_t sal_ping_query_filter(sal_ping_query_t *q, const char *field,
                                           const char *value, sal_error_t *err);
/* Adds a column of hits or a facet, says the order ("-date"). Errors as above. */
SAL_API apr_status_t sal_ping_query_column(sal_ping_query_t *q, const char *field,
                                           sal_error_t *err);
SAL_API apr_status_t sal_ping_query_facet(sal_ping_query_t *q, const char *field, sal_error_t *err);
SAL_API apr_status_t sal_ping_query_sort(sal_ping_query_t *q, const char *field, sal_error_t *err);
/* At most 1000 hits and 1000 values a facet. */
SAL_API apr_status_t sal_ping_query_page(sal_ping_query_t *q, int64_t limit, int64_t offset,
                                         int64_t facet_size, sal_error_t *err);

/*
 * { "total": N, "hits": [ { column: value } ], "facets": { field: [ { "term", "count" } ] } }, a
 * new reference. SAL_E_MALFORMED: the window is over a year, or a regular expression is none.
 */
SAL_API apr_status_t sal_ping_query_run(json_t **out, sal_ping_query_t *q, sal_db_t *db,
                                        apr_pool_t *p, sal_error_t *err);

/* A question about signatures: NULL: any. Days are of UTC. */
typedef struct sal_ping_gap_t {
    const char *product, *channel, *version, *os, *process_type;
    apr_time_t from, to;
    int64_t min_pings, max_reports, limit;
} sal_ping_gap_t;

/*
 * Signatures with at least min_pings pings and at most max_reports reports of the same days (and
 * product), those with the most pings first: [ { "signature", "pings", "reports" } ], a new
 * reference.
 */
SAL_API apr_status_t sal_ping_gaps(json_t **out, const sal_ping_gap_t *g, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err);

/* Rows: state, number, oldest; and day, os, channel, process type, actor, received, taken. */
SAL_API apr_status_t sal_ping_states(sal_rows_t **out, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);
SAL_API apr_status_t sal_ping_strata(sal_rows_t **out, int days, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/*
 * Has pings of a signature (NULL: all that were signed or failed) of the last days signed again,
 * for instance because symbols have come; what they counted for is taken back. *n: how many.
 */
SAL_API apr_status_t sal_ping_again(int *n, const char *signature, int days, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

#endif
