/*
 * The ids that a query finds, all of them, page by page: for work that goes through a result.
 */
#ifndef SAL_SEARCH_QUERY_IDS_H
#define SAL_SEARCH_QUERY_IDS_H

#include "search/query.h"

/*
 * At most max crashes that come after (date, uuid), newest first; uuid NULL: from the beginning.
 * *rows: uuid, date; the last row is where the next page goes on. NULL if nothing can match.
 */
SAL_API apr_status_t sal_query_ids(sal_rows_t **rows, const sal_query_t *q, const char *date,
                                   const char *uuid, int max, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

#endif
