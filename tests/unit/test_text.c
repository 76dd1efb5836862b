/*
 * Text helpers: hex, numbers with limits, sizes, durations, UTF-8, times.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/text.h"

static apr_pool_t *pool;

static void test_hex(void **state)
{
    static const unsigned char data[] = { 0x00, 0x0f, 0xa5, 0xff };
    char out[9];
    uint64_t v = 7;

    (void)state;
    sal_hex(out, data, sizeof(data));
    assert_string_equal(out, "000fa5ff");
    sal_hex(out, data, 0);
    assert_string_equal(out, "");
    assert_true(sal_parse_hex("fFfFfFfFfFfFfFfF", 16, &v));
    assert_true(v == UINT64_MAX);
    assert_true(sal_parse_hex("1g", 1, &v)); /* only the given length counts */
    assert_true(v == 1);
    v = 7;
    assert_false(sal_parse_hex("", 0, &v));
    assert_false(sal_parse_hex("11111111111111111", 17, &v));
    assert_false(sal_parse_hex("0x1", 3, &v));
    assert_false(sal_parse_hex(" 1", 2, &v));
    assert_false(sal_parse_hex("g", 1, &v));
    assert_false(sal_parse_hex("@", 1, &v)); /* neighbours of the letters in ASCII */
    assert_false(sal_parse_hex("`", 1, &v));
    assert_true(v == 7);
}

static void test_integers(void **state)
{
    static const char *const bad[] = { "",
                                       "-",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "1x",
                                       "0x1",
                                       "1.0",
                                       "--1",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999999999" };
    int64_t v = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(sal_parse_int(bad[i], INT64_MIN, INT64_MAX, &v));
    }
    assert_true(v == 7);
    assert_true(sal_parse_int("9223372036854775807", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MAX);
    assert_true(sal_parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MIN);
    assert_true(sal_parse_int("0010", 1, 10, &v));
    assert_true(v == 10);
    assert_false(sal_parse_int("11", 1, 10, &v));
    assert_false(sal_parse_int("0", 1, 10, &v));
    assert_true(sal_parse_int("-0", 0, 10, &v));
    assert_true(v == 0);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        { "0", 0 },
        { "1", 1 },
        { "64k", 65536 },
        { "25M", 26214400 },
        { "4G", UINT64_C(4294967296) },
        { "2t", UINT64_C(2199023255552) },
        { "18446744073709551615", UINT64_MAX },
        { "16777215T", UINT64_C(0xffffff0000000000) },
    };
    static const char *const bad[] = {
        "", "k", "-1", "1.5M", "1 M", "1kk", "1x", "16777216T", "18446744073709551616", "12MB"
    };
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(sal_parse_size(good[i].text, &v));
        assert_true(v == good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(sal_parse_size(bad[i], &v));
    }
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        { "30", 30 }, { "30s", 30 }, { "5min", 300 }, { "2h", 7200 }, { "7d", 604800 }, { "0", 0 },
    };
    static const char *const bad[] = {
        "", "s", "5m", "-5s", "1h30min", "5 min", "1w", "9223372036854775808", "106751991167301d"
    };
    int64_t v;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(sal_parse_duration(good[i].text, &v));
        assert_true(v == good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(sal_parse_duration(bad[i], &v));
    }
}

static void test_basename(void **state)
{
    (void)state;
    assert_string_equal(sal_basename("C:\\dir\\app.exe"), "app.exe");
    assert_string_equal(sal_basename("/usr/lib\\mixed/libc.so.6"), "libc.so.6");
    assert_string_equal(sal_basename("plain"), "plain");
    assert_string_equal(sal_basename("dir/"), "");
    assert_string_equal(sal_basename(""), "");
}

/* Expectations: Python's bytes.decode("utf-8", "replace"), with NUL replaced too. */
static void test_utf8_clean(void **state)
{
#define R "\xef\xbf\xbd"
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
        { "", 0, "" },
        { "plain", 5, "plain" },
        { "a\0b", 3, "a" R "b" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "\xc0\xaf", 2, R R }, /* overlong '/' */
        { "\xe0\x80\xaf", 3, R R R },
        { "\xf0\x82\x82\xac", 4, R R R R },
        { "\xed\xa0\x80", 3, R R R }, /* a surrogate */
        { "\xed\x9f\xbf\xee\x80\x80", 6, "\xed\x9f\xbf\xee\x80\x80" },
        { "\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf" },
        { "\xf4\x90\x80\x80", 4, R R R R }, /* past U+10FFFF */
        { "\xf5\x80", 2, R R },
        { "\xe2\x82", 2, R }, /* cut off: one for the part */
        { "\xe2\x82X", 3, R "X" },
        { "\xf0\x9f\x98", 3, R },
        { "\xf0\x9f\x41", 3, R "A" },
        { "\x80\xbf", 2, R R },
        { "\xff\xfe", 2, R R },
        { "\xc3(", 2, R "(" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool same = !strcmp(cases[i].in, cases[i].out) && strlen(cases[i].out) == cases[i].len;

        assert_string_equal(sal_utf8_clean(cases[i].in, cases[i].len, pool), cases[i].out);
        assert_int_equal(sal_utf8_valid(cases[i].in, cases[i].len), same);
        assert_true(sal_utf8_valid(cases[i].out, strlen(cases[i].out)));
    }
#undef R
}

static void test_utf8_cut(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1 2 3 4 1 bytes */
    static const size_t left[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
    char buf[sizeof(text)];

    (void)state;
    for (size_t max = 0; max < sizeof(left) / sizeof(left[0]); max++) {
        memcpy(buf, text, sizeof(text));
        sal_utf8_cut(buf, max);
        assert_int_equal(strlen(buf), left[max]);
    }
}

static void test_time_texts(void **state)
{
    static const struct {
        const char *text;
        apr_time_t value;
    } same[] = {
        /* values from GNU date */
        { "1970-01-01T00:00:00+00:00", 0 },
        { "2026-01-31T10:20:30.123456+00:00", INT64_C(1769854830123456) },
        { "2026-01-31T10:20:30.000001+00:00", INT64_C(1769854830000001) },
        { "2000-02-29T23:59:59+00:00", INT64_C(951868799000000) },
        { "1969-12-31T23:59:59.999999+00:00", -1 },
        { "1900-03-01T00:00:00+00:00", INT64_C(-2203891200000000) },
        { "9999-12-31T23:59:59+00:00", INT64_C(253402300799000000) },
        { "0001-01-01T00:00:00+00:00", INT64_C(-62135596800000000) },
    };
    apr_time_t t;

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_string_equal(sal_time_iso(same[i].value, pool), same[i].text);
        assert_true(sal_time_parse(same[i].text, &t));
        assert_true(t == same[i].value);
    }
    assert_string_equal(sal_time_iso(INT64_MAX, pool), "9999-12-31T23:59:59.999999+00:00");
    assert_string_equal(sal_time_iso(INT64_MIN, pool), "0001-01-01T00:00:00+00:00");
}

static void test_time_reading(void **state)
{
    static const char *const equal[] = {
        "2026-01-31T10:20:30Z",         "2026-01-31 10:20:30",
        "2026-01-31T10:20:30",          "2026-01-31 10:20:30+00",
        "2026-01-31 15:50:30+05:30",    "2026-01-31T02:20:30-0800",
        "2026-01-31T10:20:30.000000Z",  "2026-01-31T10:20:30.0000009Z",
        "2026-01-31 10:40:30+00:20:00", "2026-01-30T22:20:30-12:00",
    };
    static const char *const bad[] = {
        "",
        "now",
        "infinity",
        "2026-01-31",
        "2026-1-31T10:20:30Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T10:60:00Z",
        "2026-01-31T10:20:61Z",
        "2026-01-31T10:20:30.Z",
        "2026-01-31T10:20:30Zx",
        "2026-01-31T10:20:30+",
        "2026-01-31T10:20:30+5",
        "2026-01-31T10:20:30 Z",
        "2026-01-31T10:20",
        "0000-01-01T00:00:00Z",
        "2026-01-31T10:20:30+05:",
        " 2026-01-31T10:20:30Z",
    };
    apr_time_t t;

    (void)state;
    for (size_t i = 0; i < sizeof(equal) / sizeof(equal[0]); i++) {
        assert_true(sal_time_parse(equal[i], &t));
        assert_true(t == INT64_C(1769854830000000));
    }
    t = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sal_time_parse(bad[i], &t)) {
            fail_msg("\"%s\" was read as a time", bad[i]);
        }
    }
    assert_true(t == 7);
}

/* Every day of 400 years, against the C library. */
static void test_calendar(void **state)
{
    char text[40];
    apr_pool_t *p;

    (void)state;
    apr_pool_create(&p, pool);
    for (int64_t day = -146097 / 2; day < 146097 / 2; day += 1) {
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+00:00", &tm);
        assert_string_equal(sal_time_iso(apr_time_from_sec(seconds), p), text);
        apr_pool_clear(p);
    }
}

/* FIPS 180-4's examples. */
static void test_sha256(void **state)
{
    unsigned char digest[32];
    char hex[65];

    (void)state;
    sal_sha256("abc", 3, digest);
    sal_hex(hex, digest, 32);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sal_sha256("", 0, digest);
    sal_hex(hex, digest, 32);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex),          cmocka_unit_test(test_integers),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_basename),     cmocka_unit_test(test_utf8_clean),
        cmocka_unit_test(test_utf8_cut),     cmocka_unit_test(test_time_texts),
        cmocka_unit_test(test_time_reading), cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_sha256),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests_name("text", tests, NULL, NULL);
    apr_terminate();
    return failed;
}
