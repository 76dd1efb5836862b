/* The intake ledger in the database; connections that must not hang. Needs SALVAGE_TEST_DB. */
#include "db_fixture.h"

#include <stdio.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "crash/ledger.h"
#include "db/schema.h"
#include "db/watch.h"

#define ID "0f0e0d0c-1111-4222-8333-444455260131"

static apr_pool_t *pool;
static sal_db_t *db;
static sal_error_t err;

static void ok(apr_status_t rv)
{
    if (rv != APR_SUCCESS) {
        fail_msg("%d: %s", rv, err.message);
    }
}

static sal_ledger_row_t row_of(const char *outcome, const char *reason, const char *id)
{
    sal_ledger_row_t row = { .received = apr_time_now(), .status = 200, .size = 1234 };

    apr_cpystrn(row.outcome, outcome, sizeof(row.outcome));
    apr_cpystrn(row.reason, reason, sizeof(row.reason));
    apr_cpystrn(row.agent, "curl", sizeof(row.agent));
    apr_cpystrn(row.crash_id, id, sizeof(row.crash_id));
    return row;
}

static void test_write_and_list(void **state)
{
    sal_ledger_t *ledger;
    sal_ledger_row_t rows[] = { row_of("accepted", "accept_everything", ID),
                                row_of("malformed", "no_boundary", ""),
                                row_of("busy", "r\xc3\xa4te\nX: y", "") };
    sal_ledger_filter_t filter = { .limit = 10 };
    sal_rows_t *found;
    int written, dropped;

    (void)state;
    ok(sal_ledger_make(&ledger, pool, &err));
    for (int i = 0; i < 3; i++) {
        rows[i].received += i * APR_USEC_PER_SEC;
        assert_true(sal_ledger_add(ledger, &rows[i]));
    }
    assert_int_equal(sal_ledger_waiting(ledger), 3);
    ok(sal_ledger_write(&written, &dropped, ledger, db, pool, &err));
    assert_int_equal(written, 3);
    assert_int_equal(dropped, 0);
    assert_int_equal(sal_ledger_waiting(ledger), 0);
    ok(sal_ledger_list(&found, &filter, db, pool, &err));
    assert_int_equal(sal_rows_count(found), 3);
    assert_string_equal(sal_rows_text(found, 0, 1), "busy");
    assert_string_equal(sal_rows_text(found, 0, 2), "r__te_X:_y");
    filter.refused = true;
    ok(sal_ledger_list(&found, &filter, db, pool, &err));
    assert_int_equal(sal_rows_count(found), 2);
    filter = (sal_ledger_filter_t){ .crash_id = "bp-" ID, .limit = 10 };
    ok(sal_ledger_list(&found, &filter, db, pool, &err));
    assert_int_equal(sal_rows_count(found), 1);
    assert_string_equal(sal_rows_text(found, 0, 1), "accepted");
    assert_int_equal(sal_rows_int(found, 0, 3), 200);
    assert_int_equal(sal_rows_int(found, 0, 4), 1234);
    assert_string_equal(sal_rows_text(found, 0, 6), ID);
    filter = (sal_ledger_filter_t){ .outcome = "malformed", .since = 3600, .limit = 10 };
    ok(sal_ledger_sums(&found, &filter, db, pool, &err));
    assert_int_equal(sal_rows_count(found), 1);
    assert_string_equal(sal_rows_text(found, 0, 1), "no_boundary");
}

static void test_bounded(void **state)
{
    sal_ledger_t *ledger;
    sal_ledger_row_t row = row_of("accepted", "x", "");
    int n = 0, written, dropped;

    (void)state;
    ok(sal_ledger_make(&ledger, pool, &err));
    while (n < 100000 && sal_ledger_add(ledger, &row)) {
        n++;
    }
    assert_int_equal(n, 4096);
    ok(sal_ledger_write(&written, &dropped, ledger, db, pool, &err));
    assert_int_equal(written, 4096);
    assert_true(sal_ledger_add(ledger, &row));
    assert_int_equal(sal_ledger_drop(ledger), 1);
    assert_int_equal(sal_ledger_waiting(ledger), 0);
}

static void test_expire(void **state)
{
    bool more;

    (void)state;
    fixture_sql(db, pool, "DELETE FROM intake_ledger");
    fixture_sql(db, pool,
                "INSERT INTO intake_ledger (received, outcome, reason, status, size, agent)"
                " SELECT now() - make_interval(days => d), 'busy', '', 503, 0, 'none'"
                " FROM generate_series(0, 40) d");
    ok(sal_ledger_expire(&more, 30, db, pool, &err));
    assert_false(more);
    assert_string_equal(fixture_sql(db, pool, "SELECT count(*) FROM intake_ledger"), "30");
}

static void test_refused(void **state)
{
    sal_ledger_t *ledger;
    sal_ledger_row_t row = row_of("accepted", "x", "");
    int written, dropped;

    (void)state;
    ok(sal_ledger_make(&ledger, pool, &err));
    row.status = 100000; /* no smallint */
    assert_true(sal_ledger_add(ledger, &row));
    assert_int_equal(sal_ledger_write(&written, &dropped, ledger, db, pool, &err), SAL_E_DB);
    assert_int_equal(dropped, 1);
    assert_int_equal(sal_ledger_waiting(ledger), 0);
}

static void test_ping(void **state)
{
    apr_pool_t *p;
    sal_db_t *watched;
    const char *conninfo = sal_db_conninfo(fixture_conninfo(), "salvage-test", 2, pool);

    (void)state;
    apr_pool_create(&p, pool);
    ok(sal_db_connect(&watched, conninfo, p, &err));
    ok(sal_db_ping(watched, 2000, &err));
    assert_string_equal(fixture_sql(watched, pool, "SHOW statement_timeout"), "2s");
    assert_string_equal(fixture_sql(watched, pool, "SHOW application_name"), "salvage-test");
    fixture_kill(watched, p);
    assert_int_equal(sal_db_ping(watched, 2000, &err), SAL_E_NODB);
    apr_pool_destroy(p);
    assert_string_equal(sal_db_conninfo("no conninfo at all", "x", 1, pool), "no conninfo at all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_list), cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_expire),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_ping),
    };
    int failed, applied;
    apr_pool_t *db_pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&db_pool, NULL);
    fixture_database(pool);
    db = fixture_connect(db_pool);
    if (sal_schema_migrate(&applied, db, pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(db_pool);
    fixture_drop();
    return failed;
}
