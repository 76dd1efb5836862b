/*
 * Conditions on crashes as users write them, their window and number. Rows and facets are asked for
 * through super.h.
 *
 * Two steps, always: the text of a condition is resolved to ids in the dictionary, then one
 * statement runs over integers (docs/search.md). A field's name becomes SQL only through the
 * compiled field table; values travel as parameters.
 *
 * A query belongs to one thread and lives in its pool.
 */
#ifndef SAL_SEARCH_QUERY_H
#define SAL_SEARCH_QUERY_H

#include <stdbool.h>
#include <jansson.h>
#include <apr_time.h>
#include "db/db.h"
#include "search/fields.h"

typedef struct sal_query_t sal_query_t;

/*
 * A query over the last seven days before now, 100 rows. pii: the reader may use protected
 * fields; without it conditions on them and columns of them are dropped, silently.
 */
SAL_API sal_query_t *sal_query_make(apr_time_t now, bool pii, apr_pool_t *p);

/*
 * Adds a condition: value is "[!]<operator><rest>" with the operators of the field's kind
 * (= ~ ^ $ @ < > <= >= __null__ __true__). "date" narrows the window and needs an operator.
 * Unknown fields are ignored. SAL_E_MALFORMED: what is wrong with the value, for the user.
 */
SAL_API apr_status_t sal_query_filter(sal_query_t *q, const char *field, const char *value,
                                      sal_error_t *err);

/* The field of texts is exactly the value, in which no operator is looked for. */
SAL_API apr_status_t sal_query_is(sal_query_t *q, const char *field, const char *value,
                                  sal_error_t *err);

/* The window, half open. SAL_E_MALFORMED if it is longer than 365 days or empty of sense. */
SAL_API apr_status_t sal_query_window(const sal_query_t *q, apr_time_t *from, apr_time_t *to,
                                      sal_error_t *err);

/* Rows [offset, offset + limit) of the result; limit 0..1000, offset + limit at most 10000. */
SAL_API apr_status_t sal_query_page(sal_query_t *q, int limit, int offset, sal_error_t *err);

/* "field" or "-field" (descending), one after the other; unknown ones change nothing. */
SAL_API void sal_query_sort(sal_query_t *q, const char *field);

/* All rows that match. */
SAL_API apr_status_t sal_query_count(int64_t *total, sal_query_t *q, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* The conditions so far, for display: array of {"field", "words", "value", "not"} (new ref.). */
SAL_API json_t *sal_query_conditions(const sal_query_t *q);

#endif
