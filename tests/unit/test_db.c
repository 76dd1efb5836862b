/*
 * The SQL layer against a real server: every statement of the library prepares, migrations run
 * once, values go round, and the repeats happen where they are promised and nowhere else.
 */
#include "db_fixture.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "db/schema.h"
#include "db/token.h"
#include "db/watch.h"

static apr_pool_t *root;
static sal_db_t *db; /* on the migrated schema */

static int start_pool(void **state)
{
    apr_pool_t *p;

    apr_pool_create(&p, root);
    *state = p;
    return 0;
}

static int end_pool(void **state)
{
    apr_pool_destroy(*state);
    return 0;
}

static apr_pool_t *pool(void **state)
{
    return *state;
}

/* ---- schema ---- */

static void test_migrations_run_once(void **state)
{
    apr_pool_t *p = pool(state);
    sal_error_t err = { 0 };
    int applied = -1, version = -1, count = 0;

    for (const sal_migration_t *m = sal_schema_migrations(); m->number; m++) {
        count++;
    }
    assert_true(count >= 2);
    assert_int_equal(sal_schema_migrate(&applied, db, p, &err), APR_SUCCESS);
    assert_int_equal(applied, 0);
    assert_int_equal(sal_schema_current(&version, db, p, &err), APR_SUCCESS);
    assert_int_equal(version, sal_schema_version());
    assert_string_equal(fixture_sql(db, p, "SELECT count(*) FROM schema_migration"),
                        apr_itoa(p, count));
}

static void test_newer_database_is_refused(void **state)
{
    apr_pool_t *p = pool(state);
    sal_error_t err = { 0 };
    int applied;

    fixture_sql(db, p, "INSERT INTO schema_migration (number, name) VALUES (9999, 'future')");
    assert_int_equal(sal_schema_migrate(&applied, db, p, &err), SAL_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "9999"));
    fixture_sql(db, p, "DELETE FROM schema_migration WHERE number = 9999");
}

static void test_all_statements_prepare(void **state)
{
    int n = 0;

    (void)state;
    for (const sal_stmt_t *const *s = sal_db_statements(); *s; s++, n++) {
        PGresult *res = PQprepare(sal_db_conn(db), (*s)->name, (*s)->sql, 0, NULL);

        if (PQresultStatus(res) != PGRES_COMMAND_OK) {
            fail_msg("%s: %s", (*s)->name, PQresultErrorMessage(res));
        }
        PQclear(res);
    }
    assert_true(n > 10);
    PQclear(PQexec(sal_db_conn(db), "DEALLOCATE ALL"));
}

/* ---- values ---- */

static const sal_stmt_t echo_scalars = {
    "test_echo_scalars",
    "SELECT $1::text, $2::bigint, $3::boolean, $4::double precision, $5::timestamptz, $6::jsonb",
};

static void test_scalars_round_trip(void **state)
{
    apr_pool_t *p = pool(state);
    apr_time_t when = INT64_C(1769854830123456);
    sal_rows_t *rows;
    sal_error_t err = { 0 };

    assert_int_equal(sal_db_exec(db, &echo_scalars, &rows, p, &err, SAL_V_TEXT("a'b\\\"\xc3\xa4"),
                                 SAL_V_INT(INT64_MIN), SAL_V_BOOL(7), SAL_V_DOUBLE(0.1),
                                 SAL_V_TIME(when), SAL_V_JSON("{\"k\": [1, null]}")),
                     APR_SUCCESS);
    assert_int_equal(sal_rows_count(rows), 1);
    assert_string_equal(sal_rows_text(rows, 0, 0), "a'b\\\"\xc3\xa4");
    assert_true(sal_rows_int(rows, 0, 1) == INT64_MIN);
    assert_true(sal_rows_bool(rows, 0, 2));
    assert_true(sal_rows_double(rows, 0, 3) == 0.1);
    assert_true(sal_rows_time(rows, 0, 4) == when);
    assert_string_equal(sal_rows_text(rows, 0, 5), "{\"k\": [1, null]}");
}

static void test_null_is_explicit(void **state)
{
    apr_pool_t *p = pool(state);
    sal_rows_t *rows;
    int n = -1;

    assert_int_equal(sal_db_exec(db, &echo_scalars, &rows, p, NULL, SAL_V_TEXT(NULL),
                                 SAL_V_NULL(SAL_T_INT), SAL_V_NULL(SAL_T_BOOL),
                                 SAL_V_NULL(SAL_T_DOUBLE), SAL_V_NULL(SAL_T_TIME),
                                 SAL_V_JSON(NULL)),
                     APR_SUCCESS);
    for (int col = 0; col < 6; col++) {
        assert_true(sal_rows_null(rows, 0, col));
        assert_string_equal(sal_rows_text(rows, 0, col), "");
    }
    assert_int_equal(sal_rows_int(rows, 0, 1), 0);
    assert_true(sal_rows_time(rows, 0, 4) == 0);
    assert_null(sal_rows_array(rows, 0, 0, &n, p)[0]);
    assert_int_equal(n, 0);
    assert_true(sal_rows_null(rows, 1, 0)); /* out of range is no crash */
}

static void test_times_in_any_zone(void **state)
{
    apr_pool_t *p = pool(state);
    sal_rows_t *rows;

    fixture_sql(db, p, "SET timezone TO 'Asia/Kolkata'");
    assert_int_equal(sal_db_exec(db, &echo_scalars, &rows, p, NULL, SAL_V_TEXT(""), SAL_V_INT(1),
                                 SAL_V_BOOL(0), SAL_V_DOUBLE(-INFINITY), SAL_V_TIME(1000001),
                                 SAL_V_JSON("1")),
                     APR_SUCCESS);
    fixture_sql(db, p, "RESET timezone");
    assert_string_equal(sal_rows_text(rows, 0, 4), "1970-01-01 05:30:01.000001+05:30");
    assert_true(sal_rows_time(rows, 0, 4) == 1000001);
    assert_false(sal_rows_bool(rows, 0, 2));
    assert_true(isinf(sal_rows_double(rows, 0, 3)));
}

static void test_bytes_round_trip(void **state)
{
    static const sal_stmt_t echo = { "test_echo_bytes",
                                     "SELECT $1::bytea, length($1::bytea), $2::bytea" };
    static const char *const outputs[] = { "SET bytea_output TO 'escape'",
                                           "SET bytea_output TO 'hex'" };
    apr_pool_t *p = pool(state);
    unsigned char all[256];
    apr_size_t size;
    sal_rows_t *rows;

    for (int i = 0; i < 256; i++) {
        all[i] = (unsigned char)i;
    }
    for (int i = 0; i < 2; i++) {
        fixture_sql(db, p, outputs[i]);
        assert_int_equal(
            sal_db_exec(db, &echo, &rows, p, NULL, SAL_V_BYTEA(all, 256), SAL_V_BYTEA(NULL, 0)),
            APR_SUCCESS);
        assert_int_equal(sal_rows_int(rows, 0, 1), 256);
        assert_memory_equal(sal_rows_bytes(rows, 0, 0, &size, p), all, 256);
        assert_int_equal(size, 256);
        assert_false(sal_rows_null(rows, 0, 2));
        sal_rows_bytes(rows, 0, 2, &size, p);
        assert_int_equal(size, 0);
    }
}

static void test_arrays_round_trip(void **state)
{
    static const sal_stmt_t echo = { "test_echo_arrays", "SELECT $1::text[], $2::bigint[]" };
    static const char *const texts[] = { "", "NULL", "a,b", "{}", "q\"u\\o", " x ", "\xc3\xa4\n" };
    static const int64_t ints[] = { INT64_MIN, -1, 0, INT64_MAX };
    apr_pool_t *p = pool(state);
    const char **back;
    sal_rows_t *rows;
    int n;

    assert_int_equal(
        sal_db_exec(db, &echo, &rows, p, NULL, SAL_V_TEXTS(texts, 7), SAL_V_INTS(ints, 4)),
        APR_SUCCESS);
    back = sal_rows_array(rows, 0, 0, &n, p);
    assert_int_equal(n, 7);
    for (int i = 0; i < 7; i++) {
        assert_string_equal(back[i], texts[i]);
    }
    assert_null(back[7]);
    back = sal_rows_array(rows, 0, 1, &n, p);
    assert_int_equal(n, 4);
    assert_string_equal(back[0], "-9223372036854775808");
    assert_string_equal(back[3], "9223372036854775807");

    assert_int_equal(
        sal_db_exec(db, &echo, &rows, p, NULL, SAL_V_TEXTS(texts, 0), SAL_V_INTS(ints, 0)),
        APR_SUCCESS);
    assert_null(sal_rows_array(rows, 0, 0, &n, p)[0]);
    assert_int_equal(n, 0);
}

static void test_server_arrays_are_read(void **state)
{
    apr_pool_t *p = pool(state);
    const char **back;
    sal_rows_t *rows;
    int n;

    assert_int_equal(
        sal_db_run_text(db, "SELECT '[0:2]={a,NULL,\"NULL\"}'::text[]", NULL, 0, &rows, p, NULL),
        APR_SUCCESS);
    back = sal_rows_array(rows, 0, 0, &n, p);
    assert_int_equal(n, 3);
    assert_string_equal(back[0], "a");
    assert_string_equal(back[1], "");
    assert_string_equal(back[2], "NULL");
}

static void test_null_in_an_array_is_an_error(void **state)
{
    static const sal_stmt_t echo = { "test_echo_texts", "SELECT $1::text[]" };
    static const char *const texts[] = { "a", NULL };
    sal_error_t err = { 0 };

    assert_int_equal(sal_db_exec(db, &echo, NULL, pool(state), &err, SAL_V_TEXTS(texts, 2)),
                     APR_EINVAL);
    assert_non_null(strstr(err.message, "parameter 1"));
}

static void test_null_where_an_array_may_have_it(void **state)
{
    static const sal_stmt_t echo = { "test_echo_nulls",
                                     "SELECT $1::text[], ($1::text[])[2] IS NULL, "
                                     "($1::text[])[3] IS NULL" };
    static const char *const texts[] = { "a\"\\", NULL, "NULL", "" };
    apr_pool_t *p = pool(state);
    sal_rows_t *rows;
    int n;

    assert_int_equal(sal_db_exec(db, &echo, &rows, p, NULL, SAL_V_TEXTS_NULLS(texts, 4)),
                     APR_SUCCESS);
    assert_string_equal(sal_rows_array(rows, 0, 0, &n, p)[0], texts[0]);
    assert_int_equal(n, 4);
    assert_true(sal_rows_bool(rows, 0, 1));
    assert_false(sal_rows_bool(rows, 0, 2));
}

static void test_errors_carry_their_state(void **state)
{
    static const sal_stmt_t bad = { "test_bad_int", "SELECT $1::text::int" };
    apr_pool_t *p = pool(state);
    sal_error_t err = { 0 };

    assert_int_equal(sal_db_exec(db, &bad, NULL, p, &err, SAL_V_TEXT("x")), SAL_E_DB);
    assert_string_equal(err.sqlstate, "22P02");
    assert_non_null(strstr(err.message, "test_bad_int"));
    assert_null(strchr(err.message, '\n'));
    assert_string_equal(fixture_sql(db, p, "SELECT 1"), "1");
}

static void test_other_encodings_and_styles_are_settled(void **state)
{
    apr_pool_t *p = pool(state);
    const char *conninfo =
        apr_pstrcat(p, "host=", PQhost(sal_db_conn(db)), " user=", PQuser(sal_db_conn(db)),
                    " dbname=", PQdb(sal_db_conn(db)),
                    " client_encoding=LATIN1 "
                    "options='-c datestyle=German'",
                    NULL);
    sal_rows_t *rows;
    sal_db_t *odd;

    assert_int_equal(sal_db_connect(&odd, conninfo, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_db_exec(odd, &echo_scalars, &rows, p, NULL, SAL_V_TEXT("\xc3\xa4"),
                                 SAL_V_INT(1), SAL_V_BOOL(0), SAL_V_DOUBLE(1), SAL_V_TIME(5000000),
                                 SAL_V_JSON("1")),
                     APR_SUCCESS);
    assert_string_equal(sal_rows_text(rows, 0, 0), "\xc3\xa4");
    assert_true(sal_rows_time(rows, 0, 4) == 5000000);
}

/* ---- repeats ---- */

static const sal_stmt_t count_up = {
    "test_count_up",
    "INSERT INTO test_counter VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET n = test_counter.n + 1 "
    "RETURNING n",
};

typedef struct unit_t {
    int runs;            /* times the unit was started */
    int fail_with;       /* status to return at the end */
    int kill;            /* the backend, before the last statement */
    int lose_statements; /* in the first run */
} unit_t;

static apr_status_t count_unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    unit_t *u = baton;
    apr_status_t rv;

    u->runs++;
    if (u->lose_statements && u->runs == 1) {
        PQclear(PQexec(sal_db_conn(d), "DEALLOCATE ALL"));
    }
    if (u->kill) {
        fixture_kill(d, p);
    }
    rv = sal_db_exec(d, &count_up, NULL, p, err, SAL_V_INT(4));
    return rv != APR_SUCCESS ? rv : u->fail_with;
}

static const char *counter(apr_pool_t *p)
{
    return fixture_sql(db, p, "SELECT coalesce(max(n), 0) FROM test_counter WHERE id = 4");
}

static void test_killed_connection_is_mended(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *mine = fixture_connect(p);
    sal_rows_t *rows;
    sal_error_t err = { 0 };

    assert_int_equal(sal_db_exec(mine, &count_up, &rows, p, &err, SAL_V_INT(1)), APR_SUCCESS);
    fixture_kill(mine, p);
    assert_int_equal(sal_db_exec(mine, &count_up, &rows, p, &err, SAL_V_INT(1)), APR_SUCCESS);
    assert_int_equal(sal_rows_int(rows, 0, 0), 2);
}

static void test_wrapped_connection_shares_the_session(void **state)
{
    apr_pool_t *p = pool(state);
    PGconn *conn = sal_db_conn(fixture_connect(p));
    sal_db_t *first = sal_db_wrap(conn, p, p), *second = sal_db_wrap(conn, p, p);
    static const char *const prepared = "SELECT count(*) FROM pg_prepared_statements "
                                        "WHERE name LIKE 'sal_test_count_up%'";

    assert_int_equal(sal_db_exec(first, &count_up, NULL, p, NULL, SAL_V_INT(2)), APR_SUCCESS);
    assert_int_equal(sal_db_exec(second, &count_up, NULL, p, NULL, SAL_V_INT(2)), APR_SUCCESS);
    assert_string_equal(fixture_sql(first, p, prepared), "1");
    fixture_kill(first, p);
    PQreset(conn); /* as mod_dbd does behind our back: other pid, no prepared statement */
    assert_int_equal(sal_db_exec(second, &count_up, NULL, p, NULL, SAL_V_INT(2)), APR_SUCCESS);
    assert_string_equal(fixture_sql(first, p, prepared), "1");
}

/* Several connections in one pool, as a program with two servers has them. */
static void test_connections_of_one_pool_are_apart(void **state)
{
    static const char *const prepared = "SELECT count(*) FROM pg_prepared_statements";
    apr_pool_t *p = pool(state);
    sal_db_t *a = fixture_connect(p), *b = fixture_connect(p);
    sal_db_t *c = sal_db_wrap(PQconnectdb(fixture_conninfo()), p, p);
    sal_db_t *d = sal_db_wrap(PQconnectdb(fixture_conninfo()), p, p);
    sal_db_t *each[] = { a, b, c, d };

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            assert_int_equal(sal_db_count(each[i]), round + 1);
            assert_int_equal(sal_db_exec(each[i], &count_up, NULL, p, NULL, SAL_V_INT(8)),
                             APR_SUCCESS);
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_string_equal(fixture_sql(each[i], p, prepared), "1");
    }
    PQfinish(sal_db_conn(c));
    PQfinish(sal_db_conn(d));
}

/* Somebody has prepared our statement on this connection already: 42P05. */
static void test_foreign_preparation_is_adopted(void **state)
{
    apr_pool_t *p = pool(state), *other, *third;
    sal_db_t *mine = fixture_connect(p);
    unit_t u = { 0 };

    apr_pool_create(&other, p);
    apr_pool_create(&third, p);
    fixture_sql(db, p, "DELETE FROM test_counter WHERE id IN (4, 9)");
    assert_int_equal(sal_db_exec(mine, &count_up, NULL, p, NULL, SAL_V_INT(9)), APR_SUCCESS);
    assert_int_equal(sal_db_exec(sal_db_wrap(sal_db_conn(mine), other, p), &count_up, NULL, p, NULL,
                                 SAL_V_INT(9)),
                     APR_SUCCESS);
    assert_string_equal(fixture_sql(db, p, "SELECT n FROM test_counter WHERE id = 9"), "2");
    assert_int_equal(sal_db_txn(sal_db_wrap(sal_db_conn(mine), third, p), count_unit, &u, p, NULL),
                     APR_SUCCESS);
    assert_int_equal(u.runs, 2);
    assert_string_equal(counter(p), "1");
}

static void test_lost_statements_are_prepared_again(void **state)
{
    apr_pool_t *p = pool(state);
    sal_rows_t *rows;

    assert_int_equal(sal_db_exec(db, &count_up, &rows, p, NULL, SAL_V_INT(3)), APR_SUCCESS);
    fixture_sql(db, p, "DEALLOCATE ALL"); /* 26000 */
    assert_int_equal(sal_db_exec(db, &count_up, &rows, p, NULL, SAL_V_INT(3)), APR_SUCCESS);
    assert_int_equal(sal_rows_int(rows, 0, 0), 2);
}

static void test_stale_plans_are_made_again(void **state)
{
    static const sal_stmt_t all = { "test_star", "SELECT * FROM test_star" };
    apr_pool_t *p = pool(state);
    sal_rows_t *rows;

    fixture_sql(db, p, "CREATE TABLE test_star AS SELECT 1 AS a");
    assert_int_equal(sal_db_run(db, &all, NULL, 0, &rows, p, NULL), APR_SUCCESS);
    fixture_sql(db, p, "ALTER TABLE test_star ADD COLUMN b int DEFAULT 7"); /* 0A000 */
    assert_int_equal(sal_db_run(db, &all, NULL, 0, &rows, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_rows_int(rows, 0, 1), 7);
}

static void test_no_server_is_nodb(void **state)
{
    sal_error_t err = { 0 };
    sal_db_t *none;

    assert_int_equal(sal_db_connect(&none, "host=/nonexistent dbname=x", pool(state), &err),
                     SAL_E_NODB);
    assert_true(strlen(err.message) > 0);
    assert_null(strchr(err.message, '\n'));
}

/* ---- transactions ---- */

static int is_idle(sal_db_t *d)
{
    return PQtransactionStatus(sal_db_conn(d)) == PQTRANS_IDLE;
}

static void test_transaction_commits_or_rolls_back(void **state)
{
    apr_pool_t *p = pool(state);
    unit_t good = { 0 }, bad = { .fail_with = APR_ENOENT };
    sal_error_t err = { 0 };

    fixture_sql(db, p, "DELETE FROM test_counter WHERE id = 4");
    assert_int_equal(sal_db_txn(db, count_unit, &good, p, &err), APR_SUCCESS);
    assert_string_equal(counter(p), "1");
    assert_int_equal(sal_db_txn(db, count_unit, &bad, p, &err), APR_ENOENT);
    assert_int_equal(bad.runs, 1);
    assert_true(is_idle(db));
    assert_string_equal(counter(p), "1");
}

static void test_killed_before_begin_is_mended(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *mine = fixture_connect(p);
    unit_t u = { 0 };

    fixture_sql(db, p, "DELETE FROM test_counter WHERE id = 4");
    fixture_kill(mine, p);
    assert_int_equal(sal_db_txn(mine, count_unit, &u, p, NULL), APR_SUCCESS);
    assert_int_equal(u.runs, 1);
    assert_string_equal(counter(p), "1");
}

static void test_killed_inside_is_an_error(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *mine = fixture_connect(p);
    unit_t u = { .kill = 1 };
    sal_error_t err = { 0 };

    fixture_sql(db, p, "DELETE FROM test_counter WHERE id = 4");
    assert_int_equal(sal_db_txn(mine, count_unit, &u, p, &err), SAL_E_NODB);
    assert_int_equal(u.runs, 1);
    assert_string_equal(counter(p), "0");
    u.kill = 0;
    assert_int_equal(sal_db_txn(mine, count_unit, &u, p, &err), APR_SUCCESS);
}

static void test_lost_statement_repeats_the_unit(void **state)
{
    apr_pool_t *p = pool(state);
    unit_t u = { .lose_statements = 1 };

    fixture_sql(db, p, "DELETE FROM test_counter WHERE id = 4");
    assert_int_equal(sal_db_exec(db, &count_up, NULL, p, NULL, SAL_V_INT(5)), APR_SUCCESS);
    assert_int_equal(sal_db_txn(db, count_unit, &u, p, NULL), APR_SUCCESS);
    assert_int_equal(u.runs, 2);
    assert_string_equal(counter(p), "1");
}

typedef struct clash_t {
    int runs, clashes; /* how often another connection writes in between */
    sal_db_t *other;
} clash_t;

/* A read at REPEATABLE READ, another's write, our write: 40001. */
static apr_status_t clash_unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    clash_t *c = baton;
    sal_rows_t *rows;
    apr_status_t rv;

    c->runs++;
    fixture_sql(d, p, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    fixture_sql(d, p, "SELECT n FROM test_counter WHERE id = 6");
    if (c->clashes > 0) {
        c->clashes--;
        rv = sal_db_exec(c->other, &count_up, &rows, p, err, SAL_V_INT(6));
        assert_int_equal(rv, APR_SUCCESS);
    }
    rv = sal_db_exec(d, &count_up, &rows, p, NULL, SAL_V_INT(6)); /* note: its error is dropped */
    return rv == APR_SUCCESS ? rv : sal_fail(err, APR_EGENERAL, "in the caller's own words");
}

static void test_serialization_failures_repeat(void **state)
{
    apr_pool_t *p = pool(state);
    clash_t c = { 0, 3, fixture_connect(p) };

    fixture_sql(db, p, "DELETE FROM test_counter WHERE id = 6");
    fixture_sql(db, p, "INSERT INTO test_counter VALUES (6, 0)");
    assert_int_equal(sal_db_txn(db, clash_unit, &c, p, NULL), APR_SUCCESS);
    assert_int_equal(c.runs, 4);
    assert_string_equal(fixture_sql(db, p, "SELECT n FROM test_counter WHERE id = 6"), "4");
}

static void test_serialization_failures_end(void **state)
{
    apr_pool_t *p = pool(state);
    clash_t c = { 0, 100, fixture_connect(p) };
    sal_error_t err = { 0 };

    assert_int_equal(sal_db_txn(db, clash_unit, &c, p, &err), APR_EGENERAL);
    assert_int_equal(c.runs, 4);
    assert_string_equal(err.message, "in the caller's own words");
    assert_true(is_idle(db));
}

static apr_status_t swallow_unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    (void)err;
    ++*(int *)baton;
    sal_db_run_text(d, "SELECT 1/0", NULL, 0, NULL, p, NULL);
    return APR_SUCCESS;
}

static void test_swallowed_failure_is_no_success(void **state)
{
    int runs = 0;

    assert_int_equal(sal_db_txn(db, swallow_unit, &runs, pool(state), NULL), SAL_E_DB);
    assert_int_equal(runs, 1);
    assert_true(is_idle(db));
}

static apr_status_t commit_unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    (void)err;
    ++*(int *)baton;
    fixture_sql(d, p, "INSERT INTO test_deferred VALUES (1)");
    return APR_SUCCESS;
}

/* A constraint that fails at COMMIT with 40001: the rule is never to repeat after COMMIT. */
static void test_nothing_repeats_after_commit(void **state)
{
    apr_pool_t *p = pool(state);
    sal_error_t err = { 0 };
    int runs = 0;

    fixture_sql(db, p, "CREATE TABLE test_deferred (a int)");
    fixture_sql(db, p,
                "CREATE FUNCTION test_refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE SQLSTATE '40001'; END $$");
    fixture_sql(db, p,
                "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON test_deferred "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test_refuse()");
    assert_int_equal(sal_db_txn(db, commit_unit, &runs, p, &err), SAL_E_DB);
    assert_string_equal(err.sqlstate, "40001");
    assert_int_equal(runs, 1);
    assert_true(is_idle(db));
}

static apr_status_t nest_unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_txn(d, count_unit, baton, p, err);
}

static void test_nesting_is_refused(void **state)
{
    unit_t u = { 0 };

    assert_int_equal(sal_db_txn(db, nest_unit, &u, pool(state), NULL), APR_EINVAL);
    assert_int_equal(u.runs, 0);
    assert_true(is_idle(db));
}

static apr_status_t nest_wrapped_unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    apr_pool_t *conn_pool = ((void **)baton)[0];
    sal_db_t *again = sal_db_wrap(sal_db_conn(d), conn_pool, p);

    return sal_db_txn(again, count_unit, ((void **)baton)[1], p, err);
}

/* The transaction belongs to the connection, not to the object through which it was begun. */
static void test_nesting_through_another_wrap_is_refused(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *mine = sal_db_wrap(PQconnectdb(fixture_conninfo()), p, p);
    unit_t u = { 0 };
    void *baton[] = { p, &u };

    assert_int_equal(sal_db_txn(mine, nest_wrapped_unit, baton, p, NULL), APR_EINVAL);
    assert_int_equal(u.runs, 0);
    assert_true(is_idle(mine));
    assert_int_equal(sal_db_txn(mine, count_unit, &u, p, NULL), APR_SUCCESS);
    PQfinish(sal_db_conn(mine));
}

/* ---- tokens ---- */

static void test_token_life(void **state)
{
    apr_pool_t *p = pool(state);
    apr_time_t soon = apr_time_now() + apr_time_from_sec(3600);
    const char *plain, *labelled;
    sal_token_t found, *list;
    int n;

    assert_int_equal(sal_token_create(&plain, "Ann@example.com", SAL_PERM_UPLOAD_SYMBOLS, soon,
                                      "build", db, p, NULL),
                     APR_SUCCESS);
    assert_int_equal(strlen(plain), 64);
    labelled = apr_pstrcat(p, plain, "-my-label", NULL);
    assert_int_equal(sal_token_find(&found, labelled, db, p, NULL), APR_SUCCESS);
    assert_int_equal(found.state, SAL_TOKEN_OK);
    assert_string_equal(found.user, "Ann@example.com");
    assert_int_equal(found.permissions, SAL_PERM_UPLOAD_SYMBOLS);
    assert_true(found.expires == soon);
    assert_string_equal(fixture_sql(db, p,
                                    "SELECT count(*) FROM api_token "
                                    "WHERE last_used IS NOT NULL"),
                        "1");
    assert_int_equal(sal_token_list(&list, &n, "ann@EXAMPLE.com", db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 1);
    assert_memory_equal(list[0].prefix, plain, 8);
    assert_int_equal(sal_token_revoke(found.id, db, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_token_find(&found, plain, db, p, NULL), APR_SUCCESS);
    assert_int_equal(found.state, SAL_TOKEN_UNKNOWN);
    assert_int_equal(sal_token_revoke(list[0].id, db, p, NULL), APR_ENOENT);
    assert_string_equal(fixture_sql(db, p,
                                    "SELECT string_agg(action, ' ' ORDER BY id) "
                                    "FROM audit_log"),
                        "token.create token.revoke");
}

static void test_token_states(void **state)
{
    static const char *const junk[] = {
        "",
        "-",
        "abc",
        "no-such",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ABCDEF0000000000000000000000000000000000000000000000000000000000"
    };
    apr_pool_t *p = pool(state);
    const char *plain;
    sal_token_t found;

    for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
        assert_int_equal(sal_token_find(&found, junk[i], db, p, NULL), APR_SUCCESS);
        assert_int_equal(found.state, SAL_TOKEN_UNKNOWN);
    }
    assert_int_equal(sal_token_create(&plain, "bob", SAL_PERM_VIEW_PII,
                                      apr_time_now() - APR_USEC_PER_SEC, NULL, db, p, NULL),
                     APR_SUCCESS);
    assert_int_equal(sal_token_find(&found, plain, db, p, NULL), APR_SUCCESS);
    assert_int_equal(found.state, SAL_TOKEN_EXPIRED);
    fixture_sql(db, p, "UPDATE api_token SET expires = NULL WHERE notes = ''");
    assert_int_equal(sal_token_find(&found, plain, db, p, NULL), APR_SUCCESS);
    assert_int_equal(found.state, SAL_TOKEN_OK);
    fixture_sql(db, p, "UPDATE users SET active = false WHERE name = 'bob'");
    assert_int_equal(sal_token_find(&found, plain, db, p, NULL), APR_SUCCESS);
    assert_int_equal(found.state, SAL_TOKEN_INACTIVE_USER);
}

static void test_last_use_is_noted_once_a_minute(void **state)
{
    static const char *const age = "SELECT round(extract(epoch FROM now() - last_used)) "
                                   "FROM api_token WHERE notes = 'minute'";
    apr_pool_t *p = pool(state);
    const char *plain;
    sal_token_t found;

    assert_int_equal(sal_token_create(&plain, "cat", SAL_PERM_ADMIN, 0, "minute", db, p, NULL),
                     APR_SUCCESS);
    fixture_sql(db, p,
                "UPDATE api_token SET last_used = now() - interval '50 s' "
                "WHERE notes = 'minute'");
    sal_token_find(&found, plain, db, p, NULL);
    assert_int_equal(found.state, SAL_TOKEN_OK);
    assert_true(strtol(fixture_sql(db, p, age), NULL, 10) >= 50);
    fixture_sql(db, p,
                "UPDATE api_token SET last_used = now() - interval '70 s' "
                "WHERE notes = 'minute'");
    sal_token_find(&found, plain, db, p, NULL);
    assert_true(strtol(fixture_sql(db, p, age), NULL, 10) < 30);
}

static void test_permission_names(void **state)
{
    apr_pool_t *p = pool(state);

    assert_int_equal(sal_permission_bit("reprocess_crashes"), SAL_PERM_REPROCESS_CRASHES);
    assert_int_equal(sal_permission_bit("reprocess"), 0);
    assert_string_equal(sal_permission_names(SAL_PERM_VIEW_PII | SAL_PERM_ADMIN, p),
                        "view_pii, admin");
}

/* ---- lines ---- */

typedef struct waiter_t {
    sal_db_line_t *line;
    apr_status_t rv;
    atomic_int backend; /* of the connection that waits */
} waiter_t;

/* Loses its backend once, so that the socket is another than the first, and then waits. */
static void *wait_long(void *data)
{
    waiter_t *w = data;
    sal_error_t err;
    apr_pool_t *p;
    sal_db_t *own;

    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    if (sal_db_line_get(&own, w->line, &err) == APR_SUCCESS) {
        sal_db_run_text(own, "SELECT pg_terminate_backend(pg_backend_pid())", NULL, 0, NULL, p,
                        &err);
        w->rv = sal_db_run_text(own, "SELECT 1", NULL, 0, NULL, p, &err);
        atomic_store(&w->backend, w->rv == APR_SUCCESS ? PQbackendPID(sal_db_conn(own)) : -1);
        w->rv = sal_db_run_text(own, "SELECT pg_sleep(60)", NULL, 0, NULL, p, &err);
    }
    apr_pool_destroy(p);
    return NULL;
}

static void test_a_line_is_cut_by_another_thread(void **state)
{
    apr_pool_t *p = pool(state), *theirs;
    waiter_t w = { .rv = APR_EGENERAL };
    apr_time_t begun;
    sal_error_t err;
    sal_db_t *own;
    pthread_t thread;

    apr_pool_create_unmanaged_ex(&theirs, NULL, NULL);
    w.line = sal_db_line_make(sal_db_conninfo(fixture_conninfo(), "cut", 60, p), theirs);
    assert_int_equal(pthread_create(&thread, NULL, wait_long, &w), 0);
    for (int i = 0; i < 600 && atomic_load(&w.backend) == 0; i++) {
        apr_sleep(50000);
    }
    assert_true(atomic_load(&w.backend) > 0);
    for (int i = 0; i < 600 && strcmp(fixture_sql(db, p,
                                                  apr_psprintf(p,
                                                               "SELECT count(*) FROM "
                                                               "pg_stat_activity WHERE pid = %d "
                                                               "AND query LIKE '%%pg_sleep%%'",
                                                               atomic_load(&w.backend))),
                                      "1");
         i++) {
        apr_sleep(50000);
    }
    begun = apr_time_now();
    sal_db_line_cut(w.line);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(apr_time_now() - begun < apr_time_from_sec(20)); /* of the sixty */
    assert_int_equal(w.rv, SAL_E_NODB);
    assert_int_equal(sal_db_line_get(&own, w.line, &err), SAL_E_NODB);
    apr_pool_destroy(theirs);
    /* The server notices only when it has slept. */
    fixture_sql(db, p,
                apr_psprintf(p, "SELECT pg_terminate_backend(%d, 10000)", atomic_load(&w.backend)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_pool, end_pool)

static const struct CMUnitTest tests[] = {
    TEST(test_migrations_run_once),
    TEST(test_newer_database_is_refused),
    TEST(test_all_statements_prepare),
    TEST(test_scalars_round_trip),
    TEST(test_null_is_explicit),
    TEST(test_times_in_any_zone),
    TEST(test_bytes_round_trip),
    TEST(test_arrays_round_trip),
    TEST(test_server_arrays_are_read),
    TEST(test_null_in_an_array_is_an_error),
    TEST(test_null_where_an_array_may_have_it),
    TEST(test_errors_carry_their_state),
    TEST(test_other_encodings_and_styles_are_settled),
    TEST(test_killed_connection_is_mended),
    TEST(test_wrapped_connection_shares_the_session),
    TEST(test_connections_of_one_pool_are_apart),
    TEST(test_foreign_preparation_is_adopted),
    TEST(test_lost_statements_are_prepared_again),
    TEST(test_stale_plans_are_made_again),
    TEST(test_no_server_is_nodb),
    TEST(test_transaction_commits_or_rolls_back),
    TEST(test_killed_before_begin_is_mended),
    TEST(test_killed_inside_is_an_error),
    TEST(test_lost_statement_repeats_the_unit),
    TEST(test_serialization_failures_repeat),
    TEST(test_serialization_failures_end),
    TEST(test_swallowed_failure_is_no_success),
    TEST(test_nothing_repeats_after_commit),
    TEST(test_nesting_is_refused),
    TEST(test_nesting_through_another_wrap_is_refused),
    TEST(test_token_life),
    TEST(test_token_states),
    TEST(test_last_use_is_noted_once_a_minute),
    TEST(test_permission_names),
    TEST(test_a_line_is_cut_by_another_thread),
};

/* The schema of all tests; that a fresh database takes all migrations is proved here. */
static int migrate(void **state)
{
    sal_error_t err = { 0 };
    int applied = 0;

    (void)state;
    db = fixture_connect(root);
    if (sal_schema_migrate(&applied, db, root, &err) != APR_SUCCESS || applied < 2) {
        fprintf(stderr, "migrate: %d applied: %s\n", applied, err.message);
        return -1;
    }
    fixture_sql(db, root, "CREATE TABLE test_counter (id int PRIMARY KEY, n int NOT NULL)");
    return 0;
}

int main(void)
{
    int failed;

    apr_initialize();
    apr_pool_create(&root, NULL);
    fixture_database(root);
    failed = cmocka_run_group_tests_name("db", tests, migrate, NULL);
    apr_pool_destroy(root);
    fixture_drop();
    apr_terminate();
    return failed;
}
