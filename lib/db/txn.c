/*
 * Transactions: a unit of work that may run again from its start as long as COMMIT was not sent.
 */
#include "db/db_private.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_time.h>
#include <apr_general.h>

#include "base/log.h"

#define REPEATS 3

/* BEGIN is the first statement of the unit: a broken connection is mended here, once. */
static apr_status_t begin(sal_db_t *db, sal_error_t *err)
{
    apr_status_t rv;

    if (PQtransactionStatus(db->conn) == PQTRANS_INTRANS ||
        PQtransactionStatus(db->conn) == PQTRANS_INERROR) {
        sal_log(SAL_LOG_WARNING, 9001,
                "a database connection was left inside a transaction; "
                "rolled back");
        PQclear(PQexec(db->conn, "ROLLBACK"));
    }
    rv = sal_db_settle(db, err);
    if (rv == APR_SUCCESS) {
        rv = sal_db_script(db, "BEGIN", "begin", err);
    }
    if (rv != APR_SUCCESS && sal_db_is_broken(db, err->sqlstate) &&
        (rv = sal_db_reset(db, err)) == APR_SUCCESS &&
        (rv = sal_db_settle(db, err)) == APR_SUCCESS) {
        rv = sal_db_script(db, "BEGIN", "begin", err);
    }
    return rv;
}

/* Whatever happened, the connection is idle afterwards or known to be broken. */
static void roll_back(sal_db_t *db)
{
    if (PQtransactionStatus(db->conn) == PQTRANS_IDLE || PQstatus(db->conn) != CONNECTION_OK) {
        return;
    }
    PQclear(PQexec(db->conn, "ROLLBACK"));
    if (PQstatus(db->conn) == CONNECTION_OK && PQtransactionStatus(db->conn) != PQTRANS_IDLE) {
        PQreset(db->conn);
        db->session->backend = 0;
    }
}

/* After COMMIT was sent and no answer came, nobody knows: SQLSTATE 08007, never repeated. */
static apr_status_t commit(sal_db_t *db, sal_error_t *err)
{
    PGresult *res = PQexec(db->conn, "COMMIT");
    apr_status_t rv;

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        rv = sal_db_error(db, res, "commit", err);
        if (rv == SAL_E_NODB) {
            sal_fail(err, rv, "the connection was lost at COMMIT; its outcome is unknown");
            apr_cpystrn(err->sqlstate, "08007", sizeof(err->sqlstate));
        }
        return rv;
    }
    /* The server answers ROLLBACK if a statement had failed and fn did not say so. */
    rv = strcmp(PQcmdStatus(res), "COMMIT") == 0
             ? APR_SUCCESS
             : sal_fail(err, SAL_E_DB, "database: the transaction had failed before COMMIT");
    PQclear(res);
    return rv;
}

static int may_repeat(const sal_db_t *db)
{
    return !strcmp(db->session->txn_sqlstate, "40001") ||
           !strcmp(db->session->txn_sqlstate, "40P01") || db->session->txn_stale;
}

/* Jitter, so that two units that collided do not collide again. */
static void pause_before(int attempt)
{
    unsigned char noise[2] = { 0 };

    apr_generate_random_bytes(noise, sizeof(noise));
    apr_sleep(1000 + (((unsigned)noise[0] << 8 | noise[1]) % (unsigned)(20000 << attempt)));
}

static apr_status_t attempt_unit(sal_db_t *db, sal_txn_fn fn, void *baton, int *again,
                                 apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv;

    *again = 0;
    db->session->txn_sqlstate[0] = '\0';
    db->session->txn_stale = 0;
    if ((rv = begin(db, err)) != APR_SUCCESS) {
        return rv;
    }
    db->session->in_txn = 1;
    sal_db_wait_for_nothing(db);
    rv = fn(db, baton, p, err);
    if (rv == APR_SUCCESS) {
        rv = sal_db_flush(db, err);
    }
    sal_db_wait_for_nothing(db);
    if (rv == APR_SUCCESS) {
        rv = commit(db, err);
    } else {
        *again = may_repeat(db) && PQstatus(db->conn) == CONNECTION_OK;
    }
    db->session->in_txn = 0;
    roll_back(db);
    return rv;
}

apr_status_t sal_db_txn(sal_db_t *db, sal_txn_fn fn, void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_error_t own;
    apr_status_t rv;
    int again;

    err = err ? err : &own;
    if (db->session->in_txn) {
        return sal_fail(err, APR_EINVAL, "a transaction inside a transaction");
    }
    rv = attempt_unit(db, fn, baton, &again, p, err);
    for (int i = 0; again && i < REPEATS; i++) {
        pause_before(i);
        rv = attempt_unit(db, fn, baton, &again, p, err);
    }
    return rv;
}
