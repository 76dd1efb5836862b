/* The file of products and the questions about it (docs/throttling.md). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "crash/products.h"

static apr_pool_t *pool;

static const char good[] = "# a comment\n"
                           "\n"
                           "Fenix\r\n"
                           "    package org.mozilla.firefox\n"
                           "\t# another\n"
                           "\tpackage\torg.mozilla.fenix  \n"
                           "Firefox Enterprise\n"
                           "  version 115.*\n"
                           "  version 9\n"
                           "Caf\xc3\xa9";

static apr_status_t parse(sal_products_t *out, const char *text, sal_error_t *err)
{
    return sal_products_parse(out, apr_pstrdup(pool, text), strlen(text), "F", pool, err);
}

static void test_file(void **state)
{
    sal_products_t list;

    (void)state;
    assert_int_equal(parse(&list, good, NULL), APR_SUCCESS);
    assert_int_equal(list.n, 3);
    assert_string_equal(list.list[0].name, "Fenix");
    assert_string_equal(list.list[0].packages[0], "org.mozilla.firefox");
    assert_string_equal(list.list[0].packages[1], "org.mozilla.fenix");
    assert_null(list.list[0].packages[2]);
    assert_null(list.list[0].versions[0]);
    assert_string_equal(list.list[1].name, "Firefox Enterprise");
    assert_null(list.list[1].packages[0]);
    assert_string_equal(list.list[1].versions[1], "9");
    assert_string_equal(list.list[2].name, "Caf\xc3\xa9");
    assert_int_equal(parse(&list, "", NULL), APR_SUCCESS);
    assert_int_equal(list.n, 0);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *line;
    } wrong[] = {
        { "  package a\n", "F line 1:" },  { "A\n\n  packages a\n", "F line 3:" },
        { "A\n  package\n", "F line 2:" }, { "A\n  x\n", "F line 2:" },
        { "A\nB\nA\n", "F line 3:" },      { "A\x01\n", "F line 1:" },
        { "A\xff\n", "F line 1:" },
    };
    char *huge = apr_pcalloc(pool, 300);
    sal_products_t list;
    sal_error_t err;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(parse(&list, wrong[i].text, &err), SAL_E_MALFORMED);
        assert_non_null(strstr(err.message, wrong[i].line));
    }
    memset(huge, 'a', 256);
    assert_int_equal(parse(&list, huge, &err), SAL_E_MALFORMED);
    huge[255] = '\0';
    assert_int_equal(parse(&list, huge, &err), APR_SUCCESS);
    assert_int_equal(sal_products_parse(&list, apr_pstrmemdup(pool, "A\0B", 3), 3, "F", pool, &err),
                     SAL_E_MALFORMED);
}

static void test_questions(void **state)
{
    char *longest = apr_pcalloc(pool, 400);
    sal_products_t list;

    (void)state;
    assert_int_equal(parse(&list, good, NULL), APR_SUCCESS);
    assert_non_null(sal_products_find(&list, "Fenix"));
    assert_null(sal_products_find(&list, "fenix"));
    assert_null(sal_products_find(&list, ""));
    assert_null(sal_products_find(NULL, "Fenix"));
    assert_true(sal_products_package_ok(&list, "Fenix", "org.mozilla.fenix"));
    assert_false(sal_products_package_ok(&list, "Fenix", "org.mozilla.Fenix"));
    assert_false(sal_products_package_ok(&list, "Fenix", ""));
    assert_true(sal_products_package_ok(&list, "Firefox Enterprise", "x"));
    assert_true(sal_products_package_ok(&list, "Unknown", ""));
    assert_true(sal_products_package_ok(NULL, "Fenix", ""));
    assert_true(sal_products_version_ok(&list, "Firefox Enterprise", "115.2.1"));
    assert_true(sal_products_version_ok(&list, "Firefox Enterprise", "9"));
    assert_false(sal_products_version_ok(&list, "Firefox Enterprise", "9.1"));
    assert_false(sal_products_version_ok(&list, "Firefox Enterprise", ""));
    assert_true(sal_products_version_ok(&list, "Fenix", ""));
    memset(longest, '1', 300);
    memcpy(longest, "115.", 4);
    assert_false(sal_products_version_ok(&list, "Firefox Enterprise", longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_questions),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
