/*
 * What the files of lib/db share: the connection with its prepared statements, parameters on the
 * wire, results. Nothing outside the room includes this.
 */
#ifndef SAL_DB_DB_PRIVATE_H
#define SAL_DB_DB_PRIVATE_H

#include <stdatomic.h>
#include <apr_hash.h>
#include "db/db.h"

/* Parameters as libpq wants them, all in one pool. */
typedef struct wire_t {
    const char **values;
    int *lengths, *formats;
    Oid *types; /* 0 but for bytea, for statements that are not prepared */
} wire_t;

/* A statement of a transaction that waits to be sent with others. */
typedef struct waiting_t {
    struct waiting_t *next;
    const sal_stmt_t *stmt;
    const char *name; /* at the server */
    wire_t wire;
    int n;
    sal_rows_t *rows; /* NULL: nobody wants them */
    apr_pool_t *p;
} waiting_t;

/*
 * What is known of one connection. It lives as long as the connection (mod_dbd's pool or ours), not
 * as long as the sal_db_t that borrows it; the set of prepared statements is emptied when the
 * backend is another one.
 */
typedef struct session_t {
    apr_pool_t *pool;     /* cleared with the set */
    apr_hash_t *prepared; /* statement name -> name at the server */
    int backend;          /* PQbackendPID the set belongs to; 0 for none */
    unsigned count;       /* sal_db_count */
    int in_txn;           /* between our BEGIN and its end, through whichever sal_db_t */
    char txn_sqlstate[6]; /* last error of a statement in the running transaction */
    int txn_stale;        /* it failed because a prepared statement was gone */
    int deferring;        /* statements of the running transaction wait for sal_db_send */
    int sent;             /* they are on their way, their results have not been read */
    waiting_t *waiting, **last;
    atomic_int ended; /* nothing is tried on it any more */
} session_t;

struct sal_db_t {
    PGconn *conn;
    session_t *session;
};

apr_status_t sal_db_wire(wire_t *out, const sal_val_t *params, int n, const char *what,
                         apr_pool_t *p, sal_error_t *err);

/* Takes over res; it is cleared with p. */
sal_rows_t *sal_db_rows(PGresult *res, apr_pool_t *p);

/* Rows that are still to come, and their coming. */
sal_rows_t *sal_db_rows_later(apr_pool_t *p);
void sal_db_rows_came(sal_rows_t *rows, PGresult *res, apr_pool_t *p);

/* Notes a statement; its parameters are copied. */
void sal_db_wait(sal_db_t *db, const sal_stmt_t *stmt, const char *name, const wire_t *wire, int n,
                 sal_rows_t **rows, apr_pool_t *p);
/* Begin and end of a transaction: nothing waits, nothing is on its way. */
void sal_db_wait_for_nothing(sal_db_t *db);
/* What an error in the running transaction means for its repetition. */
void sal_db_txn_failed(sal_db_t *db, const sal_stmt_t *stmt, const char *sqlstate);

/* Session settings that results rely on; called for each new backend. */
apr_status_t sal_db_settle(sal_db_t *db, sal_error_t *err);

/* Fills err from a failed result (or the connection if res is NULL or it broke). Clears res. */
apr_status_t sal_db_error(sal_db_t *db, PGresult *res, const char *what, sal_error_t *err);

/* Runs several statements of constant text (migrations), inside the caller's transaction. */
apr_status_t sal_db_script(sal_db_t *db, const char *sql, const char *what, sal_error_t *err);

/* True if the error (of a failed statement or connection) says that the backend is gone. */
int sal_db_is_broken(const sal_db_t *db, const char *sqlstate);

/* By any thread: nothing is begun or tried again on this connection. */
void sal_db_end(sal_db_t *db);

/* PQreset; SAL_E_NODB if that does not help. */
apr_status_t sal_db_reset(sal_db_t *db, sal_error_t *err);

#endif
