/*
 * The walk on made-up dumps: frame pointers, scans, CFI from a symbol file, what ends a walk, and
 * that hostile stacks end it soon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"
#include "minidump/writer.h"
#include "unwind/unwind.h"

enum { OS_WINDOWS = 2, OS_LINUX = 0x8201, OS_IOS = 0x8102 };
enum { ARCH_X86 = 0, ARCH_ARM = 5, ARCH_AMD64 = 9, ARCH_ARM64 = 12 };
enum { RBX = 3, RBP = 6, RSP = 7, RIP = 16 };

#define BASE UINT64_C(0x400000)
#define STACK UINT64_C(0x7fff0000)
#define MODULE_ID "000102030405060708090A0B0C0D0E0F0"

static apr_pool_t *pool;
static char dir[] = "/tmp/test_unwind.XXXXXX";

typedef struct {
    sal_minidump_t *md;
    sal_dump_symbols_t *syms;
    sal_regs_t regs;
} fixture_t;

/* A dump with one module [BASE, BASE + 0x10000) and one thread with that stack. */
static fixture_t make(uint16_t arch, uint32_t platform, const void *stack, size_t size,
                      sal_supplier_t *supplier)
{
    /* As a build id the bytes that make MODULE_ID, in the order a GUID has on disk. */
    static const uint8_t id[] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    sal_mdw_t *w = sal_mdw_make(false, pool);
    sal_mdw_system_t system = { .arch = arch, .platform = platform, .cpu_count = 1 };
    sal_mdw_module_t module = { .base = BASE, .size = 0x10000, .name = "/bin/app" };
    sal_mdw_thread_t thread = { .id = 7, .stack_start = STACK };
    fixture_t f = { .md = NULL };
    sal_error_t err;

    sal_mdw_system(w, &system);
    module.cv = sal_mdw_cv_elf(w, id, sizeof(id));
    sal_mdw_module(w, &module);
    thread.stack = sal_mdw_copy(w, stack, size);
    sal_mdw_thread(w, &thread);
    assert_int_equal(sal_mdw_finish(w, 1, 0, &err), APR_SUCCESS);
    assert_int_equal(sal_minidump_open(&f.md, sal_mdw_bytes(w, pool), pool, &err), APR_SUCCESS);
    assert_int_equal(f.md->n_threads, 1);
    assert_int_equal(f.md->n_modules, 1);
    assert_string_equal(f.md->modules[0].debug_id, MODULE_ID);
    f.syms = sal_dump_symbols_make(f.md, supplier, pool);
    f.regs.cpu = f.md->system.cpu;
    return f;
}

static void set(fixture_t *f, int reg, uint64_t v)
{
    f->regs.value[reg] = v;
    f->regs.valid |= UINT64_C(1) << reg;
}

static size_t walk(fixture_t *f, sal_frame_t **frames, size_t max)
{
    sal_error_t err;
    size_t n;

    assert_int_equal(
        sal_unwind(frames, &n, f->md, &f->md->threads[0], &f->regs, f->syms, max, pool, &err),
        APR_SUCCESS);
    return n;
}

static void amd64(fixture_t *f, uint64_t pc, uint64_t sp, uint64_t bp)
{
    set(f, RIP, pc);
    set(f, RSP, sp);
    set(f, RBP, bp);
}

static void test_frame_pointers(void **state)
{
    uint64_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[4] = STACK + 10 * 8; /* rbp of frame 1 */
    s[5] = BASE + 0x2000;
    s[10] = STACK + 20 * 8; /* rbp of frame 2 */
    s[11] = BASE + 0x3000;
    s[20] = 0; /* the end */
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);
    amd64(&f, BASE + 0x1000, STACK, STACK + 4 * 8);
    assert_int_equal(walk(&f, &frames, 0), 3);
    assert_int_equal(frames[0].trust, SAL_TRUST_CONTEXT);
    assert_int_equal(frames[0].instruction, BASE + 0x1000);
    assert_int_equal(frames[1].trust, SAL_TRUST_FRAME_POINTER);
    assert_int_equal(frames[1].instruction, BASE + 0x2000 - 1); /* the call, not what follows */
    assert_int_equal(frames[1].regs.value[RIP], BASE + 0x2000);
    assert_int_equal(frames[1].regs.value[RSP], STACK + 6 * 8);
    assert_int_equal(frames[1].regs.valid, 1u << RIP | 1u << RSP | 1u << RBP);
    assert_int_equal(frames[2].instruction, BASE + 0x3000 - 1);
    assert_ptr_equal(frames[2].module, &f.md->modules[0]);
}

/* On Windows rbp may point into the frame, in steps of 16: elsewhere it is taken at its word. */
static void test_windows_probes(void **state)
{
    uint64_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[10] = STACK + 30 * 8;
    s[11] = BASE + 0x2000;
    f = make(ARCH_AMD64, OS_WINDOWS, s, sizeof(s), NULL);
    amd64(&f, BASE + 0x1000, STACK, STACK + 4 * 8); /* 48 bytes too low */
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_int_equal(frames[1].trust, SAL_TRUST_FRAME_POINTER);
    assert_int_equal(frames[1].regs.value[RSP], STACK + 12 * 8);
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);
    amd64(&f, BASE + 0x1000, STACK, STACK + 4 * 8);
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_int_equal(frames[1].trust, SAL_TRUST_SCAN);
}

static void test_scan(void **state)
{
    uint64_t s[256] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[3] = 0x1234;               /* in no module */
    s[159] = BASE + 0x2000;      /* the last of the wide window */
    s[160 + 39] = BASE + 0x3000; /* the last of the narrow one */
    s[200 + 40] = BASE + 0x4000; /* beyond */
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);
    amd64(&f, BASE + 0x1000, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), 3);
    assert_int_equal(frames[1].trust, SAL_TRUST_SCAN);
    assert_int_equal(frames[1].regs.value[RSP], STACK + 160 * 8);
    assert_int_equal(frames[2].instruction, BASE + 0x3000 - 1);
    f.regs.valid &= ~(1u << RSP); /* nothing can be found without sp */
    assert_int_equal(walk(&f, &frames, 0), 1);
}

static void test_scan_keeps_frame_pointer(void **state)
{
    uint64_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[8] = BASE + 0x2000;
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);
    amd64(&f, BASE + 0x1000, STACK, STACK + 40 * 8); /* rbp above: the caller's, untouched */
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_true(frames[1].regs.valid >> RBP & 1);
    assert_int_equal(frames[1].regs.value[RBP], STACK + 40 * 8);
    amd64(&f, BASE + 0x1000, STACK, STACK + 2 * 8); /* below: worthless */
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_false(frames[1].regs.valid >> RBP & 1);
}

static void test_x86(void **state)
{
    enum { EIP, ESP, EBP };
    uint32_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[4] = (uint32_t)STACK + 10 * 4;
    s[5] = (uint32_t)BASE + 0x2000;
    f = make(ARCH_X86, OS_WINDOWS, s, sizeof(s), NULL);
    set(&f, EIP, BASE + 0x1000);
    set(&f, ESP, STACK);
    set(&f, EBP, STACK + 4 * 4);
    assert_int_equal(walk(&f, &frames, 0), 2); /* *(ebp + 4) is taken at its word: 0 */
    assert_int_equal(frames[1].trust, SAL_TRUST_FRAME_POINTER);
    assert_int_equal(frames[1].instruction, BASE + 0x2000 - 1);
    f.regs.valid &= ~(1u << EBP);
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_int_equal(frames[1].trust, SAL_TRUST_SCAN);
    assert_int_equal(frames[1].regs.value[EBP], STACK + 10 * 4); /* saved below the address */
}

static void test_arm64_strips_signatures(void **state)
{
    enum { FP = 29, LR = 30, SP = 31, PC = 32 };
    const uint64_t sign = UINT64_C(0xaa55000000000000);
    uint64_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[4] = (STACK + 10 * 8) | sign;
    s[5] = (BASE + 0x2000) | sign;
    s[10] = 0;
    s[11] = 0;
    f = make(ARCH_ARM64, OS_IOS, s, sizeof(s), NULL);
    set(&f, PC, BASE + 0x1000);
    set(&f, SP, STACK);
    set(&f, FP, STACK + 4 * 8);
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_int_equal(frames[1].regs.value[PC], BASE + 0x2000);
    assert_int_equal(frames[1].instruction, BASE + 0x2000 - 4);
    assert_int_equal(frames[1].regs.value[FP], STACK + 10 * 8);
}

/* Only iOS keeps r11 as a frame pointer on arm; others are scanned. */
static void test_arm(void **state)
{
    enum { FP = 11, SP = 13, PC = 15 };
    uint32_t s[64] = { 0 };
    sal_frame_t *frames;

    (void)state;
    s[4] = (uint32_t)STACK + 10 * 4;
    s[5] = (uint32_t)BASE + 0x2000;
    for (int ios = 0; ios < 2; ios++) {
        fixture_t f = make(ARCH_ARM, ios ? OS_IOS : OS_LINUX, s, sizeof(s), NULL);

        set(&f, PC, BASE + 0x1000);
        set(&f, SP, STACK);
        set(&f, FP, STACK + 4 * 4);
        assert_int_equal(walk(&f, &frames, 0), 2);
        assert_int_equal(frames[1].trust, ios ? SAL_TRUST_FRAME_POINTER : SAL_TRUST_SCAN);
        assert_int_equal(frames[1].instruction, BASE + 0x2000 - 2);
    }
}

/* ---- with symbols ---- */

static sal_supplier_t *supplier(const char *text)
{
    static int number;
    const char *root = apr_psprintf(pool, "%s/%d", dir, number++), *tree, *folder;
    const char **paths = apr_pcalloc(pool, 2 * sizeof(*paths));
    sal_supplier_opts_t opts = { .symcache_dir = apr_pstrcat(pool, root, "/cache", NULL) };
    sal_supplier_t *s;
    sal_error_t err;

    tree = apr_pstrcat(pool, root, "/syms", NULL);
    folder = apr_pstrcat(pool, tree, "/app/" MODULE_ID, NULL);
    text = apr_pstrcat(pool, "MODULE Linux x86_64 " MODULE_ID " app\n", text, NULL);
    assert_int_equal(sal_dir_make(folder, 0755, 0, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_dir_make(opts.symcache_dir, 0755, 0, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_file_publish(apr_pstrcat(pool, folder, "/app.sym", NULL), text,
                                      strlen(text), 0644, pool, &err),
                     APR_SUCCESS);
    paths[0] = tree;
    opts.paths = paths;
    assert_int_equal(sal_supplier_make(&s, &opts, pool, &err), APR_SUCCESS);
    return s;
}

static void test_cfi(void **state)
{
    uint64_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[2] = 0xb0b;
    s[3] = BASE + 0x2000;
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s),
             supplier("FUNC 1000 100 0 f\nFUNC 1f00 200 0 g\n"
                      "STACK CFI INIT 1000 100 .cfa: $rsp 8 + .ra: .cfa -8 + ^\n"
                      "STACK CFI 1004 .cfa: $rsp 32 + $rbx: .cfa -16 + ^\n"
                      "STACK CFI 1050 .cfa: $rsp 800 +\n"));
    amd64(&f, BASE + 0x1010, STACK, 0);
    set(&f, RBX, 1);
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_int_equal(frames[1].trust, SAL_TRUST_CFI);
    assert_int_equal(frames[1].regs.value[RSP], STACK + 32);
    assert_int_equal(frames[1].regs.value[RBX], 0xb0b);
    assert_int_equal(frames[1].instruction, BASE + 0x2000 - 1);
    amd64(&f, BASE + 0x1002, STACK + 24, 0); /* before the delta */
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_int_equal(frames[1].regs.value[RSP], STACK + 32);
    assert_int_equal(frames[1].regs.value[RBX], 1);
}

/* With symbols a word counts only if it points into a function. */
static void test_scan_asks_symbols(void **state)
{
    uint64_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[3] = BASE + 0x5000;
    s[5] = BASE + 0x2001;
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), supplier("FUNC 2000 100 0 f\n"));
    amd64(&f, BASE + 0x2050, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), 2);
    assert_int_equal(frames[1].instruction, BASE + 0x2000);
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);
    amd64(&f, BASE + 0x2050, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), 3);
}

/* arm64: x30 of a frame found by its frame pointer is only good at the first instruction. */
static void test_arm64_guessed_lr(void **state)
{
    enum { FP = 29, SP = 31, PC = 32 };
    static const uint64_t at[] = { 0x2000, 0x2010 };
    sal_supplier_t *symbols = supplier("FUNC 2000 100 0 f\nFUNC 3000 100 0 g\n"
                                       "STACK CFI INIT 2000 100 .cfa: sp 0 + .ra: x30\n");
    sal_frame_t *frames;

    (void)state;
    for (int i = 0; i < 2; i++) {
        uint64_t s[64] = { 0 };
        fixture_t f;

        s[4] = STACK + 10 * 8;
        s[5] = BASE + at[i] + 4;
        s[10] = STACK + 20 * 8;
        s[11] = BASE + 0x3050;
        f = make(ARCH_ARM64, OS_LINUX, s, sizeof(s), symbols);
        set(&f, PC, BASE + 0x1000);
        set(&f, SP, STACK);
        set(&f, FP, STACK + 4 * 8);
        assert_true(walk(&f, &frames, 0) >= 3);
        assert_int_equal(frames[1].instruction, BASE + at[i]);
        assert_int_equal(frames[2].instruction, BASE + 0x3050 - 4);
        assert_int_equal(frames[2].trust, i == 0 ? SAL_TRUST_CFI : SAL_TRUST_FRAME_POINTER);
    }
}

/* ---- what ends a walk ---- */

static void test_cycle_ends(void **state)
{
    uint64_t s[64] = { 0 };
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    s[4] = STACK + 8 * 8;
    s[5] = BASE + 0x2000;
    s[8] = STACK + 4 * 8; /* back down */
    s[9] = BASE + 0x2000;
    f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);
    amd64(&f, BASE + 0x1000, STACK, STACK + 4 * 8);
    assert_true(walk(&f, &frames, 0) <= 4);
    for (size_t i = 1, n = walk(&f, &frames, 0); i < n; i++) {
        assert_true(frames[i].regs.value[RSP] > frames[i - 1].regs.value[RSP]);
    }
}

/* CFI that says the caller is where the callee is gets nowhere, and is not asked again. */
static void test_no_progress_ends(void **state)
{
    uint64_t s[16] = { 0 };
    sal_frame_t *frames;
    fixture_t f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s),
                       supplier("STACK CFI INIT 1000 100 .cfa: $rsp .ra: $rip\n"));

    (void)state;
    amd64(&f, BASE + 0x1000, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), 1);
}

static void test_low_pc_ends(void **state)
{
    uint64_t s[16] = { 0 };
    sal_frame_t *frames;
    fixture_t f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s),
                       supplier("STACK CFI INIT 1000 100 .cfa: $rsp 8 + .ra: 4095\n"
                                "STACK CFI INIT 1100 100 .cfa: $rsp 8 + .ra: 4096\n"));

    (void)state;
    amd64(&f, BASE + 0x1000, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), 1);
    amd64(&f, BASE + 0x1100, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), 2);
}

/* A stack of 8 MB full of return addresses: a million frames, if nobody counted. */
static void test_frame_cap(void **state)
{
    enum { WORDS = 1 << 20 };
    uint64_t *s = malloc(WORDS * 8);
    clock_t start = clock();
    sal_frame_t *frames;
    fixture_t f;

    (void)state;
    for (size_t i = 0; i < WORDS; i++) {
        s[i] = BASE + 0x2000;
    }
    f = make(ARCH_AMD64, OS_LINUX, s, WORDS * 8, NULL);
    amd64(&f, BASE + 0x1000, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), SAL_MAX_FRAMES);
    assert_int_equal(walk(&f, &frames, 10), 10);
    assert_int_equal(walk(&f, &frames, 1 << 20), 16384 + 1); /* scans are counted by themselves */
    assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
    free(s);
}

static void test_without_stack(void **state)
{
    uint64_t s[1] = { 0 };
    sal_frame_t *frames;
    fixture_t f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);

    (void)state;
    f.md->threads[0].stack.size = 0;
    amd64(&f, BASE + 0x1000, STACK, 0);
    assert_int_equal(walk(&f, &frames, 0), 1);
    f.md->threads[0].stack.size = 8;
    f.md->threads[0].stack_start = UINT64_MAX - 3; /* overflows */
    assert_int_equal(walk(&f, &frames, 0), 1);
}

static void test_without_pc(void **state)
{
    uint64_t s[1] = { 0 };
    fixture_t f = make(ARCH_AMD64, OS_LINUX, s, sizeof(s), NULL);
    sal_frame_t *frames;
    sal_error_t err;
    size_t n;

    (void)state;
    assert_int_equal(
        sal_unwind(&frames, &n, f.md, &f.md->threads[0], &f.regs, f.syms, 0, pool, &err),
        SAL_E_UNSUPPORTED);
    assert_int_equal(n, 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int group_setup(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    return mkdtemp(dir) ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_pointers),
        cmocka_unit_test(test_windows_probes),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_keeps_frame_pointer),
        cmocka_unit_test(test_x86),
        cmocka_unit_test(test_arm64_strips_signatures),
        cmocka_unit_test(test_arm),
        cmocka_unit_test(test_cfi),
        cmocka_unit_test(test_scan_asks_symbols),
        cmocka_unit_test(test_arm64_guessed_lr),
        cmocka_unit_test(test_cycle_ends),
        cmocka_unit_test(test_no_progress_ends),
        cmocka_unit_test(test_low_pc_ends),
        cmocka_unit_test(test_frame_cap),
        cmocka_unit_test(test_without_stack),
        cmocka_unit_test(test_without_pc),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
