/* Hints without a database: the order of versions, names of clients, texts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "hint/hint.h"

static apr_pool_t *pool;

static void test_versions(void **state)
{
    /* each before the next */
    static const char *const order[] = { "0.9",     "1.0a1",  "1.0a2",
                                         "1.0b3",   "1.0b10", "1.0rc1",
                                         "1.0",     "1.0.1",  "1.2",
                                         "1.10",    "2",      "10.0",
                                         "108.0b3", "108.0",  "999999999999999999999.0" };
    const int n = sizeof(order) / sizeof(order[0]);

    (void)state;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            int d = sal_hint_compare_versions(order[i], order[k]);

            assert_int_equal(i < k, d < 0);
            assert_int_equal(i > k, d > 0);
        }
    }
    assert_int_equal(sal_hint_compare_versions("1.0", "1"), 0);
    assert_int_equal(sal_hint_compare_versions("1.00", "1.0.0"), 0);
    assert_int_equal(sal_hint_compare_versions("102.3esr", "102.3"), 0);
    assert_true(sal_hint_compare_versions("102.3esr", "102.4") < 0);
    assert_int_equal(sal_hint_compare_versions("", ""), 0);
}

static void test_clients(void **state)
{
    static const unsigned char one[32] = { 1 }, two[32] = { 2 };
    char a[SAL_HINT_CLIENT_HEX + 1], b[SAL_HINT_CLIENT_HEX + 1];

    (void)state;
    assert_true(sal_hint_client(a, one, "0a1b2c3d-0000-4111-8222-333344445555"));
    assert_int_equal(strlen(a), SAL_HINT_CLIENT_HEX);
    assert_true(sal_hint_client(b, one, " {0A1B2C3D-0000-4111-8222-333344445555}"));
    assert_string_equal(a, b);
    assert_true(sal_hint_client(b, two, "0a1b2c3d-0000-4111-8222-333344445555"));
    assert_string_not_equal(a, b);
    assert_true(sal_hint_client(b, one, "0a1b2c3d-0000-4111-8222-333344445556"));
    assert_string_not_equal(a, b);
    assert_false(sal_hint_client(b, one, ""));
    assert_false(sal_hint_client(b, one, "short"));
    assert_false(sal_hint_client(b, one, "00000000-0000-0000-0000-000000000000"));
    assert_false(sal_hint_client(b, one, "c0ffeec0-ffee-c0ff-eec0-ffeec0ffeec0"));
}

static void test_lines(void **state)
{
    char text[500];

    (void)state;
    assert_string_equal(sal_hint_line("a=b\r\nHint: c\x7f", pool), "a b  Hint: c ");
    memset(text, 'x', sizeof(text));
    memcpy(text + 199, "\xc3\xa9", 2);
    text[499] = '\0';
    assert_int_equal(strlen(sal_hint_line(text, pool)), 199); /* no half of a character */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_versions),
                                        cmocka_unit_test(test_clients),
                                        cmocka_unit_test(test_lines) };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
