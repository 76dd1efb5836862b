/*
 * The database of one test program; see db_fixture.h.
 */
#include "db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_time.h>

static char server[1000], name[64], conninfo[1100];

static void on_server(const char *format)
{
    PGconn *conn = PQconnectdb(server);
    char sql[200];
    PGresult *res;

    snprintf(sql, sizeof(sql), "%s %s", format, name);
    res = PQexec(conn, sql);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
        exit(99); /* automake: hard error */
    }
    PQclear(res);
    PQfinish(conn);
}

const char *fixture_database(apr_pool_t *p)
{
    const char *given = getenv("SALVAGE_TEST_DB");

    (void)p;
    if (!given || !*given) {
        fprintf(stderr, "skipped: SALVAGE_TEST_DB is not set\n");
        exit(77);
    }
    snprintf(server, sizeof(server), "%s", given);
    snprintf(name, sizeof(name), "salvage_test_%ld_%u", (long)getpid(),
             (unsigned)(apr_time_now() & 0xffffff));
    snprintf(conninfo, sizeof(conninfo), "%s dbname=%s", server, name);
    on_server("CREATE DATABASE");
    return conninfo;
}

const char *fixture_conninfo(void)
{
    return conninfo;
}

void fixture_drop(void)
{
    on_server("DROP DATABASE IF EXISTS"); /* fails if a test left a connection open */
}

sal_db_t *fixture_connect(apr_pool_t *p)
{
    sal_db_t *db = NULL;
    sal_error_t err;

    if (sal_db_connect(&db, conninfo, p, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return db;
}

const char *fixture_sql(sal_db_t *db, apr_pool_t *p, const char *sql)
{
    sal_rows_t *rows = NULL;
    sal_error_t err;

    if (sal_db_run_text(db, sql, NULL, 0, &rows, p, &err) != APR_SUCCESS) {
        fail_msg("%s: %s", sql, err.message);
    }
    return sal_rows_text(rows, 0, 0);
}

void fixture_kill(sal_db_t *victim, apr_pool_t *p)
{
    int pid = PQbackendPID(sal_db_conn(victim));
    sal_db_t *other = fixture_connect(p);
    const char *sql = apr_psprintf(p, "SELECT pg_terminate_backend(%d, 5000)", pid);

    assert_string_equal(fixture_sql(other, p, sql), "t");
}
