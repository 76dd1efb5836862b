/* Content-Type of a report. Rows: collector specification 2.1 and 2.3. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "crash/form_type.h"

#define B70 "0123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
    const char *header;
    sal_form_type_t type;
    const char *boundary;
} cases[] = {
    { NULL, SAL_FORM_NO_TYPE, NULL },
    { "", SAL_FORM_NO_TYPE, NULL },
    { "  ", SAL_FORM_NO_TYPE, NULL },
    { "text/plain", SAL_FORM_WRONG_TYPE, NULL },
    { "text/plain; boundary=x", SAL_FORM_WRONG_TYPE, NULL },
    { "multipart/form-datax; boundary=x", SAL_FORM_WRONG_TYPE, NULL },
    { "multipart/related; boundary=x", SAL_FORM_WRONG_TYPE, NULL },
    { "application/octet-stream", SAL_FORM_WRONG_TYPE, NULL },
    { "multipart/form-data; boundary=x", SAL_FORM_GOOD, "x" },
    { "multipart/mixed; boundary=x", SAL_FORM_GOOD, "x" },
    { "Multipart/Form-Data;Boundary=x", SAL_FORM_GOOD, "x" },
    { " multipart/form-data ; boundary=x", SAL_FORM_GOOD, "x" },
    { "multipart/form-data", SAL_FORM_NO_BOUNDARY, NULL },
    { "multipart/form-data;", SAL_FORM_NO_BOUNDARY, NULL },
    { "multipart/form-data; charset=utf-8", SAL_FORM_NO_BOUNDARY, NULL },
    { "multipart/form-data; charset=utf-8; boundary=x", SAL_FORM_GOOD, "x" },
    { "multipart/form-data; a=\"; boundary=no\"; boundary=x", SAL_FORM_GOOD, "x" },
    { "multipart/form-data; xboundary=no", SAL_FORM_NO_BOUNDARY, NULL },
    { "multipart/form-data; boundary=", SAL_FORM_NO_BOUNDARY, NULL },
    { "multipart/form-data; boundary=\"\"", SAL_FORM_NO_BOUNDARY, NULL },
    { "multipart/form-data; boundary=   ", SAL_FORM_NO_BOUNDARY, NULL },
    { "multipart/form-data; boundary=\"a b\"", SAL_FORM_GOOD, "a b" },
    { "multipart/form-data; boundary=\"a;b\"; c=d", SAL_FORM_GOOD, "a;b" },
    { "multipart/form-data; boundary=\"ab", SAL_FORM_GOOD, "ab" },
    { "multipart/form-data; boundary=\"ab  \"", SAL_FORM_GOOD, "ab" },
    { "multipart/form-data; boundary=ab  ", SAL_FORM_GOOD, "ab" },
    { "multipart/form-data; boundary=ab ; x=y", SAL_FORM_GOOD, "ab" },
    { "multipart/form-data; boundary=---a---", SAL_FORM_GOOD, "---a---" },
    { "multipart/form-data; boundary=\xe4\xff", SAL_FORM_GOOD, "\xe4\xff" },
    { "multipart/form-data; boundary=" B70, SAL_FORM_GOOD, B70 },
    { "multipart/form-data; boundary=" B70 "  ", SAL_FORM_GOOD, B70 },
    { "multipart/form-data; boundary=" B70 "x", SAL_FORM_NO_BOUNDARY, NULL },
};

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char boundary[SAL_MULTIPART_BOUNDARY_MAX + 1] = "unset";
        sal_form_type_t type = sal_form_type_read(cases[i].header, boundary);

        if (type != cases[i].type) {
            fail_msg("%s: %d, expected %d", cases[i].header ? cases[i].header : "NULL", type,
                     cases[i].type);
        }
        if (cases[i].boundary) {
            assert_string_equal(boundary, cases[i].boundary);
        }
    }
}

static void test_is(void **state)
{
    (void)state;
    assert_true(sal_form_type_is("application/x-dmp", "application/x-dmp"));
    assert_true(sal_form_type_is(" Application/X-Dmp ; a=b", "application/x-dmp"));
    assert_false(sal_form_type_is("application/x-dmpx", "application/x-dmp"));
    assert_false(sal_form_type_is("", "application/x-dmp"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_types), cmocka_unit_test(test_is) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
