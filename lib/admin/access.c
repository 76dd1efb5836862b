/*
 * The log of accesses to protected data.
 */
#include "admin/access.h"

typedef struct {
    const char *actor, *what;
    int64_t token;
} note_t;

static apr_status_t note(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const note_t *n = baton;
    apr_status_t rv = sal_db_run(db, &sal_s_access_async, NULL, 0, NULL, p, err);

    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_access_put, NULL, p, err, SAL_V_TEXT(n->actor),
                             n->token ? SAL_V_INT(n->token) : SAL_V_NULL(SAL_T_INT),
                             SAL_V_TEXT(n->what))
               : rv;
}

apr_status_t sal_access_note(const char *actor, int64_t token, const char *what, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    note_t n = { .actor = actor, .token = token, .what = what };

    return sal_db_txn(db, note, &n, p, err);
}
