/*
 * Signatures with lists of our own: the loader, normalisation case by case, the tools, limits.
 * Expected values are worked out from docs/signature.md by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/log.h"
#include "signature/sig_private.h"

static apr_pool_t *pool;
static char dir[64];

static void write_list(const char *name, const char *text)
{
    FILE *f = fopen(apr_pstrcat(pool, dir, "/", name, NULL), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

static int setup(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_sink(silent, NULL);
    snprintf(dir, sizeof(dir), "/tmp/siglists.XXXXXX");
    assert_non_null(mkdtemp(dir));
    write_list("signature_sentinels.txt", "# where it begins\n  boom::panic  \n");
    write_list("irrelevant_signature_re.txt", "\n# plumbing\n@0x[0-9a-f]{2,}\n__libc_\n");
    write_list("prefix_signature_re.txt", "std::\n.*\\.so\nab{2$\n");
    write_list("signatures_with_line_numbers_re.txt", "interpret$\n");
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = { "signature_sentinels.txt", "irrelevant_signature_re.txt",
                                         "prefix_signature_re.txt",
                                         "signatures_with_line_numbers_re.txt" };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        unlink(apr_pstrcat(pool, dir, "/", names[i], NULL));
    }
    rmdir(dir);
    return 0;
}

static sal_siglists_t *lists(void)
{
    sal_siglists_t *out;
    sal_error_t err;

    assert_int_equal(sal_siglists_load(&out, dir, pool, &err), APR_SUCCESS);
    return out;
}

static sal_signature_t make(const char *crash_data)
{
    json_error_t why;
    json_t *data = json_loads(crash_data, JSON_ALLOW_NUL, &why);
    sal_signature_t out;

    assert_non_null(data);
    sal_signature_make(&out, data, lists(), pool);
    json_decref(data);
    return out;
}

static const char *of_function(const char *function, const char *file)
{
    json_t *data = json_pack("{s:[{s:[{s:s,s:s*,s:i}]}]}", "threads", "frames", "function",
                             function, "file", file, "line", 7);
    sal_signature_t out;

    sal_signature_make(&out, data, lists(), pool);
    json_decref(data);
    return out.signature;
}

static void test_normalisation(void **state)
{
    static const struct {
        const char *function, *file, *want;
    } cases[] = {
        { "static int ns::f(int, char) const", NULL, "ns::f" },
        { "ns::map<K, std::less<K>>::get(K const&)", NULL, "ns::map<T>::get" },
        { "T ns::operator<(A const&, B)", NULL, "T ns::operator<" },
        { "(anonymous namespace)::f(int)", NULL, "(anonymous namespace)::f" },
        { "`anonymous namespace'::f(int)", NULL, "(anonymous namespace)::f" },
        { "a::$_12::operator()(int) const", NULL, "a::$::operator()" },
        { "f<T (*)(void)>(void) [clone .cold.3]", NULL, "f<T>" },
        { "f(int) [clone .isra.0]", NULL, "f [clone .isra.0]" },
        { "IPC::ParamTraits<a::b<c>>::Read(M*)", NULL, "IPC::ParamTraits<a::b<T>>::Read" },
        { "g(a ,b)", NULL, "g" },
        { "interpret", NULL, "interpret:7" },
        { "interpreter", NULL, "interpreter" },
        { "core::ops::function::FnOnce::call_once<a>::h0123456789abcdef", "/x/lib.rs",
          "core::ops::function::FnOnce::call_once<T>" },
        { "<a::B as c::D>::e", "/x/lib.rs", "<a::B as c::D>::e" },
        { "f::h0123", "x.rs", "f::h0123" },
        { "f::h0123", "c:\\x\\y.rs", "f" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(of_function(cases[i].function, cases[i].file), cases[i].want);
    }
}

static void test_walk(void **state)
{
    (void)state;
    /* irrelevant skipped, prefix taken and walked past, stop at the first that is neither */
    assert_string_equal(make("{\"threads\":[{\"frames\":[{\"function\":\"__libc_x\"},"
                             "{\"module\":\"a.so\"},{\"module\":\"a.so\"},{\"offset\":\"0x00ff\"},"
                             "{\"function\":\"std::x\"},{\"function\":\"main\"},"
                             "{\"function\":\"never\"}]}]}")
                            .signature,
                        "a.so | std::x | main");
    /* a sentinel starts anew, wherever the walk would have ended */
    assert_string_equal(make("{\"threads\":[{\"frames\":[{\"function\":\"first\"},"
                             "{\"function\":\"boom::panic\"},{\"function\":\"x\"}]}]}")
                            .signature,
                        "boom::panic");
    /* a '{' that is no quantifier is literal, '$' anchors */
    assert_string_equal(make("{\"threads\":[{\"frames\":[{\"function\":\"ab{2\"},"
                             "{\"function\":\"x\"}]}]}")
                            .signature,
                        "ab{2 | x");
}

static void test_failed_dump(void **state)
{
    sal_signature_t got = make("{\"mdsw_status_string\":\"MissingHeader\"}");

    (void)state;
    assert_string_equal(got.signature, "EMPTY: no frame data available; MissingHeader");
    assert_null(got.proto_signature);
    assert_int_equal(got.notes.n, 1);
}

static void test_conversion(void **state)
{
    json_t *doc =
        json_pack("{s:s,s:s,s:{s:{s:i,s:s},s:{s:s},s:[]},s:s}", "oom_allocation_size", " 12 ",
                  "signature", "old", "json_dump", "crash_info", "crashing_thread", 3, "type",
                  "SIGSEGV", "system_info", "os", "Linux", "threads", "extra", "x");
    json_t *data = sal_crash_data_of(doc);

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(data, "oom_allocation_size")), 12);
    assert_int_equal(json_integer_value(json_object_get(data, "crashing_thread")), 3);
    assert_string_equal(json_string_value(json_object_get(data, "reason")), "SIGSEGV");
    assert_string_equal(json_string_value(json_object_get(data, "os")), "Linux");
    assert_string_equal(json_string_value(json_object_get(data, "original_signature")), "old");
    assert_true(json_is_null(json_object_get(data, "hang")));
    assert_null(json_object_get(data, "java_exception"));
    assert_int_equal(json_array_size(json_object_get(data, "additional_minidumps")), 0);
    assert_true(json_is_array(json_object_get(data, "additional_minidumps")));
    assert_null(json_object_get(data, "extra"));
    json_decref(data);
    json_decref(doc);
}

static void test_bad_lists(void **state)
{
    sal_siglists_t *out;
    sal_error_t err;

    (void)state;
    assert_int_equal(sal_siglists_load(&out, "/nonexistent/lists", pool, &err), APR_ENOENT);
    write_list("prefix_signature_re.txt", "# one\n\ngood\nba(d\n");
    assert_int_equal(sal_siglists_load(&out, dir, pool, &err), SAL_E_MALFORMED);
    assert_non_null(strstr(err.message, "prefix_signature_re.txt at line 3"));
    write_list("prefix_signature_re.txt", "bad\xff\n");
    assert_int_equal(sal_siglists_load(&out, dir, pool, &err), SAL_E_MALFORMED);
    /* an empty list matches nothing: the first frame ends the walk */
    write_list("prefix_signature_re.txt", "# nothing\n");
    assert_string_equal(make("{\"threads\":[{\"frames\":[{\"function\":\"std::a\"},"
                             "{\"function\":\"b\"}]}]}")
                            .signature,
                        "std::a");
    write_list("prefix_signature_re.txt", "std::\n.*\\.so\nab{2$\n");
}

/* Which lines a list may have, and what they match; each alone in the list of prefixes. */
static void test_list_dialect(void **state)
{
    static const struct {
        const char *entry, *frame;
        bool matches;
    } cases[] = {
        { "abc", "abcd", true },
        { "abc", "xabc", false },
        { "abc", "ABC", false },
        { "abc$", "abc", true },
        { "abc$", "abcd", false },
        { "abc$", "abc\\n", true },
        { "a.c", "a\\nc", false },
        { "  abc  ", "abc", true },
        { "abc # no comment", "abc", false },
        { "\\d+x", "\\u0663x", true },
        { "a{2}b", "aab", true },
        { "{{closure}}", "{{closure}}", true },
        { "a{", "a{2", true },
        { "a\\{2", "a{2", true },
        { "\\<name omitted\\>", "<name omitted>", true },
        { "\\x41", "A", true },
        { "a|b", "bx", true },
        { "(a|b)?c", "c", true },
        { "[^a]b", "xb", true },
        { "[^a]b", "ab", false },
        { "(?i)abc", "ABC", true },
        { "ab?c", "ac", true },
        { "abc*", "ab", true },
        { ".*free", "xfree", true },
        { ".*free", "x\\nfree", false },
        { ".*free$", "xfreed", false },
        { ".*fre*", "xfr", true },
        { ".*free|abc", "abc", true },
        { ".*one.*two", "one two", false }, /* the last token of a C++ name is "two" */
        { ".*one.*two", "one_two", true },
        { ".*one.*two", "two_one", false },
        { "\u00e4b", "\\u00e4bc", true },
        { "\u00e4*b", "b", true },
        { "x*", "other", true },
        { "(*COMMIT)abc", "abc", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool matches;

        write_list("prefix_signature_re.txt", apr_pstrcat(pool, cases[i].entry, "\n", NULL));
        matches = strstr(make(apr_pstrcat(pool, "{\"threads\":[{\"frames\":[{\"function\":\"",
                                          cases[i].frame, "\"},{\"function\":\"next\"}]}]}", NULL))
                             .signature,
                         "next");
        if (matches != cases[i].matches) {
            fail_msg("%s against %s", cases[i].entry, cases[i].frame);
        }
    }
    write_list("prefix_signature_re.txt", "std::\n.*\\.so\nab{2$\n");
}

/* Sentinels are no expressions; other files in the folder are nobody's business. */
static void test_sentinels_are_literal(void **state)
{
    (void)state;
    write_list("signature_sentinels.txt", "stop(\na.c\n");
    write_list("trim_dll_signature_re.txt", "bad(\n");
    assert_string_equal(make("{\"threads\":[{\"frames\":[{\"function\":\"abc\"},"
                             "{\"function\":\"a.c\"}]}]}")
                            .signature,
                        "a.c");
    unlink(apr_pstrcat(pool, dir, "/trim_dll_signature_re.txt", NULL));
    write_list("signature_sentinels.txt", "# where it begins\n  boom::panic  \n");
}

/* Random lists of few letters: what is found quickly is what PCRE2 finds first, asked in turn. */
static void test_lists_against_pcre2(void **state)
{
    static const char *const part[] = { "a",  "b",  "ab",    "aab", ".*ab",  ".*aba",
                                        "a?", "b+", "[ab]c", "c$",  "(a|c)", ".*bab" };
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        sig_list_t list = { .file = "list", .n = 1 + (size_t)round % 6 };
        sig_run_t r = { .p = pool, .rule = "test" };
        char why[200], frame[10] = "";
        size_t found = SIZE_MAX;
        sig_match_t by;

        list.entry = apr_palloc(pool, list.n * sizeof(*list.entry));
        list.index = apr_pcalloc(pool, list.n * sizeof(*list.index));
        for (size_t i = 0; i < list.n; i++) {
            const char *text =
                apr_pstrcat(pool, part[rand_r(&seed) % 12], part[rand_r(&seed) % 12], NULL);

            list.entry[i] = (str_t){ text, strlen(text) };
        }
        for (int i = 0; i < 8; i++) {
            frame[i] = "abc"[rand_r(&seed) % 3];
        }
        assert_int_equal(sig_list_build(&list, "", pool, NULL), APR_SUCCESS);
        sig_list_match(&r, &list, (str_t){ frame, strlen(frame) }, &by);
        for (size_t i = list.n; i-- > 0;) {
            pcre2_code *code = sig_compile(list.entry[i], PCRE2_ANCHORED, why, sizeof(why), pool);
            pcre2_match_data *match = pcre2_match_data_create(4, NULL);

            if (pcre2_match(code, (PCRE2_SPTR)frame, strlen(frame), 0, 0, match, NULL) >= 0) {
                found = i;
            }
            pcre2_match_data_free(match);
        }
        assert_int_equal(by.list ? by.entry : SIZE_MAX, found);
        sig_match_free(&r);
    }
}

/* A pattern that backtracks for ever ends at the match limit and counts as no match. */
static void test_match_limit(void **state)
{
    char *name = apr_palloc(pool, 60001);
    json_t *data;
    sal_signature_t out;

    (void)state;
    memset(name, 'a', 60000);
    name[60000] = '\0';
    write_list("prefix_signature_re.txt", "(a+)+[xy]$\n(a+)+[yz]$\na{59999}\n");
    data = json_pack("{s:[{s:[{s:s},{s:s}]}]}", "threads", "frames", "function", name, "function",
                     "next");
    sal_signature_make(&out, data, lists(), pool);
    assert_int_equal(strlen(out.signature), 255);
    assert_int_equal(out.notes.n, 2); /* one for the list, one for the length */
    assert_non_null(strstr(out.notes.line[0].text, "prefix_signature_re.txt: limit reached"));
    /* entries that are no trouble still count */
    assert_int_equal(out.proto_size, 60000 + strlen(" | next"));
    assert_non_null(strstr(out.debug.line[2].text, "prefix; continue iterating"));
    json_decref(data);
    write_list("prefix_signature_re.txt", "std::\n.*\\.so\nab{2$\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalisation),       cmocka_unit_test(test_walk),
        cmocka_unit_test(test_failed_dump),         cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_bad_lists),           cmocka_unit_test(test_match_limit),
        cmocka_unit_test(test_list_dialect),        cmocka_unit_test(test_sentinels_are_literal),
        cmocka_unit_test(test_lists_against_pcre2),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
