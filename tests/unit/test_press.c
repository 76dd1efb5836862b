/* Blocks as zstd frames: what a reader makes of them is the block; noise is not grown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "crash/press.h"

static sal_presses_t all;

static int set_up(void **state)
{
    (void)state;
    sal_presses_init(&all);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sal_presses_free(&all);
    return 0;
}

static void fill_noise(char *to, size_t size)
{
    uint64_t seed = 88172645463325252ULL;

    for (size_t i = 0; i < size; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        to[i] = (char)(seed >> 24);
    }
}

/* Presses a block; the size of the frame, which libzstd must read back. */
static size_t pressed(const char *data, size_t size, bool twice)
{
    char *bytes = malloc(2 * (ZSTD_compressBound(size) + SAL_FRAME_HEAD)), *back = malloc(2 * size);
    size_t n = 0, frame_size = 0;

    for (int round = 0; round < 1 + twice; round++) {
        sal_frame_t frame;

        assert_int_equal(sal_press(&frame, &all, data, size), APR_SUCCESS);
        for (int i = 0; i < frame.n; i++) {
            memcpy(bytes + n, frame.pieces[i].data, frame.pieces[i].size);
            n += frame.pieces[i].size;
        }
        sal_press_back(&all, &frame);
        frame_size = frame_size ? frame_size : n;
    }
    assert_int_equal(ZSTD_decompress(back, 2 * size, bytes, n), size * (1 + (size_t)twice));
    assert_memory_equal(back, data, size);
    if (twice) {
        assert_memory_equal(back + size, data, size);
    }
    free(bytes);
    free(back);
    return frame_size;
}

static const size_t sizes[] = {
    1, 100, 4095, 4096, 4097, 8192, 20000, SAL_PRESS_BLOCK - 1, SAL_PRESS_BLOCK
};

static void test_noise(void **state)
{
    static char data[SAL_PRESS_BLOCK];

    (void)state;
    fill_noise(data, sizeof(data));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_in_range(pressed(data, sizes[i], true), sizes[i], sizes[i] + 20);
    }
    assert_int_equal(pressed(data, sizeof(data), false), sizeof(data) + SAL_FRAME_HEAD);
}

static void test_others(void **state)
{
    static char data[SAL_PRESS_BLOCK];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) { /* stacks: addresses that share their upper half */
        data[i] = i % 8 < 3 ? (char)(i * 2654435761u >> 13) : "\x7f\0\0\0\0"[i % 8 - 3];
    }
    assert_in_range(pressed(data, sizeof(data), true), 1, sizeof(data) * 3 / 4);
    memset(data, 0, sizeof(data));
    assert_in_range(pressed(data, sizeof(data), true), 1, 100);
}

/* Half of it can be made smaller: that half is. */
static void test_mixed(void **state)
{
    static char data[SAL_PRESS_BLOCK];

    (void)state;
    fill_noise(data, sizeof(data) / 2);
    assert_in_range(pressed(data, sizeof(data), true), 1, sizeof(data) / 2 + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_noise), cmocka_unit_test(test_others),
                                        cmocka_unit_test(test_mixed) };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
