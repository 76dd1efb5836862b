/*
 * The bounded reader: nothing past the end, no overflow of offsets, both byte orders.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/reader.h"

static const uint8_t bytes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88, 0x99 };
static const sal_span_t little = { bytes, sizeof(bytes), false };
static const sal_span_t big = { bytes, sizeof(bytes), true };

static void test_both_orders(void **state)
{
    uint8_t b;
    uint16_t h;
    uint32_t w;
    uint64_t d;

    (void)state;
    assert_true(sal_span_u8(&big, 8, &b));
    assert_int_equal(b, 0x99);
    assert_true(sal_span_u16(&little, 0, &h));
    assert_int_equal(h, 0x0201);
    assert_true(sal_span_u16(&big, 7, &h));
    assert_int_equal(h, 0x8899);
    assert_true(sal_span_u32(&little, 1, &w)); /* not aligned */
    assert_int_equal(w, 0x05040302);
    assert_true(sal_span_u32(&big, 1, &w));
    assert_int_equal(w, 0x02030405);
    assert_true(sal_span_u64(&little, 0, &d));
    assert_true(d == UINT64_C(0x8807060504030201));
    assert_true(sal_span_u64(&big, 1, &d));
    assert_true(d == UINT64_C(0x0203040506078899));
}

static void test_ends_are_kept(void **state)
{
    uint8_t b = 0x5a;
    uint16_t h = 0x5a5a;
    uint32_t w = 0x5a5a5a5a;
    uint64_t d = UINT64_C(0x5a5a5a5a5a5a5a5a);

    (void)state;
    assert_false(sal_span_u8(&little, 9, &b));
    assert_false(sal_span_u16(&little, 8, &h));
    assert_false(sal_span_u32(&little, 6, &w));
    assert_false(sal_span_u64(&little, 2, &d));
    assert_false(sal_span_u8(&little, UINT64_MAX, &b));
    assert_false(sal_span_u16(&little, UINT64_MAX, &h));
    assert_false(sal_span_u32(&little, UINT64_MAX - 2, &w));
    assert_false(sal_span_u64(&little, UINT64_MAX - 7, &d));
    assert_int_equal(b, 0x5a); /* outputs were left alone */
    assert_int_equal(h, 0x5a5a);
    assert_int_equal(w, 0x5a5a5a5a);
    assert_true(d == UINT64_C(0x5a5a5a5a5a5a5a5a));
}

static void test_parts(void **state)
{
    sal_span_t part = { NULL, 77, false };
    uint16_t h;

    (void)state;
    assert_true(sal_span_has(&little, 9, 0));
    assert_true(sal_span_has(&little, 0, 9));
    assert_false(sal_span_has(&little, 10, 0));
    assert_false(sal_span_has(&little, 1, UINT64_MAX)); /* offset + size wraps round */
    assert_false(sal_span_sub(&little, 4, 6, &part));
    assert_int_equal(part.size, 77);
    assert_true(sal_span_sub(&big, 4, 3, &part));
    assert_int_equal(part.size, 3);
    assert_true(sal_span_u16(&part, 1, &h));
    assert_int_equal(h, 0x0607);              /* the order goes with the part */
    assert_false(sal_span_u16(&part, 2, &h)); /* and so does its end, though the span has more */
}

static void test_empty(void **state)
{
    const sal_span_t none = { NULL, 0, false };
    sal_span_t part;
    uint8_t b;

    (void)state;
    assert_false(sal_span_u8(&none, 0, &b));
    assert_true(sal_span_has(&none, 0, 0));
    assert_true(sal_span_sub(&little, 9, 0, &part));
    assert_int_equal(part.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_orders),
        cmocka_unit_test(test_ends_are_kept),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
