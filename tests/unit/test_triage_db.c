/*
 * Triage against a real server: counts by day, correlations as they are read, versions through the
 * cache of a process. What is expected was counted by hand.
 */
#include "db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/text.h"
#include "db/schema.h"
#include "search/fields.h"
#include "search/index.h"
#include "triage/correlate.h"
#include "triage/rollup.h"
#include "triage/versions.h"

static apr_pool_t *root, *pool;
static sal_db_t *db;
static sal_error_t err;

static void must(apr_status_t rv)
{
    if (rv != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
}

static apr_time_t at(const char *text)
{
    apr_time_t t;

    assert_true(sal_time_parse(text, &t));
    return t;
}

/* All rows: columns parted by '|', rows by '\n'; the first n columns. */
static const char *text_of(const sal_rows_t *rows, int columns)
{
    const char *out = "";

    for (int i = 0; i < sal_rows_count(rows); i++) {
        for (int k = 0; k < columns; k++) {
            out = apr_pstrcat(pool, out, k ? "|" : "", sal_rows_text(rows, i, k), NULL);
        }
        out = apr_pstrcat(pool, out, "\n", NULL);
    }
    return out;
}

/* ---- counts by day ---- */

static void make_term(int id, const char *field, const char *value)
{
    fixture_sql(db, pool,
                apr_psprintf(pool, "INSERT INTO term (id, field, value) VALUES (%d, %d, '%s')", id,
                             sal_search_field(field)->number, value));
}

enum { A = 1, B, C, FIREFOX, DEMO, V1, V2, RELEASE, BETA, WINDOWS, LINUX_OS, PARENT };

/* Nine crashes of three days. */
static void make_crashes(void)
{
    make_term(A, "signature", "A");
    make_term(B, "signature", "B");
    make_term(C, "signature", "C");
    make_term(FIREFOX, "product", "Firefox");
    make_term(DEMO, "product", "Demo");
    make_term(V1, "version", "1.0");
    make_term(V2, "version", "2.0");
    make_term(RELEASE, "release_channel", "release");
    make_term(BETA, "release_channel", "beta");
    make_term(WINDOWS, "platform", "Windows NT");
    make_term(LINUX_OS, "platform", "Linux");
    make_term(PARENT, "process_type", "parent");
    must(sal_search_partitions(db, at("2026-11-20T00:00:00+00:00"), 2, pool, &err));
    fixture_sql(
        db, pool,
        "INSERT INTO crash (uuid, date, product, signature, version, release_channel, platform,"
        " process_type, startup_crash, is_garbage_collecting, uptime)"
        " SELECT gen_random_uuid(), d::timestamptz, p, s, v, r, o, t, a, b, u FROM (VALUES"
        " ('2026-11-20 00:00:00+00', 4, 1, 6, 8, 10, 12, true, false, 10),"
        " ('2026-11-20 01:00:00+00', 4, 1, 6, 8, 11, 12, false, true, 60),"
        " ('2026-11-20 02:00:00+00', 4, 2, 6, 8, 10, 12, false, false, 59),"
        " ('2026-11-20 03:00:00+00', 4, NULL, 7, 9, 10, 12, NULL, NULL, NULL),"
        " ('2026-11-21 00:00:00+00', 4, 1, 7, 9, 10, NULL, NULL, NULL, NULL),"
        " ('2026-11-21 01:00:00+00', 4, 2, 7, 9, 10, NULL, NULL, NULL, 3600),"
        " ('2026-11-21 02:00:00+00', 5, 3, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        " ('2026-11-21 23:59:59.999999+00', 4, 3, 7, 9, 11, NULL, NULL, NULL, NULL),"
        " ('2026-11-22 00:00:00+00', 4, 1, 7, 9, 10, NULL, NULL, NULL, NULL))"
        " x (d, p, s, v, r, o, t, a, b, u)");
}

static sal_rollup_state_t state_of_counts(void)
{
    sal_rollup_state_t s;

    must(sal_rollup_state(&s, db, pool, &err));
    return s;
}

static void test_state(void **state)
{
    apr_time_t begun = at(apr_pstrcat(
        pool, fixture_sql(db, pool, "SELECT to_char(now(), 'YYYY-MM-DD\"T\"HH24:MI:SS')"), "+00:00",
        NULL));
    sal_rollup_state_t s = state_of_counts();
    int64_t n;

    (void)state;
    assert_true(s.days == 0 && s.crashes == 0 && s.waiting == 0 && s.made == 0);
    make_crashes();
    s = state_of_counts();
    assert_true(s.days == 0 && s.crashes == 0 && s.waiting == 3 && s.made == 0);
    must(sal_rollup_run(&n, 0, db, pool, &err));
    assert_int_equal(n, 3);
    s = state_of_counts();
    assert_true(s.days == 3 && s.crashes == 9 && s.waiting == 0);
    assert_true(s.made >= begun && s.made < begun + apr_time_from_sec(600));
    must(sal_rollup_touch(at("2026-11-20T12:00:00+00:00"), at("2026-11-22T00:00:00+00:00"), db,
                          pool, &err));
    assert_int_equal(state_of_counts().waiting, 2);
    must(sal_rollup_run(&n, 0, db, pool, &err));
    assert_int_equal(n, 2);
    s = state_of_counts();
    assert_true(s.days == 3 && s.crashes == 9 && s.waiting == 0);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void expect_top(const sal_rollup_filter_t *filter, int limit, int total, const char *rows)
{
    sal_rows_t *got;
    int64_t n;

    must(sal_rollup_top(&got, &n, filter, limit, db, pool, &err));
    assert_string_equal(text_of(got, 5), rows);
    assert_int_equal(n, total);
}

static void test_top(void **state)
{
    const sal_rollup_filter_t two = { .from = "2026-11-20", .to = "2026-11-22" };
    sal_rollup_filter_t f = two;

    (void)state;
    /* signature, all, at start, collecting garbage, within a minute (60 s are not) */
    expect_top(&f, 10, 8, "A|3|1|1|1\nB|2|0|0|1\nC|2|0|0|0\n|1|0|0|0\n");
    expect_top(&f, 2, 8, "A|3|1|1|1\nB|2|0|0|1\n");
    f.products = LIST("Firefox");
    expect_top(&f, 10, 7, "A|3|1|1|1\nB|2|0|0|1\n|1|0|0|0\nC|1|0|0|0\n");
    expect_top(&f, 3, 7, "A|3|1|1|1\nB|2|0|0|1\n|1|0|0|0\n");
    f.products = LIST("Nobody", "Demo");
    expect_top(&f, 10, 1, "C|1|0|0|0\n");
    f.products = LIST("Nobody");
    expect_top(&f, 10, 0, "");
    f = two;
    f.versions = LIST("");
    expect_top(&f, 10, 1, "C|1|0|0|0\n");
    f.versions = LIST("", "1.0");
    expect_top(&f, 10, 4, "A|2|1|1|1\nB|1|0|0|1\nC|1|0|0|0\n");
    f = two;
    f.platforms = LIST("Linux");
    f.channels = LIST("beta");
    expect_top(&f, 10, 1, "C|1|0|0|0\n");
    f = two;
    f.process_types = LIST("parent");
    expect_top(&f, 10, 4, "A|2|1|1|1\n|1|0|0|0\nB|1|0|0|1\n");
    f = two;
    f.signatures = LIST("B", "");
    expect_top(&f, 10, 3, "B|2|0|0|1\n|1|0|0|0\n");
    f = (sal_rollup_filter_t){ .from = "2026-11-22", .to = "2026-11-23" };
    expect_top(&f, 10, 1, "A|1|0|0|0\n");
    f.to = f.from;
    expect_top(&f, 10, 0, "");
}

static void expect_split(sal_rollup_by_t first, sal_rollup_by_t second,
                         const sal_rollup_filter_t *filter, const char *rows)
{
    sal_rows_t *got;

    must(sal_rollup_split(&got, first, second, filter, db, pool, &err));
    assert_string_equal(text_of(got, 3), rows);
}

static void test_split(void **state)
{
    sal_rollup_filter_t f = { .from = "2026-11-20", .to = "2026-11-22" };

    (void)state;
    expect_split(SAL_ROLLUP_VERSION, SAL_ROLLUP_CHANNEL, &f, "||1\n1.0|release|3\n2.0|beta|4\n");
    expect_split(SAL_ROLLUP_DAY, SAL_ROLLUP_PRODUCT, &f,
                 "2026-11-20|Firefox|4\n2026-11-21|Demo|1\n2026-11-21|Firefox|3\n");
    expect_split(SAL_ROLLUP_PROCESS_TYPE, SAL_ROLLUP_REPORT_TYPE, &f, "||4\nparent||4\n");
    f.products = LIST("Firefox");
    expect_split(SAL_ROLLUP_SIGNATURE, SAL_ROLLUP_DAY, &f,
                 "|2026-11-20|1\nA|2026-11-20|2\nA|2026-11-21|1\nB|2026-11-20|1\n"
                 "B|2026-11-21|1\nC|2026-11-21|1\n");
    expect_split(SAL_ROLLUP_PLATFORM, SAL_ROLLUP_SIGNATURE, &f,
                 "Linux|A|1\nLinux|C|1\nWindows NT||1\nWindows NT|A|2\nWindows NT|B|2\n");
    f.products = NULL;
    f.signatures = LIST("A");
    expect_split(SAL_ROLLUP_DAY, SAL_ROLLUP_PLATFORM, &f,
                 "2026-11-20|Linux|1\n2026-11-20|Windows NT|1\n2026-11-21|Windows NT|1\n");
    f.signatures = LIST("Z");
    expect_split(SAL_ROLLUP_DAY, SAL_ROLLUP_PLATFORM, &f, "");
}

/* ---- correlations ---- */

/* FIPS 180: the digest of "abc". */
#define SHA1_ABC "a9993e364706816aba3e25717850c26c9cd0d89d"

static void make_run(const char *product, const char *channel, const char *day, int total,
                     const char *groups)
{
    fixture_sql(db, pool,
                apr_psprintf(pool,
                             "WITH r AS (INSERT INTO correlation_run (product, channel, day, days,"
                             " total, share) VALUES ('%s', '%s', '%s', 7, %d, 1) RETURNING id)"
                             " INSERT INTO correlation_group (run, number, signature, sha1, total,"
                             " results) SELECT id, g.* FROM r, (VALUES %s) g (number, signature,"
                             " sha1, total, results)",
                             product, channel, day, total, groups));
}

static void make_runs(void)
{
    make_run("Fox", "release", "2026-11-20", 50,
             "(1, 'abc', '" SHA1_ABC "', 3, '[]'::jsonb), (2, 'old', 'x', 2, '[]')");
    make_run("Fox", "release", "2026-11-21", 90,
             "(1, 'abc', '" SHA1_ABC "', 12,"
             " '[{\"item\": {\"cpu_arch\": \"arm64\"}, \"count_group\": 11,"
             " \"count_reference\": 20}]'::jsonb)");
    make_run("Fox", "beta", "2026-11-21", 70,
             "(1, 'abc', '" SHA1_ABC "', 9, '[]'::jsonb), (2, '" SHA1_ABC "', 'y', 4, '[]')");
    make_run("Bird", "release", "2026-11-22", 5, "(1, 'abc', '" SHA1_ABC "', 5, '[]'::jsonb)");
}

static const char *json_text(const json_t *doc)
{
    char *text = doc ? json_dumps(doc, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    const char *out = text ? apr_pstrdup(pool, text) : NULL;

    free(text);
    return out;
}

static const char *totals(const char *product)
{
    json_t *out;
    const char *text;

    must(sal_correlate_totals(&out, product, db, pool, &err));
    text = json_text(out);
    json_decref(out);
    return text;
}

static const char *results(const char *product, const char *channel, const char *key)
{
    json_t *out;
    const char *text;

    must(sal_correlate_get(&out, product, channel, key, db, pool, &err));
    text = json_text(out);
    json_decref(out);
    return text;
}

static void test_correlations(void **state)
{
    static const char found[] = "{\"results\":[{\"count_group\":11,\"count_reference\":20,"
                                "\"item\":{\"cpu_arch\":\"arm64\"}}],\"total\":12}";

    (void)state;
    assert_null(totals("Fox"));
    make_runs();
    assert_string_equal(totals("Fox"), "{\"beta\":70,\"date\":\"2026-11-21\",\"release\":90}");
    assert_string_equal(totals("Bird"), "{\"date\":\"2026-11-22\",\"release\":5}");
    assert_null(totals("Nobody"));
    assert_string_equal(results("Fox", "release", "abc"), found);
    assert_string_equal(results("Fox", "release", SHA1_ABC), found);
    assert_null(results("Fox", "release", "old")); /* of an older day */
    assert_null(results("Fox", "nightly", "abc"));
    assert_null(results("Nobody", "release", "abc"));
    assert_null(results("Fox", "release", "ABC"));
    /* a signature that looks like a digest is itself */
    assert_string_equal(results("Fox", "beta", SHA1_ABC), "{\"results\":[],\"total\":4}");
    assert_string_equal(results("Fox", "beta", "abc"), "{\"results\":[],\"total\":9}");
}

/* ---- versions ---- */

#define MINUTE apr_time_from_sec(60)
#define HOUR (60 * MINUTE)

static const apr_time_t start = APR_TIME_C(1800000000000000);

/* "hit 3.0b1", "miss -". */
static const char *lookup(const char *build, apr_time_t now)
{
    const char *version, *out;
    apr_pool_t *p;
    bool hit;

    apr_pool_create(&p, pool);
    must(sal_version_cached(&version, &hit, "Fox", "beta", build, now, db, p, &err));
    out = apr_psprintf(pool, "%s %s", hit ? "hit" : "miss", version ? version : "-");
    apr_pool_destroy(p);
    return out;
}

static void put_version(const char *build, const char *version)
{
    sal_product_version_t v = { "Fox", "beta", build, version, "", "", 0 };

    fixture_sql(db, pool,
                apr_psprintf(pool, "DELETE FROM product_version WHERE build = '%s'", build));
    must(sal_versions_put(NULL, &v, 1, db, pool, &err));
}

static void test_lifetimes(void **state)
{
    (void)state;
    sal_version_cache_clear();
    put_version("100", "3.0b1");
    assert_string_equal(lookup("100", start), "miss 3.0b1");
    put_version("100", "3.0b2");
    assert_string_equal(lookup("100", start), "hit 3.0b1");
    assert_string_equal(lookup("100", start + 24 * HOUR - 1), "hit 3.0b1");
    assert_string_equal(lookup("100", start + 24 * HOUR), "miss 3.0b2");
    assert_string_equal(lookup("100", start + 48 * HOUR - 1), "hit 3.0b2");
    assert_string_equal(lookup("200", start), "miss -");
    put_version("200", "4.0b1");
    assert_string_equal(lookup("200", start + 30 * MINUTE - 1), "hit -");
    assert_string_equal(lookup("200", start + 30 * MINUTE), "miss 4.0b1");
    sal_version_cache_clear();
    assert_string_equal(lookup("200", start), "miss 4.0b1");
}

/* 5,000 entries: the oldest goes first, however often it was asked for. */
static void test_eviction(void **state)
{
    (void)state;
    sal_version_cache_clear();
    assert_string_equal(lookup("x", start - 31 * MINUTE), "miss -"); /* has run out at the start */
    assert_string_equal(lookup("x", start), "miss -");
    for (int i = 0; i < 4998; i++) {
        assert_string_equal(lookup(apr_psprintf(pool, "b%d", i), start), "miss -");
    }
    assert_string_equal(lookup("x", start), "hit -");
    assert_string_equal(lookup("c1", start), "miss -"); /* the former x goes, not the present */
    assert_string_equal(lookup("x", start), "hit -");
    assert_string_equal(lookup("b0", start), "hit -");
    assert_string_equal(lookup("c2", start), "miss -");
    assert_string_equal(lookup("b0", start), "hit -");
    assert_string_equal(lookup("b4997", start), "hit -");
    assert_string_equal(lookup("x", start), "miss -"); /* takes the place of b0 */
    assert_string_equal(lookup("b1", start), "hit -");
    assert_string_equal(lookup("b0", start), "miss -");
}

/* ---- what rules count ---- */

static char counted[400];

static void take_metric(sal_metric_kind_t kind, const char *name, const char *label, int64_t value,
                        void *baton)
{
    size_t used = strlen(counted);

    (void)baton;
    assert_true(kind == SAL_METRIC_COUNT && value == 1);
    snprintf(counted + used, sizeof(counted) - used, "%s %s;", name, label);
}

static sal_db_t *give_db(void *baton)
{
    return *(sal_db_t **)baton;
}

static const char *ask(const sal_process_opts_t *opts, const char *build)
{
    counted[0] = '\0';
    return opts->version("Fox", "beta", build, opts->version_baton, pool);
}

static void test_metrics(void **state)
{
    sal_process_opts_t opts = { .metric = take_metric };
    sal_db_t *given = NULL;

    (void)state;
    sal_version_cache_clear();
    put_version("300", "5.0b1");
    sal_version_wire(&opts, give_db, &given, pool);
    assert_null(ask(&opts, "300"));
    assert_string_equal(counted, "");
    given = db;
    assert_string_equal(ask(&opts, "300"), "5.0b1");
    assert_string_equal(counted, "betaversionrule.cache result:miss;"
                                 "betaversionrule.lookup result:success;");
    assert_string_equal(ask(&opts, "300"), "5.0b1");
    assert_string_equal(counted, "betaversionrule.cache result:hit;");
    assert_null(ask(&opts, "301"));
    assert_string_equal(counted, "betaversionrule.cache result:miss;"
                                 "betaversionrule.lookup result:fail;");
    assert_null(ask(&opts, "301"));
    assert_string_equal(counted, "betaversionrule.cache result:hit;");
}

/* ---- frame ---- */

static int setup(void **state)
{
    (void)state;
    return apr_pool_create(&pool, root) != APR_SUCCESS;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static int open_group(void **state)
{
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
    sal_version_cache_clear();
    apr_pool_destroy(root);
    fixture_drop();
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_state),     CASE(test_top),
                                        CASE(test_split),     CASE(test_correlations),
                                        CASE(test_lifetimes), CASE(test_eviction),
                                        CASE(test_metrics) };

    apr_initialize();
    return cmocka_run_group_tests(tests, open_group, close_group);
}
