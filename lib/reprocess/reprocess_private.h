/*
 * What requests and steps share. Private to the room.
 */
#ifndef SAL_REPROCESS_REPROCESS_PRIVATE_H
#define SAL_REPROCESS_REPROCESS_PRIVATE_H

#include <jansson.h>
#include "reprocess/reprocess.h"
#include "search/query.h"

/*
 * The query that a stored request stands for; its time of day never moves. SAL_E_MALFORMED if it
 * can no longer be read.
 */
apr_status_t sal_reprocess_query(sal_query_t **out, const json_t *stored, apr_pool_t *p,
                                 sal_error_t *err);

/* What the statements over modules are given. */
typedef struct sal_module_t {
    const char *terms;                 /* of modules_in_stack, as an array literal */
    const char *debug_file, *debug_id; /* id NULL: any */
} sal_module_t;
apr_status_t sal_reprocess_module_of(sal_module_t *out, const json_t *stored, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/* ASCII letters only, as the symbol store folds names and the database's "C" collation does. */
const char *sal_reprocess_fold(const char *text, bool upper, apr_pool_t *p);

#endif
