/*
 * Triage without a database: how versions are ordered, what trackers' texts and files of builds
 * say, the figures of correlations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "triage/bugs.h"
#include "triage/correlate.h"
#include "triage/version_fetch.h"

static apr_pool_t *pool;

/* ---- versions ---- */

/* Each is newer than the one before. */
static const char *const ascending[] = {
    "0.0a1",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0",
    "1.0.1",
    "2",
    "9.5.3",
    "62.0a1",
    "62.0b1rc1",
    "62.0b1",
    "62.0b3",
    "62.0b10",
    "62.0b",
    "62.0rc1",
    "62.0rc2",
    "62.0rc10",
    "62.0",
    "62.0esr",
    "62.0.1",
    "62.0.10",
    "62.0.10esr",
    "62.10",
    "120.0.6099.1",
    "120.0.6099.129",
    "20231121.0.0",
};

static void test_order_of_versions(void **state)
{
    char before[SAL_VERSION_KEY] = "", key[SAL_VERSION_KEY];

    (void)state;
    for (size_t i = 0; i < sizeof(ascending) / sizeof(ascending[0]); i++) {
        if (!sal_version_key(key, ascending[i]) || strcmp(before, key) >= 0) {
            fail_msg("%s does not come after the version before it", ascending[i]);
        }
        strcpy(before, key);
    }
}

static void test_equal_versions(void **state)
{
    char a[SAL_VERSION_KEY], b[SAL_VERSION_KEY];

    (void)state;
    assert_true(sal_version_key(a, "68.0") && sal_version_key(b, "68.0.0"));
    assert_string_equal(a, b);
    assert_true(sal_version_key(a, "68") && sal_version_key(b, "68.0"));
    assert_string_equal(a, b);
}

static void test_what_is_no_version(void **state)
{
    static const char *const bad[] = { "",
                                       "x",
                                       "1.",
                                       ".1",
                                       "1..2",
                                       "1.0bb2",
                                       "1.0b2b3",
                                       "1.0rc1rc2",
                                       "esr",
                                       "1.0 ",
                                       "1.0-",
                                       "1.0.0-",
                                       "1.0.0-a..b",
                                       "1.2.3.4.5.6.7",
                                       "Nightly 190722",
                                       "1.0.0+",
                                       "1.0bx.",
                                       "11111111111111111111111111111111111111111111" };
    char key[SAL_VERSION_KEY], text[2 * SAL_VERSION_KEY] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sal_version_key(key, bad[i])) {
            fail_msg("\"%s\" is taken for a version", bad[i]);
        }
    }
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "1.0.0-", 6);
    assert_false(sal_version_key(key, text)); /* too long to be compared */
}

/* ---- tables ---- */

static const sal_product_version_t *read_versions(int *n, const char *text)
{
    sal_product_version_t *list;
    sal_error_t err;

    if (sal_versions_read(&list, n, text, strlen(text), pool, &err) != APR_SUCCESS) {
        fail_msg("%s: %s", text, err.message);
    }
    return list;
}

static void test_tables(void **state)
{
    static const char *const same[] = {
        "Firefox,beta,20181106,64.0b8\n",
        "version_string,build_id,other,release_channel,product_name\r\n"
        "64.0b8,20181106,x,beta,Firefox\r\n\r\n",
        "\xef\xbb\xbfProduct , Channel,Build,Version\n\"Firefox\", \"beta\" ,20181106,\"64.0b8\"",
        " [{\"product_name\":\"Firefox\",\"release_channel\":\"beta\",\"build_id\":20181106,"
        "\"version_string\":\"64.0b8\",\"more\":[1]}]",
    };
    const sal_product_version_t *list;
    int n;

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        list = read_versions(&n, same[i]);
        assert_int_equal(n, 1);
        assert_string_equal(list[0].product, "Firefox");
        assert_string_equal(list[0].channel, "beta");
        assert_string_equal(list[0].build, "20181106");
        assert_string_equal(list[0].version, "64.0b8");
    }
    list = read_versions(&n, "\"a \"\"b\"\", c\nd\",beta,1,2");
    assert_string_equal(list[0].product, "a \"b\", c\nd");
    read_versions(&n, "");
    assert_int_equal(n, 0);
}

static void test_bad_tables(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "a,b,c\n", "line 1 has no version" },
        { "a,b,c,d\n\na,,c,d\n", "line 3 has no channel" },
        { "\"a,b,c,d\n", "line 1: quotes" },
        { "\"a\"b,b,c,d\n", "line 1: quotes" },
        { "[{\"product\":\"a\"}]", "element 1 has no channel" },
        { "[1]", "element 1 has no product" },
        { "[", "" },
        { "a,b,c,\xff\n", "not UTF-8" },
        { "product,channel,build,version,major_version\na,b,c,d,many\n", "major" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        sal_product_version_t *list;
        sal_error_t err = { .message = "taken" };
        int n;

        if (sal_versions_read(&list, &n, bad[i].text, strlen(bad[i].text), pool, &err) !=
                SAL_E_MALFORMED ||
            !strstr(err.message, bad[i].message)) {
            fail_msg("\"%s\": %s", bad[i].text, err.message);
        }
    }
}

/* ---- files of builds ---- */

#define CANDIDATES "http://h/pub/firefox/candidates/"
#define HUB(channel, version)                                                                      \
    "{\"build\":{\"id\":\"20190128\"},\"target\":{\"channel\":\"" channel                          \
    "\",\"version\":\"" version "\"},\"source\":{\"product\":\"firefox\"}}"

static void expect_builds(const char *line, const char *text, const char *expected)
{
    sal_version_source_t source;
    sal_product_version_t *list;
    const char *got = "";
    sal_error_t err;
    int n;

    if (sal_version_source_parse(&source, line, pool, &err) != APR_SUCCESS ||
        sal_version_source_read(&list, &n, &source, text, strlen(text), pool, &err) !=
            APR_SUCCESS) {
        fail_msg("%s: %s", line, err.message);
    }
    for (int i = 0; i < n; i++) {
        got = apr_pstrcat(pool, got, list[i].product, " ", list[i].channel, " ", list[i].build, " ",
                          list[i].release, " ", list[i].version, "\n", NULL);
    }
    assert_string_equal(got, expected);
}

static void test_files_of_builds(void **state)
{
    (void)state;
    expect_builds(CANDIDATES "66.0b3-candidates/build1/linux/en-US/buildhub.json",
                  HUB("beta", "66.0"), "Firefox beta 20190128 66.0 66.0b3rc1\n");
    expect_builds(CANDIDATES "66.0b3-candidates/build2/linux/en-US/buildhub.json final",
                  HUB("beta", "66.0"),
                  "Firefox beta 20190128 66.0 66.0b3rc2\nFirefox beta 20190128 66.0 66.0b3\n");
    expect_builds(CANDIDATES "66.0-candidates/build12/linux/en-US/buildhub.json final",
                  HUB("release", "66.0"),
                  "Firefox beta 20190128 66.0 66.0rc12\nFirefox release 20190128 66.0 66.0\n");
    expect_builds(CANDIDATES "66.0-candidates/build1/linux/en-US/buildhub.json",
                  HUB("release", "66.0"), "Firefox beta 20190128 66.0 66.0rc1\n");
    expect_builds(CANDIDATES "60.5.0esr-candidates/build1/x/firefox.json product=Fox final",
                  "{\"moz_update_channel\":\"esr\",\"moz_app_version\":\"60.5.0\","
                  "\"buildid\":\"20190124\"}",
                  "Fox esr 20190124 60.5.0 60.5.0esrrc1\nFox esr 20190124 60.5.0 60.5.0esr\n");
    expect_builds("https://h/x.csv", "a,beta,c,d", "a beta c  d\n");
}

static void test_bad_sources(void **state)
{
    sal_version_source_t source;
    sal_product_version_t *list;
    sal_error_t err;
    int n;

    (void)state;
    assert_int_equal(sal_version_source_parse(&source, "ftp://h/x", pool, &err), APR_EINVAL);
    assert_int_equal(sal_version_source_parse(&source, "", pool, &err), APR_EINVAL);
    assert_int_equal(sal_version_source_parse(&source, "http://h/x last", pool, &err), APR_EINVAL);
    assert_int_equal(sal_version_source_parse(&source, "http://h/x", pool, &err), APR_SUCCESS);
    assert_int_equal(sal_version_source_read(&list, &n, &source, HUB("beta", "1"),
                                             strlen(HUB("beta", "1")), pool, &err),
                     SAL_E_MALFORMED);
    assert_int_equal(sal_version_source_read(&list, &n, &source, "{}", 2, pool, &err),
                     SAL_E_MALFORMED);
}

/* ---- bugs ---- */

static void expect_signatures(const char *text, const char *expected)
{
    const char **s = sal_bugs_signatures_in(text, pool), *got = "";

    for (; *s; s++) {
        got = apr_pstrcat(pool, got, "<", *s, ">", NULL);
    }
    assert_string_equal(got, expected);
}

static void test_signatures_in_texts(void **state)
{
    (void)state;
    expect_signatures("", "");
    expect_signatures("no signature ]", "");
    expect_signatures("[@ foo]", "<foo>");
    expect_signatures("[@foo]\r\n[@   bar::baz ]", "<foo><bar::baz>");
    expect_signatures("[@ a[1]] rest", "<a[1]>");
    expect_signatures("[@ operator[] | x] [@ y]", "<operator[] | x><y>");
    expect_signatures("[@ open [@ closed]", "<closed>");
    expect_signatures("[@ same] [@ same]", "<same>");
    expect_signatures("[@ ] [@]", "");
    expect_signatures("[@ [@ x]", "<x>");
}

/* ---- correlations ---- */

static void test_bound(void **state)
{
    (void)state;
    /* 0.8 - 0.1 - 1.96 sqrt(0.16/100 + 0.09/1000) - 0.5 (1/100 + 1/1000) */
    assert_true(sal_correlate_low(80, 100, 100, 1000) > 0.6139 &&
                sal_correlate_low(80, 100, 100, 1000) < 0.6141);
    /* all against half: no spread of its own */
    assert_true(sal_correlate_low(10, 10, 50, 100) > 0.3469 &&
                sal_correlate_low(10, 10, 50, 100) < 0.3471);
    assert_true(sal_correlate_low(5, 10, 50, 100) < 0);
    assert_true(sal_correlate_low(0, 10, 0, 100) < 0);
    assert_true(sal_correlate_low(0, 0, 0, 0) == -1);
}

static void test_lines(void **state)
{
    json_t *single = sal_json_own(json_pack("{s:{s:s},s:i,s:i}", "item", "cpu_arch", "arm64",
                                            "count_group", 10, "count_reference", 69),
                                  pool);
    json_t *pair = sal_json_own(json_pack("{s:{s:b,s:s},s:i,s:i,s:{s:{s:s},s:i,s:i,s:i,s:i}}",
                                          "item", "Module \"a.dll\"", 1, "cpu_arch", "x86",
                                          "count_group", 5, "count_reference", 10, "prior", "item",
                                          "cpu_arch", "x86", "count_group", 5, "total_group", 6,
                                          "count_reference", 10, "total_reference", 40),
                                pool);

    (void)state;
    assert_string_equal(sal_correlate_line(single, 10, 2000, pool),
                        "(100.0% in signature vs 03.45% overall) cpu_arch = arm64");
    assert_string_equal(sal_correlate_line(pair, 10, 2000, pool),
                        "(50.00% in signature vs 00.50% overall) Module \"a.dll\" = true "
                        "\xe2\x88\xa7 cpu_arch = x86 [83.33% vs 25.00% if cpu_arch = x86]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_versions),
        cmocka_unit_test(test_equal_versions),
        cmocka_unit_test(test_what_is_no_version),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_files_of_builds),
        cmocka_unit_test(test_bad_sources),
        cmocka_unit_test(test_signatures_in_texts),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_lines),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
