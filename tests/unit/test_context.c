/*
 * CPU contexts: raw records with a number at each register's place (offsets from the format's
 * tables), what is refused, and writing as the inverse of reading.
 */
#include "minidump/context.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

typedef struct place_t {
    const char *reg;
    int offset;
} place_t;

typedef struct cpu_case_t {
    sal_cpu_t cpu;
    const char *name;
    uint32_t bit;
    int flags_at, size, width;
    const place_t *places;
} cpu_case_t;

static const place_t x86[] = { { "edi", 156 },    { "esi", 160 }, { "ebx", 164 }, { "edx", 168 },
                               { "ecx", 172 },    { "eax", 176 }, { "ebp", 180 }, { "eip", 184 },
                               { "eflags", 192 }, { "esp", 196 }, { NULL, 0 } };
static const place_t amd64[] = { { "rax", 120 }, { "rcx", 128 }, { "rdx", 136 }, { "rbx", 144 },
                                 { "rsp", 152 }, { "rbp", 160 }, { "rsi", 168 }, { "rdi", 176 },
                                 { "r8", 184 },  { "r9", 192 },  { "r15", 240 }, { "rip", 248 },
                                 { NULL, 0 } };
static const place_t arm[] = { { "r0", 4 },  { "r10", 44 }, { "fp", 48 }, { "r12", 52 },
                               { "sp", 56 }, { "lr", 60 },  { "pc", 64 }, { NULL, 0 } };
static const place_t arm64[] = { { "x0", 8 },   { "x1", 16 },  { "x28", 232 }, { "fp", 240 },
                                 { "lr", 248 }, { "sp", 256 }, { "pc", 264 },  { NULL, 0 } };
static const place_t mips[] = { { "gp", 8 + 28 * 8 }, { "sp", 8 + 29 * 8 }, { "fp", 8 + 30 * 8 },
                                { "ra", 8 + 31 * 8 }, { "s0", 8 + 16 * 8 }, { "s7", 8 + 23 * 8 },
                                { "pc", 312 },        { NULL, 0 } };
static const place_t ppc[] = { { "srr0", 4 }, { "r0", 12 },  { "r1", 16 },      { "r31", 136 },
                               { "cr", 140 }, { "lr", 148 }, { "vrsave", 160 }, { NULL, 0 } };
static const place_t ppc64[] = { { "srr0", 8 }, { "srr1", 16 },    { "r0", 24 }, { "r31", 272 },
                                 { "cr", 280 }, { "vrsave", 312 }, { NULL, 0 } };
static const place_t sparc[] = { { "g_r0", 8 }, { "g_r14", 120 }, { "ccr", 264 },
                                 { "pc", 272 }, { "npc", 280 },   { NULL, 0 } };
static const place_t riscv[] = {
    { "pc", 8 }, { "ra", 12 }, { "sp", 16 }, { "t6", 132 }, { NULL, 0 }
};
static const place_t riscv64[] = {
    { "pc", 8 }, { "ra", 16 }, { "sp", 24 }, { "t6", 256 }, { NULL, 0 }
};

static const cpu_case_t cases[] = {
    { SAL_CPU_X86, "x86", 0x00010000, 0, 716, 4, x86 },
    { SAL_CPU_AMD64, "amd64", 0x00100000, 48, 1232, 8, amd64 },
    { SAL_CPU_ARM, "arm", 0x40000000, 0, 368, 4, arm },
    { SAL_CPU_ARM64, "arm64", 0x00400000, 0, 912, 8, arm64 },
    { SAL_CPU_ARM64, "arm64", 0x80000000, 0, 796, 8, arm64 }, /* old Breakpad's */
    { SAL_CPU_MIPS, "mips", 0x00040000, 0, 600, 8, mips },
    { SAL_CPU_MIPS64, "mips64", 0x00080000, 0, 600, 8, mips },
    { SAL_CPU_PPC, "ppc", 0x20000000, 0, 1004, 4, ppc },
    { SAL_CPU_PPC64, "ppc64", 0x01000000, 0, 1160, 8, ppc64 },
    { SAL_CPU_SPARC, "sparc", 0x10000000, 0, 584, 8, sparc },
    { SAL_CPU_RISCV, "riscv", 0x00800000, 0, 268, 4, riscv },
    { SAL_CPU_RISCV64, "riscv64", 0x08000000, 0, 528, 8, riscv64 },
};
enum { N_CASES = sizeof(cases) / sizeof(cases[0]), ROOM = 2048 };

static void put(uint8_t *at, uint64_t v, int width, bool big)
{
    for (int i = 0; i < width; i++) {
        at[big ? width - 1 - i : i] = (uint8_t)(v >> (8 * i));
    }
}

/* The flags word: 64 bits for ppc64 and old arm64, whose low half holds the CPU in either order. */
static void put_flags(uint8_t *raw, const cpu_case_t *c, uint32_t flags, bool big)
{
    bool wide = c->bit == 0x01000000 || c->bit == 0x80000000;

    put(raw + c->flags_at, flags, wide ? 8 : 4, big);
}

static uint64_t number_for(const place_t *p, int width)
{
    return width == 8 ? UINT64_C(0xa1b2c3d400000000) + (uint64_t)p->offset
                      : UINT64_C(0xe5f60000) + (uint64_t)p->offset;
}

static void fill(uint8_t *raw, const cpu_case_t *c, bool big)
{
    memset(raw, 0xee, ROOM);
    put_flags(raw, c, c->bit | 0xf, big);
    for (const place_t *p = c->places; p->reg; p++) {
        put(raw + p->offset, number_for(p, c->width), c->width, big);
    }
}

static apr_status_t read_size(const cpu_case_t *c, const uint8_t *raw, int size, bool big,
                              sal_regs_t *regs)
{
    sal_span_t span = { raw, (size_t)size, big };

    return sal_context_read(regs, &span, c->cpu, NULL);
}

static void test_registers(void **state)
{
    uint8_t raw[ROOM];
    sal_regs_t regs;

    (void)state;
    for (int k = 0; k < 2 * N_CASES; k++) {
        const cpu_case_t *c = &cases[k / 2];
        const sal_cpu_desc_t *d = sal_cpu_desc(c->cpu);
        bool big = k % 2;

        fill(raw, c, big);
        assert_int_equal(read_size(c, raw, c->size, big, &regs), APR_SUCCESS);
        assert_int_equal(regs.cpu, c->cpu);
        assert_string_equal(d->name, c->name);
        assert_true(regs.valid == (UINT64_C(1) << d->n_regs) - 1);
        for (const place_t *p = c->places; p->reg; p++) {
            int i = sal_reg_index(d, p->reg, strlen(p->reg));

            if (i < 0 || regs.value[i] != number_for(p, c->width)) {
                fail_msg("%s of %s (%s endian)", p->reg, c->name, big ? "big" : "little");
            }
        }
    }
}

static void test_refused(void **state)
{
    static const uint32_t cpu_bits[] = { 0x10000,  0x20000,  0x40000,   0x80000,
                                         0x100000, 0x400000, 0x1000000, 0x20000000 };
    uint8_t raw[ROOM];
    sal_regs_t regs;

    (void)state;
    for (int k = 0; k < N_CASES; k++) {
        const cpu_case_t *c = &cases[k];

        fill(raw, c, false);
        assert_int_equal(read_size(c, raw, c->size - 1, false, &regs), SAL_E_MALFORMED);
        assert_int_equal(read_size(c, raw, 0, false, &regs), SAL_E_MALFORMED);
        assert_int_equal(read_size(c, raw, c->size + 175, false, &regs), APR_SUCCESS); /* xsave */
        for (size_t i = 0; i < sizeof(cpu_bits) / sizeof(cpu_bits[0]); i++) {
            if (cpu_bits[i] != c->bit && !(c->cpu == SAL_CPU_ARM64 && cpu_bits[i] == 0x400000)) {
                put_flags(raw, c, c->bit | cpu_bits[i], false);
                assert_int_equal(read_size(c, raw, c->size, false, &regs), SAL_E_MALFORMED);
                put_flags(raw, c, cpu_bits[i], false);
                assert_int_equal(read_size(c, raw, c->size, false, &regs), SAL_E_MALFORMED);
            }
        }
        put_flags(raw, c, 0xff, false);
        assert_int_equal(read_size(c, raw, c->size, false, &regs), SAL_E_MALFORMED);
    }
    assert_int_equal(
        sal_context_read(&regs, &(sal_span_t){ raw, ROOM, false }, SAL_CPU_UNKNOWN, NULL),
        SAL_E_UNSUPPORTED);
}

/* Windows reports in the flags whether an exception or a system call was under way. */
static void test_reporting_bits(void **state)
{
    static const uint32_t bits[] = { 0x08000000, 0x10000000, 0x40000000, 0x80000000, 0xd8000000 };
    uint8_t raw[ROOM];
    sal_regs_t regs;

    (void)state;
    for (int k = 0; k < N_CASES; k++) {
        const cpu_case_t *c = &cases[k];

        fill(raw, c, false);
        for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
            put_flags(raw, c, c->bit | bits[i] | 0x5f, false);
            assert_int_equal(read_size(c, raw, c->size, false, &regs), APR_SUCCESS);
        }
    }
}

static void test_arm64_layouts(void **state)
{
    uint8_t raw[ROOM];
    sal_regs_t regs;

    (void)state;
    fill(raw, &cases[4], false); /* old: 796 bytes are enough for it, not for today's */
    assert_int_equal(read_size(&cases[4], raw, 796, false, &regs), APR_SUCCESS);
    fill(raw, &cases[3], false);
    assert_int_equal(read_size(&cases[3], raw, 796, false, &regs), SAL_E_MALFORMED);
}

static void test_names(void **state)
{
    static const struct {
        sal_cpu_t cpu;
        const char *name;
        int index;
    } names[] = {
        { SAL_CPU_AMD64, "rax", 0 },   { SAL_CPU_AMD64, "rip", 16 }, { SAL_CPU_AMD64, "r15", 15 },
        { SAL_CPU_AMD64, "rdx", 1 },   { SAL_CPU_AMD64, "rcx", 2 },  { SAL_CPU_AMD64, "eax", -1 },
        { SAL_CPU_X86, "eip", 0 },     { SAL_CPU_X86, "eflags", 9 }, { SAL_CPU_X86, "rip", -1 },
        { SAL_CPU_ARM, "fp", 11 },     { SAL_CPU_ARM, "r11", 11 },   { SAL_CPU_ARM, "r13", 13 },
        { SAL_CPU_ARM, "r14", 14 },    { SAL_CPU_ARM, "r15", 15 },   { SAL_CPU_ARM, "r16", -1 },
        { SAL_CPU_ARM64, "x29", 29 },  { SAL_CPU_ARM64, "x30", 30 }, { SAL_CPU_ARM64, "lr", 30 },
        { SAL_CPU_ARM64, "sp", 31 },   { SAL_CPU_ARM64, "pc", 32 },  { SAL_CPU_ARM64, "", -1 },
        { SAL_CPU_UNKNOWN, "pc", -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(
            sal_reg_index(sal_cpu_desc(names[i].cpu), names[i].name, strlen(names[i].name)),
            names[i].index);
    }
    assert_int_equal(sal_reg_index(sal_cpu_desc(SAL_CPU_AMD64), "raxx", 3), 0); /* length counts */
    assert_int_equal(sal_reg_index(sal_cpu_desc(SAL_CPU_AMD64), "rax", 2), -1);
    assert_int_equal(sal_cpu_desc(SAL_CPU_UNKNOWN)->n_regs, 0);
    assert_string_equal(sal_cpu_desc((sal_cpu_t)999)->name, "unknown");
}

static void test_descriptions(void **state)
{
    static const struct {
        sal_cpu_t cpu;
        int pointer, pc, sp, fp, lr, adjust;
    } descs[] = {
        { SAL_CPU_X86, 4, 0, 1, 2, -1, 1 },    { SAL_CPU_AMD64, 8, 16, 7, 6, -1, 1 },
        { SAL_CPU_ARM, 4, 15, 13, 11, 14, 2 }, { SAL_CPU_ARM64, 8, 32, 31, 29, 30, 4 },
        { SAL_CPU_MIPS, 4, 4, 1, 2, 3, 8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(descs) / sizeof(descs[0]); i++) {
        const sal_cpu_desc_t *d = sal_cpu_desc(descs[i].cpu);

        assert_int_equal(d->pointer_size, descs[i].pointer);
        assert_int_equal(d->pc, descs[i].pc);
        assert_int_equal(d->sp, descs[i].sp);
        assert_int_equal(d->fp, descs[i].fp);
        assert_int_equal(d->lr, descs[i].lr);
        assert_int_equal(d->pc_adjust, descs[i].adjust);
    }
}

static void test_write_is_the_inverse(void **state)
{
    uint8_t raw[ROOM];
    sal_regs_t in = { .valid = 0 }, out;

    (void)state;
    for (int k = 0; k < 2 * N_CASES; k++) {
        const cpu_case_t *c = &cases[k / 2];
        const sal_cpu_desc_t *d = sal_cpu_desc(c->cpu);
        size_t size;

        in.cpu = c->cpu;
        for (int i = 0; i < d->n_regs; i++) {
            in.value[i] = 0x01020300u + (unsigned)i;
        }
        assert_int_equal(sal_context_write(raw, 100, &in, k % 2), 0);
        size = sal_context_write(raw, sizeof(raw), &in, k % 2);
        assert_true(size > 0 && size <= SAL_MAX_CONTEXT);
        assert_int_equal(sal_context_read(&out, &(sal_span_t){ raw, size, k % 2 }, c->cpu, NULL),
                         APR_SUCCESS);
        assert_memory_equal(in.value, out.value, (size_t)d->n_regs * sizeof(in.value[0]));
    }
    in.cpu = SAL_CPU_UNKNOWN;
    assert_int_equal(sal_context_write(raw, sizeof(raw), &in, false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_reporting_bits),
        cmocka_unit_test(test_arm64_layouts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_write_is_the_inverse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
