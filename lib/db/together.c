/*
 * Statements of a transaction that are sent together: one round trip for all (libpq's pipeline).
 * Each is done after the one before; the first error undoes all.
 */
#include "db/db_private.h"

#include <stdbool.h>
#include <string.h>
#include <apr_strings.h>

void sal_db_wait_for_nothing(sal_db_t *db)
{
    session_t *s = db->session;

    if (s->sent) {
        sal_error_t err;

        (void)sal_db_flush(db, &err);
    }
    s->deferring = 0;
    s->waiting = NULL;
    s->last = &s->waiting;
}

void sal_db_defer(sal_db_t *db)
{
    db->session->deferring = db->session->in_txn;
}

/* Texts may be the caller's for this call only. */
static void copy_values(wire_t *to, const wire_t *from, int n, apr_pool_t *p)
{
    *to = *from;
    for (int i = 0; i < n; i++) {
        if (from->values[i]) {
            apr_size_t size =
                from->formats[i] ? (apr_size_t)from->lengths[i] : strlen(from->values[i]) + 1;

            to->values[i] = apr_pmemdup(p, from->values[i], size);
        }
    }
}

void sal_db_wait(sal_db_t *db, const sal_stmt_t *stmt, const char *name, const wire_t *wire, int n,
                 sal_rows_t **rows, apr_pool_t *p)
{
    session_t *s = db->session;
    waiting_t *w = apr_pcalloc(p, sizeof(*w));

    w->stmt = stmt;
    w->name = name;
    w->n = n;
    w->p = p;
    copy_values(&w->wire, wire, n, p);
    if (rows) {
        *rows = w->rows = sal_db_rows_later(p);
    }
    *s->last = w;
    s->last = &w->next;
}

static apr_status_t send_all(sal_db_t *db)
{
    if (!PQenterPipelineMode(db->conn)) {
        return SAL_E_NODB;
    }
    for (const waiting_t *w = db->session->waiting; w; w = w->next) {
        if (!PQsendQueryPrepared(db->conn, w->name, w->n, w->wire.values, w->wire.lengths,
                                 w->wire.formats, 0)) {
            return SAL_E_NODB;
        }
    }
    return PQpipelineSync(db->conn) ? APR_SUCCESS : SAL_E_NODB;
}

apr_status_t sal_db_send(sal_db_t *db, sal_error_t *err)
{
    session_t *s = db->session;

    if (s->sent || !s->waiting) {
        return APR_SUCCESS;
    }
    if (send_all(db) != APR_SUCCESS) {
        s->waiting = NULL;
        s->last = &s->waiting;
        return sal_db_error(db, NULL, "statements sent together", err);
    }
    s->sent = 1;
    return APR_SUCCESS;
}

/* The result of one statement; what comes behind an error is an empty one. */
static apr_status_t take(sal_db_t *db, const waiting_t *w, bool failed, sal_error_t *err)
{
    PGresult *res = PQgetResult(db->conn);
    ExecStatusType status = PQresultStatus(res);
    apr_status_t rv = APR_SUCCESS;

    if (!failed && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        rv = sal_db_error(db, res, w->stmt->name, err);
    } else if (!failed && w->rows) {
        sal_db_rows_came(w->rows, res, w->p);
    } else {
        PQclear(res);
    }
    if (PQstatus(db->conn) == CONNECTION_OK) {
        PQclear(PQgetResult(db->conn)); /* NULL: the end of this statement */
    }
    return rv;
}

/* The answer to the sync, behind which the connection is as it was. */
static apr_status_t take_end(sal_db_t *db, sal_error_t *err)
{
    PGresult *res = PQgetResult(db->conn);

    if (PQresultStatus(res) != PGRES_PIPELINE_SYNC) {
        return sal_db_error(db, res, "statements sent together", err);
    }
    PQclear(res);
    return PQexitPipelineMode(db->conn) ? APR_SUCCESS
                                        : sal_db_error(db, NULL, "statements sent together", err);
}

apr_status_t sal_db_flush(sal_db_t *db, sal_error_t *err)
{
    session_t *s = db->session;
    apr_status_t rv = sal_db_send(db, err);
    const waiting_t *failed = NULL;
    sal_error_t later;

    for (const waiting_t *w = s->waiting; s->sent && w && rv != SAL_E_NODB; w = w->next) {
        apr_status_t one = take(db, w, failed != NULL, err);

        if (one != APR_SUCCESS) {
            rv = one;
            failed = w;
        }
    }
    if (s->sent && rv != SAL_E_NODB) {
        apr_status_t end = take_end(db, rv == APR_SUCCESS ? err : &later);

        rv = rv == APR_SUCCESS ? end : rv;
    }
    if (rv != APR_SUCCESS) {
        sal_db_txn_failed(db, failed ? failed->stmt : NULL, err->sqlstate);
    }
    s->sent = 0;
    s->waiting = NULL;
    s->last = &s->waiting;
    return rv;
}
