/*
 * Charts: what is drawn stands for the numbers, in coordinates that a reader can check by hand.
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
#include "render/chart.h"
#include "render/template.h"

static apr_pool_t *pool;

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

static const char *text(const json_t *o, const char *key)
{
    const char *s = sal_json_str(o, key);

    return s ? s : "";
}

static double number(const json_t *o, const char *key)
{
    return strtod(text(o, key), NULL);
}

/* The example of the design: 28 days, today apart, heights in tenths of 20 units. */
static void test_spark(void **state)
{
    int64_t n[28] = { 0 };
    json_t *s;

    (void)state;
    n[25] = 50;
    n[26] = 200;
    n[27] = 100;
    s = sal_chart_spark(n, 28, pool);
    assert_string_equal(text(s, "label"), "28 days: lowest 0, highest 200 a day, 100 so far today");
    assert_string_equal(text(s, "days"), "M76.5 22v-5.0M79.5 22v-20.0");
    assert_string_equal(text(s, "now"), "M82.5 22v-10.0");
    json_decref(s);
}

static void test_spark_edges(void **state)
{
    int64_t none[28] = { 0 }, few[3] = { 1000000, 1, 0 }, long_ago[40] = { [5] = 9, [39] = 2000 };
    json_t *s = sal_chart_spark(none, 28, pool);

    (void)state;
    assert_string_equal(text(s, "days"), "");
    assert_string_equal(text(s, "now"), "");
    json_decref(s);
    /* three days stand at the right end, and one of a million can still be seen */
    s = sal_chart_spark(few, 3, pool);
    assert_string_equal(text(s, "days"), "M76.5 22v-20.0M79.5 22v-0.5");
    assert_string_equal(text(s, "label"),
                        "3 days: lowest 1, highest 1,000,000 a day, 0 so far today");
    json_decref(s);
    /* what lies before the 28 days does not count; today may be the highest */
    s = sal_chart_spark(long_ago, 40, pool);
    assert_string_equal(text(s, "days"), "");
    assert_string_equal(text(s, "now"), "M82.5 22v-20.0");
    assert_string_equal(text(s, "label"), "28 days: lowest 0, highest 0 a day, 2,000 so far today");
    json_decref(s);
}

static const char *const names[] = { "1 Nov", "2 Nov", "3 Nov", "4 Nov" };

/* Of each bar: heights stand to each other as the counts, and the parts lie upon each other. */
static void check_bar(const json_t *bar, const int64_t *parts, int n, int64_t ceiling)
{
    const json_t *rects = json_object_get(bar, "rects");
    double base = 82.0;
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        const json_t *rect;

        if (!parts[i]) {
            continue;
        }
        rect = json_array_get(rects, at++);
        assert_non_null(rect);
        assert_true(labs((long)(100 * (number(rect, "y") + number(rect, "height") - base))) <= 1);
        assert_true(labs((long)(100 * (number(rect, "height") -
                                       72.0 * (double)parts[i] / (double)ceiling))) <= 2);
        base = number(rect, "y");
    }
    assert_int_equal(json_array_size(rects), at);
}

static void test_bars(void **state)
{
    static const int64_t a[] = { 10, 0, 300, 7 }, b[] = { 5, 0, 120, 0 }, c[] = { 0, 0, 30, 1 };
    static const sal_chart_series_t series[] = { { "4.2", a }, { "4.1", b }, { "4.3b", c } };
    static const sal_chart_mark_t marks[] = { { 2, "4.3b1" }, { 9, "beyond" } };
    static const char *const links[] = { "/search/?date=1", NULL, "/x", "/y" };
    const sal_chart_t chart = { .what = "4 days of crashes by version",
                                .head = "Day",
                                .bars = 4,
                                .names = names,
                                .links = links,
                                .series = 3,
                                .list = series,
                                .marks = 2,
                                .mark = marks,
                                .newest = true };
    json_t *o = sal_chart_bars(&chart, pool), *bars = json_object_get(o, "bars"), *rows;

    (void)state;
    assert_string_equal(text(o, "finding"), "4 days of crashes by version. Highest: 3 Nov, 450, of "
                                            "which 300 are 4.2.");
    assert_int_equal(json_array_size(bars), 4);
    /* 450 fits below 500, half of which is round */
    assert_string_equal(text(json_array_get(json_object_get(o, "grid"), 2), "text"), "500");
    assert_string_equal(text(json_array_get(json_object_get(o, "grid"), 1), "text"), "250");
    assert_string_equal(text(json_array_get(json_object_get(o, "grid"), 1), "y"), "46.00%");
    for (int i = 0; i < 4; i++) {
        const int64_t parts[] = { a[i], b[i], c[i] };

        check_bar(json_array_get(bars, (size_t)i), parts, 3, 500);
    }
    assert_string_equal(text(json_array_get(bars, 2), "title"), "3 Nov: 450");
    assert_string_equal(text(json_array_get(bars, 0), "link"), "/search/?date=1");
    assert_true(json_is_null(json_object_get(json_array_get(bars, 1), "link")));
    /* a mark stands where its bar begins; one beyond the days is none */
    assert_int_equal(json_array_size(json_object_get(o, "marks")), 1);
    assert_string_equal(text(json_array_get(json_object_get(o, "marks"), 0), "x"), "50.00%");
    assert_int_equal(json_array_size(json_object_get(o, "legend")), 3);
    rows = json_object_get(o, "table");
    assert_string_equal(text(json_array_get(rows, 0), "name"), "4 Nov");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json_array_get(rows, 1), "cells"), 0)),
        "300");
    json_decref(o);
}

/* Of six series the last three are one. */
static void test_others(void **state)
{
    static const int64_t n[6][1] = { { 1 }, { 2 }, { 4 }, { 8 }, { 16 }, { 32 } };
    sal_chart_series_t series[6];
    sal_chart_t chart = { .bars = 1, .names = names, .series = 6, .list = series, .head = "Day" };
    json_t *o, *row;

    (void)state;
    for (int i = 0; i < 6; i++) {
        series[i] = (sal_chart_series_t){ apr_psprintf(pool, "s%d", i), n[i] };
    }
    o = sal_chart_bars(&chart, pool);
    row = json_array_get(json_object_get(o, "table"), 0);
    assert_int_equal(json_array_size(json_object_get(row, "cells")), 4);
    assert_string_equal(json_string_value(json_array_get(json_object_get(row, "cells"), 3)), "56");
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "heads"), 3)),
                        "others");
    json_decref(o);
    chart.bars = 0;
    assert_null(sal_chart_bars(&chart, pool));
}

/* The top line is the least round number that holds the highest bar, whatever it is. */
static void test_ceilings(void **state)
{
    static const struct {
        int64_t most;
        const char *top;
    } cases[] = { { 0, "2" },     { 1, "2" },     { 2, "2" },       { 3, "4" },
                  { 9, "10" },    { 11, "12" },   { 17, "20" },     { 101, "120" },
                  { 499, "500" }, { 501, "600" }, { 1601, "2,000" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sal_chart_series_t one = { "all", &cases[i].most };
        sal_chart_t chart = { .bars = 1, .names = names, .series = 1, .list = &one };
        json_t *o = sal_chart_bars(&chart, pool);

        assert_string_equal(text(json_array_get(json_object_get(o, "grid"), 2), "text"),
                            cases[i].top);
        json_decref(o);
    }
}

static void test_heat(void **state)
{
    static const int64_t n[] = { 0, 1, 50, 100 };
    static const char *const rows[] = { "4.1", "4.2" };
    const sal_chart_heat_t heat = {
        .head = "Version", .rows = 2, .columns = 2, .names = rows, .days = names, .n = n
    };
    json_t *o = sal_chart_heat(&heat, pool), *all = json_object_get(o, "rows"), *cells;

    (void)state;
    assert_string_equal(text(o, "finding"), "Highest: 100 of 4.2 on 2 Nov.");
    cells = json_object_get(json_array_get(all, 0), "cells");
    assert_string_equal(text(json_array_get(cells, 0), "strength"), "0");
    assert_string_equal(text(json_array_get(cells, 1), "strength"), "0.2");
    cells = json_object_get(json_array_get(all, 1), "cells");
    assert_string_equal(text(json_array_get(cells, 0), "strength"), "0.6");
    assert_string_equal(text(json_array_get(cells, 1), "strength"), "1");
    assert_string_equal(text(json_array_get(cells, 1), "x"), "50.00%");
    json_decref(o);
}

static void test_percent(void **state)
{
    (void)state;
    assert_string_equal(sal_chart_percent(1914, 20961, 2, pool), "9.13");
    assert_string_equal(sal_chart_percent(1, 3, 1, pool), "33.3");
    assert_string_equal(sal_chart_percent(2, 3, 0, pool), "67");
    assert_string_equal(sal_chart_percent(1, 0, 1, pool), "0.0");
    assert_string_equal(sal_chart_day(APR_INT64_C(1793923200000000), pool), "6 Nov");
}

/* What templates make of it: no script, no style, names of others escaped. */
static void test_templates(void **state)
{
    static const int64_t n[] = { 3, 4, 5, 6 };
    static const sal_chart_series_t series[] = { { "<b>\"x\"", n } };
    const sal_chart_t chart = {
        .bars = 4, .names = names, .series = 1, .list = series, .head = "Day", .what = "<script>"
    };
    sal_templates_t *t;
    sal_error_t err = { 0 };
    json_t *data = json_object();
    apr_size_t size;
    char *out;

    (void)state;
    assert_int_equal(sal_templates_load(&t, SRCDIR "/templates", pool, &err), APR_SUCCESS);
    json_object_set_new(data, "chart", sal_chart_bars(&chart, pool));
    assert_int_equal(sal_template_render(&out, &size, t, "chart", data, pool, &err), APR_SUCCESS);
    assert_non_null(strstr(out, "&lt;b&gt;"));
    assert_null(strstr(out, "<b>"));
    assert_null(strstr(out, "<script"));
    assert_null(strstr(out, "style="));
    assert_non_null(strstr(out, "role=\"img\""));
    assert_non_null(strstr(out, "<rect class=\"k1\" x=\"2.12%\""));
    json_object_set_new(data, "spark", sal_chart_spark(n, 4, pool));
    assert_int_equal(sal_template_render(&out, &size, t, "sparkline", data, pool, &err),
                     APR_SUCCESS);
    assert_non_null(strstr(out, "<path d=\"M73.5 22v-10.0M76.5 22v-13.3M79.5 22v-16.7\"/>"
                                "<path class=\"now\" d=\"M82.5 22v-20.0\"/></svg>"));
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spark),    cmocka_unit_test(test_spark_edges),
        cmocka_unit_test(test_bars),     cmocka_unit_test(test_others),
        cmocka_unit_test(test_ceilings), cmocka_unit_test(test_heat),
        cmocka_unit_test(test_percent),  cmocka_unit_test(test_templates),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, setup, teardown);
    apr_terminate();
    return failed;
}
