/*
 * Statements on a connection: prepared on first use, repeated once where a repeat is safe.
 * Connections and their repair are in connect.c, transactions in txn.c, values in value.c.
 */
#include "db/db_private.h"

#include <string.h>
#include <apr_strings.h>

#include "base/log.h"
#include "base/text.h"

/* Gone (other backend, DISCARD ALL, pooler), or planned before a migration changed its tables. */
static int is_stale(const char *sqlstate)
{
    return !strcmp(sqlstate, "26000") || !strcmp(sqlstate, "0A000");
}

/*
 * The name at the server carries a digest of the text: if the name is taken (42P05), it stands for
 * the same statement, whoever prepared it.
 */
static const char *server_name(const sal_stmt_t *stmt, apr_pool_t *p)
{
    unsigned char digest[32];
    char hex[17];

    sal_sha256(stmt->sql, strlen(stmt->sql), digest);
    sal_hex(hex, digest, 8);
    return apr_psprintf(p, "sal_%.38s_%s", stmt->name, hex);
}

static apr_status_t prepare(const char **name, sal_db_t *db, const sal_stmt_t *stmt,
                            sal_error_t *err)
{
    session_t *session = db->session;
    PGresult *res;
    apr_status_t rv;

    *name = apr_hash_get(session->prepared, stmt->name, APR_HASH_KEY_STRING);
    if (*name) {
        return APR_SUCCESS;
    }
    *name = server_name(stmt, session->pool);
    res = PQprepare(db->conn, *name, stmt->sql, 0, NULL);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        rv = sal_db_error(db, res, stmt->name, err);
        if (strcmp(err->sqlstate, "42P05") != 0) {
            return rv;
        }
        if (db->session
                ->in_txn) { /* the attempt has spoiled the transaction: repeat it, knowing better */
            db->session->txn_stale = 1;
        }
    } else {
        rv = APR_SUCCESS;
        PQclear(res);
    }
    apr_hash_set(session->prepared, apr_pstrdup(session->pool, stmt->name), APR_HASH_KEY_STRING,
                 *name);
    return db->session->in_txn ? rv : APR_SUCCESS;
}

/* A statement whose plan is of no use any more is thrown away at the server too. */
static void forget(sal_db_t *db, const sal_stmt_t *stmt)
{
    const char *name = apr_hash_get(db->session->prepared, stmt->name, APR_HASH_KEY_STRING);

    apr_hash_set(db->session->prepared, stmt->name, APR_HASH_KEY_STRING, NULL);
    if (name && !db->session->in_txn) {
        char sql[80];

        apr_snprintf(sql, sizeof(sql), "DEALLOCATE %s", name);
        PQclear(PQexec(db->conn, sql));
    }
}

static int succeeded(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);

    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

static apr_status_t finish(PGresult *res, sal_rows_t **rows, apr_pool_t *p)
{
    if (rows) {
        *rows = sal_db_rows(res, p);
    } else {
        PQclear(res);
    }
    return APR_SUCCESS;
}

/* One try. stmt is NULL for a text that is not to be prepared. */
static apr_status_t try_once(sal_db_t *db, const sal_stmt_t *stmt, const char *sql,
                             const wire_t *wire, int n, sal_rows_t **rows, apr_pool_t *p,
                             sal_error_t *err)
{
    const char *name = NULL;
    PGresult *res;
    apr_status_t rv;

    if ((rv = sal_db_settle(db, err)) != APR_SUCCESS) {
        return rv;
    }
    if (stmt && (rv = prepare(&name, db, stmt, err)) != APR_SUCCESS) {
        return rv;
    }
    if (stmt) {
        res = PQexecPrepared(db->conn, name, n, wire->values, wire->lengths, wire->formats, 0);
    } else {
        res = PQexecParams(db->conn, sql, n, wire->types, wire->values, wire->lengths,
                           wire->formats, 0);
    }
    if (succeeded(res)) {
        return finish(res, rows, p);
    }
    return sal_db_error(db, res, stmt ? stmt->name : "query", err);
}

void sal_db_txn_failed(sal_db_t *db, const sal_stmt_t *stmt, const char *sqlstate)
{
    apr_cpystrn(db->session->txn_sqlstate, sqlstate, sizeof(db->session->txn_sqlstate));
    if (stmt && is_stale(sqlstate)) {
        forget(db, stmt);
        db->session->txn_stale = 1;
    }
}

/* Preparing, the first time, does not wait: that it fails is known here, as ever. */
static apr_status_t defer(sal_db_t *db, const sal_stmt_t *stmt, const wire_t *wire, int n,
                          sal_rows_t **rows, apr_pool_t *p, sal_error_t *err)
{
    const char *name;
    apr_status_t rv = db->session->sent
                          ? sal_fail(err, APR_EINVAL, "%s: results are on their way", stmt->name)
                          : prepare(&name, db, stmt, err);

    if (rv != APR_SUCCESS) {
        sal_db_txn_failed(db, stmt, err->sqlstate);
        return rv;
    }
    sal_db_wait(db, stmt, name, wire, n, rows, p);
    return APR_SUCCESS;
}

/*
 * In a transaction nothing is repeated here: the transaction is spoiled, and sal_db_txn decides
 * from what is noted in db. Outside, each statement is a unit of work of its own.
 */
static apr_status_t run(sal_db_t *db, const sal_stmt_t *stmt, const char *sql,
                        const sal_val_t *params, int n, sal_rows_t **rows, apr_pool_t *p,
                        sal_error_t *err)
{
    sal_error_t own;
    wire_t wire;
    apr_status_t rv;

    err = err ? err : &own;
    rv = sal_db_wire(&wire, params, n, stmt ? stmt->name : "query", p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (db->session->deferring && stmt) {
        return defer(db, stmt, &wire, n, rows, p, err);
    }
    rv = try_once(db, stmt, sql, &wire, n, rows, p, err);
    if (rv == APR_SUCCESS) {
        return rv;
    }
    if (db->session->in_txn) {
        sal_db_txn_failed(db, stmt, err->sqlstate);
        return rv;
    }
    if (sal_db_is_broken(db, err->sqlstate)) {
        if ((rv = sal_db_reset(db, err)) != APR_SUCCESS) {
            return rv;
        }
    } else if (stmt && is_stale(err->sqlstate)) {
        forget(db, stmt);
    } else {
        return rv;
    }
    return try_once(db, stmt, sql, &wire, n, rows, p, err);
}

apr_status_t sal_db_run(sal_db_t *db, const sal_stmt_t *stmt, const sal_val_t *params, int n,
                        sal_rows_t **rows, apr_pool_t *p, sal_error_t *err)
{
    return run(db, stmt, NULL, params, n, rows, p, err);
}

apr_status_t sal_db_run_text(sal_db_t *db, const char *sql, const sal_val_t *params, int n,
                             sal_rows_t **rows, apr_pool_t *p, sal_error_t *err)
{
    return run(db, NULL, sql, params, n, rows, p, err);
}

apr_status_t sal_db_script(sal_db_t *db, const char *sql, const char *what, sal_error_t *err)
{
    PGresult *res = PQexec(db->conn, sql);

    if (!succeeded(res)) {
        return sal_db_error(db, res, what, err);
    }
    PQclear(res);
    return APR_SUCCESS;
}
