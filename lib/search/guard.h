/*
 * What keeps searches within bounds. Private to the room; the limits are set in super.h.
 */
#ifndef SAL_SEARCH_GUARD_H
#define SAL_SEARCH_GUARD_H

#include "search/super_private.h"

/*
 * The start of the transaction: a place among those that search at once, the reader's time limit,
 * memory, read only. SAL_E_BUSY if there was no place for too long.
 */
apr_status_t sal_guard_enter(const sal_super_t *s, sal_run_t *run, sal_error_t *err);

/*
 * Before the statements that cost: refuses scans of texts over too many rows (SAL_E_MALFORMED), and
 * has facets sampled where too many crashes match (named in errors).
 */
apr_status_t sal_guard_cost(const sal_super_t *s, const sal_where_t *where, sal_run_t *run,
                            json_t *errors, sal_error_t *err);

/* Names the weeks of the window that have no partition although they are kept. */
void sal_guard_missing(const sal_run_t *run, json_t *errors);

#endif
