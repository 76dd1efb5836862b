/*
 * Who was shown protected data: one row a request. Rows are written without waiting for the disk.
 */
#ifndef SAL_ADMIN_ACCESS_H
#define SAL_ADMIN_ACCESS_H

#include "db/db.h"

/* what: method and path, without the query, which may hold protected values. token 0: signed in. */
SAL_API apr_status_t sal_access_note(const char *actor, int64_t token, const char *what,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
