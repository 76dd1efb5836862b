/*
 * Templates and formats: what is escaped, what is refused, how things are written.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "base/json.h"
#include "render/format.h"
#include "render/template.h"
#include "render/wire.h"

static apr_pool_t *pool;
static char *dir;

static int setup(void **state)
{
    (void)state;
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return -1;
    }
    dir = apr_pstrdup(pool, "/tmp/salvage-templates.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    (void)apr_file_remove(apr_pstrcat(pool, dir, "/a.mustache", NULL), pool);
    (void)apr_file_remove(apr_pstrcat(pool, dir, "/b.mustache", NULL), pool);
    (void)apr_file_remove(apr_pstrcat(pool, dir, "/c.txt", NULL), pool);
    rmdir(dir);
    apr_pool_destroy(pool);
    return 0;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(apr_pstrcat(pool, dir, "/", name, NULL), "w");

    assert_non_null(f);
    assert_int_equal(fputs(text, f) < 0, 0);
    assert_int_equal(fclose(f), 0);
}

static json_t *data(const char *text)
{
    json_t *v;

    assert_int_equal(sal_json_parse(&v, text, strlen(text), pool, NULL), APR_SUCCESS);
    return v;
}

static const char *render(const char *values)
{
    sal_templates_t *t;
    sal_error_t err = { 0 };
    char *out;
    apr_size_t size;

    assert_int_equal(sal_templates_load(&t, dir, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_template_render(&out, &size, t, "a", data(values), pool, &err),
                     APR_SUCCESS);
    assert_int_equal(strlen(out), size);
    return out;
}

static void test_escapes(void **state)
{
    (void)state;
    put("a.mustache", "<p title=\"{{x}}\">{{x}}</p>");
    assert_string_equal(render("{\"x\": \"<script>alert('1')</script> & \\\"\"}"),
                        "<p title=\"&lt;script&gt;alert(&apos;1&apos;)&lt;/script&gt; &amp; "
                        "&quot;\">&lt;script&gt;alert(&apos;1&apos;)&lt;/script&gt; &amp; "
                        "&quot;</p>");
}

static void test_values_are_not_templates(void **state)
{
    (void)state;
    put("a.mustache", "{{x}}{{y}}");
    assert_string_equal(render("{\"x\": \"{{y}}{{> b}}\", \"y\": 7}"), "{{y}}{{&gt; b}}7");
}

static void test_sections_and_truth(void **state)
{
    (void)state;
    put("a.mustache", "{{#e}}E{{/e}}{{^e}}e{{/e}}{{#n}}N{{/n}}{{#z}}Z{{/z}}{{#l}}[{{.}}]{{/l}}"
                      "{{#o}}{{k}}{{/o}}{{#f}}F{{/f}}{{r}}");
    assert_string_equal(render("{\"e\": \"\", \"n\": null, \"z\": 0, \"l\": [\"a\", 2], "
                               "\"o\": {\"k\": \"v\"}, \"f\": false, \"r\": 2.5}"),
                        "eZ[a][2]v2.5");
}

static void test_partials(void **state)
{
    (void)state;
    put("a.mustache", "({{> b}})");
    put("b.mustache", "{{x}}!\n");
    put("c.txt", "{{ not read");
    assert_string_equal(render("{\"x\": \"<\"}"), "(&lt;!)");
}

static void refuse(const char *a, const char *b, const char *names)
{
    sal_templates_t *t;
    sal_error_t err = { 0 };

    put("a.mustache", a);
    put("b.mustache", b);
    assert_int_equal(sal_templates_load(&t, dir, pool, &err), SAL_E_MALFORMED);
    assert_non_null(strstr(err.message, names));
}

static void test_refused_at_load(void **state)
{
    sal_templates_t *t;
    sal_error_t err = { 0 };

    (void)state;
    refuse("{{> nowhere}}", "", "nowhere");
    refuse("{{> b}}", "{{> a}}", "circle");
    refuse("{{#x}}", "", "Unclosed section");
    refuse("{{x", "", "Unclosed tag");
    refuse("{{/x}}", "", "Unopened section");
    assert_int_not_equal(sal_templates_load(&t, "/nonexistent", pool, &err), APR_SUCCESS);
    assert_non_null(strstr(err.message, "/nonexistent"));
}

static void test_unknown_name(void **state)
{
    sal_templates_t *t;
    sal_error_t err = { 0 };
    char *out;
    apr_size_t size;

    (void)state;
    put("a.mustache", "x");
    assert_int_equal(sal_templates_load(&t, dir, pool, NULL), APR_SUCCESS);
    assert_int_equal(sal_template_render(&out, &size, t, "z", NULL, pool, &err), APR_ENOENT);
    assert_non_null(strstr(err.message, "z"));
}

/* Eight threads render one template with values of their own. */
typedef struct {
    const sal_templates_t *t;
    int number;
    int wrong;
} worker_t;

static void *APR_THREAD_FUNC work(apr_thread_t *thread, void *arg)
{
    worker_t *w = arg;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    for (int i = 0; i < 300; i++) {
        json_t *v = json_pack("{s:[i,i,i]}", "l", w->number, w->number, i);
        char expected[64], *out;
        apr_size_t size;

        snprintf(expected, sizeof expected, "[%d][%d][%d]", w->number, w->number, i);
        w->wrong += sal_template_render(&out, &size, w->t, "a", v, p, NULL) != APR_SUCCESS ||
                    strcmp(out, expected) != 0;
        json_decref(v);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    (void)thread;
    return NULL;
}

static void test_threads_share(void **state)
{
    sal_templates_t *t;
    worker_t w[8];
    apr_thread_t *threads[8];
    apr_status_t rv;

    (void)state;
    put("a.mustache", "{{#l}}[{{.}}]{{/l}}");
    assert_int_equal(sal_templates_load(&t, dir, pool, NULL), APR_SUCCESS);
    for (int i = 0; i < 8; i++) {
        w[i] = (worker_t){ t, i, 0 };
        assert_int_equal(apr_thread_create(&threads[i], NULL, work, &w[i], pool), APR_SUCCESS);
    }
    for (int i = 0; i < 8; i++) {
        apr_thread_join(&rv, threads[i]);
        assert_int_equal(w[i].wrong, 0);
    }
}

static void test_deep_data(void **state)
{
    json_t *v = json_string("x");
    sal_templates_t *t;
    char *out;
    apr_size_t size;

    (void)state;
    for (int i = 0; i < 500; i++) {
        v = json_pack("[o]", v);
    }
    put("a.mustache", "{{#l}}.{{/l}}");
    assert_int_equal(sal_templates_load(&t, dir, pool, NULL), APR_SUCCESS);
    v = sal_json_own(json_pack("{s:o}", "l", v), pool);
    assert_int_equal(sal_template_render(&out, &size, t, "a", v, pool, NULL), APR_SUCCESS);
    assert_string_equal(out, ".");
}

/* ---- formats ---- */

static void test_numbers(void **state)
{
    (void)state;
    assert_string_equal(sal_format_count(0, pool), "0");
    assert_string_equal(sal_format_count(999, pool), "999");
    assert_string_equal(sal_format_count(5641, pool), "5,641");
    assert_string_equal(sal_format_count(-1234567, pool), "-1,234,567");
    assert_string_equal(sal_format_count(INT64_MIN, pool), "-9,223,372,036,854,775,808");
    assert_string_equal(sal_format_duration(5641, pool), "1 h 34 min");
    assert_string_equal(sal_format_duration(1050657, pool), "12 d 3 h");
    assert_string_equal(sal_format_duration(60, pool), "1 min");
    assert_string_equal(sal_format_duration(0, pool), "0 s");
    assert_string_equal(sal_format_duration(-90, pool), "-1 min 30 s");
    assert_string_equal(sal_format_bytes(512, pool), "512 B");
    assert_string_equal(sal_format_bytes(1201684480, pool), "1.20 GB");
    assert_string_equal(sal_format_bytes(41932759040, pool), "41.9 GB");
    assert_string_equal(sal_format_bytes(INT64_C(140698412081152), pool), "141 TB");
    assert_string_equal(sal_format_bytes(999999, pool), "1.00 MB");
}

static void test_times_and_ids(void **state)
{
    apr_time_t t = apr_time_from_sec(INT64_C(1795351766)); /* 2026-11-22 12:49:26 UTC */

    (void)state;
    assert_string_equal(sal_format_time(t, 0, pool), "2026-11-22 12:49:26");
    assert_string_equal(sal_format_time(t, 1, pool), "2026-11-22 12:49");
    assert_string_equal(sal_format_datetime(t, pool), "2026-11-22T12:49:26Z");
    assert_string_equal(sal_format_short_id("6b1f0c52-9d4e-4a8b-b6f3-20c7e0261122", pool),
                        "6b1f0c52-9d4e\u2026261122");
    assert_string_equal(sal_format_short_id("short", pool), "short");
    assert_string_equal(sal_format_build_date("20261104093212", pool), "4 Nov 2026");
    assert_null(sal_format_build_date("20261304093212", pool));
    assert_null(sal_format_build_date("4711", pool));
    assert_null(sal_format_build_date("build-2026", pool));
}

/* Rules of a frame's text (the report page's specification, section 3.1). */
static void test_frames(void **state)
{
    static const struct {
        const char *frame, *text;
    } cases[] = {
        { "{\"function\": \"f(char *, int &,int)\", \"module\": \"m\"}", "f(char*, int&, int)" },
        { "{\"function\": \"a , b\"}", "a, b" },
        { "{\"file\": \"a/b.c\", \"line\": 7, \"module\": \"m\", \"module_offset\": \"0x1\"}",
          "a/b.c#7" },
        { "{\"file\": \"git:github.com/o/r:src/x.c:abc\", \"line\": 7}", "src/x.c#7" },
        { "{\"module\": \"xul.dll\", \"module_offset\": \"0x000000000001c4f20\"}",
          "xul.dll@0x1c4f20" },
        { "{\"module\": \"m\", \"module_offset\": \"0x0\"}", "m@0x0" },
        { "{\"offset\": \"0x00007ffe\", \"unloaded_modules\": "
          "[{\"module\": \"gone.dll\", \"offsets\": [\"0x00000012\"]}]}",
          "(unloaded gone.dll@0x12)" },
        { "{\"offset\": \"0x0000000000007ffe\"}", "@0x7ffe" },
        { "{}", "@0x0" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(sal_format_frame(data(cases[i].frame), pool), cases[i].text);
    }
}

static void test_sources(void **state)
{
    const char *url;

    (void)state;
    assert_string_equal(sal_format_source("git:github.com/o/r:a b/x.c:abc", 5, &url, pool),
                        "a b/x.c");
    assert_string_equal(url, "https://github.com/o/r/blob/abc/a%20b/x.c#L5");
    assert_string_equal(sal_format_source("hg:hg.mozilla.org/central:x.cpp:def", 9, &url, pool),
                        "x.cpp");
    assert_string_equal(url, "https://hg.mozilla.org/central/file/def/x.cpp#l9");
    assert_string_equal(sal_format_source("javascript:alert(1):x:y", 1, &url, pool), "x");
    assert_null(url);
    assert_string_equal(sal_format_source("C:\\src\\a.c", 1, &url, pool), "C:\\src\\a.c");
    assert_null(url);
}

static void test_pieces_lose_nothing(void **state)
{
    static const char *const texts[] = {
        "",
        "short",
        "nl::scene::MeshCache::Evict(nl::scene::MeshCache::Entry&)",
        "/very/long/path/to/some/file_of_ours.cpp:123",
        "::::::::::::::::::::::::::::::::::",
        "\u00e4\u00f6\u00fc::\u00e4\u00f6\u00fc::\u00e4\u00f6\u00fc::\u00e4\u00f6\u00fc::x"
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *pieces = sal_json_own(sal_format_pieces(texts[i]), pool), *one;
        const char *all = "";
        size_t k;

        json_array_foreach(pieces, k, one)
        {
            assert_true(json_string_length(one) > 0);
            all = apr_pstrcat(pool, all, json_string_value(one), NULL);
        }
        assert_string_equal(all, texts[i]);
    }
}

static void test_wire(void **state)
{
    json_t *v = data("{\"b\": \"</script>\\u00e9\", \"a\": [1, true, null]}");

    (void)state;
    assert_string_equal(sal_wire_json(v, false, pool),
                        "{\"b\": \"<\\/script>\\u00e9\", \"a\": [1, true, null]}");
    assert_non_null(strstr(sal_wire_json(v, true, pool), "\n  \"b\": \"<\\/script>\\u00e9\""));
}

static void test_urlencode(void **state)
{
    (void)state;
    assert_string_equal(sal_format_urlencode("a b&c=\"<\u00e9~", pool),
                        "a%20b%26c%3D%22%3C%C3%A9~");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_escapes),
                                        CASE(test_values_are_not_templates),
                                        CASE(test_sections_and_truth),
                                        CASE(test_partials),
                                        CASE(test_refused_at_load),
                                        CASE(test_unknown_name),
                                        CASE(test_threads_share),
                                        CASE(test_deep_data),
                                        CASE(test_numbers),
                                        CASE(test_times_and_ids),
                                        CASE(test_frames),
                                        CASE(test_sources),
                                        CASE(test_pieces_lose_nothing),
                                        CASE(test_wire),
                                        CASE(test_urlencode) };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
