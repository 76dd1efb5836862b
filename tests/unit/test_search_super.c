/*
 * The bounds of Super Search against a real server: places, time, samples, scans; what is asked is
 * tested by cases (tests/data/search).
 */
#include "db_fixture.h"

#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "db/schema.h"
#include "search/index.h"
#include "search/super.h"

static apr_pool_t *root, *pool;
static sal_db_t *db;
static sal_super_limits_t usual;

static apr_status_t store_fn(sal_db_t *d, void *row, apr_pool_t *p, sal_error_t *err)
{
    return sal_search_store(row, d, p, err);
}

static void index_many(int n)
{
    apr_time_t week_before;

    assert_true(sal_time_parse("2026-11-15T15:00:00+00:00", &week_before));
    assert_int_equal(sal_search_partitions(db, week_before, 1, pool, NULL), APR_SUCCESS);
    for (int i = 0; i < n; i++) {
        const char *text =
            apr_psprintf(pool,
                         "{\"uuid\":\"%08x-0000-4000-8000-000000261122\",\"signature\":\"s%d\","
                         "\"date_processed\":\"2026-11-22T10:00:00+00:00\",\"app_notes\":\"note\"}",
                         (unsigned)i * 2654435761u, i % 3);
        sal_search_row_t *row;
        sal_error_t err = { 0 };
        json_t *doc;

        if (sal_json_parse(&doc, text, strlen(text), pool, &err) != APR_SUCCESS ||
            sal_search_prepare(&row, doc, db, pool, &err) != APR_SUCCESS ||
            sal_db_txn(db, store_fn, row, pool, &err) != APR_SUCCESS) {
            fail_msg("%s", err.message);
        }
    }
    (void)fixture_sql(db, pool, "ANALYZE crash");
}

/* Runs "name=value" parameters, NULL-terminated; the message of a refusal stands in err. */
static apr_status_t ask(json_t **out, sal_error_t *err, const char *const *params)
{
    sal_super_reader_t reader = { .known = true };
    apr_time_t now;
    sal_super_t *s;
    apr_status_t rv;

    assert_true(sal_time_parse("2026-11-22T15:00:00+00:00", &now));
    s = sal_super_make(&reader, now, pool);
    for (; *params; params++) {
        const char *sign = strchr(*params, '=');

        sal_super_param(s, apr_pstrmemdup(pool, *params, (apr_size_t)(sign - *params)), sign + 1);
    }
    rv = sal_super_run(out, s, db, pool, err);
    if (rv == APR_SUCCESS) {
        (void)sal_json_own(*out, pool);
    }
    return rv;
}

#define ASK(...) ask(&out, &err, (const char *const[]){ __VA_ARGS__, NULL })

static void limit(sal_super_limits_t limits)
{
    sal_super_set_limits(&limits);
}

static void test_places(void **state)
{
    sal_db_t *other = fixture_connect(pool);
    sal_super_limits_t one = usual;
    sal_error_t err = { 0 };
    json_t *out;

    (void)state;
    one.at_once = 1;
    one.wait = apr_time_from_msec(50);
    limit(one);
    assert_int_equal(ASK("_facets_size=0"), APR_SUCCESS);
    (void)fixture_sql(other, pool, "SELECT pg_advisory_lock(hashtext('salvage.search'), 0)");
    assert_int_equal(ASK("_facets_size=0"), SAL_E_BUSY);
    assert_non_null(strstr(err.message, "Too many searches"));
    /* another place is free */
    one.at_once = 2;
    limit(one);
    assert_int_equal(ASK("_facets_size=0"), APR_SUCCESS);
    (void)fixture_sql(other, pool, "SELECT pg_advisory_unlock_all()");
    one.at_once = 1;
    limit(one);
    assert_int_equal(ASK("_facets_size=0"), APR_SUCCESS);
    assert_string_equal(
        fixture_sql(db, pool, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
}

/* A table that another one holds makes every statement that reads it as slow as need be. */
static void test_time(void **state)
{
    sal_db_t *other = fixture_connect(pool);
    sal_super_limits_t brief = usual;
    sal_error_t err = { 0 };
    json_t *out;

    (void)state;
    index_many(3);
    brief.known = apr_time_from_msec(400);
    limit(brief);
    PQclear(PQexec(sal_db_conn(other), "BEGIN; LOCK TABLE term IN ACCESS EXCLUSIVE MODE"));
    assert_int_equal(ASK("signature=~s"), APR_TIMEUP);
    assert_string_equal(err.message, "Search query timed out. Simplify the search pattern and try "
                                     "again.");
    /* the facet alone is late: the rest stands */
    assert_int_equal(ASK("_columns=uuid", "_facets=signature", "_facets=uptime"), APR_SUCCESS);
    assert_string_equal(sal_json_python(json_object_get(out, "errors"), pool),
                        "[{\"facet\": \"signature\", \"type\": \"partial\"}, "
                        "{\"facet\": \"uptime\", \"type\": \"partial\"}]");
    assert_int_equal(json_integer_value(json_object_get(out, "total")), 3);
    assert_int_equal(json_array_size(json_object_get(out, "hits")), 3);
    assert_int_equal(json_object_size(json_object_get(out, "facets")), 0);
    PQclear(PQexec(sal_db_conn(other), "ROLLBACK"));
    assert_int_equal(ASK("signature=~s"), APR_SUCCESS);
    /* the time limit is the search's, not the connection's */
    assert_string_equal(fixture_sql(db, pool, "SHOW transaction_read_only"), "off");
    assert_string_equal(fixture_sql(db, pool, "SHOW statement_timeout"), "0");
}

static void test_samples(void **state)
{
    sal_super_limits_t few = usual;
    sal_error_t err = { 0 };
    json_t *out, *facet, *one;
    size_t i;

    (void)state;
    index_many(200);
    few.sample_rows = 50;
    limit(few);
    assert_int_equal(ASK("_results_number=0"), APR_SUCCESS);
    assert_string_equal(sal_json_python(json_object_get(out, "errors"), pool),
                        "[{\"ratio\": 0.1, \"type\": \"sampled\"}]");
    assert_int_equal(json_integer_value(json_object_get(out, "total")), 200);
    facet = sal_json_path(out, "facets.signature");
    assert_true(json_array_size(facet) > 0);
    json_array_foreach(facet, i, one)
    {
        assert_int_equal(json_integer_value(json_object_get(one, "count")) % 10, 0);
    }
    few.sample_rows = 1000;
    limit(few);
    assert_int_equal(ASK("_results_number=0"), APR_SUCCESS);
    assert_int_equal(json_array_size(json_object_get(out, "errors")), 0);
}

static void test_scans(void **state)
{
    sal_super_limits_t few = usual;
    sal_error_t err = { 0 };
    json_t *out;

    (void)state;
    index_many(20);
    few.scan_rows = 5;
    limit(few);
    assert_int_equal(ASK("app_notes=~note"), SAL_E_MALFORMED);
    assert_non_null(strstr(err.message, "app_notes"));
    assert_int_equal(ASK("app_notes=~note", "signature=s1"), APR_SUCCESS);
    assert_int_equal(ASK("app_notes=__null__"), APR_SUCCESS);
    limit(usual);
    assert_int_equal(ASK("app_notes=~note"), APR_SUCCESS);
    assert_int_equal(json_integer_value(json_object_get(out, "total")), 20);
}

static void test_missing_weeks(void **state)
{
    sal_error_t err = { 0 };
    apr_time_t now = apr_time_now();
    json_t *out;

    (void)state;
    /* of the last five weeks there is none but those around now */
    assert_int_equal(sal_search_partitions(db, now, 1, pool, NULL), APR_SUCCESS);
    assert_int_equal(
        ASK(apr_pstrcat(pool, "date=<", apr_pstrmemdup(pool, sal_time_iso(now, pool), 10), NULL),
            apr_pstrcat(
                pool, "date=>=",
                apr_pstrmemdup(pool, sal_time_iso(now - apr_time_from_sec(35 * 86400), pool), 10),
                NULL)),
        APR_SUCCESS);
    assert_string_equal(sal_json_str(json_array_get(json_object_get(out, "errors"), 0), "type"),
                        "missing_index");
    assert_true(json_array_size(json_object_get(out, "errors")) >= 3);
}

static int open_group(void **state)
{
    sal_error_t err = { 0 };
    int applied;

    (void)state;
    apr_pool_create(&root, NULL);
    (void)fixture_database(root);
    db = fixture_connect(root);
    sal_super_limits(&usual);
    if (sal_schema_migrate(&applied, db, root, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    apr_pool_destroy(root);
    fixture_drop();
    return 0;
}

static int begin(void **state)
{
    (void)state;
    apr_pool_create(&pool, root);
    db = fixture_connect(pool);
    (void)fixture_sql(db, pool, "DELETE FROM crash RETURNING 1");
    limit(usual);
    return 0;
}

static int end(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_missing_weeks, begin, end),
        cmocka_unit_test_setup_teardown(test_places, begin, end),
        cmocka_unit_test_setup_teardown(test_time, begin, end),
        cmocka_unit_test_setup_teardown(test_samples, begin, end),
        cmocka_unit_test_setup_teardown(test_scans, begin, end),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, open_group, close_group);
}
