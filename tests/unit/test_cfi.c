/*
 * STACK CFI and STACK WIN: every token, every way to fail, and what a caller's registers become.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "unwind/unwind_private.h"

enum { RBX = 3, RBP = 6, RSP = 7, R12 = 12, RIP = 16 };
enum { EIP, ESP, EBP, EBX, ESI, EDI };

static uint64_t words[32];
static sal_regs_t regs;
static sal_stack_t stack;

static sal_str_t str(const char *s)
{
    return (sal_str_t){ s, (uint32_t)strlen(s) };
}

/* A stack of 32 words at 0x1000; word i holds 0x100 + i. */
static int set_up(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 32; i++) {
        words[i] = 0x100 + i;
    }
    stack = (sal_stack_t){ { (const uint8_t *)words, sizeof(words), false }, 0x1000, 8 };
    memset(&regs, 0, sizeof(regs));
    regs.cpu = SAL_CPU_AMD64;
    sal_reg_set(&regs, RSP, 0x1000);
    sal_reg_set(&regs, RBP, 0x1040);
    sal_reg_set(&regs, RBX, 7);
    sal_reg_set(&regs, RIP, 0x400000);
    return 0;
}

static sal_cfi_env_t env(void)
{
    return (sal_cfi_env_t){ .cpu = sal_cpu_desc(SAL_CPU_AMD64),
                            .callee = &regs,
                            .stack = &stack,
                            .cfa = 0x1010,
                            .has_cfa = true };
}

static void gives(const char *expr, uint64_t expected)
{
    sal_cfi_env_t e = env();
    uint64_t v = ~expected;

    if (!sal_cfi_eval(&v, str(expr), &e)) {
        fail_msg("\"%s\" failed", expr);
    }
    if (v != expected) {
        fail_msg("\"%s\" gave %#llx, not %#llx", expr, (unsigned long long)v,
                 (unsigned long long)expected);
    }
}

static void fails(const char *expr)
{
    sal_cfi_env_t e = env();
    uint64_t v;

    if (sal_cfi_eval(&v, str(expr), &e)) {
        fail_msg("\"%s\" gave %#llx", expr, (unsigned long long)v);
    }
}

static void test_tokens(void **state)
{
    (void)state;
    gives("5", 5);
    gives("-5", (uint64_t)-5);
    gives("9223372036854775807", INT64_MAX);
    gives("-9223372036854775808", (uint64_t)INT64_MIN);
    gives("$rsp", 0x1000);
    gives("rsp", 0x1000);
    gives("$rsp 8 +", 0x1008);
    gives("  $rsp\t16   + ", 0x1010);
    gives("3 10 -", (uint64_t)-7);
    gives("3 4 *", 12);
    gives("-1 2 *", (uint64_t)-2);
    gives("17 5 /", 3);
    gives("17 5 %", 2);
    gives("4660 16 @", 0x1230);
    gives("$rsp ^", 0x100);
    gives("$rsp 8 + ^", 0x101);
    gives(".cfa", 0x1010);
    gives(".cfa -8 + ^", 0x101);
    gives("$rsp 248 + ^", 0x11f);
    gives("0 1 -", UINT64_MAX);
}

static void test_failures(void **state)
{
    (void)state;
    fails("");
    fails("1 2"); /* two values left */
    fails("+");
    fails("1 +");
    fails("^");
    fails("1 0 /");
    fails("1 0 %");
    fails("1 3 @"); /* not a power of two */
    fails("1 0 @");
    fails("$rsp 249 + ^"); /* the load ends behind the stack */
    fails("4095 ^");       /* and before it */
    fails("-1 ^");
    fails(".undef");
    fails("1 .undef +");
    fails("$r12"); /* known, but not valid */
    fails("$nonsense");
    fails("nonsense");
    fails("9223372036854775808");
    fails("99999999999999999999999999");
    fails("1 2 =");
    fails("0x10");
}

static void test_cfa_inside_its_own_rule(void **state)
{
    sal_cfi_env_t e = env();
    uint64_t v;

    (void)state;
    e.has_cfa = false;
    assert_false(sal_cfi_eval(&v, str(".cfa 8 +"), &e));
    assert_true(sal_cfi_eval(&v, str("$rsp 8 +"), &e));
}

static void test_guessed_register_is_not_read(void **state)
{
    sal_cfi_env_t e = env();
    uint64_t v;

    (void)state;
    e.unreadable = 1u << RBX;
    assert_false(sal_cfi_eval(&v, str("$rbx"), &e));
    assert_true(sal_cfi_eval(&v, str("$rbp"), &e));
}

/* A bound on operands: long expressions end, in time, without an answer. */
static void test_operand_bound(void **state)
{
    enum { N = 1 << 20 };
    char *text = malloc(2 * N + 1);
    sal_cfi_env_t e = env();
    clock_t start = clock();
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        memcpy(text + 2 * i, "1 ", 2);
    }
    assert_false(sal_cfi_eval(&v, (sal_str_t){ text, 2 * N }, &e));
    assert_true(clock() - start < CLOCKS_PER_SEC);
    free(text);
}

static bool rules(sal_cfi_rules_t *r, const char *text)
{
    return sal_cfi_rules_add(r, str(text), sal_cpu_desc(SAL_CPU_AMD64));
}

static void test_rules(void **state)
{
    sal_cfi_rules_t r = { .has = 0 };

    (void)state;
    assert_true(rules(&r, ".cfa: $rsp 8 + .ra: .cfa -8 + ^"));
    assert_int_equal(r.cfa.len, strlen("$rsp 8 +"));
    assert_memory_equal(r.ra.s, ".cfa -8 + ^", r.ra.len);
    assert_true(rules(&r, ".cfa: $rsp 16 + $rbx: .cfa -16 + ^"));
    assert_memory_equal(r.cfa.s, "$rsp 16 +", r.cfa.len);
    assert_true(r.has >> RBX & 1);
    assert_true(rules(&r, "rbp: 5 $xmm0: 7")); /* with or without '$'; unknown names dropped */
    assert_true(r.has >> RBP & 1);
    assert_false(rules(&r, "$rsp 8 +"));     /* no rule begins */
    assert_false(rules(&r, ".cfa: .ra: 5")); /* an empty expression */
    assert_false(rules(&r, ".cfa: 5 .ra:"));
    assert_false(rules(&r, ""));
}

enum { SAVED = 1 << RBX | 1 << RBP | 1 << R12 };

static bool apply(sal_regs_t *caller, const char *text)
{
    sal_cfi_rules_t r = { .has = 0 };
    sal_cfi_env_t e = env();

    return rules(&r, text) && sal_cfi_apply(caller, &r, &e, SAVED);
}

static void test_apply(void **state)
{
    sal_regs_t c;

    (void)state;
    assert_true(apply(&c, ".cfa: $rsp 16 + .ra: .cfa -8 + ^ $rbp: .cfa -16 + ^"));
    assert_int_equal(c.value[RSP], 0x1010);
    assert_int_equal(c.value[RIP], 0x101);
    assert_int_equal(c.value[RBP], 0x100);
    assert_int_equal(c.value[RBX], 7); /* preserved, and valid */
    assert_int_equal(c.valid, 1u << RSP | 1u << RIP | 1u << RBP | 1u << RBX);

    assert_false(apply(&c, ".cfa: $rsp 16 +")); /* no .ra */
    assert_false(apply(&c, ".ra: 5"));          /* no .cfa */
    assert_false(apply(&c, ".cfa: .undef .ra: 5"));
    assert_false(apply(&c, ".cfa: $rsp .ra: .undef"));
    assert_true(apply(&c, ".cfa: $rsp 8 + .ra: 9 $rbx: .undef"));
    assert_false(c.valid >> RBX & 1); /* a failing rule clears */
    assert_true(apply(&c, ".cfa: $rsp 8 + .ra: 9 $rsp: 77"));
    assert_int_equal(c.value[RSP], 77); /* a rule of its own wins */
}

/* arm64's fp has two names: a failing rule under the alias leaves the value kept under its own. */
static void test_alias(void **state)
{
    enum { FP = 29, SP = 31 };
    const sal_cpu_desc_t *cpu = sal_cpu_desc(SAL_CPU_ARM64);
    sal_cfi_rules_t r = { .has = 0 };
    sal_regs_t callee = { .cpu = SAL_CPU_ARM64 }, c;
    sal_cfi_env_t e = { .cpu = cpu, .callee = &callee, .stack = &stack };

    (void)state;
    sal_reg_set(&callee, SP, 0x1000);
    sal_reg_set(&callee, FP, 0x2000);
    assert_true(sal_cfi_rules_add(&r, str(".cfa: sp 16 + .ra: 4096 x29: .undef"), cpu));
    assert_true(sal_cfi_apply(&c, &r, &e, UINT64_C(1) << FP));
    assert_int_equal(c.value[FP], 0x2000);
    assert_true(c.valid >> FP & 1);

    memset(&r, 0, sizeof(r));
    assert_true(sal_cfi_rules_add(&r, str(".cfa: sp 16 + .ra: 4096 fp: .undef"), cpu));
    assert_true(sal_cfi_apply(&c, &r, &e, UINT64_C(1) << FP));
    assert_false(c.valid >> FP & 1);

    memset(&r, 0, sizeof(r));
    assert_true(sal_cfi_rules_add(&r, str(".cfa: sp 16 + .ra: 4096 x29: 5"), cpu));
    assert_true(sal_cfi_apply(&c, &r, &e, UINT64_C(1) << FP));
    assert_int_equal(c.value[FP], 5);
}

/* 32-bit CPUs: a .cfa or .ra that does not fit fails, another register is as if not mentioned. */
static void test_width(void **state)
{
    const sal_cpu_desc_t *cpu = sal_cpu_desc(SAL_CPU_X86);
    sal_regs_t callee = { .cpu = SAL_CPU_X86 }, c;
    sal_cfi_env_t e = { .cpu = cpu, .callee = &callee, .stack = &stack };
    static const struct {
        const char *text;
        bool good;
    } cases[] = { { ".cfa: 4294967296 .ra: 5", false },
                  { ".cfa: 5 .ra: 4294967296", false },
                  { ".cfa: 5 .ra: 6 $ebx: 4294967296", true } };

    (void)state;
    sal_reg_set(&callee, EBX, 9);
    for (size_t i = 0; i < 3; i++) {
        sal_cfi_rules_t r = { .has = 0 };

        assert_true(sal_cfi_rules_add(&r, str(cases[i].text), cpu));
        assert_int_equal(sal_cfi_apply(&c, &r, &e, 1u << EBX), cases[i].good);
    }
    assert_int_equal(c.value[EBX], 9);
}

/* ---- STACK WIN ---- */

static uint32_t words32[32];

static void set_up_win(sal_regs_t *callee, sal_win_t *win, const char *program)
{
    for (uint32_t i = 0; i < 32; i++) {
        words32[i] = 0x400000 + i;
    }
    stack = (sal_stack_t){ { (const uint8_t *)words32, sizeof(words32), false }, 0x1000, 4 };
    memset(callee, 0, sizeof(*callee));
    callee->cpu = SAL_CPU_X86;
    sal_reg_set(callee, EIP, 0x401000);
    sal_reg_set(callee, ESP, 0x1000);
    sal_reg_set(callee, EBP, 0x1020);
    memset(win, 0, sizeof(*win));
    win->has_program = program != NULL;
    win->program = str(program ? program : "");
}

static bool run(sal_regs_t *caller, const char *program)
{
    sal_regs_t callee;
    sal_win_t win;

    set_up_win(&callee, &win, program);
    win.locals = 8;
    win.saved = 4;
    win.params = 12;
    sal_reg_set(&callee, ESI, 0x51);
    return sal_win_program(caller, &win, &callee, &stack, 4);
}

static void test_win_program(void **state)
{
    sal_regs_t c;

    (void)state;
    assert_true(run(&c, "$T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + ="));
    assert_int_equal(c.value[EIP], 0x400009);
    assert_int_equal(c.value[EBP], 0x400008);
    assert_int_equal(c.value[ESP], 0x1028);
    assert_int_equal(c.value[ESI], 0x51); /* kept, as nothing says otherwise */
    assert_false(c.valid >> EBX & 1);

    /* .raSearch: esp + locals + saved + what the callee's callee left; ebp + 4 after alignment */
    assert_true(run(&c, "$eip .raSearch ="));
    assert_int_equal(c.value[EIP], 0x1000 + 8 + 4 + 4);
    assert_int_equal(c.value[ESP], 0x1000); /* not assigned: the callee's */
    assert_true(run(&c, "$T0 .raSearchStart = $eip $T0 = $T1 $ebp 16 @ ="));
    assert_int_equal(c.value[EIP], 0x1024);

    assert_true(run(&c, "$eip .cbParams .cbCalleeParams + .cbSavedRegs + .cbLocals + ="));
    assert_int_equal(c.value[EIP], 12 + 4 + 4 + 8);
    assert_true(run(&c, "$T0 17 =$T1 5 =$eip $T0 $T1 / =")); /* "=" grown to the next token */
    assert_int_equal(c.value[EIP], 3);
    assert_true(run(&c, "$eip -1 2 * =")); /* 32-bit wrapping */
    assert_int_equal(c.value[EIP], 0xfffffffe);
    assert_true(run(&c, "$esi .undef = $eip 5 ="));
    assert_true(run(&c, "1 2 3 $eip 5 =")); /* what is left over does not matter */
}

static void test_win_failures(void **state)
{
    static const char *const bad[] = {
        "$eip =",
        "=",
        "5 6 =",
        "$eip $T9 =",
        "$eip 1 0 / =",
        "$eip 1 0 % =",
        "$eip 1 3 @ =",
        "$eip 0 ^ =",
        "$eip 4294967296 =",
        "$eip 2147483648 =",
        "$eip eax =",
        "$eip 5 ==",
        "$eip + =",
        "$esp .undef =",
        "^",
        "$eip 0x5 =",
        "$eip .undef 1 + =",
    };
    sal_regs_t c, callee;
    sal_win_t win;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (run(&c, bad[i])) {
            fail_msg("\"%s\" did not fail", bad[i]);
        }
    }
    assert_false(run(&c, ""));
    set_up_win(&callee, &win, "$eip 5 =");
    sal_reg_clear(&callee, EBP); /* both must be known */
    assert_false(sal_win_program(&c, &win, &callee, &stack, 0));
    set_up_win(&callee, &win, "$eip 5 =");
    win.locals = UINT32_MAX; /* sizes that overflow */
    assert_false(sal_win_program(&c, &win, &callee, &stack, 1));
}

static void test_win_fpo(void **state)
{
    sal_regs_t callee, c;
    sal_win_t win;

    (void)state;
    set_up_win(&callee, &win, NULL);
    win.locals = 8;
    win.saved = 4;
    assert_true(sal_win_fpo(&c, &win, &callee, &stack, 4, true));
    assert_int_equal(c.value[EIP], 0x400004); /* the word at esp + 16 */
    assert_int_equal(c.value[ESP], 0x1014);
    assert_int_equal(c.value[EBP], 0x1020); /* the function had no use for it */

    win.allocates_base_pointer = true;
    win.saved = 12;
    win.locals = 0;
    assert_true(sal_win_fpo(&c, &win, &callee, &stack, 4, true));
    assert_int_equal(c.value[EBP], 0x400002); /* the word at esp + 4 + 12 - 8 */

    win.saved = 0; /* would lie below the stack */
    assert_false(sal_win_fpo(&c, &win, &callee, &stack, 0, true));

    win.allocates_base_pointer = false;
    words32[0] = 0x401000; /* our own eip: left over from a call before */
    assert_true(sal_win_fpo(&c, &win, &callee, &stack, 0, false));
    assert_int_equal(c.value[EIP], 0x400001);
    assert_int_equal(c.value[ESP], 0x1008);
    assert_true(sal_win_fpo(&c, &win, &callee, &stack, 0, true));
    assert_int_equal(c.value[EIP], 0x401000); /* not the first frame: taken at its word */

    win.locals = 0x10000; /* outside the stack */
    assert_false(sal_win_fpo(&c, &win, &callee, &stack, 0, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_tokens, set_up),
        cmocka_unit_test_setup(test_failures, set_up),
        cmocka_unit_test_setup(test_cfa_inside_its_own_rule, set_up),
        cmocka_unit_test_setup(test_guessed_register_is_not_read, set_up),
        cmocka_unit_test_setup(test_operand_bound, set_up),
        cmocka_unit_test_setup(test_rules, set_up),
        cmocka_unit_test_setup(test_apply, set_up),
        cmocka_unit_test_setup(test_alias, set_up),
        cmocka_unit_test_setup(test_width, set_up),
        cmocka_unit_test(test_win_program),
        cmocka_unit_test(test_win_failures),
        cmocka_unit_test(test_win_fpo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
