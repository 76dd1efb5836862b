/*
 * Crash reasons against the rules of the specification, and the tables against their sources.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "analysis/error_codes.h"
#include "analysis/reason.h"

static apr_pool_t *pool;

typedef struct {
    sal_os_t os;
    sal_cpu_t cpu;
    uint32_t code, flags, n;
    uint64_t p[3];
    const char *text;
} case_t;

#define ANY SAL_CPU_AMD64

static const case_t windows[] = {
    { SAL_OS_WINDOWS, ANY, 0xc0000005, 0, 2, { 0, 5 }, "EXCEPTION_ACCESS_VIOLATION_READ" },
    { SAL_OS_WINDOWS, ANY, 0xc0000005, 0, 2, { 1, 5 }, "EXCEPTION_ACCESS_VIOLATION_WRITE" },
    { SAL_OS_WINDOWS, ANY, 0xc0000005, 0, 1, { 8 }, "EXCEPTION_ACCESS_VIOLATION_EXEC" },
    { SAL_OS_WINDOWS, ANY, 0xc0000005, 0, 2, { 2, 5 }, "EXCEPTION_ACCESS_VIOLATION" },
    { SAL_OS_WINDOWS, ANY, 0xc0000005, 0, 0, { 0 }, "EXCEPTION_ACCESS_VIOLATION" },
    { SAL_OS_WINDOWS,
      ANY,
      0xc0000006,
      0,
      3,
      { 0, 5, UINT64_C(0xffffffffc000009c) },
      "EXCEPTION_IN_PAGE_ERROR_READ / STATUS_DEVICE_DATA_ERROR" },
    { SAL_OS_WINDOWS,
      ANY,
      0xc0000006,
      0,
      3,
      { 1, 5, 0xc0edcafe },
      "EXCEPTION_IN_PAGE_ERROR_WRITE / 0xc0edcafe" },
    { SAL_OS_WINDOWS, ANY, 0xc0000006, 0, 2, { 1, 5 }, "EXCEPTION_IN_PAGE_ERROR" },
    { SAL_OS_WINDOWS,
      ANY,
      0xc0000409,
      0,
      1,
      { 7 },
      "EXCEPTION_STACK_BUFFER_OVERRUN / FAST_FAIL_FATAL_APP_EXIT" },
    { SAL_OS_WINDOWS,
      ANY,
      0xc0000409,
      0,
      1,
      { 0xffff },
      "EXCEPTION_STACK_BUFFER_OVERRUN / 0x0000ffff" },
    { SAL_OS_WINDOWS, ANY, 0xc0000409, 0, 0, { 0 }, "STATUS_STACK_BUFFER_OVERRUN" },
    { SAL_OS_WINDOWS, ANY, 0xe0000008, 0, 0, { 0 }, "Out of Memory" },
    { SAL_OS_WINDOWS, ANY, 0xe06d7363, 0, 0, { 0 }, "Unhandled C++ Exception" },
    { SAL_OS_WINDOWS, ANY, 0x0517a7ed, 0, 0, { 0 }, "Simulated Exception" },
    { SAL_OS_WINDOWS, ANY, 0x80000003, 0, 0, { 0 }, "EXCEPTION_BREAKPOINT" },
    { SAL_OS_WINDOWS, ANY, 0x00000005, 0, 0, { 0 }, "ERROR_ACCESS_DENIED" },
    { SAL_OS_WINDOWS, ANY, 0xc000000d, 0, 0, { 0 }, "STATUS_INVALID_PARAMETER" },
    { SAL_OS_WINDOWS, ANY, 0xc06d007e, 0, 0, { 0 }, "FACILITY_VISUALCPP / ERROR_MOD_NOT_FOUND" },
    { SAL_OS_WINDOWS, ANY, 0x006d007e, 0, 0, { 0 }, "unknown 0x006d007e" },
    { SAL_OS_WINDOWS, ANY, 0xdeadbeef, 0, 0, { 0 }, "unknown 0xdeadbeef" },
};

static const case_t linux_cases[] = {
    { SAL_OS_LINUX, ANY, 11, 1, 0, { 0 }, "SIGSEGV / SEGV_MAPERR" },
    { SAL_OS_ANDROID, ANY, 11, 2, 0, { 0 }, "SIGSEGV / SEGV_ACCERR" },
    { SAL_OS_LINUX, ANY, 11, 0, 0, { 0 }, "SIGSEGV" },
    { SAL_OS_LINUX, ANY, 11, 0x80, 0, { 0 }, "SIGSEGV / SI_KERNEL" },
    { SAL_OS_LINUX, ANY, 6, 0xfffffffa, 0, { 0 }, "SIGABRT / SI_TKILL" },
    { SAL_OS_LINUX, ANY, 6, 0xffffffc4, 0, { 0 }, "SIGABRT / SI_ASYNCNL" },
    { SAL_OS_LINUX, ANY, 6, 1, 0, { 0 }, "SIGABRT / 0x00000001" },
    { SAL_OS_LINUX, ANY, 4, 1, 0, { 0 }, "SIGILL / ILL_ILLOPC" },
    { SAL_OS_LINUX, ANY, 5, 1, 0, { 0 }, "SIGTRAP / TRAP_BRKPT" },
    { SAL_OS_LINUX, ANY, 7, 2, 0, { 0 }, "SIGBUS / BUS_ADRERR" },
    { SAL_OS_LINUX, ANY, 8, 1, 0, { 0 }, "SIGFPE / FPE_INTDIV" },
    { SAL_OS_LINUX, ANY, 31, 1, 0, { 0 }, "SIGSYS / SYS_SECCOMP" },
    { SAL_OS_LINUX, ANY, 0xffffffff, 0, 0, { 0 }, "DUMP_REQUESTED" },
    { SAL_OS_LINUX, ANY, 64, 3, 0, { 0 }, "unknown 0x00000040 / 0x00000003" },
    { SAL_OS_SOLARIS, ANY, 11, 1, 0, { 0 }, "unknown 0x0000000b / 0x00000001" },
};

#define RES(type) ((type) << 29)

static const case_t mac[] = {
    { SAL_OS_MACOS, ANY, 1, 1, 0, { 0 }, "EXC_BAD_ACCESS / KERN_INVALID_ADDRESS" },
    { SAL_OS_IOS, SAL_CPU_ARM64, 1, 0x101, 0, { 0 }, "EXC_BAD_ACCESS / EXC_ARM_DA_ALIGN" },
    { SAL_OS_MACOS, SAL_CPU_PPC, 1, 0x101, 0, { 0 }, "EXC_BAD_ACCESS / EXC_PPC_VM_PROT_READ" },
    { SAL_OS_MACOS, ANY, 1, 13, 0, { 0 }, "EXC_BAD_ACCESS / EXC_I386_GPFLT" },
    { SAL_OS_MACOS, ANY, 1, 0x101, 0, { 0 }, "EXC_BAD_ACCESS / 0x00000101" },
    { SAL_OS_MACOS, SAL_CPU_X86, 2, 1, 0, { 0 }, "EXC_BAD_INSTRUCTION / EXC_I386_INVOP" },
    { SAL_OS_MACOS, ANY, 3, 1, 0, { 0 }, "EXC_ARITHMETIC / EXC_I386_DIV" },
    { SAL_OS_MACOS, ANY, 5, 0x10002, 0, { 0 }, "EXC_SOFTWARE / SIGABRT" },
    { SAL_OS_MACOS, ANY, 6, 2, 0, { 0 }, "EXC_BREAKPOINT / EXC_I386_BPT" },
    { SAL_OS_MACOS, ANY, 4, 9, 0, { 0 }, "EXC_EMULATION / 0x00000009" },
    { SAL_OS_MACOS, ANY, 0x43507378, 9, 0, { 0 }, "Simulated Exception" },
    { SAL_OS_MACOS, ANY, 10, 0, 0, { 0 }, "unknown 0x0000000a / 0x00000000" },
    { SAL_OS_MACOS,
      ANY,
      11,
      RES(1u),
      3,
      { 0, UINT64_C(1) << 58 | 60 << 7 | 5, 6 },
      "EXC_RESOURCE / RESOURCE_TYPE_CPU / FLAVOR_CPU_MONITOR interval: 60s CPU limit: 5% "
      "CPU consumed: 6%" },
    { SAL_OS_MACOS,
      ANY,
      11,
      RES(2u),
      3,
      { 0, UINT64_C(1) << 58 | 300 << 20 | 150, 200 },
      "EXC_RESOURCE / RESOURCE_TYPE_WAKEUPS / FLAVOR_WAKEUPS_MONITOR interval: 300s wakeups "
      "permitted: 150 wakeups observed: 200" },
    { SAL_OS_MACOS,
      ANY,
      11,
      RES(3u),
      3,
      { 0, UINT64_C(1) << 58 | 2048, 0 },
      "EXC_RESOURCE / RESOURCE_TYPE_MEMORY / FLAVOR_HIGH_WATERMARK high watermark limit: "
      "2048MiB" },
    { SAL_OS_MACOS,
      ANY,
      11,
      RES(4u),
      3,
      { 0, UINT64_C(2) << 58 | 5 << 15 | 7, 9 },
      "EXC_RESOURCE / RESOURCE_TYPE_IO / FLAVOR_IO_LOGICAL_WRITES interval: 5s I/O limit: 7% "
      "I/O observed: 9%" },
    { SAL_OS_MACOS,
      ANY,
      11,
      RES(5u),
      3,
      { 0, UINT64_C(1) << 58 | 500, 0 },
      "EXC_RESOURCE / RESOURCE_TYPE_THREADS / FLAVOR_THREADS_HIGH_WATERMARK high watermark "
      "limit: 500" },
    { SAL_OS_MACOS,
      ANY,
      11,
      RES(3u),
      3,
      { 0, UINT64_C(7) << 58, 1 },
      "EXC_RESOURCE / RESOURCE_TYPE_MEMORY / 0x1c00000000000000 / 0x0000000000000001" },
    { SAL_OS_MACOS, ANY, 11, RES(7u), 0, { 0 }, "EXC_RESOURCE / 0xe0000000" },
    { SAL_OS_MACOS, ANY, 12, RES(0u), 3, { 0, 1, 2 }, "EXC_GUARD / GUARD_TYPE_NONE" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(1u),
      3,
      { 0, UINT64_C(2) << 32 | 77, 0 },
      "EXC_GUARD / GUARD_TYPE_MACH_PORT / GUARD_EXC_MOD_REFS port name: 77" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(1u),
      3,
      { 0, UINT64_C(2) << 32 | 77, 4 },
      "EXC_GUARD / GUARD_TYPE_MACH_PORT / GUARD_EXC_MOD_REFS port name: 77 subcode: 4" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(2u),
      3,
      { 0, UINT64_C(1) << 32 | 3, 9 },
      "EXC_GUARD / GUARD_TYPE_FD / GUARD_EXC_CLOSE file descriptor: 3 guard identifier: 9" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(3u),
      3,
      { 0, UINT64_C(1) << 32 | 3, 9 },
      "EXC_GUARD / GUARD_TYPE_USER/ namespace: 3 guard identifier: 9" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(4u),
      3,
      { 0, UINT64_C(4) << 32 | 3, 9 },
      "EXC_GUARD / GUARD_TYPE_VN / GUARD_EXC_UNLINK pid: 3 guard identifier: 9" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(5u),
      3,
      { 0, UINT64_C(1) << 32, 9 },
      "EXC_GUARD / GUARD_TYPE_VIRT_MEMORY / GUARD_EXC_DEALLOC_GAP offset: 9" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(6u),
      3,
      { 0, 0, 9 },
      "EXC_GUARD / GUARD_TYPE_REJECTED_SC / GUARD_EXC_MACH_TRAP syscall: 9" },
    { SAL_OS_MACOS,
      ANY,
      12,
      RES(2u),
      3,
      { 0, UINT64_C(3) << 32, 9 },
      "EXC_GUARD / GUARD_TYPE_FD / 0x0000000300000000 / 0x0000000000000009" },
};

static void check(const case_t *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const case_t *c = &cases[i];
        sal_md_exception_t e = {
            .present = true, .code = c->code, .flags = c->flags, .parameter_count = c->n
        };

        memcpy(e.parameters, c->p, sizeof(c->p));
        assert_string_equal(sal_reason_text(&e, c->os, c->cpu, pool), c->text);
    }
}

static void test_windows(void **state)
{
    (void)state;
    check(windows, sizeof(windows) / sizeof(windows[0]));
}

static void test_linux(void **state)
{
    (void)state;
    check(linux_cases, sizeof(linux_cases) / sizeof(linux_cases[0]));
}

static void test_mac(void **state)
{
    (void)state;
    check(mac, sizeof(mac) / sizeof(mac[0]));
}

static void test_last_error(void **state)
{
    (void)state;
    assert_string_equal(sal_reason_windows_error(0, pool), "ERROR_SUCCESS");
    assert_string_equal(sal_reason_windows_error(2, pool), "ERROR_FILE_NOT_FOUND");
    /* not an exception name, even where the number is one */
    assert_string_equal(sal_reason_windows_error(0xc0000005, pool), "STATUS_ACCESS_VIOLATION");
}

static void test_address(void **state)
{
    sal_md_exception_t e = { .present = true,
                             .code = 0xc0000005,
                             .address = 0x401000,
                             .parameter_count = 2,
                             .parameters = { 0, UINT64_C(0xffffffff80000004) } };

    (void)state;
    assert_int_equal(sal_reason_address(&e, SAL_OS_WINDOWS, 8), UINT64_C(0xffffffff80000004));
    assert_int_equal(sal_reason_address(&e, SAL_OS_WINDOWS, 4), 0x80000004);
    assert_int_equal(sal_reason_address(&e, SAL_OS_LINUX, 8), 0x401000);
    e.parameter_count = 1;
    assert_int_equal(sal_reason_address(&e, SAL_OS_WINDOWS, 8), 0x401000);
    e.parameter_count = 2;
    e.code = 0x80000003;
    assert_int_equal(sal_reason_address(&e, SAL_OS_WINDOWS, 8), 0x401000);
}

static void test_protection_fault(void **state)
{
    sal_md_exception_t win = { .code = 0xc0000005,
                               .parameter_count = 2,
                               .parameters = { 0, UINT64_MAX } };
    sal_md_exception_t lin = { .code = 11, .flags = 0x80 };
    sal_md_exception_t osx = { .code = 1, .flags = 13 };

    (void)state;
    assert_true(sal_reason_is_gpf(&win, SAL_OS_WINDOWS, SAL_CPU_AMD64));
    assert_false(sal_reason_is_gpf(&win, SAL_OS_WINDOWS, SAL_CPU_ARM64));
    assert_true(sal_reason_is_gpf(&lin, SAL_OS_LINUX, SAL_CPU_AMD64));
    assert_false(sal_reason_is_gpf(&lin, SAL_OS_ANDROID, SAL_CPU_AMD64));
    assert_true(sal_reason_is_gpf(&osx, SAL_OS_MACOS, SAL_CPU_AMD64));
    assert_false(sal_reason_is_gpf(&osx, SAL_OS_IOS, SAL_CPU_AMD64));
    lin.address = 8;
    assert_false(sal_reason_is_gpf(&lin, SAL_OS_LINUX, SAL_CPU_AMD64));
    win.parameters[0] = 1;
    assert_false(sal_reason_is_gpf(&win, SAL_OS_WINDOWS, SAL_CPU_AMD64));
}

/* Every row of the sources is found under its code. */
static void check_source(const char *folder, const char *name, sal_code_table_t table,
                         size_t expected)
{
    char line[256];
    size_t rows = 0;
    FILE *f = fopen(apr_pstrcat(pool, folder, "/", name, NULL), "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        char *tab = strchr(line, '\t');

        assert_non_null(tab);
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(sal_code_name(table, (uint32_t)strtoul(line, NULL, 16)), tab + 1);
        rows++;
    }
    fclose(f);
    assert_int_equal(rows, expected);
}

static void test_tables(void **state)
{
    const char *shared = getenv("SALVAGE_SHARED"), *srcdir = getenv("srcdir"), *folder;
    FILE *f;

    (void)state;
    folder = shared ? apr_pstrcat(pool, shared, "/data/error-codes", NULL)
                    : apr_pstrcat(pool, srcdir ? srcdir : ".", "/../shared/data/error-codes", NULL);
    f = fopen(apr_pstrcat(pool, folder, "/ntstatus.tsv", NULL), "r");
    if (!f) {
        print_message("SKIPPED LOUDLY: the shared tables are not at %s\n", folder);
        skip();
    }
    fclose(f);
    check_source(folder, "ntstatus.tsv", SAL_CODES_ntstatus, 2931);
    check_source(folder, "win32_error.tsv", SAL_CODES_win32_error, 2864);
    check_source(folder, "windows_exception.tsv", SAL_CODES_windows_exception, 27);
    check_source(folder, "windows_fastfail.tsv", SAL_CODES_windows_fastfail, 74);
    assert_null(sal_code_name(SAL_CODES_ntstatus, 0xc0edcafe));
    assert_null(sal_code_name(SAL_CODES_none, 0));
}

static int group_setup(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows), cmocka_unit_test(test_linux),
        cmocka_unit_test(test_mac),     cmocka_unit_test(test_last_error),
        cmocka_unit_test(test_address), cmocka_unit_test(test_protection_fault),
        cmocka_unit_test(test_tables),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
