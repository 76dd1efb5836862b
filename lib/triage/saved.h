/*
 * Saved searches: a person's questions to the search page under names, each with a link that can be
 * passed on. Knows nothing of what a query means (docs/alerts.md).
 */
#ifndef SAL_TRIAGE_SAVED_H
#define SAL_TRIAGE_SAVED_H

#include <stdbool.h>
#include "db/db.h"

enum { SAL_SAVED_MOST = 200, SAL_SAVED_NAME_MAX = 200, SAL_SAVED_QUERY_MAX = 8000 };

typedef struct sal_saved_t {
    int64_t id, owner;
    const char *key;        /* of its link */
    const char *owner_name; /* as httpd knows them */
    const char *name;
    const char *query; /* "product=A&signature=~b" */
    bool shared;       /* stands in the list of the others, too */
    apr_time_t created, changed;
    int alerts; /* that watch it */
} sal_saved_t;

/* Takes a query apart; names and values are decoded, in p, valid UTF-8 without NUL. */
typedef void (*sal_saved_pair_fn)(void *baton, const char *name, const char *value);
SAL_API void sal_saved_read(const char *query, sal_saved_pair_fn pair, void *baton, apr_pool_t *p);

/*
 * Saves a query under a name; one of the same owner and name gets the new query. *key: of its link.
 * SAL_E_MALFORMED: name or query is empty, too long or no UTF-8; SAL_E_TOOBIG: the owner has
 * SAL_SAVED_MOST already.
 */
SAL_API apr_status_t sal_saved_put(const char **key, int64_t owner, const char *name,
                                   const char *query, bool shared, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* Whoever has the link may look. APR_ENOENT. */
SAL_API apr_status_t sal_saved_find(sal_saved_t *out, const char *key, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* Those of an owner (0: nobody's) by name, then what others share. */
SAL_API apr_status_t sal_saved_list(sal_saved_t **out, int *n, int64_t owner, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/* Only the owner's. APR_ENOENT. Its alerts go with it. */
SAL_API apr_status_t sal_saved_drop(int64_t owner, const char *key, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);
SAL_API apr_status_t sal_saved_share(int64_t owner, const char *key, bool shared, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

#endif
