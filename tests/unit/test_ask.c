/*
 * Questions of the search page in words: operators, chips, sentences, contradictions, guesses.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "render/ask_result.h"

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

static const char *sentence(const char *query)
{
    return sal_ask_sentence(sal_ask_read(query, false, pool));
}

/* What is written comes back as it was, whatever is in it. */
static void test_queries(void **state)
{
    static const char *const texts[] = {
        "a=b",     "",      "signature=~a%26b%3Dc%20%2B%25", "x=%C3%A4%E2%82%AC", "a=&b=1",
        "a=%2500", "%3Da=b"
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_string_equal(sal_ask_query(sal_ask_read(texts[i], true, pool)), texts[i]);
    }
    /* '+' is a blank, a stray '%' stays, NUL goes, what is no UTF-8 is replaced */
    assert_string_equal(sal_ask_query(sal_ask_read("a=b+c&d=%zz%&e=f%00g", true, pool)),
                        "a=b%20c&d=%25zz%25&e=fg");
    assert_string_equal(sal_ask_value(sal_ask_read("a=%FF", true, pool), "a"), "\xEF\xBF\xBD");
    /* what has no value is none */
    assert_string_equal(sal_ask_query(sal_ask_read("a&&=&b=1", true, pool)), "=&b=1");
}

static void test_most(void **state)
{
    const char *query = "a=1";

    (void)state;
    for (int i = 0; i < 300; i++) {
        query = apr_pstrcat(pool, query, "&signature=~x", NULL);
    }
    assert_int_equal(sal_ask_read(query, true, pool)->pairs->nelts, SAL_ASK_MAX);
}

static void test_sentences(void **state)
{
    (void)state;
    assert_string_equal(sentence(""), "");
    assert_string_equal(sentence("date=%3E2026-01-01&_sort=date&nonsense=1"), "");
    assert_string_equal(sentence("product=A&product=B&version=!1&version=!2"),
                        "product is A or B and version is not 1 or 2");
    /* operators first, then what is negated as one, then what is not; from the left */
    assert_string_equal(sentence("signature=a&signature=!b&signature=~c&signature=!$d&signature=e"),
                        "(((signature contains c or signature does not end with d) or signature "
                        "does not match b) or signature matches a or e)");
}

static void test_folds(void **state)
{
    (void)state;
    assert_string_equal(sentence("uptime=>1&uptime=<5&uptime=7"),
                        "((uptime > 1 and uptime < 5) or uptime is 7)");
    assert_string_equal(sentence("_neg=and&signature=!~a&signature=~b&signature=!~c"),
                        "((signature contains b and signature does not contain a) and signature "
                        "does not contain c)");
    assert_string_equal(sentence("startup_crash=false&safe_mode=1&gmp_plugin=!__null__"),
                        "startup_crash is false or missing and safe_mode is true and gmp_plugin "
                        "exists");
    assert_string_equal(sentence("startup_crash=!__true__&signature=__null__"),
                        "startup_crash is false or missing and signature does not exist");
    /* an enumeration has no pattern: the sign is part of the value */
    assert_string_equal(sentence("cpu_arch=~a&signature==!x"),
                        "cpu_arch is ~a and signature is exactly !x");
    assert_string_equal(sentence("url=~x&version=1"), "version is 1"); /* protected */
}

static void test_splits(void **state)
{
    static const struct {
        const char *field, *value, *code, *rest;
    } cases[] = { { "signature", "!~a", "!~", "a" },
                  { "signature", "!!a", "!", "!a" },
                  { "signature", "==a", "=", "=a" },
                  { "signature", "__null__x", "__null__", "" },
                  { "uptime", "!>=5", "!>=", "5" },
                  { "uptime", "=5", "", "=5" },
                  { "startup_crash", "yes", "__true__", "" },
                  { "startup_crash", "!yes", "!__true__", "" },
                  { "startup_crash", "!no", "__true__", "" },
                  { "date", ">=2026", ">=", "2026" },
                  { "product", "", "", "" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sal_ask_term_t t;

        sal_ask_split(&t, sal_search_field(cases[i].field), cases[i].value, pool);
        assert_string_equal(t.op->code, cases[i].code);
        assert_string_equal(t.value, cases[i].rest);
    }
}

/* Every operator of every field is found again, and its words are its own. */
static void test_operators(void **state)
{
    int n;
    const sal_search_field_t *f = sal_search_fields(&n);

    (void)state;
    assert_int_equal(n, 156);
    for (int i = 0; i < n; i++) {
        for (const sal_ask_op_t *op = sal_ask_ops(&f[i]); op->code; op++) {
            sal_ask_term_t t;

            sal_ask_split(&t, &f[i], apr_pstrcat(pool, op->code, op->valued ? "7" : "", NULL),
                          pool);
            assert_ptr_equal(t.op, op);
            for (const sal_ask_op_t *other = op + 1; other->code; other++) {
                assert_string_not_equal(op->words, other->words);
            }
        }
    }
}

static void test_relaxing(void **state)
{
    sal_ask_t *ask =
        sal_ask_read("product=A&version=1&version=2&signature=~x&url=~y&page=3", false, pool);
    const char *words;
    sal_ask_term_t t;

    (void)state;
    assert_string_equal(sal_ask_query(sal_ask_relaxed(ask, 0, &words, &t)),
                        "version=1&version=2&signature=~x&url=~y");
    assert_string_equal(words, "product is A");
    assert_string_equal(sal_ask_query(sal_ask_relaxed(ask, 1, &words, &t)),
                        "product=A&signature=~x&url=~y");
    assert_string_equal(words, "version is 1 or 2");
    assert_string_equal(sal_ask_query(sal_ask_relaxed(ask, 2, &words, &t)),
                        "product=A&version=1&version=2&url=~y");
    assert_string_equal(t.value, "x");
    assert_null(sal_ask_relaxed(ask, 3, &words, &t)); /* the locked one does not count */
}

static void test_guesses(void **state)
{
    static const char *const right[][2] = { { "signatur", "signature" },
                                            { "Signature", "signature" },
                                            { "prodcut", "product" },
                                            { "build", "build_id" },
                                            { "os_name", NULL },
                                            { "x", NULL },
                                            { "platform_pretty", "platform_pretty_version" },
                                            { "versoin", "version" },
                                            { "uptme", "uptime" },
                                            { "qqqqqqqqqqqq", NULL } };
    char longest[5000];

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        const char *guess = sal_ask_guess(right[i][0]);

        if (right[i][1]) {
            assert_non_null(guess);
            assert_string_equal(guess, right[i][1]);
        } else if (guess) {
            fail_msg("%s: %s", right[i][0], guess);
        }
    }
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(sal_ask_guess(longest));
}

static void test_contradictions(void **state)
{
    static const struct {
        const char *query, *says;
    } cases[] = { { "uptime=>5&uptime=<5", "Operator combination failed: 5 > 5" },
                  { "uptime=>=5&uptime=<5", "Operator combination failed: 5 >= 5" },
                  { "uptime=>=5&uptime=<=5", NULL },
                  { "uptime=>=4&uptime=<=5&uptime=>6", "Operator combination failed: 5 <= 6" },
                  { "uptime=>5&uptime=!<5", NULL },
                  { "uptime=__null__&uptime=5", "Can't combine __null__ with other filters" },
                  { "uptime=__null__&uptime=__null__", NULL },
                  { "uptime_ts=>1.5&uptime_ts=<1.25", "Operator combination failed: 1.5 > 1.25" },
                  { "date=>=2026-02-01&date=<2026-01-01",
                    "Operator combination failed: 2026-02-01 >= 2026-01-01" },
                  { "signature=^a&signature=^b", NULL } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sal_error_t err = { 0 };
        apr_status_t rv = sal_ask_check(sal_ask_read(cases[i].query, true, pool), &err);

        assert_int_equal(rv, cases[i].says ? SAL_E_MALFORMED : APR_SUCCESS);
        if (cases[i].says) {
            assert_string_equal(err.message, cases[i].says);
        }
    }
}

static void test_narrowing(void **state)
{
    sal_ask_t *ask =
        sal_ask_read("version=1&version=2&signature=~x&page=4&_sort=uptime", true, pool);

    (void)state;
    assert_string_equal(sal_ask_narrowed(ask, sal_search_field("version"), "2"),
                        "signature=~x&_sort=uptime&version=2");
    assert_string_equal(sal_ask_narrowed(ask, sal_search_field("signature"), "!a | b"),
                        "version=1&version=2&_sort=uptime&signature=%3D%21a%20%7C%20b");
    assert_string_equal(sal_ask_narrowed(ask, sal_search_field("startup_crash"), "F"),
                        "version=1&version=2&signature=~x&_sort=uptime&startup_crash=%21__true__");
}

static void test_columns(void **state)
{
    int n;
    const char *const *names = sal_ask_columns(
        sal_ask_read("_columns=date,uuid,%20date&_columns=url&_columns=uptime", false, pool), &n);

    (void)state;
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "date");
    assert_string_equal(names[1], "uptime");
    (void)sal_ask_columns(sal_ask_read("_columns=uuid", false, pool), &n);
    assert_int_equal(n, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries),        cmocka_unit_test(test_most),
        cmocka_unit_test(test_sentences),      cmocka_unit_test(test_folds),
        cmocka_unit_test(test_splits),         cmocka_unit_test(test_operators),
        cmocka_unit_test(test_relaxing),       cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_narrowing),
        cmocka_unit_test(test_columns),
    };

    if (apr_initialize() != APR_SUCCESS) {
        return 1;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
