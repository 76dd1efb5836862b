/*
 * Connections: our own, borrowed ones, and what to do when the backend has gone. The record of
 * prepared statements belongs to the backend (session_t), which is recognized by its pid.
 */
#include "db/db_private.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

/* One record a connection, even where several connections share a pool. */
static session_t *session_of(PGconn *conn, apr_pool_t *conn_pool)
{
    char key[48];
    void *found = NULL;
    session_t *session;

    snprintf(key, sizeof(key), "salvage:session:%p", (void *)conn);
    apr_pool_userdata_get(&found, key, conn_pool);
    if (found) {
        return found;
    }
    session = apr_pcalloc(conn_pool, sizeof(*session));
    apr_pool_create(&session->pool, conn_pool);
    apr_pool_tag(session->pool, "sal_db_session");
    session->prepared = apr_hash_make(session->pool);
    apr_pool_userdata_set(session, key, NULL, conn_pool);
    return session;
}

sal_db_t *sal_db_wrap(PGconn *conn, apr_pool_t *conn_pool, apr_pool_t *p)
{
    sal_db_t *db = apr_pcalloc(p, sizeof(*db));

    db->conn = conn;
    db->session = session_of(conn, conn_pool);
    return db;
}

PGconn *sal_db_conn(sal_db_t *db)
{
    return db->conn;
}

unsigned sal_db_count(sal_db_t *db)
{
    return ++db->session->count;
}

static apr_status_t close_conn(void *conn)
{
    PQfinish(conn);
    return APR_SUCCESS;
}

/* Notices are for people at a prompt; the library prints nothing. */
static void drop_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

/* libpq's messages end in line breaks and may have several lines; ours are one. */
static const char *first_line(const char *text, char *buf, apr_size_t size)
{
    apr_size_t n = strcspn(text, "\n");

    apr_cpystrn(buf, text, n + 1 < size ? n + 1 : size);
    return *buf ? buf : "no connection";
}

apr_status_t sal_db_connect(sal_db_t **out, const char *conninfo, apr_pool_t *p, sal_error_t *err)
{
    /* What stands before dbname is a default that the conninfo may override. */
    const char *keys[] = { "connect_timeout", "fallback_application_name", "client_encoding",
                           "dbname", NULL };
    const char *values[] = { "5", "salvage", "UTF8", conninfo, NULL };
    PGconn *conn = PQconnectdbParams(keys, values, 1);
    char text[300];
    apr_pool_t *own;
    apr_status_t rv;

    if (!conn || PQstatus(conn) != CONNECTION_OK) {
        rv =
            sal_fail(err, SAL_E_NODB, "cannot connect to the database: %s",
                     first_line(conn ? PQerrorMessage(conn) : "out of memory", text, sizeof(text)));
        PQfinish(conn);
        return rv;
    }
    PQsetNoticeProcessor(conn, drop_notice, NULL);
    /* Never in a forked child: it would say goodbye on the parent's socket. */
    apr_pool_cleanup_register(p, conn, close_conn, apr_pool_cleanup_null);
    apr_pool_create(&own, p); /* what is known of it dies before the connection does */
    *out = sal_db_wrap(conn, own, own);
    return APR_SUCCESS;
}

static int setting_is(PGconn *conn, const char *name, const char *prefix)
{
    const char *value = PQparameterStatus(conn, name);

    return value && !strncmp(value, prefix, strlen(prefix));
}

/* The server reports these two with each new session, so a look costs nothing. */
static apr_status_t set_session(sal_db_t *db, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (!setting_is(db->conn, "client_encoding", "UTF8")) {
        rv = sal_db_script(db, "SET client_encoding TO 'UTF8'", "client_encoding", err);
    }
    if (rv == APR_SUCCESS && !setting_is(db->conn, "DateStyle", "ISO")) {
        rv = sal_db_script(db, "SET datestyle TO 'ISO'", "datestyle", err);
    }
    return rv;
}

static apr_status_t was_ended(sal_error_t *err)
{
    return sal_fail(err, SAL_E_NODB, "database: the connection was ended");
}

apr_status_t sal_db_settle(sal_db_t *db, sal_error_t *err)
{
    session_t *session = db->session;
    int backend = PQbackendPID(db->conn);
    apr_status_t rv;

    if (atomic_load(&session->ended)) {
        return was_ended(err);
    }
    if (PQstatus(db->conn) != CONNECTION_OK) {
        return sal_db_error(db, NULL, "connection", err);
    }
    if (session->backend == backend) {
        return APR_SUCCESS;
    }
    apr_pool_clear(session->pool);
    session->prepared = apr_hash_make(session->pool);
    session->backend = 0;
    if ((rv = set_session(db, err)) == APR_SUCCESS) {
        session->backend = backend;
    }
    return rv;
}

int sal_db_is_broken(const sal_db_t *db, const char *sqlstate)
{
    return PQstatus(db->conn) != CONNECTION_OK || !strncmp(sqlstate, "08", 2) ||
           !strcmp(sqlstate, "57P01") || !strcmp(sqlstate, "57P02") || !strcmp(sqlstate, "57P03") ||
           !strcmp(sqlstate, "57P05");
}

apr_status_t sal_db_error(sal_db_t *db, PGresult *res, const char *what, sal_error_t *err)
{
    const char *field = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *message = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    char sqlstate[6] = "", text[300];
    apr_status_t code;

    if (field) {
        apr_cpystrn(sqlstate, field, sizeof(sqlstate));
    }
    code = sal_db_is_broken(db, sqlstate) ? SAL_E_NODB : SAL_E_DB;
    /* Only the primary message: details quote values, and values are crash data. */
    first_line(message ? message : PQerrorMessage(db->conn), text, sizeof(text));
    sal_fail(err, code, "database: %s: %s%s%s%s", what, text, *sqlstate ? " (" : "", sqlstate,
             *sqlstate ? ")" : "");
    if (err) {
        apr_cpystrn(err->sqlstate, sqlstate, sizeof(err->sqlstate));
    }
    PQclear(res);
    return code;
}

void sal_db_end(sal_db_t *db)
{
    atomic_store(&db->session->ended, 1);
}

apr_status_t sal_db_reset(sal_db_t *db, sal_error_t *err)
{
    if (atomic_load(&db->session->ended)) {
        return was_ended(err);
    }
    PQreset(db->conn);
    db->session->backend = 0; /* a new backend may have got the old one's pid */
    if (PQstatus(db->conn) != CONNECTION_OK) {
        return sal_db_error(db, NULL, "reconnect", err);
    }
    return APR_SUCCESS;
}
