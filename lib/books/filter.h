/*
 * The filter grammar of the lists of uploads and files (docs/symbols.md, "Filters"):
 *
 *   sizes   comma list of [<= >= < > =] NUMBER [gb g mb m kb k b], units of 1024
 *   dates   comma list of [<= >= < > =] DATE, null, incomplete, today or yesterday
 *
 * Pure text in, conditions out; knows no SQL and no request.
 */
#ifndef SAL_BOOKS_FILTER_H
#define SAL_BOOKS_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <apr_tables.h>
#include <apr_time.h>
#include "base/error.h"

typedef enum { SAL_CMP_EQ, SAL_CMP_LT, SAL_CMP_LE, SAL_CMP_GT, SAL_CMP_GE } sal_cmp_t;

typedef struct sal_books_cond_t {
    sal_cmp_t cmp;
    bool null;     /* a date that is missing; nothing else counts */
    int64_t value; /* bytes, or an apr_time_t */
} sal_books_cond_t;

enum { SAL_BOOKS_CONDS_MAX = 20 };

/*
 * Conditions of a text; NULL and "" have none. SAL_E_MALFORMED: `'x' is not a valid size`,
 * `Unable to parse 'x'`.
 */
SAL_API apr_status_t sal_books_sizes(apr_array_header_t **out, const char *text, apr_pool_t *p,
                                     sal_error_t *err);

/*
 * "=" on a midnight comes back as two conditions that mean the day; ">" as one second more, since
 * times are shown without fractions. now: what today is. Times without a zone are UTC.
 */
SAL_API apr_status_t sal_books_dates(apr_array_header_t **out, const char *text, apr_time_t now,
                                     apr_pool_t *p, sal_error_t *err);

#endif
