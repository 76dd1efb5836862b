/* The throttler: order, chances, fallback (collector specification, section 6). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include "crash/throttle.h"

static apr_pool_t *pool;
static double drawn;

static double draw(void)
{
    return drawn;
}

/* The condition is the name of an annotation that must be present. */
static bool is_present(void *condition, const sal_annotations_t *a, void *baton)
{
    assert_string_equal(baton, "request");
    return sal_annotations_get(a, condition) != NULL;
}

static void expect(const sal_throttle_rules_t *rules, const char *annotation, double r,
                   sal_throttle_t result, const char *rule, double percent)
{
    sal_annotations_t *a = sal_annotations_make(1000, pool);
    sal_verdict_t v;

    sal_annotations_text(a, annotation, "", 0, "utf-8");
    drawn = r;
    sal_throttle_decide(&v, rules, a, draw, (void *)"request");
    assert_int_equal(v.result, result);
    assert_string_equal(v.rule, rule);
    assert_true(v.percent == percent);
}

static void test_rules(void **state)
{
    static const sal_throttle_rule_t list[] = {
        { "never", is_present, (void *)"B2G", 100, SAL_THROTTLE_FAKEACCEPT, 0 },
        { "tenth", is_present, (void *)"Key", 10, SAL_THROTTLE_ACCEPT, SAL_THROTTLE_REJECT },
        { "maybe", is_present, (void *)"Old", 10, SAL_THROTTLE_CONTINUE, SAL_THROTTLE_REJECT },
        { "old", is_present, (void *)"Old", 100, SAL_THROTTLE_DEFER, 0 },
    };
    sal_throttle_rules_t rules = { list, 4, SAL_THROTTLE_REJECT };

    (void)state;
    expect(&rules, "B2G", 99, SAL_THROTTLE_FAKEACCEPT, "never", 100);
    expect(&rules, "Key", 0, SAL_THROTTLE_ACCEPT, "tenth", 10);
    expect(&rules, "Key", 10, SAL_THROTTLE_ACCEPT, "tenth", 10); /* r <= percent */
    expect(&rules, "Key", 10.1, SAL_THROTTLE_REJECT, "tenth", 10);
    expect(&rules, "Old", 5, SAL_THROTTLE_DEFER, "old", 100);
    expect(&rules, "Old", 50, SAL_THROTTLE_REJECT, "maybe", 10);
    expect(&rules, "Other", 0, SAL_THROTTLE_REJECT, "NO_MATCH", 0);
    rules.fallback = SAL_THROTTLE_ACCEPT;
    expect(&rules, "Other", 0, SAL_THROTTLE_ACCEPT, "accept_everything", 100);
}

/* Without a draw of the caller's the chance is real: neither always nor never. */
static void test_chance(void **state)
{
    static const sal_throttle_rule_t half = { "half", is_present,          (void *)"a",
                                              50,     SAL_THROTTLE_ACCEPT, SAL_THROTTLE_REJECT };
    sal_throttle_rules_t rules = { &half, 1, SAL_THROTTLE_REJECT };
    sal_annotations_t *a = sal_annotations_make(1000, pool);
    int accepted = 0;

    (void)state;
    sal_annotations_text(a, "a", "", 0, "utf-8");
    for (int i = 0; i < 1000; i++) {
        sal_verdict_t v;

        sal_throttle_decide(&v, &rules, a, NULL, (void *)"request");
        accepted += v.result == SAL_THROTTLE_ACCEPT;
    }
    assert_in_range(accepted, 400, 600);
}

static void test_names(void **state)
{
    sal_throttle_t v;

    (void)state;
    for (int i = 0; i <= SAL_THROTTLE_CONTINUE; i++) {
        assert_true(sal_throttle_parse(sal_throttle_name((sal_throttle_t)i), &v));
        assert_int_equal(v, i);
    }
    assert_true(sal_throttle_parse("Defer", &v));
    assert_int_equal(v, SAL_THROTTLE_DEFER);
    assert_false(sal_throttle_parse("", &v));
    assert_false(sal_throttle_parse("acceptable", &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_names),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
