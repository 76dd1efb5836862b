/*
 * Links of sources, texts and links of bugs, alignment of stacks, trees, lines of source.
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
#include "render/buglink.h"
#include "render/diff.h"
#include "render/link.h"
#include "render/source.h"
#include "render/tree.h"
#include "render/vcs.h"

static apr_pool_t *pool;

static json_t *doc(const char *text)
{
    json_t *v;
    sal_error_t err = { 0 };

    if (sal_json_parse(&v, text, strlen(text), pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return v;
}

/* ---- links ---- */

static void test_fill(void **state)
{
    const sal_link_value_t values[] = { { "a", "x y/z&\"<", SAL_LINK_PART },
                                        { "p", "x y/z", SAL_LINK_PATH },
                                        { "f", "x y+\n", SAL_LINK_FORM },
                                        { "none", NULL, SAL_LINK_PART },
                                        { NULL, NULL, SAL_LINK_PART } };

    (void)state;
    assert_string_equal(sal_link_fill("https://h/%(a)s?%(f)s", values, pool),
                        "https://h/x%20y%2Fz%26%22%3C?x+y%2B%0A");
    assert_string_equal(sal_link_fill("/r/%(p)s%%20", values, pool), "/r/x%20y/z%20");
    assert_null(sal_link_fill("https://h/%(unknown)s", values, pool));
    assert_null(sal_link_fill("https://h/%(none)s", values, pool));
    assert_null(sal_link_fill("javascript:alert(%(a)s)", values, pool));
    assert_null(sal_link_fill("//evil.example/", values, pool));
    assert_null(sal_link_fill("https://h/a b", values, pool));
    assert_null(sal_link_fill("/\\evil.example", values, pool));
    assert_null(sal_link_fill("data:text/html,x", values, pool));
}

static void test_source_templates(void **state)
{
    static const char *const lines[] = {
        "git git.example.org https://git.example.org/%(repo)s/blob/%(revision)s/%(file)s#%(line)s",
        "git github.com none", "p4 perforce http://p4/%(file)s?r=%(revision)s", NULL
    };
    static const char *const wrong[] = { "git", "git host", "git host ftp://x/%(file)s",
                                         "git host https://x/%(who)s",
                                         "git host javascript:%(file)s" };
    sal_error_t err = { 0 };
    sal_vcs_source_t at;
    sal_vcs_t *vcs;

    (void)state;
    assert_int_equal(sal_vcs_make(&vcs, lines, pool, &err), APR_SUCCESS);
    sal_vcs_source(&at, vcs, "git:git.example.org/team/app:src/a b/x.c:deadbeef", 7, NULL, pool);
    assert_string_equal(at.text, "src/a b/x.c");
    assert_string_equal(at.url, "https://git.example.org/team/app/blob/deadbeef/src/a%20b/x.c#7");
    sal_vcs_source(&at, vcs, "git:github.com/o/r:x.c:1", 7, NULL, pool);
    assert_string_equal(at.text, "x.c");
    assert_null(at.url);
    sal_vcs_source(&at, vcs, "p4:perforce:depot/x.c:12", 1, NULL, pool);
    assert_string_equal(at.url, "http://p4/depot/x.c?r=12");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *const one[] = { wrong[i], NULL };

        assert_int_equal(sal_vcs_make(&vcs, one, pool, &err), SAL_E_MALFORMED);
        assert_non_null(strstr(err.message, "source-link"));
    }
}

/* The templates of specification 2.1, and what has none. */
static void test_built_in_sources(void **state)
{
    char hash[129] = "";
    const char *generated;
    static const struct {
        const char *file, *text, *url;
    } cases[] = { { "hg:hg.mozilla.org/releases/x:dom/a.cpp:abc", "dom/a.cpp",
                    "https://hg.mozilla.org/releases/x/file/abc/dom/a.cpp#l5" },
                  { "git:github.com/o/r:a.rs:abc", "a.rs",
                    "https://github.com/o/r/blob/abc/a.rs#L5" },
                  { "git:git.mozilla.org/r:a.c:abc", "a.c",
                    "http://git.mozilla.org/?p=r;a=blob;f=a.c;h=abc#l5" },
                  { "cvs:cvs.mozilla.org/cvsroot:a/b.c:1.2", "a/b.c",
                    "http://bonsai.mozilla.org/cvsblame.cgi?file=a/b.c&rev=1.2&mark=5#5" },
                  { "hg:hg.example.org/x:a.c:abc", "hg:hg.example.org/x:a.c:abc", NULL },
                  { "svn:svn.example.org/x:deep/a.c:abc", "a.c", NULL },
                  { "git:github.com/o/r:a.c", "git:github.com/o/r:a.c", NULL },
                  { "a:b:c:d:e", "a:b:c:d:e", NULL },
                  { "C:\\src\\a.c", "C:\\src\\a.c", NULL },
                  { "/usr/src/a.c", "/usr/src/a.c", NULL },
                  { ":::", ":::", NULL } };
    sal_vcs_source_t at;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sal_vcs_source(&at, NULL, cases[i].file, 5, NULL, pool);
        assert_string_equal(at.text, cases[i].text);
        if (cases[i].url) {
            assert_string_equal(at.url, cases[i].url);
        } else {
            assert_null(at.url);
        }
    }
    memset(hash, 'a', 128);
    generated = apr_pstrcat(pool, "s3:gecko-generated-sources:", hash, "/ipc/X.cpp:", NULL);
    sal_vcs_source(&at, NULL, generated, 5, NULL, pool);
    assert_string_equal(at.text, "ipc/X.cpp"); /* the hash is hidden */
    assert_null(at.url);                       /* not stored here */
    sal_vcs_source(&at, NULL,
                   apr_pstrcat(pool, "s3:gecko-generated-sources:", hash, "/X.cpp:", NULL), 5, NULL,
                   pool);
    assert_string_equal(at.text, apr_pstrcat(pool, hash, "/X.cpp", NULL));
    sal_vcs_source(&at, NULL, "/usr/src/a b.c", 5, "abcd", pool);
    assert_string_equal(at.url,
                        "/sources/highlight/?url=/buildid/abcd/source//usr/src/a%20b.c&line=5#L-5");
}

/* ---- bugs ---- */

static const char *described(const char *processed)
{
    sal_bug_text_t bug;

    sal_bug_text(&bug, doc(processed), "https://h/report/index/1", NULL, pool);
    return bug.description;
}

static void test_bug_text(void **state)
{
    sal_bug_text_t bug;
    char *long_name = apr_pcalloc(pool, 400);

    (void)state;
    assert_string_equal(
        described("{\"signature\":\"a\",\"reason\":\"SIGSEGV\",\"crashing_thread\":1,\"json_dump\":"
                  "{\"threads\":[{\"frames\":[]},{\"frames\":[{\"frame\":0,\"module\":\"m.so\","
                  "\"function\":\"f(int *)\",\"file\":\"git:github.com/o/r:s/a.c:1\",\"line\":3,"
                  "\"inlines\":[{\"function\":\"i\",\"file\":\"b.h\",\"line\":9}]},{\"frame\":1,"
                  "\"module\":\"m.so\",\"module_offset\":\"0x0020\"}]}]}}"),
        "Crash report: https://h/report/index/1\n"
        "\n"
        "Reason:\n```\nSIGSEGV\n```\n"
        "\n"
        "Top 3 frames:\n"
        "```\n"
        "0  m.so  i  b.h:9\n"
        "0  m.so  f(int*)  s/a.c:3\n"
        "1  m.so  m.so@0x20\n"
        "```\n");
    assert_string_equal(described("{\"moz_crash_reason\":\"MOZ_RELEASE_ASSERT(x)\","
                                  "\"reason\":\"SIGSEGV\"}"),
                        "Crash report: https://h/report/index/1\n\n"
                        "MOZ_CRASH Reason:\n```\nMOZ_RELEASE_ASSERT(x)\n```\n\nNo stack.\n");
    assert_string_equal(described("{\"json_dump\":{\"threads\":[{\"frames\":[{\"frame\":0,"
                                  "\"module\":\"m\",\"function\":\"f\"}]}]}}"),
                        "Crash report: https://h/report/index/1\n\n"
                        "No crashing thread identified; using thread 0.\n\n"
                        "Top 1 frame:\n```\n0  m  f\n```\n");
    assert_string_equal(
        described("{\"java_exception\":{\"exception\":{\"values\":[{\"stacktrace\":{\"frames\":"
                  "[{\"module\":\"org.x\",\"function\":\"run\",\"filename\":\"X.java\","
                  "\"lineno\":4}]}}]}}}"),
        "Crash report: https://h/report/index/1\n\n"
        "Top 1 frame:\n```\n0  org.x  run  X.java:4\n```\n");
    assert_string_equal(described("{\"java_stack_trace\":\"a\\n\\tb  \"}"),
                        "Crash report: https://h/report/index/1\n\n"
                        "Java stack trace:\n```\na\n\tb\n```\n");
    memset(long_name, 'x', 300);
    sal_bug_text(&bug,
                 doc(apr_psprintf(pool,
                                  "{\"signature\":\"%s\",\"os_pretty_version\":\"OS X 10.15\","
                                  "\"cpu_arch\":\"amd64\"}",
                                  long_name)),
                 "u", NULL, pool);
    assert_int_equal(strlen(bug.title), 255);
    assert_string_equal(bug.title + 252, "...");
    assert_string_equal(bug.op_sys, "macOS");
    assert_string_equal(bug.rep_platform, "amd64");
    assert_string_equal(bug.bug_type, "defect");
}

static int count(const char *text, const char *part)
{
    int n = 0;

    for (const char *s = strstr(text, part); s; s = strstr(s + 1, part)) {
        n++;
    }
    return n;
}

static void test_bug_text_is_bounded(void **state)
{
    const char *frames = "", *text;

    (void)state;
    for (int i = 0; i < 30; i++) {
        frames = apr_psprintf(pool, "%s%s{\"frame\":%d,\"module\":\"m\",\"function\":\"%0200d\"}",
                              frames, i ? "," : "", i, i);
    }
    text = described(apr_psprintf(pool,
                                  "{\"crashing_thread\":0,\"reason\":\"a ``` b\",\"json_dump\":"
                                  "{\"threads\":[{\"frames\":[%s]}]}}",
                                  frames));
    assert_non_null(strstr(text, "Top 10 frames:"));
    assert_int_equal(count(text, "  m  "), 10);
    assert_int_equal(count(text, apr_psprintf(pool, "%081d", 0)), 0); /* 80 of a name at most */
    assert_non_null(strstr(text, "````\na ``` b\n````\n"));           /* cannot leave its fence */
}

static void test_systems_of_trackers(void **state)
{
    static const char *const cases[][2] = { { "Windows 8.1", "Windows 8" },
                                            { "Windows Unknown", "Windows" },
                                            { "Windows 2000", "Windows" },
                                            { "Windows 10", "Windows 10" },
                                            { "OS X 11.2", "macOS" } };
    sal_bug_text_t bug;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sal_bug_text(&bug, doc(apr_psprintf(pool, "{\"os_pretty_version\":\"%s\"}", cases[i][0])),
                     "u", NULL, pool);
        assert_string_equal(bug.op_sys, cases[i][1]);
    }
    sal_bug_text(&bug, doc("{\"os_name\":\"Linux\"}"), "u", NULL, pool);
    assert_string_equal(bug.op_sys, "Linux");
}

static void test_bug_links(void **state)
{
    static const char *const lines[] = {
        "My+App https://github.com/o/r/issues/new?title=%(title)s&body=%(description)s GitHub",
        "* https://bz/enter_bug.cgi?bug_type=%(bug_type)s&cf_crash_signature=%(signature)s A bug",
        "Other https://h/%(title)s Other"
    };
    static const char *const wrong[] = { "x", "x https://h/", "x https://h/%(who)s Text",
                                         "x ftp://h/%(title)s Text" };
    sal_bug_template_t list[3];
    sal_error_t err = { 0 };
    sal_bug_text_t bug;
    json_t *links;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sal_bug_template(&list[i], lines[i], pool, &err), APR_SUCCESS);
    }
    sal_bug_text(&bug, doc("{\"signature\":\"a | b\"}"), "https://h/1", NULL, pool);
    links = sal_json_own(sal_bug_links(list, 3, "My App", &bug, pool), pool);
    assert_int_equal(json_array_size(links), 2);
    assert_string_equal(sal_json_str(json_array_get(links, 0), "text"), "GitHub");
    assert_string_equal(sal_json_str(json_array_get(links, 0), "url"),
                        "https://github.com/o/r/issues/new?title=Crash+in+%5B%40+a+%7C+b%5D&body="
                        "Crash+report%3A+https%3A%2F%2Fh%2F1%0A%0ANo+stack.%0A");
    assert_string_equal(sal_json_str(json_array_get(links, 1), "url"),
                        "https://bz/enter_bug.cgi?bug_type=defect&cf_crash_signature="
                        "%5B%40+a+%7C+b%5D");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(sal_bug_template(&list[0], wrong[i], pool, &err), SAL_E_MALFORMED);
    }
}

/* ---- alignment ---- */

static void test_names(void **state)
{
    static const char *const cases[][2] = {
        { "ns::f(int, std::vector<int> const&)", "ns::f" },
        { "ns::C<T, U<V>>::f(T) const", "ns::C::f" },
        { "ns::C::operator<(ns::C const&)", "ns::C::operator<" },
        { "ns::C::operator()(int)", "ns::C::operator()" },
        { "ns::C::operator->() const", "ns::C::operator->" },
        { "(anonymous namespace)::f(int)", "(anonymous namespace)::f" },
        { "core::panicking::panic::h0123456789abcdef", "core::panicking::panic" },
        { "my_operator<int>(x)", "my_operator" },
        { "main", "main" },
        { "(", "(" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(sal_diff_name(cases[i][0], pool), cases[i][1]);
    }
}

/* The length of a longest common subsequence by the definition: all subsets of a. */
static int longest(const char *const *a, int na, const char *const *b, int nb)
{
    int best = 0;

    for (unsigned mask = 0; mask < 1u << na; mask++) {
        int j = 0, n = 0, i = 0;

        for (; i < na; i++) {
            if (!(mask & 1u << i)) {
                continue;
            }
            while (j < nb && strcmp(a[i], b[j]) != 0) {
                j++;
            }
            if (j == nb) {
                break;
            }
            n++;
            j++;
        }
        best = i == na && n > best ? n : best;
    }
    return best;
}

static void test_alignment_is_a_longest_one(void **state)
{
    static const char *const words[] = { "a", "b", "c" };
    unsigned seed = 20261122;

    (void)state;
    for (int round = 0; round < 300; round++) {
        const char *a[9], *b[9];
        int na, nb, n, equal = 0, i = 0, j = 0;
        sal_diff_pair_t *pairs;

        seed = seed * 1103515245u + 12345u;
        na = (int)(seed >> 16) % 9;
        nb = (int)(seed >> 20) % 9;
        for (int k = 0; k < 9; k++) {
            seed = seed * 1103515245u + 12345u;
            a[k] = words[(seed >> 16) % 3];
            b[k] = words[(seed >> 21) % 3];
        }
        pairs = sal_diff_align(&n, a, na, b, nb, pool);
        for (int k = 0; k < n; k++) { /* everything is there once, in its order */
            if (pairs[k].a >= 0) {
                assert_int_equal(pairs[k].a, i++);
            }
            if (pairs[k].b >= 0) {
                assert_int_equal(pairs[k].b, j++);
            }
            if (pairs[k].a >= 0 && pairs[k].b >= 0) {
                assert_string_equal(a[pairs[k].a], b[pairs[k].b]);
                equal++;
            }
        }
        assert_int_equal(i, na);
        assert_int_equal(j, nb);
        assert_int_equal(equal, longest(a, na, b, nb));
    }
}

static json_t *side(const char *text, sal_diff_side_t *out, const char *id)
{
    *out = (sal_diff_side_t){ .id = id, .processed = doc(text) };
    return (json_t *)out->processed;
}

static const char *cell_text(const json_t *row, const char *key)
{
    static const char *const parts[] = { "before", "changed", "after" };
    const json_t *cell = json_object_get(row, key);
    const char *out = "";
    size_t i;
    json_t *piece;

    for (int k = 0; k < 3; k++) {
        out = apr_pstrcat(
            pool, out, k == 1 && json_array_size(json_object_get(cell, parts[k])) ? "[" : "", NULL);
        json_array_foreach(json_object_get(cell, parts[k]), i, piece)
        {
            out = apr_pstrcat(pool, out, json_string_value(piece), NULL);
        }
        out = apr_pstrcat(
            pool, out, k == 1 && json_array_size(json_object_get(cell, parts[k])) ? "]" : "", NULL);
    }
    return out;
}

static void test_diff(void **state)
{
    sal_diff_in_t in = { 0 };
    json_t *v, *rows;

    (void)state;
    side("{\"signature\":\"s\",\"version\":\"1\",\"uptime\":5,\"same\":\"x\",\"uuid\":\"a\","
         "\"addons\":"
         "[\"p:1\",\"q:1\"],\"crashing_thread\":0,\"json_dump\":{\"modules\":[{\"filename\":\"m\","
         "\"version\":\"1\",\"debug_id\":\"A\"},{\"filename\":\"same\",\"version\":\"1\"},"
         "{\"filename\":\"onlya\"}],\"threads\":[{\"frames\":["
         "{\"module\":\"m\",\"function\":\"f(Entry&)\"},{\"module\":\"m\",\"function\":\"gone\"},"
         "{\"module\":\"m\",\"function\":\"stays\"},{\"module\":\"x\",\"module_offset\":\"0x1\"}]}]"
         "}}",
         &in.side[0], "A");
    side(
        "{\"signature\":\"s\",\"version\":\"2\",\"uptime\":5,\"same\":\"x\",\"uuid\":\"b\","
        "\"addons\":"
        "[\"q:1\",\"p:2\"],\"crashing_thread\":0,\"json_dump\":{\"modules\":[{\"filename\":\"m\","
        "\"version\":\"1\",\"debug_id\":\"B\"},{\"filename\":\"same\",\"version\":\"1\"}],"
        "\"threads\":[{\"frames\":["
        "{\"module\":\"m\",\"function\":\"f(Key&)\"},{\"module\":\"m\",\"function\":\"stays\"},"
        "{\"module\":\"x\",\"module_offset\":\"0x2\"},{\"module\":\"m\",\"function\":\"new\"}]}]}}",
        &in.side[1], "B");
    v = sal_json_own(sal_diff_view(&in, pool), pool);
    rows = json_object_get(v, "rows");
    assert_int_equal(json_array_size(rows), 5);
    assert_string_equal(sal_json_str(json_array_get(rows, 0), "cls"), "chg");
    assert_string_equal(cell_text(json_array_get(rows, 0), "a"), "f([Entry]&)");
    assert_string_equal(cell_text(json_array_get(rows, 0), "b"), "f([Key]&)");
    assert_string_equal(sal_json_str(json_array_get(rows, 1), "cls"), "del");
    assert_string_equal(sal_json_str(json_array_get(rows, 2), "cls"), "same");
    assert_string_equal(sal_json_str(json_array_get(rows, 3), "cls"), "chg");
    assert_string_equal(sal_json_str(json_array_get(rows, 4), "cls"), "add");
    assert_string_equal(sal_json_str(v, "frames_text"), "1 of 4 frames the same after normalising");
    assert_string_equal(sal_json_str(v, "values_text"), "2 fields and 2 modules differ");
    assert_string_equal(sal_json_str(v, "same_fields"), "4"); /* signature uptime same thread */
    assert_string_equal(sal_json_str(v, "same_modules"), "1");
    assert_true(json_is_true(json_object_get(v, "same_signature")));
    assert_string_equal(
        json_string_value(json_array_get(
            sal_json_path(json_array_get(json_object_get(v, "fields"), 0), "a.text"), 0)),
        "p:1"); /* of a list what only one side has */
}

static void test_diff_of_huge_reports(void **state)
{
    json_t *frames = json_array(), *d, *v, *modules = json_array();
    sal_diff_in_t in = { 0 };

    (void)state;
    for (int i = 0; i < 5000; i++) {
        json_array_append_new(frames, json_pack("{s:o}", "function", json_sprintf("f%d", i % 7)));
        json_array_append_new(modules, json_pack("{s:o}", "filename", json_sprintf("m%d", i)));
    }
    d = sal_json_own(json_pack("{s:i, s:{s:[{s:o}], s:o}}", "crashing_thread", 0, "json_dump",
                               "threads", "frames", frames, "modules", modules),
                     pool);
    for (int i = 0; i < 30000; i++) {
        json_object_set_new(d, apr_psprintf(pool, "k%d", i), json_integer(i));
    }
    in.side[0] = (sal_diff_side_t){ .id = "A", .processed = d };
    in.side[1] = (sal_diff_side_t){ .id = "B", .processed = doc("{}") };
    v = sal_json_own(sal_diff_view(&in, pool), pool);
    assert_int_equal(json_array_size(json_object_get(v, "rows")), SAL_DIFF_MOST);
    assert_true(json_array_size(json_object_get(v, "fields")) <= 300);
    assert_true(json_array_size(json_object_get(v, "modules")) <= 300);
    assert_true(json_is_true(json_object_get(v, "cut")));
}

/* ---- trees, sources ---- */

static void test_tree(void **state)
{
    json_t *steps = sal_json_own(
        sal_tree_view(doc("{\"b\":[1,{\"c\":\"<x>\"}],\"a\":{},\"d\":null}"), 100, pool), pool);
    json_t *few = sal_json_own(sal_tree_view(doc("{\"a\":1,\"b\":2,\"c\":3}"), 2, pool), pool);
    const char *deep = "1";

    (void)state;
    assert_int_equal(json_array_size(steps), 8); /* a, open b, 0, open 1, c, close, close, d */
    assert_string_equal(sal_json_str(json_object_get(json_array_get(steps, 0), "leaf"), "key"),
                        "a");
    assert_string_equal(sal_json_str(json_object_get(json_array_get(steps, 1), "open"), "note"),
                        "2 items");
    assert_string_equal(sal_json_str(json_object_get(json_array_get(steps, 4), "leaf"), "value"),
                        "\"<x>\"");
    assert_int_equal(json_array_size(few), 3);
    assert_string_equal(sal_json_str(json_array_get(few, 2), "more"),
                        "1 more that this page does not show");
    for (int i = 0; i < 300; i++) {
        deep = apr_pstrcat(pool, "[", deep, "]", NULL);
    }
    json_decref(sal_tree_view(doc(deep), 1000, pool));
}

static const char *line_text(const json_t *line)
{
    const char *out = "";
    json_t *span;
    size_t i;

    json_array_foreach(json_object_get(line, "spans"), i, span)
    {
        const char *cls = sal_json_str(span, "cls");

        out = apr_pstrcat(pool, out, *cls ? "{" : "", cls, *cls ? ":" : "",
                          sal_json_str(span, "text"), *cls ? "}" : "", NULL);
    }
    return out;
}

static void test_source_lines(void **state)
{
    json_t *v = sal_json_own(json_object(), pool), *lines;

    (void)state;
    sal_source_view(v,
                    "int a = 12; // x \"y\"\r\n"
                    "char *s = \"a\\\"b\"; /* c\n"
                    "still */ don't 'z' f(0x1F);\n",
                    2, pool);
    lines = json_object_get(v, "lines");
    assert_int_equal(json_array_size(lines), 3);
    assert_string_equal(line_text(json_array_get(lines, 0)), "int a = {d:12}; {c:// x \"y\"}");
    assert_string_equal(line_text(json_array_get(lines, 1)), "char *s = {s:\"a\\\"b\"}; {c:/* c}");
    assert_string_equal(line_text(json_array_get(lines, 2)),
                        "{c:still */} don't {s:'z'} f({d:0x1F});");
    assert_true(json_is_true(json_object_get(json_array_get(lines, 1), "here")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fill),
                                        cmocka_unit_test(test_source_templates),
                                        cmocka_unit_test(test_built_in_sources),
                                        cmocka_unit_test(test_bug_text),
                                        cmocka_unit_test(test_bug_text_is_bounded),
                                        cmocka_unit_test(test_systems_of_trackers),
                                        cmocka_unit_test(test_bug_links),
                                        cmocka_unit_test(test_names),
                                        cmocka_unit_test(test_alignment_is_a_longest_one),
                                        cmocka_unit_test(test_diff),
                                        cmocka_unit_test(test_diff_of_huge_reports),
                                        cmocka_unit_test(test_tree),
                                        cmocka_unit_test(test_source_lines) };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
