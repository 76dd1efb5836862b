/*
 * The field table's promises, and which values of a processed crash reach the index.
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
#include <apr_tables.h>

#include "base/json.h"
#include "search/fields.h"
#include "search/values.h"

static apr_pool_t *pool;

/* ---- the table ---- */

static void test_sorted_and_unique(void **state)
{
    int n;
    const sal_search_field_t *f = sal_search_fields(&n);

    (void)state;
    assert_true(n >= 156);
    for (int i = 0; i < n; i++) {
        assert_true(f[i].number > 0);
        assert_ptr_equal(sal_search_field(f[i].name), &f[i]);
        assert_ptr_equal(sal_search_field_numbered(f[i].number), &f[i]);
        if (i > 0) {
            assert_true(strcmp(f[i - 1].name, f[i].name) < 0);
        }
    }
    assert_null(sal_search_field("no_such_field"));
    assert_null(sal_search_field(""));
    assert_null(sal_search_field_numbered(0));
}

/* Numbers are in databases: these may never change. */
static void test_numbers_stay(void **state)
{
    (void)state;
    assert_int_equal(sal_search_field("abort_message")->number, 1);
    assert_int_equal(sal_search_field("product")->number, 120);
    assert_int_equal(sal_search_field("signature")->number, 132);
    assert_int_equal(sal_search_field("version")->number, 154);
    assert_int_equal(sal_search_field("xpcom_spin_event_loop_stack")->number, 156);
}

/* The protected fields, from the specification's list of search fields. */
static void test_protected_fields(void **state)
{
    static const char *const is_protected[] = {
        "collector_notes",       "dumper_error",         "glean_client_id", "gmp_library_path",
        "has_guard_page_access", "java_stack_trace_raw", "mac_boot_args",   "moz_crash_reason_raw",
        "phc_alloc_stack",       "phc_base_address",     "phc_free_stack",  "phc_kind",
        "phc_usable_size",       "remote_type",          "soft_errors",     "url",
        "user_comments"
    };
    const sal_search_field_t *f;
    int n, found = 0;

    (void)state;
    f = sal_search_fields(&n);
    for (int i = 0; i < n; i++) {
        found += f[i].is_protected;
    }
    assert_int_equal(found, sizeof is_protected / sizeof is_protected[0]);
    for (size_t i = 0; i < sizeof is_protected / sizeof is_protected[0]; i++) {
        assert_true(sal_search_field(is_protected[i])->is_protected);
    }
}

static void test_sources(void **state)
{
    (void)state;
    assert_string_equal(sal_search_field("platform")->source, "os_name");
    assert_string_equal(sal_search_field("build_id")->source, "build");
    assert_string_equal(sal_search_field("memory_resident")->source, "memory_measures.resident");
    assert_string_equal(sal_search_field("cpu_count")->source, "json_dump.system_info.cpu_count");
}

/* ---- values ---- */

#define KEY                                                                                        \
    "\"uuid\":\"de1bb258-cbbf-4589-a673-34f800160918\","                                           \
    "\"date_processed\":\"2016-09-18T12:30:00+00:00\""

static sal_values_t *collect(const char *members)
{
    const char *text = apr_pstrcat(pool, "{" KEY, *members ? "," : "", members, "}", NULL);
    sal_values_t *v = NULL;
    json_t *doc;

    assert_int_equal(sal_json_parse(&doc, text, strlen(text), pool, NULL), APR_SUCCESS);
    assert_int_equal(sal_values_collect(&v, doc, pool, NULL), APR_SUCCESS);
    return v;
}

static const sal_value_t *value(const sal_values_t *v, const char *name)
{
    for (int i = 0; i < v->n; i++) {
        if (strcmp(v->value[i].field->name, name) == 0) {
            return &v->value[i];
        }
    }
    return NULL;
}

static bool was_removed(const sal_values_t *v, const char *name)
{
    for (int i = 0; i < v->n_removed; i++) {
        if (v->removed[i] == sal_search_field(name)->number) {
            return true;
        }
    }
    return false;
}

static void test_key_is_needed(void **state)
{
    static const char *const bad[] = {
        "{}", "{\"uuid\":\"x\",\"date_processed\":\"2016-09-18T12:30:00+00:00\"}",
        "{\"uuid\":\"de1bb258-cbbf-4589-a673-34f800160918\"}",
        "{\"uuid\":\"de1bb258-cbbf-4589-a673-34f800160918\",\"date_processed\":\"yesterday\"}",
        "{\"uuid\":\"de1bb258-cbbf-4589-a673-34f800160918\","
        "\"date_processed\":\"9999-01-01T00:00:00+00:00\"}"
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sal_values_t *v;
        json_t *doc;

        assert_int_equal(sal_json_parse(&doc, bad[i], strlen(bad[i]), pool, NULL), APR_SUCCESS);
        assert_int_equal(sal_values_collect(&v, doc, pool, NULL), SAL_E_MALFORMED);
    }
}

static void test_text_and_numbers(void **state)
{
    sal_values_t *v = collect("\"signature\":\"a | b\",\"uptime\":17,\"build\":\"20261104093212\","
                              "\"uptime_ts\":1.5,\"startup_crash\":\"1\",\"hang\":\"\","
                              "\"last_crash\":null,\"safe_mode\":false");

    (void)state;
    assert_string_equal(value(v, "signature")->text[0], "a | b");
    assert_int_equal(value(v, "uptime")->i, 17);
    assert_int_equal(value(v, "build_id")->i, INT64_C(20261104093212));
    assert_true(value(v, "uptime_ts")->d == 1.5);
    assert_int_equal(value(v, "startup_crash")->i, 1);
    assert_int_equal(value(v, "safe_mode")->i, 0);
    assert_string_equal(value(v, "hang")->text[0], ""); /* an empty string exists */
    assert_null(value(v, "last_crash"));
    assert_int_equal(v->n_removed, 0);
}

static void test_ranges(void **state)
{
    sal_values_t *v = collect(
        "\"json_dump\":{\"system_info\":{\"cpu_count\":32768}},\"major_version\":-2147483648,"
        "\"crashing_thread\":2147483648,\"install_time\":9223372036854775807,\"uptime\":\"many\"");

    (void)state;
    assert_null(value(v, "cpu_count")); /* short: 2^15 - 1 at most */
    assert_true(was_removed(v, "cpu_count"));
    assert_int_equal(value(v, "major_version")->i, INT64_C(-2147483648));
    assert_null(value(v, "crashing_thread"));
    assert_true(was_removed(v, "crashing_thread"));
    assert_int_equal(value(v, "install_time")->i, INT64_MAX);
    assert_true(was_removed(v, "uptime"));
}

static void test_lists(void **state)
{
    sal_values_t *v = collect(
        "\"proto_signature\":\"f1 | f2 | f1\",\"missing_symbols\":\"a/1/X;b/2/Y\","
        "\"addons\":[\"x:1\",\"y:2\"],\"crash_report_keys\":[],\"utility_actors_name\":\"one\","
        "\"collector_metadata\":{\"collector_notes\":[\"note a\",\"note b\"]}");

    (void)state;
    assert_int_equal(value(v, "proto_signature")->n, 3);
    assert_string_equal(value(v, "proto_signature")->text[1], "f2");
    assert_int_equal(value(v, "missing_symbols")->n, 2);
    assert_string_equal(value(v, "missing_symbols")->text[1], "b/2/Y");
    assert_string_equal(value(v, "addons")->text[0], "x:1");
    assert_null(value(v, "crash_report_keys")); /* an empty list is missing */
    assert_int_equal(value(v, "utility_actors_name")->n, 1);
    assert_int_equal(value(v, "collector_notes")->n, 2);
}

static void test_bad_data(void **state)
{
    sal_values_t *v = collect("\"product\":{\"a\":1},\"addons\":[5,\"x\"]");

    (void)state;
    assert_string_equal(value(v, "product")->text[0], "BAD DATA");
    assert_true(was_removed(v, "product"));
    assert_int_equal(value(v, "addons")->n, 1);
    assert_string_equal(value(v, "addons")->text[0], "BAD DATA");
}

static void test_long_values(void **state)
{
    char *text = apr_pcalloc(pool, 40001);
    sal_values_t *v;

    (void)state;
    memset(text, 'x', 1000);
    v = collect(apr_psprintf(pool, "\"signature\":\"%s\"", text));
    assert_non_null(value(v, "signature")); /* 1,000 bytes still fit */
    memset(text, 'x', 1001);
    v = collect(apr_psprintf(pool, "\"signature\":\"%s\",\"addons\":[\"%s\",\"ok\"]", text, text));
    assert_null(value(v, "signature"));
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(v->overflow, "signature"), 0)), text);
    assert_int_equal(value(v, "addons")->n, 1);
    assert_string_equal(value(v, "addons")->text[0], "ok");
    memset(text, 'x', 40000);
    v = collect(apr_psprintf(pool, "\"app_notes\":\"%s\",\"url\":\"%s\"", text, text));
    assert_int_equal(strlen(value(v, "app_notes")->text[0]), 32766);
    assert_int_equal(strlen(value(v, "url")->text[0]), 10000);
}

static void test_too_many_elements(void **state)
{
    apr_array_header_t *parts = apr_array_make(pool, 3000, sizeof(const char *));
    sal_values_t *v;

    (void)state;
    for (int i = 0; i < 2500; i++) {
        APR_ARRAY_PUSH(parts, const char *) = apr_psprintf(pool, "%s\"a%d:1\"", i ? "," : "", i);
    }
    v = collect(apr_psprintf(pool, "\"addons\":[%s]", apr_array_pstrcat(pool, parts, 0)));
    assert_int_equal(value(v, "addons")->n, SAL_VALUE_MAX_LIST);
    assert_true(was_removed(v, "addons"));
}

static int setup(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL) == APR_SUCCESS ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_sorted_and_unique),
                                        CASE(test_numbers_stay),
                                        CASE(test_protected_fields),
                                        CASE(test_sources),
                                        CASE(test_key_is_needed),
                                        CASE(test_text_and_numbers),
                                        CASE(test_ranges),
                                        CASE(test_lists),
                                        CASE(test_bad_data),
                                        CASE(test_long_values),
                                        CASE(test_too_many_elements) };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
