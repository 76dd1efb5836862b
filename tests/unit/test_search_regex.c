/*
 * Lucene's patterns in the server's syntax, and words as patterns. What they find is tested against
 * a server (tests/data/search); here is what is written, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "search/regex.h"
#include "search/words.h"

static apr_pool_t *pool;

static const char *translated(const char *text)
{
    sal_error_t err = { 0 };
    const char *out;

    if (sal_regex_translate(&out, text, pool, &err) != APR_SUCCESS) {
        return apr_pstrcat(pool, "! ", err.message, NULL);
    }
    return out;
}

#define BECOMES(text, pattern) assert_string_equal(translated(text), "^(?:" pattern ")$")
#define REFUSED(text, why)                                                                         \
    assert_string_equal(translated(text), "! The pattern is not a valid regular expression: " why)
#define COMPLEX(text)                                                                              \
    assert_string_equal(translated(text), "! Search query is too complex to execute. Simplify "    \
                                          "the search pattern and try again.")

static void test_syntax(void **state)
{
    (void)state;
    BECOMES("", "(?:)");
    BECOMES("abc", "abc");
    BECOMES("a.c", "a.c");
    BECOMES("ab*c", "a(?:b)*c");
    BECOMES("ab+", "a(?:b)+");
    BECOMES("ab?", "a(?:b)?");
    BECOMES("a{3}", "(?:a){3,3}");
    BECOMES("a{3,}", "(?:a){3,}");
    BECOMES("a{1,255}", "(?:a){1,255}");
    BECOMES("a|b|c", "(?:(?:a|b)|c)");
    BECOMES("(ab)+c", "(?:ab)+c");
    BECOMES("()", "(?:)");
    BECOMES("[abc]", "[abc]");
    BECOMES("[^a-z]", "[^a-z]");
    BECOMES("[a\\]-]", "[a\\]\\-]");
    BECOMES("[[:alpha:]]", "[\\[:alpha:]\\]");
    BECOMES("\"a.b\"*", "(?:a\\.b)*");
    BECOMES("\"\"", "(?:)");
    BECOMES("x@y", "x.*y");
    BECOMES("\xc3\xa4+", "(?:\xc3\xa4)+");
    BECOMES("[\xc3\xa4-\xc3\xbc]", "[\xc3\xa4-\xc3\xbc]");
}

/* What means something to the server and nothing to Lucene is a literal. */
static void test_literals(void **state)
{
    (void)state;
    BECOMES("^a$", "\\^a\\$");
    BECOMES("\\.\\*\\(", "\\.\\*\\(");
    BECOMES("\\d\\1\\m", "d1m");
    BECOMES("a\\\\b", "a\\\\b");
    BECOMES("]}", "\\]\\}");
    BECOMES("a::b", "a\\:\\:b");
}

static void test_refused(void **state)
{
    (void)state;
    REFUSED("(", "nothing where something should be");
    REFUSED("(a", "( without )");
    REFUSED("a)", ") without (");
    REFUSED("a|", "nothing where something should be");
    REFUSED("|a", "nothing where something should be");
    REFUSED("*a", "nothing to repeat");
    REFUSED("[", "nothing in [ ]");
    REFUSED("[ab", "[ without ]");
    REFUSED("[]", "nothing in [ ]");
    REFUSED("[b-a]", "a range in [ ] that ends before it begins");
    REFUSED("\"a", "\" without its second one");
    REFUSED("\\", "\\ at the end");
    REFUSED("a{", "{ } that is no number of times");
    REFUSED("a{2,1}", "{ } that is no number of times");
    REFUSED("a{x}", "{ } that is no number of times");
    REFUSED("(?i)a", "nothing to repeat");
    REFUSED("***=a", "nothing to repeat");
}

static char *times(const char *text, int n)
{
    char *out = apr_pcalloc(pool, strlen(text) * (apr_size_t)n + 1);

    for (int i = 0; i < n; i++) {
        memcpy(out + strlen(text) * (apr_size_t)i, text, strlen(text));
    }
    return out;
}

static void test_bounds(void **state)
{
    (void)state;
    COMPLEX("~a");
    COMPLEX("a&b");
    COMPLEX("<1-9>");
    COMPLEX("#");
    COMPLEX("a{256}");
    COMPLEX("a{99999999999999999999}");
    COMPLEX(times("a?", 101));
    COMPLEX(times("x", SAL_REGEX_MAX + 1));
    COMPLEX(apr_pstrcat(pool, times("(", 51), "a", times(")", 51), NULL));
    assert_int_equal(*translated(times("x", SAL_REGEX_MAX)), '^');
    assert_int_equal(*translated(apr_pstrcat(pool, times("(", 50), "a", times(")", 50), NULL)),
                     '^');
}

static const char *words(const char *text)
{
    const char *out;

    return sal_words_pattern(&out, text, pool, NULL) == APR_SUCCESS ? out : "refused";
}

static void test_words(void **state)
{
    const char *one = words("Foo"), *two = words("foo bar");

    (void)state;
    assert_null(words(""));
    assert_null(words(":: -- \xe2\x80\x9c"));
    assert_non_null(strstr(one, "Foo"));
    assert_null(strchr(one, '|'));
    assert_non_null(strstr(two, "|"));
    assert_non_null(strstr(words("foo.bar"), "foo\\.bar"));
    assert_null(strstr(words("foo. bar"), "foo\\."));
    assert_non_null(strstr(words("1.5"), "1\\.5"));
    assert_non_null(strstr(words("don't"), "don't"));
    assert_non_null(strstr(words("\xc3\x84"), "[\xc3\x84\xc3\xa4]"));
    assert_string_equal(words(times("a ", 201)), "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax),  cmocka_unit_test(test_literals),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_words),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
