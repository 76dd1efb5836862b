/* Crash ids. Vectors: collector specification section 5. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "crash/crash_id.h"

static apr_pool_t *pool;

static const struct {
    const char *id;
    bool valid;
} cases[] = {
    { "de1bb258-cbbf-4589-a673-34f800160918", true },
    { "de1bb258-cbbf-4589-a673-34f801160918", true },  /* deferred */
    { "de1bb258-cbbf-4589-a673-34f802160918", false }, /* other throttle digits */
    { "de1bb258-cbbf-4589-a673-34f80a160918", false },
    { "DE1BB258-cbbf-4589-a673-34f800160918", false }, /* upper case */
    { "00000000-0000-0000-0000-000000000000", false }, /* no such date (ours) */
    { "de1bb258-cbbf-4589-a673-34f800161318", false }, /* month 13 */
    { "de1bb258-cbbf-4589-a673-34f800160931", false }, /* 31 September */
    { "de1bb258-cbbf-4589-a673-34f800160229", true },  /* leap year */
    { "de1bb258-cbbf-4589-a673-34f800170229", false },
    { "de1bb258-cbbf-1589-a673-34f800160918", true }, /* version nibble is unchecked */
    { "de1bb258cbbf-4589-a673-34f8001609180", false },
    { "de1bb258-cbbf-4589-a673-34f800160918\n", false },
    { " de1bb258-cbbf-4589-a673-34f800160918", false },
    { "bp-de1bb258-cbbf-4589-a673-34f800160918", false },
    { "de1bb258-cbbf-4589-a673-34f80016091", false },
    { "", false },
    { NULL, false },
};

static void test_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (sal_crash_id_valid(cases[i].id) != cases[i].valid) {
            fail_msg("%s: expected %d", cases[i].id ? cases[i].id : "NULL", cases[i].valid);
        }
    }
}

static void test_make(void **state)
{
    /* 2026-01-31T23:59:59.999999Z */
    apr_time_t now = apr_time_from_sec(INT64_C(1769903999)) + 999999;
    char a[SAL_CRASH_ID_LEN + 1], b[SAL_CRASH_ID_LEN + 1], day[9];

    (void)state;
    sal_crash_id_make(a, now, 0);
    sal_crash_id_make(b, now, 1);
    assert_int_equal(strlen(a), 36);
    assert_true(sal_crash_id_valid(a));
    assert_true(sal_crash_id_valid(b));
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_int_equal(a[29], '0');
    assert_int_equal(b[29], '1');
    assert_string_equal(a + 30, "260131");
    assert_memory_not_equal(a, b, 29);
    sal_crash_id_day(day, a);
    assert_string_equal(day, "20260131");
    sal_crash_id_make(a, now, 3);
    assert_int_equal(a[29], '3');
    assert_false(sal_crash_id_valid(a));
}

static void test_clean(void **state)
{
    static const char *const id = "de1bb258-cbbf-4589-a673-34f800160918";
    apr_pool_t *p = pool;

    (void)state;
    assert_string_equal(sal_crash_id_clean(id, p), id);
    assert_string_equal(sal_crash_id_clean(apr_pstrcat(p, "bp-", id, NULL), p), id);
    assert_string_equal(sal_crash_id_clean(apr_pstrcat(p, " \tbp-", id, " \n", NULL), p), id);
    assert_string_equal(sal_crash_id_clean("DE1BB258-CBBF-4589-A673-34F800160918", p), id);
    assert_null(sal_crash_id_clean("bp-", p));
    assert_null(sal_crash_id_clean(apr_pstrcat(p, id, "0", NULL), p));
    assert_null(sal_crash_id_clean("../../etc/passwd", p));
    assert_null(sal_crash_id_clean(NULL, p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_clean),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
