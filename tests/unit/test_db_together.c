/*
 * Statements of a transaction that are sent together, against a real server: in their order, all or
 * none, with their rows; and what an error, a lost plan or a lost server leaves behind.
 */
#include "db_fixture.h"

#include <stdbool.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

static apr_pool_t *pool;
static sal_db_t *db;

static const sal_stmt_t put = { "together_put", "INSERT INTO together VALUES ($1, $2)" };
static const sal_stmt_t all = {
    "together_all", "SELECT coalesce(string_agg(v, ',' ORDER BY n), '') FROM together"
};
static const sal_stmt_t cut = { "together_cut", "DELETE FROM together WHERE n < $1" };

typedef struct unit_t {
    int runs;
    bool clash, forget, kill, leave; /* a key twice; plans lost once; the server gone; no flush */
    apr_status_t fail_with;
    const char *before, *seen; /* the rows, before and behind the flush */
    int gone;
} unit_t;

static apr_status_t three(sal_db_t *d, const unit_t *u, apr_pool_t *p, sal_error_t *err)
{
    char text[] = "first";
    apr_status_t rv = sal_db_exec(d, &put, NULL, p, err, SAL_V_INT(1), SAL_V_TEXT(text));

    memset(text, 'x', 5); /* what was given is no longer needed */
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(d, &put, NULL, p, err, SAL_V_INT(u->clash ? 1 : 2), SAL_V_TEXT("second"));
    }
    return rv == APR_SUCCESS
               ? sal_db_exec(d, &put, NULL, p, err, SAL_V_INT(3), SAL_V_NULL(SAL_T_TEXT))
               : rv;
}

static apr_status_t unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    unit_t *u = baton;
    sal_rows_t *rows, *removed;
    apr_status_t rv;

    u->runs++;
    sal_db_defer(d);
    if ((rv = three(d, u, p, err)) != APR_SUCCESS ||
        (rv = sal_db_run(d, &all, NULL, 0, &rows, p, err)) != APR_SUCCESS ||
        (rv = sal_db_exec(d, &cut, &removed, p, err, SAL_V_INT(2))) != APR_SUCCESS) {
        return rv;
    }
    u->before = apr_pstrdup(pool, sal_rows_text(rows, 0, 0));
    if (u->forget && u->runs == 1) {
        PQclear(PQexec(sal_db_conn(d), "DEALLOCATE ALL"));
    }
    if (u->kill) {
        fixture_kill(d, p);
    }
    if (u->fail_with || u->leave) {
        rv = sal_db_send(d, err); /* and nobody reads what comes */
        return rv == APR_SUCCESS ? u->fail_with : rv;
    }
    if ((rv = sal_db_flush(d, err)) == APR_SUCCESS) {
        u->seen = apr_pstrdup(pool, sal_rows_text(rows, 0, 0));
        u->gone = sal_rows_affected(removed);
    }
    return rv;
}

/* Runs the unit on an empty table; the connection must be of use afterwards. */
static apr_status_t run(unit_t *u, sal_db_t *d, sal_error_t *err)
{
    apr_status_t rv;

    fixture_sql(db, pool, "DELETE FROM together");
    rv = sal_db_txn(d, unit, u, pool, err);
    assert_string_equal(fixture_sql(d, pool, "SELECT 'of use'"), "of use");
    assert_int_equal(PQtransactionStatus(sal_db_conn(d)), PQTRANS_IDLE);
    assert_int_equal(PQpipelineStatus(sal_db_conn(d)), PQ_PIPELINE_OFF);
    return rv;
}

static const char *stored(void)
{
    return fixture_sql(db, pool, "SELECT count(*) || coalesce(min(v), '') FROM together");
}

static void test_in_order(void **state)
{
    unit_t u = { 0 };
    sal_error_t err;

    (void)state;
    assert_int_equal(run(&u, db, &err), APR_SUCCESS);
    assert_string_equal(u.before, "");
    assert_string_equal(u.seen, "first,second");
    assert_int_equal(u.gone, 1);
    assert_string_equal(stored(), "2second");
}

static void test_sent_at_the_end_at_the_latest(void **state)
{
    unit_t u = { .leave = true };
    sal_error_t err;

    (void)state;
    assert_int_equal(run(&u, db, &err), APR_SUCCESS);
    assert_string_equal(stored(), "2second");
}

static void test_one_error_undoes_all(void **state)
{
    unit_t u = { .clash = true };
    sal_error_t err;

    (void)state;
    assert_int_equal(run(&u, db, &err), SAL_E_DB);
    assert_string_equal(err.sqlstate, "23505");
    assert_non_null(strstr(err.message, "together_put"));
    assert_int_equal(u.runs, 1);
    assert_null(u.seen);
    assert_string_equal(stored(), "0");
}

static void test_error_between_undoes_all(void **state)
{
    unit_t u = { .fail_with = APR_ENOENT };
    sal_error_t err;

    (void)state;
    assert_int_equal(run(&u, db, &err), APR_ENOENT);
    assert_string_equal(stored(), "0");
}

static void test_lost_plans_repeat_the_unit(void **state)
{
    unit_t u = { .forget = true };
    sal_error_t err;

    (void)state;
    assert_int_equal(run(&u, db, &err), APR_SUCCESS);
    assert_true(u.runs > 1);
    assert_string_equal(stored(), "2second");
}

static void test_lost_server(void **state)
{
    sal_db_t *mine = fixture_connect(pool);
    unit_t u = { .kill = true };
    sal_error_t err;

    (void)state;
    fixture_sql(db, pool, "DELETE FROM together");
    assert_int_equal(sal_db_txn(mine, unit, &u, pool, &err), SAL_E_NODB);
    assert_int_equal(u.runs, 1);
    assert_string_equal(stored(), "0");
    u = (unit_t){ 0 };
    assert_int_equal(run(&u, mine, &err), APR_SUCCESS);
    assert_string_equal(stored(), "2second");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_sent_at_the_end_at_the_latest),
        cmocka_unit_test(test_one_error_undoes_all),
        cmocka_unit_test(test_error_between_undoes_all),
        cmocka_unit_test(test_lost_plans_repeat_the_unit),
        cmocka_unit_test(test_lost_server),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    fixture_database(pool);
    db = fixture_connect(pool);
    fixture_sql(db, pool, "CREATE TABLE together (n int PRIMARY KEY, v text)");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    fixture_drop();
    apr_terminate();
    return failed;
}
