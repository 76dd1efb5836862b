/*
 * Texts to ids of the dictionary. Private to the room.
 */
#ifndef SAL_SEARCH_RESOLVE_H
#define SAL_SEARCH_RESOLVE_H

#include "search/condition.h"
#include "search/sql.h"

typedef struct sal_ids_t {
    int64_t *ids;
    int n;
    bool many; /* more than are listed: `where` says which, as "t.field = ... AND ..." */
    sal_sql_t *where;
} sal_ids_t;

/* The terms of the condition's field that match; its op is none of NULL, TRUE, ranges. */
apr_status_t sal_resolve(sal_ids_t *out, const sal_condition_t *c, sal_run_t *run,
                         sal_error_t *err);

/*
 * The frames of a stack in their order; *out->n is less than n if one of them is no term. For the
 * comparison of whole stacks.
 */
apr_status_t sal_resolve_frames(sal_ids_t *out, const sal_search_field_t *f,
                                const char *const *frames, int n, sal_run_t *run, sal_error_t *err);

#endif
