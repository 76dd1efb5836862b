/* Compressed dumps: what zlib and zstd pack comes out, within the cap, or not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <zlib.h>
#include <zstd.h>
#include "crash/unpack.h"

#define SIZE (300 * 1000)

static apr_pool_t *pool;
static char plain[SIZE], packed[SIZE * 2];

static size_t gzip(void)
{
    z_stream z = { 0 };

    deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)plain;
    z.avail_in = SIZE;
    z.next_out = (Bytef *)packed;
    z.avail_out = sizeof(packed);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static size_t zstd(void)
{
    return ZSTD_compress(packed, sizeof(packed), plain, SIZE, 3);
}

static void check(size_t (*pack)(void), const char *name)
{
    sal_span_t in = { (void *)packed, pack(), false }, out;
    sal_error_t err;

    assert_string_equal(sal_packed_with(in.data, in.size), name);
    assert_int_equal(sal_unpack(&out, in, SIZE, pool, &err), APR_SUCCESS);
    assert_int_equal(out.size, SIZE);
    assert_memory_equal(out.data, plain, SIZE);
    assert_int_equal(sal_unpack(&out, in, SIZE - 1, pool, &err), SAL_E_TOOBIG);
    in.size /= 2;
    assert_int_equal(sal_unpack(&out, in, SIZE, pool, &err), SAL_E_MALFORMED);
    in.size = 4;
    assert_int_equal(sal_unpack(&out, in, SIZE, pool, &err), SAL_E_MALFORMED);
}

static void test_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE; i++) {
        plain[i] = (char)(i * i / 777);
    }
    check(gzip, "gzip");
    check(zstd, "zstd");
}

static void test_not_packed(void **state)
{
    sal_span_t in = { (const void *)"MDMP", 4, false }, out;

    (void)state;
    assert_null(sal_packed_with("MDMP", 4));
    assert_null(sal_packed_with("\x1f", 1));
    assert_null(sal_packed_with("", 0));
    assert_null(sal_packed_with("\xfd"
                                "7zXZ",
                                5));
    assert_int_equal(sal_unpack(&out, in, 100, pool, NULL), SAL_E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_formats),
                                        cmocka_unit_test(test_not_packed) };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
