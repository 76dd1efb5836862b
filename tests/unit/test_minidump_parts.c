/*
 * Parts of a minidump one by one: lists, address maps, text, ids of modules, versions, processors.
 * What is expected comes from the format's tables (docs/minidump.md).
 */
#include "md_samples.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

enum { ON_LINUX = 0x8201, ON_WINDOWS = 2, ON_MACOS = 0x8101, AMD64 = 9 };

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

/* ---- lists ---- */

/* A thread list that says `count`, with `entries` in it and `extra` bytes in front or behind. */
static sal_minidump_t *thread_list(uint32_t count, uint32_t entries, uint32_t front,
                                   uint32_t behind)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, count);
    sal_mdw_zero(r, front);
    for (uint32_t i = 0; i < entries; i++) {
        sal_mdw_u32(r, 1000 + i);
        sal_mdw_zero(r, 44);
    }
    sal_mdw_zero(r, behind);
    sal_mdw_stream(w, SAL_STREAM_THREAD_LIST, sal_mdw_end(r));
    return finish(w);
}

static void test_plain_lists(void **state)
{
    sal_minidump_t *md;

    (void)state;
    md = thread_list(2, 2, 0, 0);
    assert_int_equal(md->n_threads, 2);
    assert_int_equal(md->threads[1].id, 1001);
    md = thread_list(2, 2, 4, 0); /* padded behind the count */
    assert_int_equal(md->n_threads, 2);
    assert_int_equal(md->threads[0].id, 1000);
    md = thread_list(0, 0, 0, 0); /* a list of nothing is a list */
    assert_true(md->has_thread_list);
    assert_int_equal(md->n_threads, 0);
    assert_false(thread_list(3, 2, 0, 0)->has_thread_list);
    assert_false(thread_list(1, 2, 0, 0)->has_thread_list);
    assert_false(thread_list(2, 2, 0, 8)->has_thread_list);
    /* 0x55555556 * 48 overflows 32 bits to 32 */
    assert_false(thread_list(0x55555556, 0, 28, 4)->has_thread_list);
    assert_int_equal(thread_list(3, 2, 0, 0)->bad_records, 1);
}

static sal_minidump_t *unloaded_list(uint32_t header, uint32_t entry, uint32_t count)
{
    sal_mdw_t *w = md_sample_begin(ON_WINDOWS, AMD64, false, pool);
    uint32_t name = sal_mdw_utf16(w, "x.dll");
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, header);
    sal_mdw_u32(r, entry);
    sal_mdw_u32(r, count);
    sal_mdw_zero(r, header > 12 && header < 100 ? header - 12 : 0);
    for (int i = 0; i < 2; i++) {
        sal_mdw_u64(r, 0x1000);
        sal_mdw_u32(r, 0x10);
        sal_mdw_u32(r, 0);
        sal_mdw_u32(r, 0xa);
        sal_mdw_u32(r, name);
    }
    sal_mdw_stream(w, SAL_STREAM_UNLOADED_MODULE_LIST, sal_mdw_end(r));
    return finish(w);
}

static void test_extended_lists(void **state)
{
    (void)state;
    assert_int_equal(unloaded_list(12, 24, 2)->n_unloaded, 2);
    assert_int_equal(unloaded_list(20, 24, 2)->n_unloaded, 2); /* a longer header */
    assert_int_equal(unloaded_list(12, 24, 1)->n_unloaded, 1); /* more bytes than entries */
    assert_int_equal(unloaded_list(12, 24, 3)->n_unloaded, 0);
    assert_int_equal(unloaded_list(12, 28, 1)->n_unloaded, 0);
    assert_int_equal(unloaded_list(8, 24, 1)->n_unloaded, 0);
    assert_int_equal(unloaded_list(0xfffffff0, 24, 1)->n_unloaded, 0);
    /* overlapping ranges are kept: they were loaded one after another */
    assert_true(unloaded_list(12, 24, 2)->unloaded[1].base == 0x1000);
}

static void test_last_stream_of_a_type_counts(void **state)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_minidump_t *md;
    sal_span_t s;

    (void)state;
    md_sample_text(w, SAL_STREAM_LINUX_CMD_LINE, "first");
    md_sample_text(w, SAL_STREAM_LINUX_CMD_LINE, "second");
    sal_mdw_misc(w, 1, 0);
    sal_mdw_stream(w, SAL_STREAM_LINUX_ENVIRON, (sal_mdw_loc_t){ 16, 0xfffffff8 });
    sal_mdw_misc(w, 2, 0);
    md = finish(w);
    assert_true(sal_minidump_stream(md, SAL_STREAM_LINUX_CMD_LINE, &s));
    assert_int_equal(s.size, 6);
    assert_memory_equal(s.data, "second", 6);
    assert_int_equal(md->misc.pid, 2);
    assert_false(sal_minidump_stream(md, SAL_STREAM_LINUX_ENVIRON, &s)); /* out of the file */
}

static void test_many_streams(void **state)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_minidump_t *md;
    sal_span_t bytes;
    sal_error_t err;

    (void)state;
    for (int i = 1; i < 128; i++) {
        md_sample_text(w, 0x4d7a1000 + (uint32_t)i, "x");
    }
    bytes = md_sample_end(w, pool);
    assert_int_equal(md_open_guarded(bytes, pool)->n_streams, 128);
    md_sample_text(w, 0x4d7a2000, "x");
    bytes = md_sample_end(w, pool);
    assert_int_equal(sal_minidump_open(&md, bytes, pool, &err), SAL_E_TOOBIG);
}

/* ---- address maps ---- */

static sal_minidump_t *modules_at(const uint64_t (*ranges)[2], size_t n)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);

    for (size_t i = 0; i < n; i++) {
        sal_mdw_module_t m = { .base = ranges[i][0], .size = (uint32_t)ranges[i][1] };

        m.name = apr_psprintf(pool, "m%d", (int)i);
        sal_mdw_module(w, &m);
    }
    return finish(w);
}

static void assert_module(const sal_minidump_t *md, uint64_t address, const char *name)
{
    const sal_md_module_t *m = sal_minidump_module_at(md, address);

    if (!name) {
        assert_null(m);
    } else {
        assert_non_null(m);
        assert_string_equal(m->name, name);
    }
}

static void test_overlapping_modules(void **state)
{
    static const uint64_t ranges[][2] = {
        { 0x5000, 0x1000 },
        { 0x1000, 0x1000 },
        { 0x1800, 0x10000 }, /* begins in the one before */
        { 0x2000, 0x800 },
        { 0, 0 },
        { 0xffffffffffffff00, 0x200 }, /* overflows */
        { 0xffffffffffffff00, 0x100 }, /* ends with the address space */
    };
    sal_minidump_t *md = modules_at(ranges, 7);

    (void)state;
    assert_int_equal(md->n_modules, 5); /* the empty and the overflowing one are no modules */
    assert_int_equal(md->bad_records, 2);
    assert_string_equal(md->modules[0].name, "m0"); /* in the dump's order */
    assert_module(md, 0x1800, "m1");
    assert_module(md, 0x2000, "m3");
    assert_module(md, 0x2800, NULL);
    assert_module(md, 0x5fff, "m0");
    assert_module(md, 0x6000, NULL);
    assert_module(md, UINT64_MAX, "m6");
}

static void test_same_range_first_wins(void **state)
{
    static const uint64_t ranges[][2] = { { 0x1000, 0x1000 },
                                          { 0x1000, 0x1000 },
                                          { 0x1000, 0x800 } };
    sal_minidump_t *md = modules_at(ranges, 3);

    (void)state;
    assert_int_equal(md->n_modules, 3);
    assert_int_equal(md->n_module_order, 1);
    assert_module(md, 0x1000, "m2"); /* sorted by start, then end */
    assert_module(md, 0x1800, NULL);
}

static void test_memory_out_of_file(void **state)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_minidump_t *md;

    (void)state;
    sal_mdw_memory(w, 0x3000, sal_mdw_copy(w, "abcd", 4));
    sal_mdw_memory(w, 0x1000, (sal_mdw_loc_t){ 64, 0xfffffff0 });
    sal_mdw_memory(w, 0x2000, (sal_mdw_loc_t){ 0, 0 });
    md = finish(w);
    assert_int_equal(md->n_memory, 1);
    assert_int_equal(md->bad_records, 1);
    assert_non_null(sal_minidump_memory_at(md, 0x3003));
}

/* A 64-bit list whose second region is cut by the end of the file, and a 32-bit one. */
static sal_minidump_t *memory64(uint64_t first_size, uint32_t stream_extra)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_mdw_loc_t bytes = sal_mdw_copy(w, "abcdefgh", 8);
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_memory(w, 0x9000, bytes);
    sal_mdw_u64(r, 2);
    sal_mdw_u64(r, bytes.rva);
    sal_mdw_u64(r, 0x1000);
    sal_mdw_u64(r, first_size);
    sal_mdw_u64(r, 0x2000);
    sal_mdw_u64(r, UINT64_MAX - 2);
    sal_mdw_zero(r, stream_extra);
    sal_mdw_stream(w, SAL_STREAM_MEMORY64_LIST, sal_mdw_end(r));
    return finish(w);
}

static void test_memory64(void **state)
{
    sal_minidump_t *md = memory64(3, 0);

    (void)state;
    assert_int_equal(md->n_memory, 1); /* what was there before the cut is kept */
    assert_true(md->memory[0].base == 0x1000);
    assert_memory_equal(md->memory[0].bytes.data, "abc", 3);
    md = memory64(1 << 20, 0); /* nothing of it is readable: the 32-bit list stands */
    assert_int_equal(md->n_memory, 1);
    assert_true(md->memory[0].base == 0x9000);
    md = memory64(3, 4); /* the size does not match the count */
    assert_true(md->memory[0].base == 0x9000);
}

static void check_maps(const char *text, size_t count)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_minidump_t *md;

    md_sample_text(w, SAL_STREAM_LINUX_MAPS, text);
    md = finish(w);
    assert_int_equal(md->has_linux_maps, count != SIZE_MAX);
    assert_int_equal(md->linux_map_count, count == SIZE_MAX ? 0 : count);
}

static void test_linux_maps(void **state)
{
    (void)state;
    check_maps("", 0);
    check_maps("1000-2000 r-xp 00000000 08:01 7 /a b c (deleted)\n", 1);
    check_maps("1000-2000 r-xp 00000000 08:01 7", 1);
    check_maps("1000-2000 r-xp 00000000 08:01 7 \n\n2000-3000 ---p 0 0:0 0\n", 2);
    check_maps("1000-2000 r-xp 00000000 08:01 7 /a\n1000-2000 r-xp 0 0:0 0\n",
               2); /* counted, once kept */
    check_maps("nonsense\n", SIZE_MAX);
    check_maps("1000-2000 r-xp 00000000 08:01 7 /a\n1000\n", SIZE_MAX);
    check_maps("1000-2000 r-xp 00000000 08:01 x /a\n", SIZE_MAX);
    check_maps("2000-1000 r-xp 00000000 08:01 7 /a\n", 1); /* as minidump-stackwalk counts */
    check_maps("1000-2000 r 00000000 08:01 7 /a\n", 1);
    check_maps("1000-2000 r-xp 00000000 08:01 7 /\xff\xfe\n2000-3000 ---p 0 0:0 0 [stack:x]\n", 2);
    check_maps("10000000000000000-2000 r-xp 00000000 08:01 7 /a\n", SIZE_MAX);
}

/* ---- text ---- */

static const char *thread_name_of(const void *units, uint32_t size, uint32_t claimed)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_mdw_record_t *text = sal_mdw_record(w), *names = sal_mdw_record(w);
    sal_mdw_thread_t t = { .id = 5 };

    sal_mdw_u32(text, claimed);
    sal_mdw_put(text, units, size);
    sal_mdw_u32(names, 1);
    sal_mdw_u32(names, 5);
    sal_mdw_u64(names, sal_mdw_end(text).rva);
    sal_mdw_thread(w, &t);
    sal_mdw_stream(w, SAL_STREAM_THREAD_NAMES, sal_mdw_end(names));
    return finish(w)->threads[0].name;
}

static void test_utf16(void **state)
{
    (void)state;
    assert_string_equal(thread_name_of("a\0b\0", 4, 4), "ab");
    assert_string_equal(thread_name_of("a\0b\0", 4, 2), "a");
    assert_string_equal(thread_name_of("", 0, 0), "");
    assert_string_equal(thread_name_of("\xe9\0\xac\x20", 4, 4), "\xc3\xa9\xe2\x82\xac");
    assert_string_equal(thread_name_of("\x3d\xd8\x00\xde", 4, 4), "\xf0\x9f\x98\x80");
    assert_null(thread_name_of("a\0b\0", 4, 3));           /* odd */
    assert_null(thread_name_of("a\0b\0", 4, 0x7ffffff0));  /* past the end */
    assert_null(thread_name_of("\x3d\xd8", 2, 2));         /* half a pair at the end */
    assert_null(thread_name_of("\x3d\xd8x\0", 4, 4));      /* high, then none */
    assert_null(thread_name_of("\x00\xde\x3d\xd8", 4, 4)); /* the wrong way round */
}

static void test_thread_names(void **state)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_mdw_thread_t t = { .id = 7, .name = "old" }, other = { .id = 3 };
    sal_minidump_t *md;

    (void)state;
    sal_mdw_thread(w, &t);
    t.name = "new"; /* a second thread of that id: the last name is both's */
    sal_mdw_thread(w, &t);
    sal_mdw_thread(w, &other);
    md = finish(w);
    assert_string_equal(md->threads[0].name, "new");
    assert_string_equal(md->threads[1].name, "new");
    assert_null(md->threads[2].name);
}

/* Many records may share one long string: the dump's share of text bounds what that costs. */
static void test_shared_text_is_bounded(void **state)
{
    enum { NAME = 60000, THREADS = 3000 };
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_mdw_record_t *text = sal_mdw_record(w), *names = sal_mdw_record(w);
    size_t named = 0, last = 0;
    sal_minidump_t *md;
    uint32_t rva;

    (void)state;
    sal_mdw_u32(text, NAME);
    for (int i = 0; i < NAME / 2; i++) {
        sal_mdw_u16(text, 0x20ac);
    }
    rva = sal_mdw_end(text).rva;
    sal_mdw_u32(names, THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        sal_mdw_thread_t t = { .id = i };

        sal_mdw_thread(w, &t);
        sal_mdw_u32(names, i);
        sal_mdw_u64(names, rva);
    }
    sal_mdw_stream(w, SAL_STREAM_THREAD_NAMES, sal_mdw_end(names));
    md = finish(w);
    for (size_t i = 0; i < THREADS; i++) {
        named += md->threads[i].name != NULL;
        last = md->threads[i].name ? i : last;
    }
    assert_int_equal(named, (12 << 20) / (3 * NAME / 2 + 1)); /* 12 MiB; a unit makes 3 bytes */
    assert_int_equal(last, named - 1);
}

/* ---- ids of modules ---- */

typedef struct id_case_t {
    uint32_t platform;
    const char *cv;
    size_t size;
    const char *debug_file, *debug_id, *code_id;
} id_case_t;

#define GUID "\x96\x98\x32\x5a\x87\x52\xc1\x41\x83\x8e\xd9\x89\x14\xe9\xb7\xff"
#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static const id_case_t id_cases[] = {
    { ON_WINDOWS, "RSDS" GUID "\x1a\0\0\0x.pdb", 30, "x.pdb", "5A329896528741C1838ED98914E9B7FF1a",
      "0000abcd1000" },
    { ON_LINUX, "RSDS" GUID "\x01\0\0\0x.pdb", 30, "x.pdb", "5A329896528741C1838ED98914E9B7FF1",
      "0000abcd1000" },
    { ON_MACOS, "RSDS" GUID "\0\0\0\0x", 26, "x", "5A329896528741C1838ED98914E9B7FF0",
      "5a329896528741c1838ed98914e9b7ff" },
    { ON_WINDOWS, "RSDS" ZEROS "\x01\0\0\0x.pdb", 30, "x.pdb", "", "0000abcd1000" },
    { ON_WINDOWS, "RSDS" GUID "\x01\0\0\0\xff.pdb", 29, "\xef\xbf\xbd.pdb",
      "5A329896528741C1838ED98914E9B7FF1", "0000abcd1000" },
    { ON_WINDOWS, "RSDS" GUID "\x01\0\0\0", 24, "", "5A329896528741C1838ED98914E9B7FF1",
      "0000abcd1000" },
    { ON_WINDOWS, "NB10\0\0\0\0\x0d\x0c\x0b\x0a\x11\0\0\0y.pdb", 22, "y.pdb", "0A0B0C0D11",
      "0000abcd1000" },
    { ON_WINDOWS, "NB09\0\0\0\0", 8, NULL, "", "" },
    { ON_LINUX, "NB11\0\0\0\0", 8, NULL, "", "" },
    { ON_LINUX, "LEpB" GUID "\x01\x02\x03\x04", 24, "/m", "5A329896528741C1838ED98914E9B7FF0",
      "9698325a8752c141838ed98914e9b7ff01020304" },
    { ON_LINUX, "LEpB\x01\x02\x03", 7, "/m",
      "00030201000000000000000000000000"
      "0",
      "010203" },
    { ON_LINUX, "LEpB" ZEROS, 20, "/m", "", "" },
    { ON_LINUX, "LEpB", 4, "/m", "", "" },
    /* bad records: the module stays, Windows' code id needs no record */
    { ON_LINUX, "RSDS" GUID "\x01\0\0", 23, NULL, "", "" },
    { ON_WINDOWS, "RSDS" GUID "\x01\0\0", 23, NULL, "", "0000abcd1000" },
    { ON_WINDOWS, "NB10\0\0\0\0\x0d\x0c\x0b\x0a\x11\0\0", 15, NULL, "", "0000abcd1000" },
    { ON_LINUX, "LE", 2, NULL, "", "" },
    /* none */
    { ON_WINDOWS, "", 0, NULL, "", "0000abcd1000" },
    { ON_LINUX, "", 0, NULL, "", "" },
};

static void test_module_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(id_cases) / sizeof(id_cases[0]); i++) {
        const id_case_t *c = &id_cases[i];
        sal_mdw_t *w = md_sample_begin(c->platform, AMD64, false, pool);
        sal_mdw_module_t m = { .base = 0x1000, .size = 0x1000, .timestamp = 0xabcd, .name = "/m" };
        sal_minidump_t *md;

        if (c->size) {
            m.cv = sal_mdw_copy(w, c->cv, c->size);
        }
        sal_mdw_module(w, &m);
        md = finish(w);
        assert_int_equal(md->n_modules, 1);
        if (c->debug_file) {
            assert_non_null(md->modules[0].debug_file);
            assert_string_equal(md->modules[0].debug_file, c->debug_file);
        } else {
            assert_null(md->modules[0].debug_file);
        }
        assert_string_equal(md->modules[0].debug_id, c->debug_id);
        assert_string_equal(md->modules[0].code_id, c->code_id);
    }
}

static void test_bad_module_costs_itself(void **state)
{
    sal_mdw_t *w = md_sample_begin(ON_WINDOWS, AMD64, false, pool);
    sal_mdw_module_t good = { .base = 0x1000, .size = 0x1000, .name = "good" };
    sal_mdw_module_t bad = {
        .base = 0x5000, .size = 0x1000, .name = "bad", .cv = { 64, 0xfffffff0 }
    };
    sal_mdw_module_t large = { .base = 0x8000, .size = 0x1000, .name = "large" };
    sal_mdw_record_t *r = sal_mdw_record(w);
    sal_minidump_t *md;

    (void)state;
    sal_mdw_u32(r, 0x53445352);
    sal_mdw_zero(r, 32768);
    large.cv = sal_mdw_end(r);
    sal_mdw_module(w, &bad);
    sal_mdw_module(w, &large);
    sal_mdw_module(w, &good);
    md = finish(w);
    assert_int_equal(md->n_modules, 3);
    assert_string_equal(md->modules[0].name, "bad");
    assert_null(md->modules[0].debug_file);
    assert_null(md->modules[1].debug_file);
    assert_string_equal(md->modules[2].name, "good");
    assert_int_equal(md->bad_records, 2);
}

static void test_module_versions(void **state)
{
    static const struct {
        uint32_t platform;
        const char *text;
    } cases[] = { { ON_WINDOWS, "1.2.3.4" },
                  { ON_MACOS, "1.2.3.4" },
                  { ON_LINUX, "65538.196612.7.8" } };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        sal_mdw_t *w = md_sample_begin(cases[i].platform, AMD64, false, pool);
        sal_mdw_module_t m = { .base = 0x1000,
                               .size = 1,
                               .name = "m",
                               .has_version = true,
                               .version = { 0x10002, 0x30004, 7, 8 } };
        sal_minidump_t *md;

        sal_mdw_module(w, &m);
        m.has_version = false;
        m.base = 0x2000;
        sal_mdw_module(w, &m);
        md = finish(w);
        assert_string_equal(md->modules[0].version, cases[i].text);
        assert_null(md->modules[1].version);
    }
}

/* ---- the system ---- */

static sal_minidump_t *system_of(const sal_mdw_system_t *s)
{
    sal_mdw_t *w = sal_mdw_make(false, pool);

    sal_mdw_system(w, s);
    return finish(w);
}

static void test_os_versions(void **state)
{
    static const struct {
        sal_mdw_system_t s;
        const char *version;
    } cases[] = {
        { { .platform = 2, .major = 6, .minor = 1, .build = 7601, .csd = "Service Pack 1" },
          "6.1.7601 Service Pack 1" },
        { { .platform = 2, .major = 10, .build = 1, .csd = "  " }, "10.0.1" },
        { { .platform = ON_LINUX, .csd = "Linux 3.2.0 #1 SMP x86_64" }, "3.2.0 #1 SMP" },
        { { .platform = ON_LINUX, .csd = "Linux 3.2.0 #1 SMP x86_64 Linux/GNU" }, "3.2.0 #1 SMP" },
        { { .platform = ON_LINUX, .csd = "Linux 3.2.0" }, "3.2.0" },
        { { .platform = ON_LINUX, .csd = "Linux 0.0.0 #1 x86_64" }, "0.0.0 Linux 0.0.0 #1 x86_64" },
        { { .platform = ON_LINUX, .csd = "Linux" }, "0.0.0 Linux" },
        { { .platform = ON_LINUX, .csd = "" }, "0.0.0" },
        { { .platform = ON_LINUX, .major = 5, .csd = "Linux 3.2.0 #1 x" },
          "5.0.0 Linux 3.2.0 #1 x" },
        { { .platform = 0x8203, .csd = "Linux 3.2.0 #1 x" }, "0.0.0 Linux 3.2.0 #1 x" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(system_of(&cases[i].s)->system.os_version, cases[i].version);
    }
}

static void test_platforms_and_cpus(void **state)
{
    static const struct {
        uint32_t platform;
        const char *name;
    } platforms[] = { { 2, "Windows NT" },    { 3, "Windows NT" }, { 0x8101, "Mac OS X" },
                      { 0x8102, "iOS" },      { 0x8201, "Linux" }, { 0x8202, "Solaris" },
                      { 0x8203, "Android" },  { 0x8204, "PS3" },   { 0x8205, "NaCl" },
                      { 0x123, "0x00000123" } };
    static const struct {
        uint16_t arch;
        const char *name;
    } archs[] = { { 0, "x86" },        { 10, "x86" },        { 1, "mips" },
                  { 3, "ppc" },        { 5, "arm" },         { 9, "amd64" },
                  { 12, "arm64" },     { 0x8003, "arm64" },  { 0x8001, "sparc" },
                  { 0x8002, "ppc64" }, { 0x8004, "mips64" }, { 77, "unknown" } };

    (void)state;
    for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++) {
        sal_mdw_system_t s = { .platform = platforms[i].platform };

        assert_string_equal(system_of(&s)->system.os_name, platforms[i].name);
    }
    for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
        sal_mdw_system_t s = { .arch = archs[i].arch };

        assert_string_equal(system_of(&s)->system.cpu_name, archs[i].name);
    }
}

static void test_arm_info(void **state)
{
    static const struct {
        uint32_t cpuid, features;
        const char *info;
    } cases[] = {
        { 0, 0, "ARMv7" },
        { 0x410fc090, 0, "ARMv7 ARM Cortex-A9" },
        { 0x51100012, 1u << 12 | 1u << 1, "ARMv7 Qualcomm part(0x51000010) features: half,neon" },
        { 0x510006f0, 0, "ARMv7 Qualcomm Krait" },
        { 0x12000000, 0x7ffff,
          "ARMv7 vendor(0x12) part(0x12000000) features: swp,half,thumb,26bit,"
          "fastmult,fpa,vfpv2,edsp,java,iwmmxt,crunch,thumbee,neon,vfpv3,vfpv3d16,tls,vfpv4,idiva,"
          "idivt" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sal_mdw_system_t s = { .arch = 5,
                               .level = 7,
                               .cpu = { cases[i].cpuid, cases[i].features } };

        assert_string_equal(system_of(&s)->system.cpu_info, cases[i].info);
    }
}

static void test_process_id(void **state)
{
    sal_mdw_t *w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    sal_mdw_record_t *r;
    sal_minidump_t *md;

    (void)state;
    assert_false(finish(w)->misc.has_pid);
    w = md_sample_begin(ON_LINUX, AMD64, false, pool);
    md_sample_text(w, SAL_STREAM_LINUX_PROC_STATUS, "Name:\tPid\nPPid:\t4\nPid:\t31\nPid:\t32\n");
    md = finish(w);
    assert_true(md->misc.has_pid);
    assert_int_equal(md->misc.pid, 31);
    w = md_sample_begin(ON_LINUX, AMD64, false,
                        pool); /* MiscInfo decides, even that there is none */
    md_sample_text(w, SAL_STREAM_LINUX_PROC_STATUS, "Pid:\t31\n");
    r = sal_mdw_record(w);
    sal_mdw_zero(r, 24);
    sal_mdw_stream(w, SAL_STREAM_MISC_INFO, sal_mdw_end(r));
    assert_false(finish(w)->misc.has_pid);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_plain_lists),
        T(test_extended_lists),
        T(test_last_stream_of_a_type_counts),
        T(test_many_streams),
        T(test_overlapping_modules),
        T(test_same_range_first_wins),
        T(test_memory_out_of_file),
        T(test_memory64),
        T(test_linux_maps),
        T(test_utf16),
        T(test_thread_names),
        T(test_shared_text_is_bounded),
        T(test_module_ids),
        T(test_bad_module_costs_itself),
        T(test_module_versions),
        T(test_os_versions),
        T(test_platforms_and_cpus),
        T(test_arm_info),
        T(test_process_id),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
