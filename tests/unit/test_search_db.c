/*
 * Index and queries against a real server: rows replace each other, terms are made once, also by
 * many at once, partitions are weeks, and conditions find what the specification says they find.
 */
#include "db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "base/json.h"
#include "base/text.h"
#include "db/schema.h"
#include "search/index.h"
#include "search/lookup.h"
#include "search/query.h"
#include "search/super.h"

static apr_pool_t *root, *pool;
static sal_db_t *db;

#define NOW "2026-11-22T15:00:00+00:00"

static apr_time_t now(void)
{
    apr_time_t t;

    assert_true(sal_time_parse(NOW, &t));
    return t;
}

static json_t *crash(int number, const char *members)
{
    const char *text = apr_psprintf(pool,
                                    "{\"uuid\":\"%08x-0000-4000-8000-000000261122\","
                                    "\"date_processed\":\"2026-11-22T10:%02d:00+00:00\"%s%s}",
                                    number, number % 60, *members ? "," : "", members);
    json_t *doc;
    sal_error_t err = { 0 };

    if (sal_json_parse(&doc, text, strlen(text), pool, &err) != APR_SUCCESS) {
        fail_msg("%s: %s", err.message, text);
    }
    return doc;
}

static apr_status_t store_fn(sal_db_t *d, void *row, apr_pool_t *p, sal_error_t *err)
{
    return sal_search_store(row, d, p, err);
}

static void index_on(sal_db_t *d, const json_t *doc, apr_pool_t *p)
{
    sal_search_row_t *row;
    sal_error_t err = { 0 };

    if (sal_search_prepare(&row, doc, d, p, &err) != APR_SUCCESS ||
        sal_db_txn(d, store_fn, row, p, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
}

static void index_one(int number, const char *members)
{
    index_on(db, crash(number, members), pool);
}

/* Asks "name=value" parameters, NULL-terminated; the refusal's words are in err. */
static apr_status_t ask(json_t **out, int pii, const char *const *params, sal_error_t *err)
{
    sal_super_reader_t reader = { .pii = pii, .known = true };
    sal_super_t *s = sal_super_make(&reader, now(), pool);
    apr_status_t rv;

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

/* ---- partitions ---- */

static void test_partitions_are_weeks(void **state)
{
    sal_error_t err = { 0 };

    (void)state;
    assert_int_equal(sal_search_partitions(db, now(), 2, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_search_partitions(db, now(), 2, pool, &err), APR_SUCCESS);
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT string_agg(inhrelid::regclass::text, ' ' "
                                    "ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE "
                                    "inhparent = 'crash'::regclass"),
                        "crash_2026w46 crash_2026w47 crash_2026w48 crash_2026w49");
    /* 22 November 2026 is the Sunday of week 47 */
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT pg_get_expr(relpartbound, oid) FROM pg_class "
                                    "WHERE relname = 'crash_2026w47'"),
                        "FOR VALUES FROM ('2026-11-16 00:00:00+00') TO "
                        "('2026-11-23 00:00:00+00')");
}

static void test_old_week_is_made(void **state)
{
    json_t *doc = crash(1, "");

    (void)state;
    json_object_set_new(doc, "date_processed", json_string("2024-12-30T00:00:00+00:00"));
    index_on(db, doc, pool);
    assert_string_equal(fixture_sql(db, pool, "SELECT tableoid::regclass FROM crash"),
                        "crash_2025w01");
}

/* ---- rows ---- */

static void test_row_and_replacement(void **state)
{
    bool has = true;

    (void)state;
    assert_int_equal(sal_search_has(&has, "00000007-0000-4000-8000-000000261122", db, pool, NULL),
                     APR_SUCCESS);
    assert_false(has);
    index_one(7, "\"product\":\"Demo\",\"signature\":\"one\",\"uptime\":5,"
                 "\"proto_signature\":\"f1 | f2 | f1\",\"safe_mode\":true");
    index_one(7, "\"product\":\"Demo\",\"signature\":\"two\",\"proto_signature\":\"f1 | f2 | f1\","
                 "\"address\":\"0xdeadbeef\",\"uptime_ts\":0.25,"
                 "\"crashing_thread\":99999999999");
    assert_string_equal(fixture_sql(db, pool, "SELECT count(*) FROM crash"), "1");
    assert_string_equal(
        fixture_sql(db, pool, "SELECT t.value FROM crash JOIN term t ON t.id = signature"), "two");
    assert_string_equal(fixture_sql(db, pool, "SELECT uptime IS NULL FROM crash"), "t");
    assert_string_equal(fixture_sql(db, pool, "SELECT address FROM crash"), "0xdeadbeef");
    assert_string_equal(fixture_sql(db, pool, "SELECT uptime_ts FROM crash"), "0.25");
    assert_string_equal(fixture_sql(db, pool, "SELECT cardinality(proto_signature) FROM crash"),
                        "3");
    assert_string_equal(fixture_sql(db, pool, "SELECT removed_fields FROM crash"), "{45}");
    assert_string_equal(
        fixture_sql(db, pool,
                    "SELECT count(*) FROM term WHERE value IN ('Demo', 'one', 'two', 'f1', 'f2')"),
        "5");
    assert_int_equal(sal_search_has(&has, "00000007-0000-4000-8000-000000261122", db, pool, NULL),
                     APR_SUCCESS);
    assert_true(has);
}

/* Every column of the field table exists with the type it needs: store a document with them all. */
static void test_every_field_has_its_column(void **state)
{
    json_t *doc = crash(1, "");
    const sal_search_field_t *f;
    int n;

    (void)state;
    f = sal_search_fields(&n);
    for (int i = 0; i < n; i++) {
        const char *dot = strchr(f[i].source, '.');
        json_t *value = f[i].store == SAL_STORE_TERM || f[i].store == SAL_STORE_TERMS ||
                                f[i].store == SAL_STORE_TEXT
                            ? json_string(f[i].name)
                        : f[i].store == SAL_STORE_BOOL ? json_true()
                                                       : json_integer(i + 1);
        json_t *object = doc;

        if (f[i].store == SAL_STORE_UUID || f[i].store == SAL_STORE_TIME) {
            json_decref(value);
            continue;
        }
        while (dot) {
            const char *name = apr_pstrmemdup(pool, f[i].source, dot - f[i].source);
            const char *rest = dot + 1;

            if (strncmp(f[i].source, "json_dump.", 10) == 0) {
                name = object == doc ? "json_dump" : "system_info";
                rest = object == doc ? f[i].source + 10 : "cpu_count";
            }
            if (!json_object_get(object, name)) {
                json_object_set_new(object, name, json_object());
            }
            object = json_object_get(object, name);
            dot = strchr(rest, '.');
            if (!dot) {
                json_object_set(object, rest, value);
            }
        }
        if (object == doc) {
            json_object_set(doc, f[i].source, value);
        }
        json_decref(value);
    }
    index_on(db, doc, pool);
    for (int i = 0; i < n; i++) {
        const char *sql = apr_psprintf(pool, "SELECT %s IS NOT NULL FROM crash", f[i].name);

        if (strcmp(fixture_sql(db, pool, sql), "t") != 0) {
            fail_msg("%s was not stored", f[i].name);
        }
    }
}

static void test_long_value_goes_to_overflow(void **state)
{
    char *text = apr_pcalloc(pool, 1102);
    json_t *out;
    sal_error_t err = { 0 };

    (void)state;
    memset(text, 's', 1101);
    index_one(1, apr_psprintf(pool, "\"signature\":\"%s\"", text));
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT signature IS NULL AND "
                                    "length(overflow->'signature'->>0) = 1101 FROM crash"),
                        "t");
    assert_int_equal(ask(&out, 0, (const char *const[]){ "_columns=signature", NULL }, &err),
                     APR_SUCCESS);
    assert_string_equal(sal_json_str(sal_json_path(out, "hits.0"), "signature"), text);
}

/* ---- terms ---- */

typedef struct {
    int number;
    const char *failed;
} worker_t;

static void *APR_THREAD_FUNC work(apr_thread_t *thread, void *arg)
{
    worker_t *w = arg;
    apr_pool_t *p, *scratch;
    sal_db_t *d;

    apr_pool_create(&p, NULL);
    d = fixture_connect(p);
    apr_pool_create(&scratch, p);
    for (int i = 0; i < 20; i++) {
        const char *text =
            apr_psprintf(scratch,
                         "{\"uuid\":\"%04x%04x-0000-4000-8000-000000261122\""
                         ",\"date_processed\":\"2026-11-22T10:00:00+00:00\",\"proto_signature\":"
                         "\"a%d | b%d | c%d\",\"signature\":\"s%d\"}",
                         w->number, i, i, i + 1, i + 2, i);
        sal_search_row_t *row;
        sal_error_t err = { 0 };
        json_t *doc;

        sal_search_forget_terms();
        if (sal_json_parse(&doc, text, strlen(text), scratch, &err) != APR_SUCCESS ||
            sal_search_prepare(&row, doc, d, scratch, &err) != APR_SUCCESS ||
            sal_db_txn(d, store_fn, row, scratch, &err) != APR_SUCCESS) {
            w->failed = apr_pstrdup(root, err.message);
            break;
        }
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(p);
    (void)thread;
    return NULL;
}

static void test_terms_are_made_once(void **state)
{
    worker_t w[4];
    apr_thread_t *threads[4];
    apr_status_t rv;

    (void)state;
    for (int i = 0; i < 4; i++) {
        w[i] = (worker_t){ i + 1, NULL };
        assert_int_equal(apr_thread_create(&threads[i], NULL, work, &w[i], pool), APR_SUCCESS);
    }
    for (int i = 0; i < 4; i++) {
        apr_thread_join(&rv, threads[i]);
        if (w[i].failed) {
            fail_msg("%s", w[i].failed);
        }
    }
    assert_string_equal(fixture_sql(db, pool, "SELECT count(*) FROM crash"), "80");
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT count(*) FROM (SELECT field, value FROM term "
                                    "GROUP BY 1, 2 HAVING count(*) > 1) d"),
                        "0");
    /* a0..a19, b1..b20, c2..c21, s0..s19 */
    assert_string_equal(fixture_sql(db, pool, "SELECT count(*) FROM term"), "80");
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT count(*) FROM crash WHERE "
                                    "cardinality(proto_signature) <> 3 OR signature IS NULL"),
                        "0");
}

static void test_terms_stay_seen(void **state)
{
    (void)state;
    index_one(1, "\"product\":\"Demo\"");
    (void)fixture_sql(db, pool, "UPDATE term SET seen = current_date - 30 RETURNING 1");
    sal_search_forget_terms();
    index_one(2, "\"product\":\"Demo\"");
    assert_string_equal(fixture_sql(db, pool, "SELECT seen = current_date FROM term"), "t");
    assert_string_equal(fixture_sql(db, pool, "SELECT count(*) FROM term"), "1");
}

/* ---- queries ---- */

static void load_examples(void)
{
    index_one(1, "\"product\":\"Fire Fox\",\"version\":\"1.0\",\"signature\":\"mozilla::Alpha\","
                 "\"uptime\":10,\"safe_mode\":true,\"user_comments\":\"it broke\","
                 "\"proto_signature\":\"f1 | f2 | f3\",\"missing_symbols\":\"One/1;two/2\","
                 "\"reason\":\"SIGSEGV / SEGV_MAPERR\",\"os_pretty_version\":\"Linux\"");
    index_one(2, "\"product\":\"Bird\",\"version\":\"1.0b3\",\"signature\":\"mozilla::Beta | x\","
                 "\"uptime\":20,\"safe_mode\":false,\"address\":\"0x10\","
                 "\"proto_signature\":\"f2 | f9\",\"addons\":[\"a:1\",\"b:2\"],"
                 "\"os_pretty_version\":\"Linux\"");
    index_one(3, "\"product\":\"Bird\",\"version\":\"2.0\",\"signature\":\"100%_real\","
                 "\"uptime\":30,\"addons\":[\"a:1\"],\"os_pretty_version\":\"Windows 11\"");
}

/* The numbers of the crashes found, newest first. */
static const char *found(int pii, const char *field, const char *value, const char *more)
{
    const char *params[] = { "_columns=uuid", "_facets_size=0",
                             apr_pstrcat(pool, field, "=", value, NULL),
                             more ? apr_pstrcat(pool, field, "=", more, NULL) : NULL, NULL };
    sal_error_t err = { 0 };
    json_t *out, *hits, *hit;
    const char *letters = "";
    size_t i;

    if (ask(&out, pii, params, &err) != APR_SUCCESS) {
        return apr_pstrdup(pool, err.message);
    }
    hits = json_object_get(out, "hits");
    assert_int_equal(json_integer_value(json_object_get(out, "total")),
                     (int64_t)json_array_size(hits));
    json_array_foreach(hits, i, hit)
    {
        letters = apr_psprintf(pool, "%s%c", letters, sal_json_str(hit, "uuid")[7]);
    }
    return letters;
}

#define FIND(expected, field, value) assert_string_equal(found(0, field, value, NULL), expected)
#define FIND2(expected, field, value, more)                                                        \
    assert_string_equal(found(0, field, value, more), expected)

static void test_operators(void **state)
{
    (void)state;
    load_examples();
    FIND("321", "no_such_field", "x");
    /* keyword: whole, case matters; enum fields have no operators */
    FIND("1", "version", "1.0");
    FIND("", "version", "~1.0");
    FIND("2", "version", "1.0b");
    FIND("31", "version", "!1.0b");
    /* text: any word, any case; exact copy; substring; pattern */
    FIND("21", "signature", "MOZILLA nothing");
    FIND("", "signature", "moz");
    FIND("", "signature", "::");
    FIND("1", "signature", "=mozilla::Alpha");
    FIND("", "signature", "=mozilla::alpha");
    FIND("21", "signature", "~ozilla::");
    FIND("2", "signature", "^mozilla::B");
    FIND("2", "signature", "$| x");
    FIND("1", "signature", "~A*ph?");
    FIND("3", "signature", "~%_");
    FIND("3", "signature", "~\\%");
    FIND("1", "signature", "@mozilla::[A-Z]lpha");
    FIND("", "signature", "@ozilla::Alpha");
    FIND("32", "signature", "!=mozilla::Alpha");
    FIND("32", "product", "bird");
    FIND("1", "reason", "sigsegv");
    FIND("1", "reason", "!__null__");
    FIND("32", "reason", "__null__");
    FIND("1", "product", "fox");
    /* numbers */
    FIND("2", "uptime", "20");
    FIND("32", "uptime", ">=20");
    FIND2("2", "uptime", ">10", "<30");
    FIND("", "uptime", "9223372036854775807");
    FIND("Bad value for parameter uptime: not a valid int", "uptime", "x");
    /* truth: a missing value is not true */
    FIND("1", "safe_mode", "__true__");
    FIND("32", "safe_mode", "!__true__");
    FIND("1", "safe_mode", "yes");
    FIND("2", "safe_mode", "no");
    FIND("3", "safe_mode", "__null__");
    /* unbounded text */
    FIND("2", "address", "0x10");
    FIND("2", "address", "^0x");
    /* uuid */
    FIND("3", "uuid", "00000003-0000-4000-8000-000000261122");
    FIND("", "uuid", "'; DROP TABLE crash --");
}

static void test_lists_and_stacks(void **state)
{
    (void)state;
    load_examples();
    FIND("32", "addons", "a:1");
    FIND("2", "addons", "=b:2");
    FIND("32", "addons", "^a");
    FIND("1", "addons", "__null__");
    /* ';' lists fold case on both sides */
    FIND("1", "missing_symbols", "ONE/1;none");
    FIND("1", "missing_symbols", "~TWO");
    FIND("1", "missing_symbols", "=two/2");
    FIND("", "missing_symbols", "=two");
    /* stacks: within a frame, and over frames */
    FIND("21", "proto_signature", "~f2");
    FIND("1", "proto_signature", "~f2 | f3");
    FIND("", "proto_signature", "~f1 | f3");
    FIND("1", "proto_signature", "=f1 | f2 | f3");
    FIND("2", "proto_signature", "^f2");
    FIND("1", "proto_signature", "$f3");
    FIND("1", "proto_signature", "@f1 .* f3");
    FIND("32", "proto_signature", "!~f1");
}

static void test_combination(void **state)
{
    (void)state;
    load_examples();
    FIND2("31", "version", "1.0", "2.0");
    FIND2("2", "version", "!1.0", "!2.0");
    FIND2("32", "version", "!1.0", "2.0");
    /* kept as clients know it: negated operators are ORed */
    FIND2("321", "signature", "!~Alpha", "!~Beta");
}

static void test_protected(void **state)
{
    (void)state;
    load_examples();
    /* without the right the condition is dropped, not run */
    FIND("321", "user_comments", "~broke");
    assert_string_equal(found(1, "user_comments", "~broke", NULL), "1");
    assert_string_equal(found(1, "user_comments", "IT", NULL), "1");
}

static void test_dates(void **state)
{
    (void)state;
    load_examples();
    FIND("date must have a prefix operator", "date", "2026-11-22");
    FIND("Bad value for parameter date: not a valid datetime", "date", ">soon");
    FIND("32", "date", ">=2026-11-22T10:02:00");
    FIND("3", "date", ">2026-11-22T10:02:00");
    FIND2("21", "date", ">=2026-11-22", "<2026-11-22T10:03:00Z");
    FIND2("21", "date", ">=2026-11-22", "<=2026-11-22T10:02:00Z");
    FIND("Date range is bigger than 365 days", "date", ">2020-01-01");
}

static void test_bad_patterns(void **state)
{
    (void)state;
    load_examples();
    FIND("The pattern is not a valid regular expression: nothing where something should be",
         "signature", "@(");
}

/* The questions of those that go through a result: how many, and where the window is. */
static void test_count_and_page(void **state)
{
    sal_query_t *q = sal_query_make(now(), false, pool);
    sal_error_t err = { 0 };
    int64_t total;

    (void)state;
    load_examples();
    assert_int_equal(sal_query_count(&total, q, db, pool, &err), APR_SUCCESS);
    assert_int_equal(total, 3);
    assert_int_equal(sal_query_filter(q, "product", "Bird", &err), APR_SUCCESS);
    assert_int_equal(sal_query_count(&total, q, db, pool, &err), APR_SUCCESS);
    assert_int_equal(total, 2);
    assert_int_equal(sal_query_page(q, 1001, 0, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_query_page(q, 100, 9901, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_query_page(q, 100, 9900, &err), APR_SUCCESS);
}

static void test_lookup(void **state)
{
    sal_lookup_t l;

    (void)state;
    (void)fixture_sql(db, pool,
                      "INSERT INTO crash_job (crash_id, queue, state, last_error) VALUES "
                      "('00000001-0000-4000-8000-000000261122', 1, 0, NULL), "
                      "('00000002-0000-4000-8000-000000261122', 1, 0, 'once'), "
                      "('00000003-0000-4000-8000-000000261122', 1, 2, 'gave up') RETURNING 1");
    (void)fixture_sql(
        db, pool,
        "INSERT INTO processed_crash (crash_id, fence, job_id, blob, "
        "success, signature) VALUES ('00000004-0000-4000-8000-000000261122', 1, 1, 'key', true, '')"
        " RETURNING 1");
    assert_int_equal(sal_lookup_crash(&l, "00000002-0000-4000-8000-000000261122", db, pool, NULL),
                     APR_SUCCESS);
    assert_true(l.queued && !l.busy && !l.dead);
    assert_int_equal(l.ahead, 1);
    assert_int_equal(l.waiting, 2);
    assert_string_equal(l.last_error, "once");
    assert_int_equal(sal_lookup_crash(&l, "00000003-0000-4000-8000-000000261122", db, pool, NULL),
                     APR_SUCCESS);
    assert_true(l.dead);
    assert_int_equal(sal_lookup_crash(&l, "00000004-0000-4000-8000-000000261122", db, pool, NULL),
                     APR_SUCCESS);
    assert_string_equal(l.blob, "key");
    assert_int_equal(sal_lookup_crash(&l, "00000005-0000-4000-8000-000000261122", db, pool, NULL),
                     APR_SUCCESS);
    assert_true(!l.blob && !l.queued);
}

/* ---- the group ---- */

static int setup(void **state)
{
    (void)state;
    apr_pool_create(&pool, root);
    (void)fixture_sql(db, pool,
                      "WITH a AS (DELETE FROM crash), b AS (DELETE FROM crash_job), "
                      "c AS (DELETE FROM processed_crash) SELECT 1");
    (void)fixture_sql(db, pool, "DELETE FROM term RETURNING 1");
    sal_search_forget_terms();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static int open_group(void **state)
{
    sal_error_t err = { 0 };
    int applied;

    (void)state;
    apr_pool_create(&root, NULL);
    (void)fixture_database(root);
    db = fixture_connect(root);
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_partitions_are_weeks),
                                        CASE(test_old_week_is_made),
                                        CASE(test_row_and_replacement),
                                        CASE(test_every_field_has_its_column),
                                        CASE(test_long_value_goes_to_overflow),
                                        CASE(test_terms_are_made_once),
                                        CASE(test_terms_stay_seen),
                                        CASE(test_operators),
                                        CASE(test_lists_and_stacks),
                                        CASE(test_combination),
                                        CASE(test_protected),
                                        CASE(test_dates),
                                        CASE(test_bad_patterns),
                                        CASE(test_count_and_page),
                                        CASE(test_lookup) };

    apr_initialize();
    return cmocka_run_group_tests(tests, open_group, close_group);
}
