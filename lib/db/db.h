/*
 * One SQL layer on libpq, the same in httpd (connections borrowed from mod_dbd), daemon and tools.
 *
 * A statement is a named constant with typed parameters; values always travel as parameters.
 * Statements are prepared lazily, once per connection. Every statement of the library stands in a
 * lib/db/statements/NAME.def file, so that one test prepares them all against a fresh schema.
 *
 * Retry (STYLE: database access): a connection that is found broken on the first statement of a
 * unit of work is reset and the statement repeated once; serialization failures and deadlocks
 * repeat the unit up to three times; after COMMIT was sent nothing is repeated.
 *
 * Thread rule: a sal_db_t is used by one thread at a time.
 */
#ifndef SAL_DB_DB_H
#define SAL_DB_DB_H

#include <stdint.h>
#include <libpq-fe.h>
#include "base/error.h"

typedef struct sal_db_t sal_db_t;

/* Opens a connection of our own; closed with the pool. SAL_E_NODB if it cannot be had. */
SAL_API apr_status_t sal_db_connect(sal_db_t **out, const char *conninfo, apr_pool_t *p,
                                    sal_error_t *err);

/*
 * Wraps a connection that somebody else owns and closes (mod_dbd). `conn_pool` lives as long as
 * the connection; the set of prepared statements is kept there, and is forgotten when the
 * backend's pid has changed.
 */
SAL_API sal_db_t *sal_db_wrap(PGconn *conn, apr_pool_t *conn_pool, apr_pool_t *p);

SAL_API PGconn *sal_db_conn(sal_db_t *db);

/* Counts the calls on this connection, from 1: for work to be done every nth time. */
SAL_API unsigned sal_db_count(sal_db_t *db);

typedef enum {
    SAL_T_TEXT,
    SAL_T_INT,
    SAL_T_BOOL,
    SAL_T_DOUBLE,
    SAL_T_BYTEA,
    SAL_T_TEXT_ARRAY,
    SAL_T_INT_ARRAY,
    SAL_T_TIME,
    SAL_T_JSON
} sal_type_t;

/* A parameter. Build it with the macros below. Arrays are NULL-free but for SAL_V_TEXTS_NULLS. */
typedef struct sal_val_t {
    sal_type_t type;
    int is_null;
    int64_t i; /* INT, BOOL, TIME (apr_time_t); TEXT_ARRAY: its elements may be null pointers */
    double d;
    const void *data; /* TEXT, JSON: char*; BYTEA: bytes; arrays: elements */
    apr_size_t len;   /* BYTEA: bytes; arrays: elements */
} sal_val_t;

#define SAL_V_TEXT(s) ((sal_val_t){ .type = SAL_T_TEXT, .data = (s), .is_null = (s) == NULL })
#define SAL_V_JSON(s) ((sal_val_t){ .type = SAL_T_JSON, .data = (s), .is_null = (s) == NULL })
#define SAL_V_INT(v) ((sal_val_t){ .type = SAL_T_INT, .i = (v) })
#define SAL_V_BOOL(v) ((sal_val_t){ .type = SAL_T_BOOL, .i = (v) != 0 })
#define SAL_V_DOUBLE(v) ((sal_val_t){ .type = SAL_T_DOUBLE, .d = (v) })
#define SAL_V_TIME(t) ((sal_val_t){ .type = SAL_T_TIME, .i = (t) })
#define SAL_V_BYTEA(b, n) ((sal_val_t){ .type = SAL_T_BYTEA, .data = (b), .len = (n) })
#define SAL_V_TEXTS(a, n) ((sal_val_t){ .type = SAL_T_TEXT_ARRAY, .data = (a), .len = (n) })
#define SAL_V_TEXTS_NULLS(a, n)                                                                    \
    ((sal_val_t){ .type = SAL_T_TEXT_ARRAY, .data = (a), .len = (n), .i = 1 })
#define SAL_V_INTS(a, n) ((sal_val_t){ .type = SAL_T_INT_ARRAY, .data = (a), .len = (n) })
#define SAL_V_NULL(t) ((sal_val_t){ .type = (t), .is_null = 1 })
/* SAL_V_INTS elements are int64_t; SAL_V_TEXTS elements are const char *. */
/* SAL_V_TEXTS_NULLS: so are these; a null pointer is sent as NULL. */

/* A statement: name unique in the library, SQL with $n and casts where types matter. */
typedef struct sal_stmt_t {
    const char *name;
    const char *sql;
} sal_stmt_t;

/*
 * lib/db/statements/<room>.def holds lines `SAL_STMT(name, "sql")`; each becomes
 * `const sal_stmt_t sal_s_name`.
 */
#define SAL_STMT(name, sql) extern const sal_stmt_t sal_s_##name;
#include "db/statements.h"
#undef SAL_STMT

typedef struct sal_rows_t sal_rows_t;

/*
 * Runs a statement with n parameters. *rows (may be NULL) lives in p. Text result format.
 * APR_SUCCESS also for no rows. SAL_E_DB with SQLSTATE in err; SAL_E_NODB if there is no
 * connection (also after the one repeat).
 */
SAL_API apr_status_t sal_db_run(sal_db_t *db, const sal_stmt_t *stmt, const sal_val_t *params,
                                int n, sal_rows_t **rows, apr_pool_t *p, sal_error_t *err);

/* The same with the parameters written in place. */
#define sal_db_exec(db, stmt, rows, p, err, ...)                                                   \
    sal_db_run((db), (stmt), (const sal_val_t[]){ __VA_ARGS__ },                                   \
               (int)(sizeof((const sal_val_t[]){ __VA_ARGS__ }) / sizeof(sal_val_t)), (rows), (p), \
               (err))

/*
 * A statement whose text is put together from constant fragments (search, migrations): never from
 * input values. Not prepared, so that the planner sees the values.
 */
SAL_API apr_status_t sal_db_run_text(sal_db_t *db, const char *sql, const sal_val_t *params, int n,
                                     sal_rows_t **rows, apr_pool_t *p, sal_error_t *err);

SAL_API int sal_rows_count(const sal_rows_t *rows);
SAL_API int sal_rows_affected(const sal_rows_t *rows);
SAL_API int sal_rows_null(const sal_rows_t *rows, int row, int col);
/* Text of a value, "" for NULL; lives with the rows. */
SAL_API const char *sal_rows_text(const sal_rows_t *rows, int row, int col);
SAL_API int64_t sal_rows_int(const sal_rows_t *rows, int row, int col);   /* 0 for NULL or junk */
SAL_API double sal_rows_double(const sal_rows_t *rows, int row, int col); /* 0 for NULL */
SAL_API int sal_rows_bool(const sal_rows_t *rows, int row, int col);
SAL_API apr_time_t sal_rows_time(const sal_rows_t *rows, int row, int col); /* 0 for NULL */
/* bytea, decoded into p. */
SAL_API const void *sal_rows_bytes(const sal_rows_t *rows, int row, int col, apr_size_t *size,
                                   apr_pool_t *p);
/* A one-dimensional array of text or numbers, NULL-terminated, in p; empty for NULL.
   A NULL element reads as "". */
SAL_API const char **sal_rows_array(const sal_rows_t *rows, int row, int col, int *n,
                                    apr_pool_t *p);

/*
 * What a COMMIT without an answer leaves in err: SAL_E_NODB with sqlstate "08007". The caller reads
 * again what it wrote.
 *
 * A transaction: BEGIN, fn, COMMIT if fn returned APR_SUCCESS, else ROLLBACK. fn may run again
 * from the start (serialization failure, deadlock). The connection is idle before and after.
 */
typedef apr_status_t (*sal_txn_fn)(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_db_txn(sal_db_t *db, sal_txn_fn fn, void *baton, apr_pool_t *p,
                                sal_error_t *err);

/*
 * Inside fn: from here on its statements are noted and not run, until sal_db_send, or the end of
 * fn, sends them together: one wait for all. Their rows are empty until sal_db_flush has returned,
 * and so are their errors: the first undoes all. sal_db_send may be left out; it is for who has
 * something else to do while the server works. Statements without a name (sal_db_run_text) are
 * not for this. Outside a transaction nothing changes.
 */
SAL_API void sal_db_defer(sal_db_t *db);
SAL_API apr_status_t sal_db_send(sal_db_t *db, sal_error_t *err);
SAL_API apr_status_t sal_db_flush(sal_db_t *db, sal_error_t *err);

/* All statements of the library, for the test that prepares them; NULL-terminated. */
SAL_API const sal_stmt_t *const *sal_db_statements(void);

#endif
