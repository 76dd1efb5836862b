/*
 * JSON: what is accepted, and the two textual forms. Expected texts are what Python's json.dumps
 * writes for the same values.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/json_pack.h"

static apr_pool_t *pool;

static json_t *parse(const char *text)
{
    sal_error_t err = { 0 };
    json_t *v;

    if (sal_json_parse(&v, text, strlen(text), pool, &err) != APR_SUCCESS) {
        fail_msg("%s: %s", text, err.message);
    }
    return v;
}

static void test_python_form(void **state)
{
    json_t *v =
        parse("{\"b\":[1,-2,null,true,false,\"\"],\"a\":{\"z\":{},\"Z\":[]},"
              "\"\xc3\xa9\":\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\\u0000\\u001f\x7f\\\"\\\\/"
              "\\b\\f\\n\\r\\t\",\"\xf0\x90\x80\x80\":2,\"\xee\x80\x80\":3,"
              "\"\xed\x9f\xbf\":1}");

    (void)state;
    assert_string_equal(
        sal_json_python(v, pool),
        "{\"a\": {\"Z\": [], \"z\": {}}, \"b\": [1, -2, null, true, false, \"\"], "
        "\"\\u00e9\": \"\\u00e9\\u2028\\ud83d\\ude00\\u0000\\u001f\\u007f\\\"\\\\/"
        "\\b\\f\\n\\r\\t\", \"\\ud7ff\": 1, \"\\ue000\": 3, \"\\ud800\\udc00\": 2}");
}

static void test_compact_form(void **state)
{
    (void)state;
    assert_string_equal(
        sal_json_text(parse(" { \"b\" : [ 1 , {} ] , \"a\" : \"\\u00e4\\n\x7f\" } "), pool),
        "{\"b\":[1,{}],\"a\":\"\xc3\xa4\\n\x7f\"}");
    assert_string_equal(sal_json_text(parse("\"\\u0001\""), pool), "\"\\u0001\"");
    assert_null(sal_json_text(NULL, pool));
}

static void test_numbers(void **state)
{
    static const char *const same[] = {
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "0.1",
        "1000000000000000.0",
        "1e+16",
        "1.5e+16",
        "1.2345678901234568e+17",
        "0.0001",
        "1e-05",
        "1e-07",
        "5e-324",
        "1.7976931348623157e+308",
        "-0.0",
        "100.0",
        "3.14",
        "0.6666666666666666",
        "1e+22",
        "9007199254740992.0",
        "0.30000000000000004",
        "1e+100",
        "12345.678",
        "-2.5e-09",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_string_equal(sal_json_python(parse(same[i]), pool), same[i]);
        assert_string_equal(sal_json_text(parse(same[i]), pool), same[i]);
    }
    assert_string_equal(sal_json_text(parse("1E2"), pool), "100.0");
    assert_string_equal(sal_json_text(parse("123456789012345680.0"), pool),
                        "1.2345678901234568e+17");
}

static void test_what_is_not_json(void **state)
{
    static const char *const bad[] = {
        "",
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "\"\\x41\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "[1] x",
        "1e999",
        "99999999999999999999",
        "// c\n1",
        "{\"a\\u0000\":1}",
        "\"",
    };
    sal_error_t err;
    json_t *v;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&err, 0, sizeof(err));
        if (sal_json_parse(&v, bad[i], strlen(bad[i]), pool, &err) != SAL_E_MALFORMED) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_non_null(strstr(err.message, "line "));
    }
    /* and nothing that is not JSON can be made for writing either */
    assert_null(json_real(__builtin_nan("")));
}

static void test_depth_is_bounded(void **state)
{
    char *deep = apr_palloc(pool, 1000001);
    sal_error_t err = { 0 };
    json_t *v;

    (void)state;
    memset(deep, '[', 1000000);
    deep[1000000] = '\0';
    assert_int_equal(sal_json_parse(&v, deep, 1000000, pool, &err), SAL_E_MALFORMED);
}

static void test_error_names_the_place(void **state)
{
    static const char text[] = "{\n  \"a\": 1,\n  \"b\": x\n}";
    sal_error_t err = { 0 };
    json_t *v;

    (void)state;
    assert_int_equal(sal_json_parse(&v, text, sizeof(text) - 1, pool, &err), SAL_E_MALFORMED);
    assert_non_null(strstr(err.message, "line 3"));
    assert_in_range(err.offset, 18, 20);
}

static void test_duplicates_last_wins(void **state)
{
    json_t *v = parse("{\"a\":1,\"b\":2,\"a\":\"x\"}");

    (void)state;
    assert_int_equal(json_object_size(v), 2);
    assert_string_equal(sal_json_str(v, "a"), "x");
}

static void test_members(void **state)
{
    json_t *v =
        parse("{\"a\":{\"b.c\":0,\"b\":[{\"d\":\"deep\"},\"two\"]},\"n\":5,\"z\":null,\"\":1}");

    (void)state;
    assert_string_equal(json_string_value(sal_json_path(v, "a.b.0.d")), "deep");
    assert_string_equal(json_string_value(sal_json_path(v, "a.b.1")), "two");
    assert_null(sal_json_path(v, "a.b.2"));
    assert_null(sal_json_path(v, "a.b.x"));
    assert_null(sal_json_path(v, "a.b."));
    assert_null(sal_json_path(v, "a.b.99999999999"));
    assert_null(sal_json_path(v, "n.x"));
    assert_null(sal_json_path(v, "missing.x"));
    assert_null(sal_json_path(NULL, "a"));
    assert_true(json_is_null(sal_json_path(v, "z")));
    assert_int_equal(json_integer_value(sal_json_path(v, "")), 1);
    assert_null(sal_json_str(v, "n")); /* never the text of another type */
    assert_null(sal_json_str(v, "missing"));
    assert_null(sal_json_str(parse("[]"), "a"));
    assert_null(sal_json_str(NULL, "a"));
}

/* A value handed to the pool lives as long as the pool and no longer. */
static void test_ownership(void **state)
{
    json_t *shared = json_array();
    apr_pool_t *p;

    (void)state;
    apr_pool_create(&p, pool);
    sal_json_own(json_incref(shared), p);
    assert_int_equal(shared->refcount, 2);
    apr_pool_destroy(p);
    assert_int_equal(shared->refcount, 1);
    assert_null(sal_json_own(NULL, pool));
    json_decref(shared);
}

static json_t *many_keys(int n)
{
    json_t *v = sal_json_own(json_object(), pool);

    for (int i = 0; i < n; i++) {
        json_object_set_new(v, apr_psprintf(pool, "key %d", i), json_integer(i));
    }
    return v;
}

static void assert_packs(const json_t *v)
{
    apr_size_t size;
    sal_error_t err;
    json_t *back;
    void *data;

    assert_int_equal(sal_json_pack(&data, &size, v), APR_SUCCESS);
    assert_int_equal(sal_json_unpack(&back, data, size, &err), APR_SUCCESS);
    assert_string_equal(sal_json_text(back, pool), sal_json_text(v, pool));
    assert_true(json_equal(back, v));
    json_decref(back);
    free(data);
}

static void test_packed(void **state)
{
    (void)state;
    assert_packs(parse("{\"a\":[1,-9223372036854775808,9223372036854775807,0.1,-1e300,null,true,"
                       "false,\"\",\"\\u0000x\",\"\xf0\x9f\x98\x80\"],\"b\":{\"a\":{},\"\":[]}}"));
    assert_packs(parse("[[[[]]],{\"a\":1},{\"a\":2},{\"b\":{\"a\":3}}]"));
    assert_packs(many_keys(3000)); /* more than are numbered */
}

/* What is cut off or changed is refused or is another value; nothing is read beyond the end. */
static void test_packed_by_a_liar(void **state)
{
    json_t *v = parse("{\"abc\":[1,2.5,\"text\",{\"abc\":null,\"d\":[true]}]}"), *back;
    apr_size_t size;
    sal_error_t err;
    void *data;

    (void)state;
    assert_int_equal(sal_json_pack(&data, &size, v), APR_SUCCESS);
    for (apr_size_t n = 0; n < size; n++) {
        void *part = malloc(n ? n : 1); /* of its own, so that valgrind and ASan see its end */

        memcpy(part, data, n);
        assert_int_equal(sal_json_unpack(&back, part, n, &err), SAL_E_MALFORMED);
        assert_null(back);
        free(part);
    }
    for (apr_size_t n = 0; n < size; n++) {
        for (int c = 0; c < 256; c++) {
            unsigned char *copy = malloc(size);

            memcpy(copy, data, size);
            copy[n] = (unsigned char)c;
            if (sal_json_unpack(&back, copy, size, &err) == APR_SUCCESS) {
                json_decref(back);
            } else {
                assert_null(back);
            }
            free(copy);
        }
    }
    free(data);
    /* a count that promises much, depth, a key that was never there */
    assert_int_equal(sal_json_unpack(&back, "a\xff\xff\xff\xff\xff\xff\xff\x7fn", 10, &err),
                     SAL_E_MALFORMED);
    assert_int_equal(sal_json_unpack(&back, "o\x01\x05n", 4, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_json_unpack(&back, "s\x02\xc3\x28", 4, &err), SAL_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_python_form),
        cmocka_unit_test(test_compact_form),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_what_is_not_json),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_error_names_the_place),
        cmocka_unit_test(test_duplicates_last_wins),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_ownership),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_packed_by_a_liar),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests_name("json", tests, NULL, NULL);
    apr_terminate();
    return failed;
}
