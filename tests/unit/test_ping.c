/* Crash pings without a database: paths, what is read, what is removed, the sample. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <stdio.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "ping/ping_store.h"

#define ID "0A1b2c3d-0000-4111-8222-333344445555"
#define LOWER "0a1b2c3d-0000-4111-8222-333344445555"

static apr_pool_t *pool;

static apr_status_t path(sal_ping_path_t *out, const char *text)
{
    sal_error_t err;

    return sal_ping_path(out, text, pool, &err);
}

static void test_paths(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "app",
        "app/crash/1/" ID "/x",
        "app/crash/1/" ID "//",
        "app/crash/1234567890/" ID,
        "app/crash//" ID,
        ".app/crash/1/" ID,
        "a b/crash/1/" ID,
        "app/Crash/1/" ID,
        "app/crash/1/0a1b2c3d-0000-4111-8222-33334444555",
        "app/crash/1/" ID "0",
        "app/crash/1/0a1b2c3d_0000-4111-8222-333344445555",
        "telemetry/" ID "/crash/A/1/r",
        "telemetry/" ID "/crash/A//r/1",
        "telemetry/" ID "/crash/A/1\n/r/1",
        "telemetry/" ID "/crash/A/1\xff/r/1",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/crash/1/" ID
    };
    char text[SAL_PING_PATH_MAX + 2];
    sal_ping_path_t at;

    (void)state;
    assert_int_equal(path(&at, "firefox-desktop/crash/1/" ID), APR_SUCCESS);
    assert_int_equal(at.dialect, SAL_PING_GLEAN);
    assert_string_equal(at.app, "firefox-desktop");
    assert_string_equal(at.document_id, LOWER);
    assert_string_equal(at.version, "");
    assert_int_equal(path(&at, "app/crash/12/" ID "/"), APR_SUCCESS);
    assert_int_equal(path(&at, "telemetry/" ID "/crash/Firefox/1.0 b/esr-x/2026"), APR_SUCCESS);
    assert_int_equal(at.dialect, SAL_PING_TELEMETRY);
    assert_string_equal(at.document_id, LOWER);
    assert_string_equal(at.version, "1.0 b");
    assert_string_equal(at.channel, "esr-x");
    assert_string_equal(at.build, "2026");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(path(&at, bad[i]), APR_ENOENT);
    }
    memset(text, 'x', sizeof(text) - 1);
    text[SAL_PING_PATH_MAX + 1] = '\0';
    assert_int_equal(path(&at, text), SAL_E_TOOBIG);
    text[SAL_PING_PATH_MAX] = '\0';
    assert_int_equal(path(&at, text), APR_ENOENT);
}

static apr_time_t crash_time(const char *text)
{
    static const sal_ping_path_t at = { SAL_PING_TELEMETRY, LOWER, "A", "1", "r", "b" };
    const char *body = apr_psprintf(pool, "{\"payload\":{\"crashTime\":\"%s\"}}", text);
    sal_ping_t ping;
    sal_error_t err;

    assert_int_equal(sal_ping_parse(&ping, &at, body, strlen(body), pool, &err), APR_SUCCESS);
    return ping.crash_time / APR_USEC_PER_SEC;
}

static void test_times(void **state)
{
    (void)state;
    assert_int_equal(crash_time("1970-01-02"), 86400);
    assert_int_equal(crash_time("1970-01-02T00Z"), 86400);
    assert_int_equal(crash_time("1970-01-02T01:00+01:00"), 86400);
    assert_int_equal(crash_time("1970-01-01T22:30:01.999-0130"), 86401);
    assert_int_equal(crash_time("1970-01-02 00:00:00"), 86400);
    for (const char *const *bad =
             (const char *const[]){ "", "x", "1970", "1970-13-01", "1970-01-32", "1970-01-02T25:00",
                                    "1970-01-02T00:60", "1970-01-02T00:00x", "1970-01-02T00:00+1",
                                    "1969-01-01", NULL };
         *bad; bad++) {
        assert_int_equal(crash_time(*bad), 0);
    }
}

static void test_removal(void **state)
{
    static const char body[] =
        "{\"ping_info\":{},\"client_info\":{\"client_id\":\"c\",\"os\":\"x\"},"
        "\"clientId\":1,\"payload\":{\"sessionId\":2,\"metadata\":{\"Email\":"
        "3,\"k\":4}}}";
    static const sal_ping_path_t at = { SAL_PING_GLEAN, LOWER, "A", "", "", "" };
    sal_ping_t ping;
    sal_error_t err;

    (void)state;
    assert_int_equal(sal_ping_parse(&ping, &at, body, strlen(body), pool, &err), APR_SUCCESS);
    sal_ping_remove(&ping, sal_ping_personal());
    sal_ping_remove(&ping, (const char *const[]){ "nothing.there", "ping_info.x.y", NULL });
    assert_string_equal(json_dumps(ping.body, JSON_COMPACT | JSON_SORT_KEYS),
                        "{\"client_info\":{\"os\":\"x\"},\"payload\":{\"metadata\":{\"k\":4}},"
                        "\"ping_info\":{}}");
}

static void test_systems(void **state)
{
    (void)state;
    assert_string_equal(sal_ping_os("Windows"), "Windows NT");
    assert_string_equal(sal_ping_os("Windows_NT"), "Windows NT");
    assert_string_equal(sal_ping_os("Darwin"), "Mac OS X");
    assert_string_equal(sal_ping_os("Linux"), "Linux");
    assert_string_equal(sal_ping_os(""), "");
}

static apr_status_t rules(apr_array_header_t **out, const char *lines)
{
    char *text = apr_pstrdup(pool, lines);
    sal_conf_t *conf;
    sal_error_t err;

    assert_int_equal(sal_conf_parse(&conf, text, strlen(text), "/x/conf", pool, &err), APR_SUCCESS);
    return sal_ping_rules(out, conf, pool, &err);
}

static void test_rules(void **state)
{
    static const char *const bad[] = { "ping-sample a b 5\n", "ping-sample a b c d 5 6\n",
                                       "ping-sample a b c many\n", "ping-sample a b c -1\n" };
    apr_array_header_t *list;

    (void)state;
    assert_int_equal(rules(&list, "ping-sample Windows_NT release main all\n"
                                  "ping-sample * release * 5000\n"
                                  "ping-sample * nightly* utility audio* 7\n"),
                     APR_SUCCESS);
    assert_int_equal(sal_ping_target(list, "Windows NT", "release", "main", ""), -1);
    assert_int_equal(sal_ping_target(list, "Windows NT", "release", "gpu", ""), 5000);
    assert_int_equal(sal_ping_target(list, "Linux", "RELEASE", "main", ""), 5000);
    assert_int_equal(sal_ping_target(list, "Linux", "nightly-x", "utility", "audioDecoder"), 7);
    assert_int_equal(sal_ping_target(list, "Linux", "nightly", "utility", ""), -1);
    assert_int_equal(sal_ping_target(list, "Linux", "beta", "main", ""), -1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(rules(&list, bad[i]), APR_EINVAL);
    }
}

static const char *nth_id(int i)
{
    return apr_psprintf(pool, "00000000-0000-4000-8000-%012d", i);
}

/* The share is as asked, spread over the day, and never over the target. */
static void test_sample(void **state)
{
    int taken = 0, half = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) { /* a day as full as the one before */
        taken += sal_ping_in_sample(nth_id(i), 1000, 10000, taken);
        half = i == 4999 ? taken : half;
    }
    assert_in_range(taken, 900, 1000);
    assert_in_range(half, 400, 600);
    for (int i = taken = 0; i < 2000; i++) { /* nothing is known of the day before */
        taken += sal_ping_in_sample(nth_id(i), 500, i + 1, taken);
    }
    assert_int_equal(taken, 500);
    assert_true(sal_ping_in_sample(nth_id(1), -1, 1000000, 999999));
    assert_true(sal_ping_in_sample(nth_id(1), 5, 5, 0));
    assert_false(sal_ping_in_sample(nth_id(1), 0, 1, 0));
    assert_int_equal(sal_ping_in_sample(nth_id(7), 10, 20, 0),
                     sal_ping_in_sample(nth_id(7), 10, 20, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),   cmocka_unit_test(test_times),
        cmocka_unit_test(test_removal), cmocka_unit_test(test_systems),
        cmocka_unit_test(test_rules),   cmocka_unit_test(test_sample)
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
