/*
 * The rows of a result. Private to the room.
 */
#ifndef SAL_SEARCH_HITS_H
#define SAL_SEARCH_HITS_H

#include "search/query_private.h"

/* The page of q as an array of objects (new reference) with these columns. */
apr_status_t sal_hits(json_t **out, const sal_query_t *q, const sal_where_t *where,
                      const sal_search_field_t *const *column, int n, sal_run_t *run,
                      sal_error_t *err);

#endif
