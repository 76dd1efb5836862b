/*
 * Connections that must not hold their thread up: bounded in connecting, in statements and in
 * waiting for a server that says nothing.
 */
#ifndef SAL_DB_WATCH_H
#define SAL_DB_WATCH_H

#include <pthread.h>
#include <stdbool.h>
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

/*
 * A connection of one thread that another may cut, so that nobody who ends that thread waits for a
 * server that says nothing (one that was stopped, or whose locks somebody stopped holds: no timeout
 * of the server's helps there).
 *
 * Thread rule: all but sal_db_line_cut belongs to the one thread. It opens its connection in p when
 * one is wanted first; p is that thread's too.
 */
typedef struct sal_db_line_t sal_db_line_t;
SAL_API sal_db_line_t *sal_db_line_make(const char *conninfo, apr_pool_t *p);

/* The connection, made if there is none. SAL_E_NODB: the database is away, or the line is cut. */
SAL_API apr_status_t sal_db_line_get(sal_db_t **db, sal_db_line_t *line, sal_error_t *err);

/* Closes the connection, if there is one; the next sal_db_line_get makes another. */
SAL_API void sal_db_line_close(sal_db_line_t *line);

/*
 * By any thread, as long as the line lives: what waits on the connection fails, and the line gives
 * no connection any more. Making one that has begun still takes its time to connect.
 */
SAL_API void sal_db_line_cut(sal_db_line_t *line);

/*
 * Where a thread says which line it works on, so that whoever ends its process can cut it. One for
 * each kind of work that one thread at a time does; static, made by SAL_DB_DESK.
 */
typedef struct sal_db_desk_t {
    pthread_mutex_t lock;
    sal_db_line_t *line; /* NULL: nothing is under way */
    bool ended;
} sal_db_desk_t;
#define SAL_DB_DESK                                                                                \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, NULL, false                                                     \
    }

/* Work begins on a line, or (NULL) is over. False: the desk is closed, nothing is to begin. */
SAL_API bool sal_db_desk_take(sal_db_desk_t *desk, sal_db_line_t *line);

/* By any thread: cuts what is under way; nothing begins any more. */
SAL_API void sal_db_desk_close(sal_db_desk_t *desk);

#endif
