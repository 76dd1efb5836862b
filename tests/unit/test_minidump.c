/*
 * Whole minidumps: what the two samples hold, in both byte orders, and what is left of them when a
 * stream or the file is cut at any byte.
 */
#include "md_samples.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"

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

static void check_linux_system(const sal_minidump_t *md)
{
    assert_int_equal(md->time_date_stamp, 1700000000);
    assert_int_equal(md->flags, 0x21);
    assert_true(md->system.present);
    assert_int_equal(md->system.cpu, SAL_CPU_AMD64);
    assert_int_equal(md->system.os, SAL_OS_LINUX);
    assert_int_equal(md->system.cpu_count, 4);
    assert_string_equal(md->system.os_name, "Linux");
    assert_string_equal(md->system.cpu_name, "amd64");
    assert_string_equal(md->system.os_version, "5.10.0-8-amd64 #1 SMP Debian");
    assert_string_equal(md->system.cpu_info, "family 6 model 85 stepping 7");
    assert_string_equal(md->system.microcode, "0x2b");
    assert_true(md->misc.has_pid && md->misc.has_times);
    assert_int_equal(md->misc.pid, 4242);
    assert_int_equal(md->misc.create_time, 1699999000);
    assert_true(md->breakpad.present);
    assert_int_equal(md->breakpad.validity, 3);
    assert_int_equal(md->breakpad.dump_thread_id, 101);
    assert_int_equal(md->breakpad.requesting_thread_id, 100);
}

static uint64_t pc_of(const sal_minidump_t *md, const sal_span_t *context)
{
    sal_regs_t regs;

    assert_int_equal(sal_context_read(&regs, context, md->system.cpu, NULL), APR_SUCCESS);
    return regs.value[sal_cpu_desc(md->system.cpu)->pc];
}

static void check_linux_threads(const sal_minidump_t *md)
{
    assert_true(md->has_thread_list);
    assert_int_equal(md->n_threads, 2);
    assert_int_equal(md->threads[0].id, 100);
    assert_string_equal(md->threads[0].name, "main");
    assert_null(md->threads[1].name);
    assert_true(md->threads[1].teb == 0x7ffd0000 + 101);
    assert_true(md->threads[0].stack_start == 0x7ffc00001000);
    assert_int_equal(md->threads[0].stack.size, 16);
    assert_memory_equal(md->threads[0].stack.data, "stackstackstack", 16);
    assert_true(pc_of(md, &md->threads[1].context) == 0x400456);
    assert_true(md->exception.present);
    assert_int_equal(md->exception.thread_id, 100);
    assert_int_equal(md->exception.code, 11);
    assert_int_equal(md->exception.flags, 1);
    assert_true(md->exception.address == 0x10);
    assert_int_equal(md->exception.parameter_count, 2);
    assert_true(md->exception.parameters[1] == 8);
    assert_true(pc_of(md, &md->exception.context) == 0x400789);
}

static void check_linux_modules(const sal_minidump_t *md)
{
    assert_int_equal(md->n_modules, 2);
    assert_string_equal(md->modules[0].name, "/bin/x");
    assert_string_equal(md->modules[0].debug_file, "/bin/x");
    assert_string_equal(md->modules[0].code_id, "f1c3bcc0279865fe3058404b2831d9e64135386c");
    /* the 16 bytes are a GUID in the dump's byte order: field order follows it */
    assert_string_equal(md->modules[0].debug_id, md->file.swap
                                                     ? "F1C3BCC0279865FE3058404B2831D9E60"
                                                     : "C0BCC3F19827FE653058404B2831D9E60");
    assert_string_equal(md->modules[1].name, "/lib/lib\xc3\xa4.so");
    assert_null(md->modules[1].debug_file);
    assert_string_equal(md->modules[1].debug_id, "");
    assert_string_equal(md->modules[1].code_id, "");
    assert_ptr_equal(sal_minidump_module_at(md, 0x41ffff), &md->modules[0]);
    assert_null(sal_minidump_module_at(md, 0x420000));
    assert_null(sal_minidump_module_at(md, 0x3fffff));
    assert_ptr_equal(sal_minidump_module_at(md, 0x7f0000000000), &md->modules[1]);
}

static void check_linux_memory(const sal_minidump_t *md)
{
    const sal_md_region_t *r;

    assert_int_equal(md->n_memory, 2);
    assert_non_null(sal_minidump_memory_at(md, 0x7ffc0000100f));
    assert_null(sal_minidump_memory_at(md, 0x7ffc00001010));
    assert_true(md->has_linux_maps && md->regions_are_linux);
    assert_int_equal(md->linux_map_count, 3);
    assert_int_equal(md->n_regions, 3);
    r = sal_minidump_region_at(md, 0x40ffff);
    assert_non_null(r);
    assert_true(r->read && !r->write && r->exec && r->is_private && r->committed);
    assert_string_equal(r->name, "/bin/x");
    r = sal_minidump_region_at(md, 0x7f0000000fff);
    assert_non_null(r);
    assert_true(!r->read && !r->write && !r->exec && !r->is_private);
    assert_null(r->name);
}

static void check_crashpad(const sal_minidump_t *md)
{
    const sal_md_crashpad_t *c = &md->crashpad;

    assert_true(c->present);
    assert_string_equal(c->report_id, "deadbeef-1122-3344-5566-778899aabbcc");
    assert_string_equal(c->client_id, "01020304-1122-3344-5566-778899aabbcc");
    assert_int_equal(c->n_simple, 1);
    assert_string_equal(c->simple[0].key, "prod");
    assert_string_equal(c->simple[0].value, "Sampler");
    assert_int_equal(c->n_modules, 1);
    assert_int_equal(c->modules[0].index, 1);
    assert_int_equal(c->modules[0].n_list, 1);
    assert_string_equal(c->modules[0].list[0], "abort() called");
    assert_string_equal(c->modules[0].simple[0].value, "fast");
    assert_int_equal(c->modules[0].n_objects, 1);
    assert_string_equal(c->modules[0].objects[0].key, "channel");
    assert_string_equal(c->modules[0].objects[0].value, "beta");
}

static void test_linux(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        sal_minidump_t *md = md_open_guarded(md_sample_linux(big, pool), pool);
        sal_span_t text;

        assert_int_equal(md->file.swap, big);
        check_linux_system(md);
        check_linux_threads(md);
        check_linux_modules(md);
        check_linux_memory(md);
        check_crashpad(md);
        assert_true(sal_minidump_stream(md, SAL_STREAM_LINUX_CMD_LINE, &text));
        assert_int_equal(text.size, 6);
        assert_memory_equal(text.data, "/bin/x", 6);
        assert_false(sal_minidump_stream(md, SAL_STREAM_MOZ_SOFT_ERRORS, &text));
        assert_int_equal(md->bad_records, 0);
    }
}

static void check_windows_modules(const sal_minidump_t *md)
{
    const sal_md_module_t *m = md->modules;

    assert_int_equal(md->n_modules, 2);
    assert_string_equal(m[0].name, "c:\\test_app.exe");
    assert_string_equal(m[0].debug_file, "c:\\test_app.pdb");
    assert_string_equal(m[0].debug_id, "5A3298965287"
                                       "41C1838ED98914E9B7FF1f");
    assert_string_equal(m[0].code_id, "45d35f6c2d000");
    assert_string_equal(m[0].version, "1.2.3.4");
    assert_int_equal(m[0].checksum, 9);
    assert_null(m[1].debug_file);
    assert_string_equal(m[1].code_id, "000000ab1000");
    assert_null(m[1].version);
    assert_int_equal(md->n_unloaded, 1);
    assert_string_equal(md->unloaded[0].name, "C:\\gone.dll");
    assert_string_equal(md->unloaded[0].code_id, "5f5f2c883000");
    assert_true(md->unloaded[0].base == 0x60000000);
}

static void check_windows_memory(const sal_minidump_t *md)
{
    const sal_md_region_t *r = md->regions;

    /* the 64-bit list wins over the 32-bit one; sorted by address */
    assert_int_equal(md->n_memory, 2);
    assert_true(md->memory[0].base == 0x10000 && md->memory[1].base == 0x20000);
    assert_memory_equal(md->memory[0].bytes.data, "second!", 7);
    assert_memory_equal(md->memory[1].bytes.data, "first", 5);
    assert_int_equal(md->n_regions, 3);
    assert_false(md->regions_are_linux);
    assert_false(md->has_linux_maps);
    assert_true(r[0].free && !r[0].committed && !r[0].read && r[0].protection == 1);
    assert_true(r[1].base == 0x10000 && r[1].guard && r[1].read && r[1].write && !r[1].exec);
    assert_true(r[1].is_private && r[1].committed && r[1].state == 0x1000);
    assert_true(r[2].read && !r[2].write && r[2].exec && !r[2].is_private);
    assert_int_equal(r[2].type, 0x1000000);
}

static void test_windows(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        sal_minidump_t *md = md_open_guarded(md_sample_windows(big, pool), pool);

        assert_string_equal(md->system.os_name, "Windows NT");
        assert_string_equal(md->system.os_version, "10.0.19045 Service Pack 2");
        assert_string_equal(md->system.cpu_info, "GenuineIntel family 6 model 85 stepping 7");
        check_windows_modules(md);
        check_windows_memory(md);
        assert_string_equal(md->threads[0].name, "UI");
        assert_int_equal(md->exception.parameter_count, 15);
        assert_true(pc_of(md, &md->exception.context) == 0x40429e);
        assert_true(md->has_handles);
        assert_int_equal(md->n_handles, 2);
        assert_true(md->handles[0].handle == 0x14);
        assert_string_equal(md->handles[0].type_name, "File");
        assert_string_equal(md->handles[0].object_name, "\\Device\\x");
        assert_null(md->handles[1].object_name);
        assert_true(md->assertion.present);
        assert_string_equal(md->assertion.expression, "x != 0");
        assert_string_equal(md->assertion.function, "check");
        assert_string_equal(md->assertion.file, "a.c");
        assert_int_equal(md->assertion.line, 12);
        assert_int_equal(md->assertion.type, 1);
        assert_false(md->misc.has_pid);
        assert_int_equal(md->bad_records, 0);
    }
}

/* ---- cut streams ---- */

static uint32_t directory_type(const sal_span_t *s, uint32_t i)
{
    uint32_t rva = 0, type = 0;

    sal_span_u32(s, 12, &rva);
    sal_span_u32(s, rva + 12 * (uint64_t)i, &type);
    return type;
}

static void set_stream_size(uint8_t *file, const sal_span_t *s, uint32_t i, uint32_t size)
{
    uint32_t rva = 0;

    sal_span_u32(s, 12, &rva);
    size = s->swap ? __builtin_bswap32(size) : size;
    memcpy(file + rva + 12 * i + 4, &size, 4);
}

/* What is there of each stream, so that one can see which were lost. */
static uint32_t presence(const sal_minidump_t *md)
{
    uint32_t bits = 0;

    bits |= md->system.present ? 1u << 0 : 0;
    bits |= md->has_thread_list && md->n_threads ? 1u << 1 : 0;
    bits |= md->n_modules ? 1u << 2 : 0;
    bits |= md->n_memory ? 1u << 3 : 0;
    bits |= md->exception.present ? 1u << 4 : 0;
    bits |= md->misc.has_times ? 1u << 5 : 0;
    bits |= md->breakpad.present ? 1u << 6 : 0;
    bits |= md->crashpad.present ? 1u << 7 : 0;
    bits |= md->has_linux_maps && md->linux_map_count == 3 ? 1u << 8 : 0;
    bits |= md->n_threads && md->threads[0].name ? 1u << 9 : 0;
    bits |= md->system.microcode ? 1u << 10 : 0;
    bits |= md->has_handles ? 1u << 11 : 0;
    bits |= md->n_unloaded ? 1u << 12 : 0;
    bits |= md->assertion.present ? 1u << 13 : 0;
    bits |= md->n_regions && !md->regions_are_linux ? 1u << 14 : 0;
    return bits;
}

/* The bits that a stream may take with it. Names hang on threads; SystemInfo on nothing here. */
static uint32_t may_lose(uint32_t type)
{
    switch (type) {
    case SAL_STREAM_SYSTEM_INFO:
        return 1u << 0 | 1u << 10;
    case SAL_STREAM_THREAD_LIST:
        return 1u << 1 | 1u << 9;
    case SAL_STREAM_MODULE_LIST:
        return 1u << 2;
    case SAL_STREAM_MEMORY_LIST:
        return 1u << 3;
    case SAL_STREAM_EXCEPTION:
        return 1u << 4;
    case SAL_STREAM_MISC_INFO:
        return 1u << 5;
    case SAL_STREAM_BREAKPAD_INFO:
        return 1u << 6;
    case SAL_STREAM_CRASHPAD_INFO:
        return 1u << 7;
    case SAL_STREAM_LINUX_MAPS:
        return 1u << 8;
    case SAL_STREAM_THREAD_NAMES:
        return 1u << 9;
    case SAL_STREAM_LINUX_CPU_INFO:
        return 1u << 10;
    case SAL_STREAM_HANDLE_DATA:
        return 1u << 11;
    case SAL_STREAM_UNLOADED_MODULE_LIST:
        return 1u << 12;
    case SAL_STREAM_ASSERTION_INFO:
        return 1u << 13;
    case SAL_STREAM_MEMORY_INFO_LIST:
        return 1u << 14;
    default: /* texts; Memory64List, in whose place MemoryList steps */
        return 0;
    }
}

/* Streams that are of no use unless whole: every shorter size must lose them. */
static bool must_lose(uint32_t type)
{
    switch (type) {
    case SAL_STREAM_LINUX_MAPS:     /* a cut may fall between two lines */
    case SAL_STREAM_LINUX_CPU_INFO: /* the line may have been read already */
        return false;
    default:
        return may_lose(type) != 0;
    }
}

static void cut_stream(sal_span_t sample, uint32_t i, uint32_t whole)
{
    uint32_t type = directory_type(&sample, i), rva = 0, size = 0;
    uint8_t *copy = apr_pmemdup(pool, sample.data, sample.size);

    sal_span_u32(&sample, 12, &rva);
    sal_span_u32(&sample, rva + 12 * (uint64_t)i + 4, &size);
    for (uint32_t cut = 0; cut < size; cut++) {
        sal_minidump_t *md;
        sal_span_t other;
        apr_pool_t *p;
        uint32_t lost;
        bool covered; /* another stream stands in */

        apr_pool_create(&p, pool);
        set_stream_size(copy, &sample, i, cut);
        md = md_open_guarded((sal_span_t){ copy, sample.size, false }, p);
        md_read_all(md);
        lost = whole & ~presence(md);
        covered = type == SAL_STREAM_MEMORY_LIST &&
                  sal_minidump_stream(md, SAL_STREAM_MEMORY64_LIST, &other);
        if ((lost & ~may_lose(type)) || (must_lose(type) && !lost && !covered)) {
            fail_msg("stream %#x cut at %u of %u: lost %#x", type, cut, size, lost);
        }
        apr_pool_destroy(p);
    }
}

static void test_cut_streams_cost_themselves(void **state)
{
    (void)state;
    for (int sample = 0; sample < 4; sample++) {
        sal_span_t bytes =
            sample / 2 ? md_sample_windows(sample % 2, pool) : md_sample_linux(sample % 2, pool);
        uint32_t whole = presence(md_open_guarded(bytes, pool)), n = 0;

        sal_span_u32(&bytes, 8, &n);
        assert_true(n >= 9);
        for (uint32_t i = 0; i < n; i++) {
            cut_stream(bytes, i, whole);
        }
    }
}

/* ---- cut files ---- */

static void cut_file(sal_span_t sample, size_t size)
{
    sal_minidump_t *md;
    sal_error_t err = { 0 };
    apr_pool_t *p;

    apr_pool_create(&p, pool);
    if (sal_minidump_open(&md, md_guarded((sal_span_t){ sample.data, size, false }, p), p, &err) ==
        APR_SUCCESS) {
        md_read_all(md);
    } else {
        assert_int_equal(err.code, SAL_E_MALFORMED);
        assert_int_equal(strncmp(err.message,
                                 size < 32 ? "MissingHeader - " : "MissingDirectory - ",
                                 size < 32 ? 16 : 19),
                         0);
    }
    apr_pool_destroy(p);
}

static void test_cut_files(void **state)
{
    (void)state;
    for (int sample = 0; sample < 4; sample++) {
        sal_span_t bytes =
            sample / 2 ? md_sample_windows(sample % 2, pool) : md_sample_linux(sample % 2, pool);

        for (size_t size = 0; size < bytes.size; size++) {
            cut_file(bytes, size);
        }
    }
}

/* Contents wiped from every point on, the directory left: zeros, then the largest numbers. */
static void test_wiped_contents(void **state)
{
    (void)state;
    for (int sample = 0; sample < 4; sample++) {
        sal_span_t bytes =
            sample / 2 ? md_sample_windows(sample % 2, pool) : md_sample_linux(sample % 2, pool);
        uint32_t rva = 0;

        sal_span_u32(&bytes, 12, &rva);
        for (uint32_t cut = 32; cut < rva; cut += 4) {
            uint8_t *copy;
            apr_pool_t *p;

            apr_pool_create(&p, pool);
            copy = apr_pmemdup(p, bytes.data, bytes.size);
            memset(copy + cut, 0, rva - cut);
            md_read_all(md_open_guarded((sal_span_t){ copy, bytes.size, false }, p));
            memset(copy + cut, 0xff, rva - cut);
            md_read_all(md_open_guarded((sal_span_t){ copy, bytes.size, false }, p));
            apr_pool_destroy(p);
        }
    }
}

/* ---- headers ---- */

static void check_open_fails(const uint8_t *data, size_t size, const char *name)
{
    sal_minidump_t *md;
    sal_error_t err = { 0 };

    assert_int_not_equal(sal_minidump_open(&md, (sal_span_t){ data, size, false }, pool, &err),
                         APR_SUCCESS);
    if (strncmp(err.message, name, strlen(name)) || strncmp(err.message + strlen(name), " - ", 3)) {
        fail_msg("expected %s, got: %s", name, err.message);
    }
}

static void test_bad_headers(void **state)
{
    sal_span_t bytes = md_sample_linux(false, pool);
    uint8_t *data = apr_pmemdup(pool, bytes.data, bytes.size);

    (void)state;
    check_open_fails(data, 0, "MissingHeader");
    check_open_fails(data, 31, "MissingHeader");
    check_open_fails(data, 32, "MissingDirectory");
    data[0] ^= 1;
    check_open_fails(data, bytes.size, "HeaderMismatch");
    data[0] ^= 1;
    data[4] ^= 1;
    check_open_fails(data, bytes.size, "VersionMismatch");
    data[4] ^= 1;
    data[6] ^= 0xff; /* the upper half of the version is an implementation's own */
    md_open_guarded((sal_span_t){ data, bytes.size, false }, pool);
    data[11] = 0x80; /* two thousand million streams */
    check_open_fails(data, bytes.size, "MissingDirectory");
}

/* ---- the corpus of the fuzz target ---- */

static int write_corpus(const char *dir)
{
    static const char *const names[] = { "linux-le", "linux-be", "windows-le", "windows-be" };

    apr_pool_create(&pool, NULL);
    for (int i = 0; i < 4; i++) {
        sal_span_t s = i / 2 ? md_sample_windows(i % 2, pool) : md_sample_linux(i % 2, pool);
        sal_error_t err = { 0 };

        if (sal_file_publish(apr_psprintf(pool, "%s/%s.dmp", dir, names[i]), s.data, s.size, 0644,
                             pool, &err) != APR_SUCCESS) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_linux, setup, teardown),
        cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_streams_cost_themselves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wiped_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_headers, setup, teardown),
    };

    apr_initialize();
    if (argc == 3 && !strcmp(argv[1], "--corpus")) {
        return write_corpus(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
