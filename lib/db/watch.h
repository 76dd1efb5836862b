/*
 * Connections that must not hold their thread up: bounded in connecting, in statements and in
 * waiting for a server that says nothing.
 */
#ifndef SAL_DB_WATCH_H
#define SAL_DB_WATCH_H

#include "db/db.h"

/*
 * conninfo with a statement timeout and, where it sets none, a time to connect, an application
 * name, a TCP timeout and keepalives. In p; conninfo itself if libpq cannot read it.
 */
SAL_API const char *sal_db_conninfo(const char *conninfo, const char *name, int seconds,
                                    apr_pool_t *p);

/*
 * SELECT 1, and no longer than so many milliseconds: a server that is stopped or a network that
 * swallows packets is SAL_E_NODB. After a failure the connection is of no more use.
 */
SAL_API apr_status_t sal_db_ping(sal_db_t *db, int milliseconds, sal_error_t *err);

#endif
