/*
 * Errors and the log sink: numbers, thresholds, one line a message, bounded texts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <apr_strings.h>

#include "base/error.h"
#include "base/log.h"

static char last[4096];
static int calls;
static sal_log_level_t last_level;

static void keep(void *baton, sal_log_level_t level, const char *line)
{
    assert_ptr_equal(baton, &calls);
    apr_cpystrn(last, line, sizeof(last));
    last_level = level;
    calls++;
}

static void test_log(void **state)
{
    (void)state;
    sal_log_sink(keep, &calls);
    sal_log(SAL_LOG_WARNING, 42, "x=%d", 7);
    assert_string_equal(last, "SAL0042: x=7");
    assert_int_equal(last_level, SAL_LOG_WARNING);
    sal_log(SAL_LOG_INFO, 0, "plain");
    assert_string_equal(last, "plain");
    sal_log(SAL_LOG_DEBUG, 0, "too detailed");
    assert_int_equal(calls, 2);
    sal_log_threshold(SAL_LOG_DEBUG);
    sal_log(SAL_LOG_DEBUG, 0, "now seen");
    assert_int_equal(calls, 3);
    sal_log_threshold(SAL_LOG_ERROR);
    sal_log(SAL_LOG_WARNING, 0, "not seen");
    assert_int_equal(calls, 3);
    sal_log_threshold(SAL_LOG_INFO);
}

static void test_one_line_a_message(void **state)
{
    char big[5000];

    (void)state;
    sal_log_sink(keep, &calls);
    sal_log(SAL_LOG_INFO, 1, "%s", "a\nSAL0002: forged\r\x1b[31m");
    assert_string_equal(last, "SAL0001: a SAL0002: forged  [31m");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    sal_log(SAL_LOG_INFO, 1, "%s", big);
    assert_in_range(strlen(last), 2000, 2048);
}

static void test_errors(void **state)
{
    sal_error_t err;
    char text[200], big[2000];

    (void)state;
    memset(&err, 0xff, sizeof(err));
    assert_int_equal(sal_fail(&err, SAL_E_TOOBIG, "%d of %d", 3, 2), SAL_E_TOOBIG);
    assert_int_equal(err.code, SAL_E_TOOBIG);
    assert_string_equal(err.message, "3 of 2");
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(err.offset, 0);
    assert_int_equal(sal_fail_at(&err, SAL_E_MALFORMED, 99, "x"), SAL_E_MALFORMED);
    assert_int_equal(err.offset, 99);
    sal_fail_os(&err, ENOENT, "cannot open %s", "/x");
    assert_string_equal(err.message, "cannot open /x: No such file or directory");
    assert_int_equal(sal_fail(NULL, APR_EINVAL, "nobody reads"), APR_EINVAL);
    assert_string_equal(sal_strstatus(SAL_E_FENCED, text, sizeof(text)), "lease lost");

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    sal_fail_os(&err, ENOENT, "%s", big);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_one_line_a_message),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
