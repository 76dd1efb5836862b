/*
 * A condition on texts as SQL: one comparison of one text expression. Private to the room.
 */
#ifndef SAL_SEARCH_MATCH_H
#define SAL_SEARCH_MATCH_H

#include "search/condition.h"
#include "search/sql.h"

/*
 * The test of `expr`, a constant expression of type text COLLATE "C", e.g. "t.value": a whole
 * value, or one element of a list. *none: nothing can match, and nothing was added.
 */
apr_status_t sal_match_text(sal_sql_t *sql, bool *none, const sal_condition_t *c, const char *expr,
                            sal_error_t *err);

/* The pattern of LIKE for ~ ^ $ (and for = on lists, where case is folded). */
const char *sal_match_like(const char *text, sal_op_t op, apr_pool_t *p);

#endif
