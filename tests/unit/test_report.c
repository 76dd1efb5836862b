/*
 * The report's view model, from small documents of our own, rendered through the real templates.
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
#include "render/list.h"
#include "render/report.h"
#include "render/template.h"

#define ID "de1bb258-cbbf-4589-a673-34f800261122"

static apr_pool_t *pool;
static sal_templates_t *templates;

static json_t *doc(const char *text)
{
    json_t *v;
    sal_error_t err = { 0 };

    if (sal_json_parse(&v, text, strlen(text), pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return v;
}

static json_t *view_of(const char *processed, bool pii)
{
    static const char *const dumps[] = { "upload_file_minidump", NULL };
    sal_report_in_t in = { .id = ID,
                           .processed = doc(processed),
                           .pii = pii,
                           .rawdump = pii,
                           .annotations = doc("{\"Beta\": \"2\", \"alpha\": \"1\", \"uuid\": \"x\","
                                              " \"Zed\": \"\", \"num\": 5}"),
                           .protected_annotations = pii ? doc("{\"URL\": \"http://x\"}") : NULL,
                           .dumps = dumps };

    return sal_json_own(sal_report_view(&in, pool), pool);
}

static const char *page(json_t *view, const char *name)
{
    sal_error_t err = { 0 };
    char *out;
    apr_size_t size;

    if (sal_template_render(&out, &size, templates, name, view, pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return out;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static int count(const char *text, const char *part)
{
    int n = 0;

    for (const char *s = strstr(text, part); s; s = strstr(s + 1, part)) {
        n++;
    }
    return n;
}

static const char example[] =
    "{\"signature\": \"nl::Cache::Evict | nl::Trim\", \"product\": \"Demo\", \"version\": \"4.2\","
    "\"release_channel\": \"beta\", \"build\": \"20261104093212\", \"uptime\": 5641,"
    "\"date_processed\": \"2026-11-22T12:49:26.5+00:00\", \"reason\": \"SIGSEGV / SEGV_MAPERR\","
    "\"address\": \"0x0000000000000010\", \"crashing_thread\": 1, \"os_pretty_version\": "
    "\"Debian\","
    "\"cpu_arch\": \"amd64\", \"process_type\": \"parent\", \"success\": true,"
    "\"mdsw_status_string\": \"OK\", \"user_comments\": \"hello\","
    "\"json_dump\": {\"modules\": [{\"filename\": \"libown.so\", \"debug_id\": \"ABC0\","
    "\"missing_symbols\": true, \"symbol_url\": \"javascript:alert(1)\"}, {\"filename\": \"b.so\","
    "\"symbol_url\": \"https://sym/b\"}], \"threads\": ["
    "{\"thread_name\": \"main\", \"frames\": [{\"frame\": 0, \"module\": \"libc.so.6\","
    "\"function\": \"poll\", \"offset\": \"0x10\", \"trust\": \"context\"}]},"
    "{\"thread_name\": \"worker\", \"frames\": [{\"frame\": 0, \"module\": \"demo\", \"function\":"
    "\"nl::Cache::Evict(int *)\", \"file\": \"src/cache.cpp\", \"line\": 412, \"offset\": \"0x1\","
    "\"trust\": \"context\", \"inlines\": [{\"function\": \"nl::Ref::get\", \"file\": \"ref.h\","
    "\"line\": 9}]}, {\"frame\": 1, \"module\": \"libown.so\", \"module_offset\": \"0x00022\","
    "\"missing_symbols\": true, \"trust\": \"scan\"}, {\"truncated\": {\"msg\": \"7 frames"
    " truncated\"}}]},"
    "{\"frames\": [{\"frame\": 0, \"module\": \"libc.so.6\", \"function\": \"poll\","
    "\"offset\": \"0x10\", \"trust\": \"context\"}]}, {\"frames\": []}]}}";

static void test_head(void **state)
{
    json_t *v = view_of(example, false);

    (void)state;
    assert_string_equal(sal_json_str(v, "title"),
                        "[@ nl::Cache::Evict | nl::Trim] - Demo 4.2 Crash "
                        "Report - Report ID: " ID);
    assert_string_equal(sal_json_str(v, "og_title"), ID " [@nl::Cache::Evict | nl::Trim]");
    assert_string_equal(sal_json_str(v, "description"), "In Demo 4.2 (beta) 20261104093212");
    assert_string_equal(
        sal_json_str(json_array_get(json_object_get(v, "crumbs"), 0), "href"),
        "/signature/?signature=nl%3A%3ACache%3A%3AEvict%20%7C%20nl%3A%3ATrim&product=Demo");
    assert_int_equal(json_array_size(json_object_get(v, "brief")), 4);
    assert_int_equal(json_array_size(json_object_get(v, "notes")), 0);
}

static void test_stack_rows(void **state)
{
    json_t *stack = json_object_get(view_of(example, false), "stack");
    json_t *rows = json_object_get(json_array_get(json_object_get(stack, "groups"), 0), "rows");
    json_t *row;

    (void)state;
    assert_int_equal(json_array_size(rows), 4);
    row = json_array_get(rows, 0);
    assert_string_equal(sal_json_str(row, "row"), "t1f0i0");
    assert_string_equal(sal_json_str(row, "cls"), "inl first hit own");
    assert_string_equal(sal_json_str(json_object_get(row, "trust"), "word"), "inlined");
    row = json_array_get(rows, 1);
    assert_string_equal(sal_json_str(row, "row"), "t1f0");
    assert_string_equal(sal_json_str(row, "cls"), "phys hit own");
    assert_string_equal(sal_json_str(json_object_get(row, "trust"), "word"), "context");
    row = json_array_get(rows, 2);
    assert_string_equal(sal_json_str(row, "cls"), " nosym");
    assert_true(json_is_true(json_object_get(row, "nosym")));
    assert_string_equal(sal_json_str(json_array_get(rows, 3), "stop"), "7 frames truncated");
}

/* The innermost function of ours is named, inlined or not. */
static void test_where(void **state)
{
    const char *html = page(view_of(example, false), "report");
    json_t *runtime = view_of(
        "{\"crashing_thread\":0,\"json_dump\":{\"threads\":[{\"frames\":["
        "{\"frame\":0,\"module\":\"libc.so.6\",\"function\":\"raise\"},{\"frame\":1,\"module\":"
        "\"app\",\"function\":\"mine\",\"trust\":\"cfi\"}]}]}}",
        false);
    json_t *where = json_array_get(json_object_get(runtime, "brief"), 1);

    (void)state;
    assert_true(has(html, "nl::Ref::get<wbr></p><p>ref.h:9, inlined into frame 0</p>"));
    assert_string_equal(sal_json_str(json_array_get(json_object_get(where, "lines"), 0), "text"),
                        "frame 1, found by cfi");
}

static void test_equal_threads_merge(void **state)
{
    json_t *threads = json_object_get(view_of(example, false), "threads");

    (void)state;
    /* 0 and 2 are alike, 3 has no frames, 1 crashed */
    assert_int_equal(json_array_size(threads), 2);
    assert_string_equal(sal_json_str(json_array_get(threads, 0), "alike"), "2 threads");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(threads, 1), "num")), 3);
}

static void test_runtime_frames_fold(void **state)
{
    const char *frames = "";
    const char *html;

    (void)state;
    for (int i = 1; i <= 5; i++) {
        frames = apr_psprintf(
            pool, "%s,{\"frame\":%d,\"module\":\"libc.so.6\",\"function\":\"f%d\"}", frames, i, i);
    }
    html = page(view_of(apr_psprintf(pool,
                                     "{\"crashing_thread\":0,\"json_dump\":{\"threads\":["
                                     "{\"frames\":[{\"frame\":0,\"function\":\"crash\"}%s]}]}}",
                                     frames),
                        false),
                "report");
    assert_true(has(html, "Show 5 runtime frames (libc.so.6)"));
    assert_true(has(html, "id=\"t0f5\""));
}

static void test_page(void **state)
{
    const char *html = page(view_of(example, false), "report");

    (void)state;
    assert_true(has(html, "<tr class=\"phys hit own\" id=\"t1f0\">"));
    assert_true(has(html, ">nl::Cache::Evict(int*)<"));
    assert_true(has(html, ">src/cache.cpp:412<"));
    assert_true(has(html, "libown.so@0x22"));
    assert_true(has(html, "7 frames truncated"));
    assert_true(has(html, "1 h 34 min"));
    assert_true(has(html, "datetime=\"2026-11-22T12:49:26Z\""));
    assert_false(has(html, "javascript:"));
    assert_true(has(html, "href=\"https://sym/b\""));
    /* keys by name whatever their case, the collector's own left out, empty ones said to be */
    assert_true(strstr(html, ">alpha<") < strstr(html, ">Beta<"));
    assert_true(strstr(html, ">num<") < strstr(html, ">Zed<"));
    assert_false(has(html, ">uuid<"));
    assert_true(has(html, "<span class=\"soft\">empty</span>"));
    assert_false(has(html, "{{"));
    assert_false(has(html, "style="));
    assert_false(has(html, "onclick"));
}

static void test_rights_are_named(void **state)
{
    const char *open = page(view_of(example, false), "report");
    const char *all = page(view_of(example, true), "report");

    (void)state;
    assert_true(has(open, "seeing public data only"));
    assert_true(has(open, "needs “View Raw Dumps”"));
    assert_false(has(open, "format=raw"));
    assert_false(has(open, "hello"));
    assert_true(has(all, "public and protected data"));
    assert_true(has(all, "hello"));
    assert_true(has(all, "http://x"));
    assert_true(has(all, "format=raw&amp;name=upload_file_minidump"));
}

/* Whatever the client wrote, nothing of it becomes markup. */
static void test_canaries(void **state)
{
    static const char canary[] =
        "\\\"'><script>canary()</script><img src=x onerror=canary()>{{{x}}}";
    const char *frame = apr_psprintf(
        pool,
        "{\"frame\":0,\"function\":\"%s\",\"file\":\"%s\",\"line\":1,"
        "\"module\":\"%s\",\"trust\":\"%s\",\"inlines\":[{\"function\":\"%s\",\"file\":\"%s\"}]}",
        canary, canary, canary, canary, canary, canary);
    const char *text = apr_psprintf(
        pool,
        "{\"signature\":\"%s\",\"product\":\"%s\",\"version\":\"%s\",\"release_channel\":\"%s\","
        "\"build\":\"%s\",\"reason\":\"%s\",\"address\":\"%s\",\"os_pretty_version\":\"%s\","
        "\"cpu_info\":\"%s\",\"cpu_arch\":\"%s\",\"moz_crash_reason\":\"%s\",\"addons\":[\"%s\"],"
        "\"process_type\":\"%s\",\"processor_notes\":\"%s\",\"user_comments\":\"%s\",\"url\":\"%"
        "s\","
        "\"date_processed\":\"%s\",\"java_stack_trace\":\"%s\",\"crash_inconsistencies\":[\"%s\"],"
        "\"mdsw_status_string\":\"%s\",\"json_dump\":{\"crash_info\":{\"instruction\":\"%s\"},"
        "\"threads\":[{\"thread_name\":\"%s\",\"frames\":[%s]},{\"thread_name\":\"%s\","
        "\"frames\":[%s]}],\"modules\":[{\"filename\":\"%s\",\"version\":\"%s\",\"debug_id\":\"%"
        "s\","
        "\"debug_file\":\"%s\",\"cert_subject\":\"%s\",\"base_addr\":\"%s\"}],"
        "\"unloaded_modules\":[{\"filename\":\"%s\",\"code_id\":\"%s\"}]}}",
        canary, canary, canary, canary, canary, canary, canary, canary, canary, canary, canary,
        canary, canary, canary, canary, canary, canary, canary, canary, canary, canary, canary,
        frame, canary, frame, canary, canary, canary, canary, canary, canary, canary, canary);
    json_t *keys = doc("{}");
    static const char *const dumps[] = { "\"><script>", NULL };
    sal_report_in_t in = { .id = ID,
                           .processed = doc(text),
                           .pii = true,
                           .rawdump = true,
                           .annotations = keys,
                           .protected_annotations = keys,
                           .dumps = dumps };
    const char *html;

    (void)state;
    json_object_set_new(keys, "<script>key", json_string("<script>canary()</script>"));
    html = page(sal_json_own(sal_report_view(&in, pool), pool), "report");
    assert_int_equal(count(html, "<script"), 1); /* our own */
    assert_int_equal(count(html, "<img"), 0);
    assert_int_equal(count(html, "onerror=canary()>"), 0);
    assert_true(count(html, "&lt;script&gt;canary()") > 20);
}

static void test_failures_are_explained(void **state)
{
    static const struct {
        const char *doc, *says;
    } cases[] = {
        { "{\"mdsw_status_string\":\"EmptyMinidump\"}", "0 bytes" },
        { "{\"mdsw_status_string\":\"HeaderMismatch\"}", "MDMP" },
        { "{\"mdsw_status_string\":\"MissingThreadList\",\"json_dump\":{}}", "list of threads" },
        { "{\"mdsw_status_string\":\"unknown error\",\"processor_notes\":\"x\\n"
          "MinidumpStackwalkRule: minidump-stackwalk: timeout (SIGKILL)\\ny\"}",
          "timeout (SIGKILL)" },
        { "{\"success\":false}", "did not end well" },
        { "{\"success\":false,\"processor_notes\":\">>> Start\\nProcessor: killed 3 workers\"}",
          "gave it up: killed 3 workers." },
        { "{\"success\":true}", "without a minidump" },
        { "[]", "without a minidump" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why = sal_report_failure(doc(cases[i].doc), pool);
        const char *html;

        assert_non_null(why);
        assert_true(has(why, cases[i].says));
        html = page(view_of(cases[i].doc, false), "report");
        assert_true(has(html, "This report has no stack."));
    }
    assert_null(sal_report_failure(doc(example), pool));
}

static void test_breadcrumbs(void **state)
{
    const char *list = "";
    const char *html;

    (void)state;
    for (int i = 0; i < 12; i++) {
        list = apr_psprintf(pool, "%s%s{\"category\": \"c%d\", \"data\": {\"k\": \"<%d>\"}}", list,
                            i ? "," : "", i, i);
    }
    html = page(view_of(apr_psprintf(pool, "{\"breadcrumbs\": [%s]}", list), true), "report");
    assert_false(has(html, ">c1<")); /* the last ten: 2 to 11 */
    assert_true(has(html, ">c2<"));
    assert_true(has(html, "&lt;11&gt;"));
    assert_false(has(page(view_of(example, true), "report"), "Breadcrumbs"));
}

/* Null and odd members are read as empty, as processors have written them for years. */
static void test_odd_documents(void **state)
{
    static const char *const odd[] = {
        "{\"json_dump\":null}",
        "{\"json_dump\":{\"threads\":null,\"modules\":null}}",
        "{\"json_dump\":{\"threads\":[null,5,{}],\"modules\":[null,1]},\"crashing_thread\":0}",
        "{\"crashing_thread\":99,\"json_dump\":{\"threads\":[{\"frames\":[{}]}]}}",
        "{\"crashing_thread\":-1,\"json_dump\":{\"threads\":[{\"frames\":[null]}]}}",
        "{\"signature\":null,\"product\":5,\"uptime\":\"x\",\"addons\":{},\"build\":null}"
    };

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_true(has(page(view_of(odd[i], true), "report"), "</html>"));
    }
}

static void test_huge_reports_are_bounded(void **state)
{
    json_t *frames = json_array(), *threads = json_array(), *d;
    sal_report_in_t in = { .id = ID };
    const char *html;

    (void)state;
    for (int i = 0; i < 500; i++) {
        json_array_append_new(
            frames, json_pack("{s:i, s:o}", "frame", i, "function", json_sprintf("f%d", i)));
    }
    for (int i = 0; i < 200; i++) {
        json_t *f = json_deep_copy(frames);

        json_object_set_new(json_array_get(f, 0), "offset", json_sprintf("0x%x", i));
        json_array_append_new(threads, json_pack("{s:o}", "frames", f));
    }
    json_decref(frames);
    d = sal_json_own(json_pack("{s:{s:o}}", "json_dump", "threads", threads), pool);
    in.processed = d;
    html = page(sal_json_own(sal_report_view(&in, pool), pool), "report");
    assert_true(count(html, "<tr class=") < 6500);
    assert_true(has(html, "More frames than this page shows"));
}

static void test_facet(void **state)
{
    json_t *data = json_object();
    json_t *facet = doc("[{\"term\": \"a&b\", \"count\": 3}]");
    const char *html;

    (void)state;
    json_object_set_new(
        data, "facets",
        json_pack("[o]", sal_list_facet(facet, "Signature", 1, "/search/?signature=%3D", 4, pool)));
    html = page(sal_json_own(data, pool), "facets");
    assert_true(has(html, "/search/?signature=%3Da%26b"));
    assert_true(has(html, "75.0%"));
    assert_null(sal_list_facet(doc("[]"), "x", 0, "", 0, pool));
}

static int setup(void **state)
{
    sal_error_t err = { 0 };
    const char *src = getenv("srcdir") ? getenv("srcdir") : SRCDIR;

    (void)state;
    apr_pool_create(&pool, NULL);
    if (sal_templates_load(&templates, apr_pstrcat(pool, src, "/templates", NULL), pool, &err) !=
        APR_SUCCESS) {
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
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
    const struct CMUnitTest tests[] = { CASE(test_head),
                                        CASE(test_stack_rows),
                                        CASE(test_where),
                                        CASE(test_equal_threads_merge),
                                        CASE(test_runtime_frames_fold),
                                        CASE(test_page),
                                        CASE(test_rights_are_named),
                                        CASE(test_canaries),
                                        CASE(test_failures_are_explained),
                                        CASE(test_breadcrumbs),
                                        CASE(test_odd_documents),
                                        CASE(test_huge_reports_are_bounded),
                                        CASE(test_facet) };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
