/* The throttler: order, chances, fallback (collector specification, section 6). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "crash/throttle.h"

static apr_pool_t *pool;
static double drawn;

static double draw(void)
{
    return drawn;
}

/* The condition is the name of an annotation that must be present. */
static bool is_present(void *condition, const sal_annotations_t *a, void *baton)
{
    assert_string_equal(baton, "request");
    return sal_annotations_get(a, condition) != NULL;
}

static void expect(const sal_throttle_rules_t *rules, const char *annotation, double r,
                   sal_throttle_t result, const char *rule, double percent)
{
    sal_annotations_t *a = sal_annotations_make(1000, pool);
    sal_verdict_t v;

    sal_annotations_text(a, annotation, "", 0, "utf-8");
    drawn = r;
    sal_throttle_decide(&v, rules, a, draw, (void *)"request");
    assert_int_equal(v.result, result);
    assert_string_equal(v.rule, rule);
    assert_true(v.percent == percent);
}

static void test_rules(void **state)
{
    static const sal_throttle_rule_t list[] = {
        { "never", is_present, (void *)"B2G", 100, SAL_THROTTLE_FAKEACCEPT, 0 },
        { "tenth", is_present, (void *)"Key", 10, SAL_THROTTLE_ACCEPT, SAL_THROTTLE_REJECT },
        { "maybe", is_present, (void *)"Old", 10, SAL_THROTTLE_CONTINUE, SAL_THROTTLE_REJECT },
        { "old", is_present, (void *)"Old", 100, SAL_THROTTLE_DEFER, 0 },
    };
    sal_throttle_rules_t rules = { list, 4, SAL_THROTTLE_REJECT };

    (void)state;
    expect(&rules, "B2G", 99, SAL_THROTTLE_FAKEACCEPT, "never", 100);
    expect(&rules, "Key", 0, SAL_THROTTLE_ACCEPT, "tenth", 10);
    expect(&rules, "Key", 10, SAL_THROTTLE_ACCEPT, "tenth", 10); /* r <= percent */
    expect(&rules, "Key", 10.1, SAL_THROTTLE_REJECT, "tenth", 10);
    expect(&rules, "Old", 5, SAL_THROTTLE_DEFER, "old", 100);
    expect(&rules, "Old", 50, SAL_THROTTLE_REJECT, "maybe", 10);
    expect(&rules, "Other", 0, SAL_THROTTLE_REJECT, "NO_MATCH", 0);
    rules.fallback = SAL_THROTTLE_ACCEPT;
    expect(&rules, "Other", 0, SAL_THROTTLE_ACCEPT, "accept_everything", 100);
}

/* Without a draw of the caller's the chance is real: neither always nor never. */
static void test_chance(void **state)
{
    static const sal_throttle_rule_t half = { "half", is_present,          (void *)"a",
                                              50,     SAL_THROTTLE_ACCEPT, SAL_THROTTLE_REJECT };
    sal_throttle_rules_t rules = { &half, 1, SAL_THROTTLE_REJECT };
    sal_annotations_t *a = sal_annotations_make(1000, pool);
    int accepted = 0;

    (void)state;
    sal_annotations_text(a, "a", "", 0, "utf-8");
    for (int i = 0; i < 1000; i++) {
        sal_verdict_t v;

        sal_throttle_decide(&v, &rules, a, NULL, (void *)"request");
        accepted += v.result == SAL_THROTTLE_ACCEPT;
    }
    assert_in_range(accepted, 400, 600);
}

static void test_names(void **state)
{
    sal_throttle_t v;

    (void)state;
    for (int i = 0; i <= SAL_THROTTLE_CONTINUE; i++) {
        assert_true(sal_throttle_parse(sal_throttle_name((sal_throttle_t)i), &v));
        assert_int_equal(v, i);
    }
    assert_true(sal_throttle_parse("Defer", &v));
    assert_int_equal(v, SAL_THROTTLE_DEFER);
    assert_false(sal_throttle_parse("", &v));
    assert_false(sal_throttle_parse("acceptable", &v));
}

/* ---- explanations ---- */

static int steps;
static double step_drawn[4];
static sal_throttle_t step_result[4];
static bool step_matched[4];

static void keep_step(void *baton, const sal_throttle_step_t *step)
{
    assert_string_equal(baton, "steps");
    assert_in_range(steps, 0, 3);
    step_drawn[steps] = step->drawn;
    step_result[steps] = step->result;
    step_matched[steps++] = step->matched;
}

static void test_explain(void **state)
{
    static const sal_throttle_rule_t list[] = {
        { "never", is_present, (void *)"B2G", 100, SAL_THROTTLE_FAKEACCEPT, 0 },
        { "maybe", is_present, (void *)"Old", 10, SAL_THROTTLE_CONTINUE, SAL_THROTTLE_REJECT },
        { "old", is_present, (void *)"Old", 100, SAL_THROTTLE_DEFER, 0 },
        { "rest", is_present, (void *)"Old", 100, SAL_THROTTLE_ACCEPT, 0 },
    };
    sal_throttle_rules_t rules = { list, 4, SAL_THROTTLE_REJECT };
    sal_annotations_t *a = sal_annotations_make(1000, pool);
    sal_verdict_t v;

    (void)state;
    sal_annotations_text(a, "Old", "", 0, "utf-8");
    drawn = 10;
    steps = 0;
    sal_throttle_explain(&v, &rules, a, draw, (void *)"request", keep_step, (void *)"steps");
    assert_int_equal(steps, 3); /* the fourth was not asked */
    assert_false(step_matched[0]);
    assert_true(step_drawn[0] == -1);
    assert_true(step_matched[1] && step_drawn[1] == 10);
    assert_int_equal(step_result[1], SAL_THROTTLE_CONTINUE);
    assert_true(step_matched[2] && step_drawn[2] == -1);
    assert_int_equal(v.result, SAL_THROTTLE_DEFER);
    drawn = 10.001;
    steps = 0;
    sal_throttle_explain(&v, &rules, a, draw, (void *)"request", keep_step, (void *)"steps");
    assert_int_equal(steps, 2);
    assert_int_equal(step_result[1], SAL_THROTTLE_REJECT);
    assert_string_equal(v.rule, "maybe");
}

/* ---- results and names as they are configured ---- */

static void expect_result(const char *text, sal_throttle_t result, double percent,
                          sal_throttle_t otherwise)
{
    sal_throttle_rule_t rule = { .name = "x" };

    assert_null(sal_throttle_parse_result(text, &rule, pool));
    assert_int_equal(rule.result, result);
    assert_true(rule.percent == percent);
    if (percent < 100) {
        assert_int_equal(rule.otherwise, otherwise);
    }
}

static void test_results(void **state)
{
    static const char *const wrong[] = { "",          ":",           "accept:",      "accept:10:",
                                         "accept:x",  "accept:-1",   "accept:100.1", "accept:1000",
                                         "accept:1.", "accept:.5",   "accept:1e1",   "accept:nan",
                                         "accept: 1", "accept:10:x", "accept:10:a:b" };
    sal_throttle_rule_t rule;

    (void)state;
    expect_result("accept", SAL_THROTTLE_ACCEPT, 100, SAL_THROTTLE_ACCEPT);
    expect_result("Continue:10:REJECT", SAL_THROTTLE_CONTINUE, 10, SAL_THROTTLE_REJECT);
    expect_result("reject:0.5", SAL_THROTTLE_REJECT, 0.5, SAL_THROTTLE_CONTINUE);
    expect_result("defer:0:accept", SAL_THROTTLE_DEFER, 0, SAL_THROTTLE_ACCEPT);
    expect_result("fakeaccept:100:accept", SAL_THROTTLE_FAKEACCEPT, 100, SAL_THROTTLE_ACCEPT);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_non_null(sal_throttle_parse_result(wrong[i], &rule, pool));
    }
}

static void test_rule_names(void **state)
{
    char longest[66];

    (void)state;
    assert_true(sal_throttle_name_ok("has_old_buildid"));
    assert_true(sal_throttle_name_ok("THROTTLEABLE_0"));
    assert_false(sal_throttle_name_ok(""));
    assert_false(sal_throttle_name_ok("a-b"));
    assert_false(sal_throttle_name_ok("a\n"));
    assert_false(sal_throttle_name_ok("no_match"));
    memset(longest, 'a', 65);
    longest[65] = '\0';
    assert_false(sal_throttle_name_ok(longest));
    longest[64] = '\0';
    assert_true(sal_throttle_name_ok(longest));
}

/* ---- build ids ---- */

/* Local time, as the specification says of the server that decides. */
static apr_time_t local(int year, int month, int day, int hour, int minute)
{
    struct tm t = { .tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_isdst = -1 };

    return apr_time_from_sec(mktime(&t));
}

static void test_old_buildid(void **state)
{
    apr_time_t noon = local(2026, 3, 1, 12, 0), midnight = local(2026, 3, 1, 0, 0);

    (void)state;
    /* 730 days before 2026-03-01 is 2024-03-01: between them no 29th of February. */
    assert_true(sal_throttle_old_buildid("20240229235959", 730, noon));
    assert_true(sal_throttle_old_buildid("20240301235959", 730, noon)); /* its midnight counts */
    assert_false(sal_throttle_old_buildid("20240302000000", 730, noon));
    assert_false(sal_throttle_old_buildid("20240301000000", 730, midnight));
    assert_true(sal_throttle_old_buildid("20240301000000", 730, midnight + 1));
    assert_true(sal_throttle_old_buildid("20000101000000", 730, noon));
    assert_false(sal_throttle_old_buildid("20990101000000", 730, noon));
    /* No such build id, or no such day. The time of day is not looked at. */
    assert_true(sal_throttle_old_buildid("20120229999999", 730, noon));
    assert_false(sal_throttle_old_buildid("20110229000000", 730, noon));
    assert_false(sal_throttle_old_buildid("20121301000000", 730, noon));
    assert_false(sal_throttle_old_buildid("20120100000000", 730, noon));
    assert_false(sal_throttle_old_buildid("20120001000000", 730, noon));
    assert_false(sal_throttle_old_buildid("2012010100000", 730, noon));
    assert_false(sal_throttle_old_buildid("201201010000000", 730, noon));
    assert_false(sal_throttle_old_buildid("19120101000000", 730, noon));
    assert_false(sal_throttle_old_buildid("2012010100000x", 730, noon));
    assert_false(sal_throttle_old_buildid(" 2012010100000", 730, noon));
    assert_false(sal_throttle_old_buildid("", 730, noon));
}

/* ---- TelemetryEnvironment ---- */

#define OS(members) "{\"system\": {\"os\": {" members "}}}"

static void test_windows(void **state)
{
    static const char *const old[] = {
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": 9600"),
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": 1"),
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": -5"),
        OS("\"windowsBuildNumber\": 7601, \"name\": \"Windows\\u005fNT\", \"x\": [{}]"),
        " {\"a\": 1, \"system\": {\"os\": 1, \"os\": {\"name\": \"Windows_NT\", "
        "\"windowsBuildNumber\": 9600}}}\n",
    };
    static const char *const other[] = {
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": 9601"),
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": 0"),
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": 9600.0"),
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": \"9600\""),
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": null"),
        OS("\"name\": \"Windows_NT\", \"windowsBuildNumber\": [9600]"),
        OS("\"name\": \"Windows_NT\""),
        OS("\"name\": \"Linux\", \"windowsBuildNumber\": 9600"),
        OS("\"name\": [\"Windows_NT\"], \"windowsBuildNumber\": 9600"),
        OS("\"windowsBuildNumber\": 9600"),
        "{\"system\": {\"os\": \"Windows_NT\"}}",
        "{\"system\": [{\"os\": {\"name\": \"Windows_NT\", \"windowsBuildNumber\": 9600}}]}",
        "{\"os\": {\"name\": \"Windows_NT\", \"windowsBuildNumber\": 9600}}",
        "{\"system\": {\"os\": {\"name\": \"Windows_NT\", \"windowsBuildNumber\": 9600}}",
        "{'system': {'os': {'name': 'Windows_NT', 'windowsBuildNumber': 9600}}}",
        "",
        "{}",
        "[]",
        "1",
        "null",
        "\"x\"",
        "x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        assert_true(sal_throttle_windows_upto(old[i], 9600, pool));
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        assert_false(sal_throttle_windows_upto(other[i], 9600, pool));
    }
}

/* ---- what rules see of JSON annotations ---- */

static void expect_seen(const char *json, const char *seen)
{
    sal_annotations_t *a = sal_annotations_make(1000, pool);
    char *text = apr_pstrcat(pool, "{\"k\": ", json, "}", NULL);

    assert_int_equal(sal_annotations_json(a, text, strlen(text), pool, NULL), APR_SUCCESS);
    assert_string_equal(sal_annotations_seen(a, "k", pool), seen);
    assert_null(sal_annotations_seen(a, "other", pool));
    /* A text part that comes later takes its place. */
    sal_annotations_text(a, "k", "text", 4, "utf-8");
    assert_string_equal(sal_annotations_seen(a, "k", pool), "text");
}

/* str() of what Python's json module reads. */
static void test_seen(void **state)
{
    (void)state;
    expect_seen("\"null\"", "null");
    expect_seen("null", "None");
    expect_seen("true", "True");
    expect_seen("false", "False");
    expect_seen("0", "0");
    expect_seen("-12", "-12");
    expect_seen("123456789012345678901234567890", "123456789012345678901234567890");
    expect_seen("1.50", "1.5");
    expect_seen("0.0", "0.0");
    expect_seen("1e2", "100.0");
    expect_seen("1e22", "1e+22");
    expect_seen("[]", "[]");
    expect_seen("{}", "{}");
    expect_seen("[1,2 , 3]", "[1, 2, 3]");
    expect_seen("{\"a\": [true, false, null]}", "{'a': [True, False, None]}");
    expect_seen("{\"a\":{\"b\":\"it's\"}}", "{'a': {'b': \"it's\"}}");
    expect_seen("[\"it's \\\"x\\\"\"]", "['it\\'s \"x\"']");
    expect_seen("[\"\\n\\u0001\\u00e9\\ud83d\\ude00\\/\"]",
                "['\\n\\x01\xc3\xa9\xf0\x9f\x98\x80/']");
}

/* Only the beginning of a long one is made, and nothing is read beyond. */
static void test_seen_is_bounded(void **state)
{
    apr_size_t size = 300000;
    sal_annotations_t *a = sal_annotations_make(2 * size, pool);
    char *text = malloc(size + 1);
    const char *seen;

    (void)state;
    memset(text, '\'', size);
    memcpy(text, "{\"k\": [\"", 8);
    memcpy(text + size - 3, "\"]}", 4);
    assert_int_equal(sal_annotations_json(a, text, size, pool, NULL), APR_SUCCESS);
    seen = sal_annotations_seen(a, "k", pool);
    assert_in_range(strlen(seen), 60000, 140000);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_chance),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_explain),
        cmocka_unit_test(test_results),     cmocka_unit_test(test_rule_names),
        cmocka_unit_test(test_old_buildid), cmocka_unit_test(test_windows),
        cmocka_unit_test(test_seen),        cmocka_unit_test(test_seen_is_bounded),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
