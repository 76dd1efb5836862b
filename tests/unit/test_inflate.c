/* gzip bodies: members, caps, damage, however the bytes are cut. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "crash/inflate.h"

static apr_pool_t *pool;

typedef struct sunk_t {
    char *data;
    size_t size, pieces;
} sunk_t;

static apr_status_t sink(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sunk_t *s = baton;

    (void)err;
    assert_true(size > 0 && size <= 65536);
    s->data = realloc(s->data, s->size + size);
    memcpy(s->data + s->size, data, size);
    s->size += size;
    s->pieces++;
    return APR_SUCCESS;
}

/* gzip of data, by zlib itself. */
static char *pack(const char *data, size_t size, size_t *out_size)
{
    z_stream z = { 0 };
    char *out = apr_palloc(pool, size + 1024);

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)size;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)size + 1024;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *out_size = z.total_out;
    deflateEnd(&z);
    return out;
}

static apr_status_t inflate_all(const char *data, size_t size, size_t step, apr_uint64_t max,
                                sunk_t *s, int *broken)
{
    sal_inflate_t *z;
    sal_error_t err = { 0 };
    apr_status_t rv;

    *s = (sunk_t){ 0 };
    assert_int_equal(sal_inflate_make(&z, max, sink, s, pool, &err), APR_SUCCESS);
    rv = APR_SUCCESS;
    for (size_t at = 0; rv == APR_SUCCESS && at < size; at += step) {
        rv = sal_inflate_feed(z, data + at, size - at < step ? size - at : step, &err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_inflate_finish(z, &err);
    }
    *broken = sal_inflate_broken(z);
    return rv;
}

/* Runs every step size; all must agree. */
static void expect(const char *data, size_t size, apr_uint64_t max, apr_status_t status,
                   const char *text, size_t text_size)
{
    static const size_t steps[] = { 1, 2, 3, 7, 1000, SIZE_MAX / 2 };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        sunk_t s;
        int broken;

        assert_int_equal(inflate_all(data, size, steps[i], max, &s, &broken), status);
        assert_int_equal(broken, status == SAL_E_MALFORMED);
        if (status == APR_SUCCESS) {
            assert_int_equal(s.size, text_size);
            assert_true(text_size == 0 || !memcmp(s.data, text, text_size));
        }
        free(s.data);
    }
}

static void test_members(void **state)
{
    size_t n, m;
    char *a = pack("hello ", 6, &n), *b = pack("world", 5, &m);
    char *both = apr_palloc(pool, n + m + 100);

    (void)state;
    expect(a, n, 100, APR_SUCCESS, "hello ", 6);
    memcpy(both, a, n);
    memcpy(both + n, b, m);
    expect(both, n + m, 100, APR_SUCCESS, "hello world", 11);
    memcpy(both + n + m, "junk after", 10);
    expect(both, n + m + 10, 100, APR_SUCCESS, "hello world", 11);
    memcpy(both + n, "\x1f\x8b", 2); /* looks like a member, but is two bytes of junk */
    expect(both, n + 2, 100, APR_SUCCESS, "hello ", 6);
    memcpy(both + n, b, m);
    expect(both, n + m - 3, 100, SAL_E_MALFORMED, NULL, 0); /* second member is cut */
}

static void test_damage(void **state)
{
    size_t n;
    char *a = pack("some text that is long enough", 29, &n), *copy = apr_pmemdup(pool, a, n);

    (void)state;
    expect("plain text, no gzip", 19, 100, SAL_E_MALFORMED, NULL, 0);
    expect("", 0, 100, SAL_E_MALFORMED, NULL, 0);
    expect(a, n - 1, 100, SAL_E_MALFORMED, NULL, 0);
    expect(a, 5, 100, SAL_E_MALFORMED, NULL, 0);
    copy[n - 8] ^= 1; /* CRC */
    expect(copy, n, 100, SAL_E_MALFORMED, NULL, 0);
    copy[n - 8] ^= 1;
    copy[n - 1] ^= 1; /* size */
    expect(copy, n, 100, SAL_E_MALFORMED, NULL, 0);
}

static void test_cap(void **state)
{
    size_t size = 300000, n;
    char *zeros = apr_pcalloc(pool, size), *a = pack(zeros, size, &n);
    sunk_t s;
    int broken;

    (void)state;
    expect(a, n, size, APR_SUCCESS, zeros, size);
    expect(a, n, size - 1, SAL_E_TOOBIG, NULL, 0);
    /* No more comes out than the cap, however good the ratio. */
    assert_int_equal(inflate_all(a, n, SIZE_MAX / 2, 100000, &s, &broken), SAL_E_TOOBIG);
    assert_true(s.size <= 100000);
    free(s.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_cap),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
