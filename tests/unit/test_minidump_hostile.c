/*
 * Minidumps made to hurt: counts beyond the limits, records that share what they point to, Crashpad
 * dictionaries and handle lists that lie.
 */
#include "md_samples.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

enum { ON_LINUX = 0x8201, AMD64 = 9 };

static apr_pool_t *pool;

static int setup(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL);
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static sal_minidump_t *finish(sal_mdw_t *w)
{
    return md_open_guarded(md_sample_end(w, pool), pool);
}

static sal_mdw_t *begin(void)
{
    return md_sample_begin(ON_LINUX, AMD64, false, pool);
}

static void test_many_modules_are_cut(void **state)
{
    sal_mdw_t *w = begin();
    sal_minidump_t *md;

    (void)state;
    for (uint64_t i = 0; i < 2050; i++) {
        sal_mdw_module_t m = { .base = 0x1000 * (i + 1), .size = 0x1000, .name = "m" };

        sal_mdw_module(w, &m);
    }
    md = finish(w);
    assert_int_equal(md->n_modules, 2048);
    assert_int_equal(md->bad_records, 2);
    assert_true(sal_minidump_module_at(md, 0x1000 * 2048) == &md->modules[2047]);
}

static void test_many_threads_are_cut(void **state)
{
    sal_mdw_t *w = begin();
    sal_mdw_record_t *r = sal_mdw_record(w);
    sal_minidump_t *md;

    (void)state;
    sal_mdw_u32(r, 65537);
    sal_mdw_zero(r, (size_t)65537 * 48);
    sal_mdw_stream(w, SAL_STREAM_THREAD_LIST, sal_mdw_end(r));
    md = finish(w);
    assert_int_equal(md->n_threads, 16384);
}

/* A million regions at one place: sorted in reasonable time, one kept. */
static void test_regions_at_one_place(void **state)
{
    enum { N = 1 << 20 };
    sal_mdw_t *w = begin();
    sal_mdw_record_t *r = sal_mdw_record(w);
    sal_minidump_t *md;

    (void)state;
    sal_mdw_u32(r, N + 5);
    for (int i = 0; i < N + 5; i++) {
        sal_mdw_u64(r, 0x1000);
        sal_mdw_u32(r, 16);
        sal_mdw_u32(r, 0);
    }
    sal_mdw_stream(w, SAL_STREAM_MEMORY_LIST, sal_mdw_end(r));
    md = finish(w);
    assert_int_equal(md->n_memory, 1);
    assert_int_equal(md->bad_records, 5);
}

/* ---- Crashpad ---- */

typedef struct crashpad_t {
    uint32_t version;
    sal_mdw_loc_t simple, modules;
} crashpad_t;

static sal_minidump_t *crashpad(sal_mdw_t *w, const crashpad_t *c)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, c->version);
    sal_mdw_zero(r, 32);
    sal_mdw_loc(r, c->simple);
    sal_mdw_loc(r, c->modules);
    sal_mdw_zero(r, 12); /* newer writers' longer form */
    sal_mdw_stream(w, SAL_STREAM_CRASHPAD_INFO, sal_mdw_end(r));
    return finish(w);
}

static sal_mdw_loc_t pairs(sal_mdw_t *w, uint32_t count, const uint32_t *rvas, size_t n)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, count);
    for (size_t i = 0; i < n; i++) {
        sal_mdw_u32(r, rvas[i]);
    }
    return sal_mdw_end(r);
}

static uint32_t raw_text(sal_mdw_t *w, uint32_t size, const char *bytes, size_t n)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, size);
    sal_mdw_put(r, bytes, n);
    return sal_mdw_end(r).rva;
}

static void test_crashpad_pairs(void **state)
{
    sal_mdw_t *w = begin();
    uint32_t good = sal_mdw_utf8(w, "good");
    uint32_t rvas[] = { good,
                        good,
                        good,
                        raw_text(w, 3, "abcd", 4), /* no NUL behind it */
                        good,
                        raw_text(w, 3,
                                 "a\xff"
                                 "c",
                                 4), /* no UTF-8 */
                        good,
                        0xfffffff0, /* out of the file */
                        raw_text(w, 0, "", 1),
                        good };
    crashpad_t c = { .version = 1, .simple = pairs(w, 5, rvas, 10) };
    sal_minidump_t *md = crashpad(w, &c);

    (void)state;
    assert_true(md->crashpad.present);
    assert_int_equal(md->crashpad.n_simple, 2);
    assert_string_equal(md->crashpad.simple[0].value, "good");
    assert_string_equal(md->crashpad.simple[1].key, "");
    assert_int_equal(md->bad_records, 3);
    assert_string_equal(md->crashpad.report_id, "00000000-0000-0000-0000-000000000000");
}

static void test_crashpad_lies(void **state)
{
    uint32_t none[2] = { 0, 0 };
    sal_mdw_t *w = begin();
    crashpad_t c = { .version = 0 };
    sal_minidump_t *md;

    (void)state;
    assert_false(crashpad(w, &c)->crashpad.present); /* version 0 is none */
    w = begin();
    c.version = 2;                   /* later versions only add */
    c.simple = pairs(w, 2, none, 2); /* two said, one there */
    c.modules = (sal_mdw_loc_t){ 100, 0xffffff00 };
    md = crashpad(w, &c);
    assert_true(md->crashpad.present);
    assert_int_equal(md->crashpad.n_simple, 0);
    assert_int_equal(md->crashpad.n_modules, 0);
    assert_int_equal(md->bad_records, 1);
    w = begin();
    c.simple = (sal_mdw_loc_t){ 0, 0 };
    c.modules = pairs(w, 0x80000000, none, 2);
    assert_int_equal(crashpad(w, &c)->crashpad.n_modules, 0);
}

/* A thousand modules with one dictionary of a thousand entries: only a share of them is read. */
static void test_crashpad_shared_dictionary(void **state)
{
    enum { N = 1000 };
    sal_mdw_t *w = begin();
    uint32_t text = sal_mdw_utf8(w, "x");
    sal_mdw_record_t *d = sal_mdw_record(w), *info = sal_mdw_record(w), *links = sal_mdw_record(w);
    crashpad_t c = { .version = 1 };
    sal_mdw_loc_t dictionary, module;
    sal_minidump_t *md;
    size_t entries = 0;

    (void)state;
    sal_mdw_u32(d, N);
    for (int i = 0; i < 2 * N; i++) {
        sal_mdw_u32(d, text);
    }
    dictionary = sal_mdw_end(d);
    sal_mdw_u32(info, 1);
    sal_mdw_zero(info, 8);
    sal_mdw_loc(info, dictionary);
    sal_mdw_zero(info, 8);
    module = sal_mdw_end(info);
    sal_mdw_u32(links, N);
    for (uint32_t i = 0; i < N; i++) {
        sal_mdw_u32(links, i);
        sal_mdw_loc(links, module);
    }
    c.modules = sal_mdw_end(links);
    md = crashpad(w, &c);
    assert_int_equal(md->crashpad.n_modules, N);
    for (size_t i = 0; i < N; i++) {
        entries += md->crashpad.modules[i].n_simple;
    }
    assert_true(entries >= 60000 && entries <= 65536);
    assert_true(md->bad_records > 900);
}

/* ---- handles ---- */

static sal_minidump_t *handles(uint32_t header, uint32_t size, uint32_t count)
{
    sal_mdw_t *w = begin();
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, header);
    sal_mdw_u32(r, size);
    sal_mdw_u32(r, count);
    sal_mdw_u32(r, 0);
    sal_mdw_zero(r, 80);
    sal_mdw_stream(w, SAL_STREAM_HANDLE_DATA, sal_mdw_end(r));
    return finish(w);
}

static void test_handles(void **state)
{
    (void)state;
    assert_int_equal(handles(16, 40, 2)->n_handles, 2);
    assert_int_equal(handles(16, 32, 2)->n_handles, 2);
    assert_int_equal(handles(24, 32, 2)->n_handles, 2);
    assert_true(handles(16, 40, 0)->has_handles);
    assert_false(handles(16, 40, 3)->has_handles);
    assert_false(handles(16, 36, 2)->has_handles);
    assert_false(handles(12, 40, 1)->has_handles);
    assert_false(handles(16, 40, 0xffffffff)->has_handles);
    assert_null(handles(16, 40, 2)->handles[0].type_name);
}

/* ---- memory info ---- */

static sal_minidump_t *memory_info(uint64_t count, uint64_t base, uint64_t size)
{
    sal_mdw_t *w = begin();
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 16);
    sal_mdw_u32(r, 48);
    sal_mdw_u64(r, count);
    sal_mdw_u64(r, base);
    sal_mdw_zero(r, 16);
    sal_mdw_u64(r, size);
    sal_mdw_u32(r, 0x1000);
    sal_mdw_u32(r, 0x40);
    sal_mdw_u32(r, 0x20000);
    sal_mdw_u32(r, 0);
    sal_mdw_stream(w, SAL_STREAM_MEMORY_INFO_LIST, sal_mdw_end(r));
    md_sample_text(w, SAL_STREAM_LINUX_MAPS, "1000-2000 r-xp 00000000 08:01 7 /a\n");
    return finish(w);
}

static void test_memory_info(void **state)
{
    sal_minidump_t *md = memory_info(1, 0x5000, 0x1000);

    (void)state;
    /* Windows' list answers, the count of mappings is Linux's all the same */
    assert_int_equal(md->n_regions, 1);
    assert_false(md->regions_are_linux);
    assert_int_equal(md->linux_map_count, 1);
    assert_true(md->regions[0].read && md->regions[0].write && md->regions[0].exec);
    assert_int_equal(memory_info(1, 0x5000, 0)->n_regions, 0);
    assert_int_equal(memory_info(1, UINT64_MAX - 0xffe, 0x1000)->n_regions, 0);
    md = memory_info(1, UINT64_MAX - 0xfff, 0x1000);
    assert_non_null(sal_minidump_region_at(md, UINT64_MAX));
    md = memory_info(2, 0x5000, 0x1000); /* more said than there: Linux's map stands in */
    assert_true(md->regions_are_linux);
    assert_string_equal(md->regions[0].name, "/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_modules_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_threads_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_regions_at_one_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashpad_pairs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashpad_lies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashpad_shared_dictionary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_info, setup, teardown),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
