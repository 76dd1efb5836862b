/*
 * The filter grammar of the lists: sizes, dates, their errors. Expectations are Tecken's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/text.h"
#include "books/filter.h"

static apr_pool_t *pool;

/* 2026-11-22T13:30:00Z */
#define NOW apr_time_from_sec(INT64_C(1795354200))

static const char *const signs[] = { "=", "<", "<=", ">", ">=" };

/* Conditions as "op value;..." */
static const char *show(const apr_array_header_t *conds, int times)
{
    const char *out = "";

    for (int i = 0; i < conds->nelts; i++) {
        const sal_books_cond_t *c = &APR_ARRAY_IDX(conds, i, sal_books_cond_t);
        const char *value = times ? sal_time_iso(c->value, pool)
                                  : apr_psprintf(pool, "%" APR_INT64_T_FMT, c->value);

        out = apr_pstrcat(pool, out, i ? " " : "", c->null ? "null" : signs[c->cmp],
                          c->null ? "" : value, NULL);
    }
    return out;
}

static void size_is(const char *text, const char *expected)
{
    apr_array_header_t *conds;
    sal_error_t err = { 0 };

    assert_int_equal(sal_books_sizes(&conds, text, pool, &err), APR_SUCCESS);
    assert_string_equal(show(conds, 0), expected);
}

static void date_is(const char *text, const char *expected)
{
    apr_array_header_t *conds;
    sal_error_t err = { 0 };

    if (sal_books_dates(&conds, text, NOW, pool, &err) != APR_SUCCESS) {
        fail_msg("%s: %s", text, err.message);
    }
    assert_string_equal(show(conds, 1), expected);
}

static void bad_size(const char *text, const char *message)
{
    apr_array_header_t *conds;
    sal_error_t err = { 0 };

    assert_int_equal(sal_books_sizes(&conds, text, pool, &err), SAL_E_MALFORMED);
    assert_string_equal(err.message, message);
}

static void bad_date(const char *text, const char *message)
{
    apr_array_header_t *conds;
    sal_error_t err = { 0 };

    assert_int_equal(sal_books_dates(&conds, text, NOW, pool, &err), SAL_E_MALFORMED);
    assert_string_equal(err.message, message);
}

static void test_sizes(void **state)
{
    (void)state;
    size_is(NULL, "");
    size_is(" , ,", "");
    size_is("0", "=0");
    size_is(">= 10mb, < 1g", ">=10485760 <1073741824");
    size_is("<=1.5K", "<=1536");
    size_is("2 GB", "=2147483648");
    size_is("> 7b", ">7");
    size_is(".5kb", "=512");
}

static void test_bad_sizes(void **state)
{
    (void)state;
    bad_size("x", "'x' is not a valid size");
    bad_size(">>1", "'>1' is not a valid size");
    bad_size("1tb", "'1tb' is not a valid size");
    bad_size("5,-3", "'-3' is not a valid size");
    bad_size("inf", "'inf' is not a valid size");
    bad_size("0x10", "'0x10' is not a valid size");
    bad_size("1e400", "'1e400' is not a valid size");
    bad_size(".", "'.' is not a valid size");
    bad_size(">", "'' is not a valid size");
    bad_size("99999999999999999999", "'99999999999999999999' is not a valid size");
}

static void test_dates(void **state)
{
    (void)state;
    date_is("null", "null");
    date_is("=Incomplete", "null");
    date_is("today", ">=2026-11-22T00:00:00+00:00 <2026-11-23T00:00:00+00:00");
    date_is("yesterday", ">=2026-11-21T00:00:00+00:00 <2026-11-22T00:00:00+00:00");
    date_is(">=yesterday", ">=2026-11-21T00:00:00+00:00");
    date_is("2016-10-31", ">=2016-10-31T00:00:00+00:00 <2016-11-01T00:00:00+00:00");
    date_is(">2016-10-31T10:20:30.5Z", ">2016-10-31T10:20:31.500000+00:00");
    date_is("<=2016-10-31 10:20", "<=2016-10-31T10:20:00+00:00");
    date_is("=2016-10-31 10:20+02:00", "=2016-10-31T08:20:00+00:00");
    date_is("<20161031", "<2016-10-31T00:00:00+00:00");
    date_is("< 31 Oct 2016", "<2016-10-31T00:00:00+00:00");
    date_is("<October 3rd 2016 9:05", "<2016-10-03T09:05:00+00:00");
    date_is("<2016/1/2", "<2016-01-02T00:00:00+00:00");
    date_is(">=2024-02-29,<2024-03-01", ">=2024-02-29T00:00:00+00:00 <2024-03-01T00:00:00+00:00");
}

static void test_bad_dates(void **state)
{
    (void)state;
    bad_date("x", "Unable to parse 'x'");
    bad_date("2026-02-29", "Unable to parse '2026-02-29'");
    bad_date("2026-13-01", "Unable to parse '2026-13-01'");
    bad_date(">2026-01-01T25:00", "Unable to parse '2026-01-01T25:00'");
    bad_date("2026-01-01T10:61", "Unable to parse '2026-01-01T10:61'");
    bad_date("it's", "Unable to parse \"it's\"");
    bad_date("10:20", "Unable to parse '10:20'");
    bad_date("today,12", "Unable to parse '12'");
}

static void test_too_many(void **state)
{
    const char *text = "1";

    (void)state;
    for (int i = 0; i < SAL_BOOKS_CONDS_MAX; i++) {
        text = apr_pstrcat(pool, text, ",1", NULL);
    }
    bad_size(text, "Too many conditions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_dates),    cmocka_unit_test(test_bad_dates),
        cmocka_unit_test(test_too_many),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests_name("books_filter", tests, NULL, NULL);
    apr_terminate();
    return failed;
}
