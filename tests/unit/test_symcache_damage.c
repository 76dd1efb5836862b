/*
 * Damaged symcaches: whatever bytes they hold, opening says no or lookups answer something; none
 * faults and none hangs. Run under AddressSanitizer too (each file lies in a block of its own
 * size).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <xxhash.h>
#include "base/file.h"
#include "symbols/symcache.h"
#include "symbols/symcache_format.h"

static apr_pool_t *pool;
static char path[] = "/tmp/test_damage.XXXXXX";
static char *good;
static apr_size_t good_size;

static const char text[] = "MODULE Linux x86_64 C3B913878AFB017237A4A08B325905C70 lib.so\n"
                           "INFO CODE_ID 8713B9C38AFB72013 lib.so\n"
                           "FILE 0 a.c\nFILE 1 b.c\n"
                           "INLINE_ORIGIN 0 one\nINLINE_ORIGIN 1 two\n"
                           "FUNC 1000 100 0 f\n"
                           "INLINE 0 5 0 0 1010 40 1060 10\nINLINE 1 6 1 1 1020 10\n"
                           "1000 20 1 0\n1020 30 2 1\n1050 b0 3 0\n"
                           "FUNC 2000 40 8 g\n2000 40 9 1\n"
                           "PUBLIC 3000 0 h\n"
                           "STACK CFI INIT 1000 100 .cfa: $rsp 8 + .ra: .cfa -8 + ^\n"
                           "STACK CFI 1001 .cfa: $rsp 16 +\nSTACK CFI 1004 $rbp: .cfa -16 + ^\n"
                           "STACK WIN 4 2000 40 1 2 3 4 5 6 1 $eip 4 =\n"
                           "STACK WIN 0 1000 40 1 2 3 4 5 6 0 1\n";

/* Reads every byte of what a lookup gives, so that a bad pointer shows. */
static unsigned eat(sal_str_t s)
{
    unsigned sum = 0;

    for (uint32_t i = 0; i < s.len; i++) {
        sum += (unsigned char)s.s[i];
    }
    return sum;
}

static volatile unsigned sink;

static void ask_everything(const sal_symcache_t *c)
{
    static sal_sym_frame_t inlines[SAL_SYM_MAX_INLINES];
    sal_symcache_info_t info;
    sal_sym_hit_t hit;
    sal_cfi_t cfi;
    sal_win_t win;
    sal_sym_look_t look;

    sal_symcache_info(c, &info);
    sink += (unsigned)strlen(info.debug_file) + (unsigned)strlen(info.code_file);
    for (uint64_t x = 0xff0; x < 0x3020; x += 7) {
        if (sal_symcache_lookup(c, x, &hit, inlines, SAL_SYM_MAX_INLINES)) {
            sink += eat(hit.outer.function) + eat(hit.outer.file);
            for (uint32_t i = 0; i < hit.n_inlines; i++) {
                sink += eat(inlines[i].function) + eat(inlines[i].file);
            }
        }
        sink += sal_symcache_line_base(c, x);
        look = (sal_sym_look_t){ .cache = c, .address = x };
        sal_symcache_look(&look, 1);
        sal_symcache_extend(&look);
        if (sal_symcache_see(&look, &hit, inlines, 2)) {
            sink += eat(hit.outer.function) + eat(hit.outer.file);
        }
        if (sal_symcache_cfi(c, x, &cfi)) {
            sink += eat(cfi.init);
            for (uint32_t i = 0; i <= cfi.n_deltas && i < 100; i++) {
                sink += eat(sal_symcache_cfi_delta(c, &cfi, i));
            }
        }
        if (sal_symcache_win(c, x, false, &win)) {
            sink += eat(win.program);
        }
        sink += sal_symcache_win(c, x, true, &win);
    }
}

/* Opens a copy in a block of exactly its size. True if it was accepted. */
static bool try_bytes(const char *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    apr_pool_t *p;
    sal_symcache_t *c;
    sal_error_t err;
    bool accepted;

    assert_non_null(copy);
    memcpy(copy, data, size);
    apr_pool_create(&p, pool);
    accepted = sal_symcache_open_mem(&c, (sal_span_t){ copy, size, false }, p, &err) == APR_SUCCESS;
    if (accepted) {
        ask_everything(c);
    } else {
        assert_int_equal(err.code, SAL_E_MALFORMED);
    }
    apr_pool_destroy(p);
    free(copy);
    return accepted;
}

/* With a checksum that fits, so that the fields themselves are put to the test. */
static void sign(char *data)
{
    symx_header_t h;

    memcpy(&h, data, sizeof(h));
    h.checksum = 0;
    h.checksum = htole64(XXH64(&h, sizeof(h), 0));
    memcpy(data, &h, sizeof(h));
}

static void every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n < good_size; n++) {
        assert_false(try_bytes(good, n));
    }
    assert_true(try_bytes(good, good_size));
}

static void every_header_byte(void **state)
{
    char *bad = malloc(good_size);

    (void)state;
    for (size_t i = 0; i < sizeof(symx_header_t); i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bad, good, good_size);
            bad[i] ^= (char)(1 << bit);
            assert_false(try_bytes(bad, good_size));
            sign(bad);
            if (i < 16) { /* magic, version, total */
                assert_false(try_bytes(bad, good_size));
            } else {
                try_bytes(bad, good_size);
            }
        }
    }
    free(bad);
}

static const uint32_t nasty[] = { 0,          1,          2,          0x7f,       0xff,
                                  0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 1 << 30 };

static void every_header_word(void **state)
{
    char *bad = malloc(good_size);

    (void)state;
    for (size_t i = 0; i + 4 <= sizeof(symx_header_t); i += 4) {
        for (size_t k = 0; k < sizeof(nasty) / sizeof(nasty[0]); k++) {
            memcpy(bad, good, good_size);
            memcpy(bad + i, &nasty[k], 4);
            sign(bad);
            try_bytes(bad, good_size);
        }
    }
    free(bad);
}

static void every_word_behind_the_header(void **state)
{
    char *bad = malloc(good_size);

    (void)state;
    for (size_t i = sizeof(symx_header_t); i + 4 <= good_size; i += 4) {
        for (size_t k = 0; k < sizeof(nasty) / sizeof(nasty[0]); k++) {
            memcpy(bad, good, good_size);
            memcpy(bad + i, &nasty[k], 4);
            assert_true(try_bytes(bad, good_size)); /* found out when used, not before */
        }
    }
    free(bad);
}

static void random_bytes(void **state)
{
    char *bad = malloc(good_size);

    (void)state;
    srandom(1);
    for (int round = 0; round < 3000; round++) {
        memcpy(bad, good, good_size);
        for (long n = 1 + random() % 20; n > 0; n--) {
            bad[(size_t)random() % good_size] = (char)random();
        }
        memcpy(bad, good, 8);
        memcpy(bad + 8, good + 8, 8);
        sign(bad);
        try_bytes(bad, good_size);
    }
    free(bad);
}

static void another_version_is_to_be_rebuilt(void **state)
{
    char *bad = malloc(good_size);
    uint32_t version = htole32(SYMX_VERSION + 1);

    (void)state;
    memcpy(bad, good, good_size);
    memcpy(bad + 4, &version, 4);
    sign(bad);
    assert_false(try_bytes(bad, good_size));
    free(bad);
}

static int set_up(void **state)
{
    sal_error_t err;
    int fd;

    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    fd = mkstemp(path);
    close(fd);
    if (sal_symcache_build_mem(path, (sal_span_t){ (const uint8_t *)text, sizeof(text) - 1, false },
                               pool, &err) != APR_SUCCESS) {
        print_error("%s\n", err.message);
        return -1;
    }
    return sal_file_read(&good, &good_size, path, 1 << 20, pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    apr_pool_destroy(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),      cmocka_unit_test(every_header_byte),
        cmocka_unit_test(every_header_word), cmocka_unit_test(every_word_behind_the_header),
        cmocka_unit_test(random_bytes),      cmocka_unit_test(another_version_is_to_be_rebuilt),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
