/*
 * A database of one test program: made fresh on the server that $SALVAGE_TEST_DB (a conninfo with
 * the right to create databases) names, migrated, dropped at the end. Without the variable the
 * program is skipped (77).
 */
#ifndef TESTS_UNIT_DB_FIXTURE_H
#define TESTS_UNIT_DB_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "db/db.h"

/* Conninfo of the fresh database; it has no schema yet. Exits 77 if there is no server to use. */
const char *fixture_database(apr_pool_t *p);
void fixture_drop(void);
const char *fixture_conninfo(void);

/* A connection of its own; fails the test if it cannot be had. */
sal_db_t *fixture_connect(apr_pool_t *p);

/* Runs text that must succeed; first column of the first row, "" if none. */
const char *fixture_sql(sal_db_t *db, apr_pool_t *p, const char *sql);

/* Ends the backend of a connection from outside, and waits until it is gone. */
void fixture_kill(sal_db_t *victim, apr_pool_t *p);

#endif
