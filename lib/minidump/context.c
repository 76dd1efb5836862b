/*
 * CPU contexts: one table a processor says where its registers lie in the raw record.
 *
 * A new processor is a description and a layout here and, to be unwound, a file in lib/unwind.
 */
#include "minidump/context.h"

/* Registers that follow one another in the record and in the register file. */
typedef struct run_t {
    uint8_t first, count; /* indexes in sal_regs_t */
    uint8_t width;        /* bytes of one register in the record */
    uint16_t offset;
} run_t;

typedef struct layout_t {
    sal_cpu_t cpu;
    uint32_t bit; /* CPU bit of the flags word */
    uint16_t flags_at, flags_width;
    uint16_t size;     /* of the record; extended state may follow */
    const run_t *runs; /* ends with count 0 */
} layout_t;

typedef struct alias_t {
    const char *name;
    int index;
} alias_t;

/* CPU bits that writers are known to set, and those among them that Windows uses otherwise. */
static const uint32_t cpu_bits = 0x00010000 | 0x00020000 | 0x00040000 | 0x00080000 | 0x00100000 |
                                 0x00400000 | 0x01000000 | 0x10000000 | 0x20000000 | 0x40000000 |
                                 0x80000000;
static const uint32_t reporting_bits = 0x08000000 | 0x10000000 | 0x40000000 | 0x80000000;

/* ---- where registers lie ---- */

static const run_t x86_runs[] = {
    { 5, 1, 4, 156 }, { 4, 1, 4, 160 }, { 3, 1, 4, 164 }, { 8, 1, 4, 168 },
    { 7, 1, 4, 172 }, { 6, 1, 4, 176 }, { 2, 1, 4, 180 }, { 0, 1, 4, 184 },
    { 9, 1, 4, 192 }, { 1, 1, 4, 196 }, { 0, 0, 0, 0 },
};

/* the record has rax rcx rdx rbx rsp rbp rsi rdi, the register file DWARF's order */
static const run_t amd64_runs[] = {
    { 0, 1, 8, 120 }, { 2, 1, 8, 128 },  { 1, 1, 8, 136 }, { 3, 1, 8, 144 },
    { 7, 1, 8, 152 }, { 6, 1, 8, 160 },  { 4, 1, 8, 168 }, { 5, 1, 8, 176 },
    { 8, 8, 8, 184 }, { 16, 1, 8, 248 }, { 0, 0, 0, 0 },
};

static const run_t arm_runs[] = { { 0, 16, 4, 4 }, { 0, 0, 0, 0 } };
static const run_t arm64_runs[] = { { 0, 33, 8, 8 }, { 0, 0, 0, 0 } };

static const run_t mips_runs[] = {
    { 0, 4, 8, 232 },
    { 4, 1, 8, 312 },
    { 5, 8, 8, 136 },
    { 0, 0, 0, 0 },
};

static const run_t ppc_runs[] = { { 0, 40, 4, 4 }, { 0, 0, 0, 0 } };
static const run_t ppc64_runs[] = { { 0, 39, 8, 8 }, { 0, 0, 0, 0 } };
static const run_t sparc_runs[] = { { 0, 38, 8, 8 }, { 0, 0, 0, 0 } };
static const run_t riscv_runs[] = { { 0, 32, 4, 8 }, { 0, 0, 0, 0 } };
static const run_t riscv64_runs[] = { { 0, 32, 8, 8 }, { 0, 0, 0, 0 } };

/* arm64 has two: today's and the one of old Breakpad, told apart by the flags word */
static const layout_t layouts[] = {
    { SAL_CPU_X86, 0x00010000, 0, 4, 716, x86_runs },
    { SAL_CPU_AMD64, 0x00100000, 48, 4, 1232, amd64_runs },
    { SAL_CPU_ARM, 0x40000000, 0, 4, 368, arm_runs },
    { SAL_CPU_ARM64, 0x00400000, 0, 4, 912, arm64_runs },
    { SAL_CPU_ARM64, 0x80000000, 0, 8, 796, arm64_runs },
    { SAL_CPU_MIPS, 0x00040000, 0, 4, 600, mips_runs },
    { SAL_CPU_MIPS64, 0x00080000, 0, 4, 600, mips_runs },
    { SAL_CPU_PPC, 0x20000000, 0, 4, 1004, ppc_runs },
    { SAL_CPU_PPC64, 0x01000000, 0, 8, 1160, ppc64_runs },
    { SAL_CPU_SPARC, 0x10000000, 0, 4, 584, sparc_runs },
    { SAL_CPU_RISCV, 0x00800000, 0, 4, 268, riscv_runs },
    { SAL_CPU_RISCV64, 0x08000000, 0, 4, 528, riscv64_runs },
};

/* ---- what registers are called ---- */

static const char *const x86_names[] = { "eip", "esp", "ebp", "ebx", "esi",
                                         "edi", "eax", "ecx", "edx", "eflags" };
static const char *const amd64_names[] = { "rax", "rdx", "rcx", "rbx", "rsi", "rdi",
                                           "rbp", "rsp", "r8",  "r9",  "r10", "r11",
                                           "r12", "r13", "r14", "r15", "rip" };
static const char *const arm_names[] = { "r0", "r1", "r2",  "r3", "r4",  "r5", "r6", "r7",
                                         "r8", "r9", "r10", "fp", "r12", "sp", "lr", "pc" };
static const char *const arm64_names[] = {
    "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",  "x10",
    "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",
    "x22", "x23", "x24", "x25", "x26", "x27", "x28", "fp",  "lr",  "sp",  "pc",
};
static const char *const mips_names[] = { "gp", "sp", "fp", "ra", "pc", "s0", "s1",
                                          "s2", "s3", "s4", "s5", "s6", "s7" };
static const char *const ppc_names[] = {
    "srr0", "srr1", "r0",  "r1",  "r2",  "r3",  "r4",  "r5",  "r6",  "r7",
    "r8",   "r9",   "r10", "r11", "r12", "r13", "r14", "r15", "r16", "r17",
    "r18",  "r19",  "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27",
    "r28",  "r29",  "r30", "r31", "cr",  "xer", "lr",  "ctr", "mq",  "vrsave",
};
static const char *const ppc64_names[] = {
    "srr0", "srr1", "r0",  "r1",  "r2",  "r3",  "r4",  "r5",  "r6",  "r7",  "r8",  "r9",  "r10",
    "r11",  "r12",  "r13", "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23",
    "r24",  "r25",  "r26", "r27", "r28", "r29", "r30", "r31", "cr",  "xer", "lr",  "ctr", "vrsave",
};
static const char *const sparc_names[] = {
    "g_r0",  "g_r1",  "g_r2",  "g_r3",  "g_r4",  "g_r5",  "g_r6",  "g_r7",  "g_r8",  "g_r9",
    "g_r10", "g_r11", "g_r12", "g_r13", "g_r14", "g_r15", "g_r16", "g_r17", "g_r18", "g_r19",
    "g_r20", "g_r21", "g_r22", "g_r23", "g_r24", "g_r25", "g_r26", "g_r27", "g_r28", "g_r29",
    "g_r30", "g_r31", "ccr",   "pc",    "npc",   "y",     "asi",   "fprs",
};
static const char *const riscv_names[] = {
    "pc", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1", "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

static const alias_t arm_aliases[] = {
    { "r11", 11 }, { "r13", 13 }, { "r14", 14 }, { "r15", 15 }, { NULL, 0 }
};
static const alias_t arm64_aliases[] = { { "x29", 29 }, { "x30", 30 }, { NULL, 0 } };
static const alias_t riscv_aliases[] = { { "fp", 8 }, { NULL, 0 } };
static const alias_t no_aliases[] = { { NULL, 0 } };

static const sal_cpu_desc_t unknown_cpu = {
    SAL_CPU_UNKNOWN, "unknown", 8, 0, NULL, -1, -1, -1, -1, 0
};

static const sal_cpu_desc_t cpus[] = {
    /* name, pointer size, registers; indexes of pc, sp, fp, lr; adjustment */
    { SAL_CPU_X86, "x86", 4, 10, x86_names, 0, 1, 2, -1, 1 },
    { SAL_CPU_AMD64, "amd64", 8, 17, amd64_names, 16, 7, 6, -1, 1 },
    { SAL_CPU_ARM, "arm", 4, 16, arm_names, 15, 13, 11, 14, 2 },
    { SAL_CPU_ARM64, "arm64", 8, 33, arm64_names, 32, 31, 29, 30, 4 },
    { SAL_CPU_MIPS, "mips", 4, 13, mips_names, 4, 1, 2, 3, 8 },
    { SAL_CPU_MIPS64, "mips64", 8, 13, mips_names, 4, 1, 2, 3, 8 },
    { SAL_CPU_PPC, "ppc", 4, 40, ppc_names, 0, 3, -1, 36, 4 },
    { SAL_CPU_PPC64, "ppc64", 8, 39, ppc64_names, 0, 3, -1, 36, 4 },
    { SAL_CPU_SPARC, "sparc", 4, 38, sparc_names, 33, 14, 30, 31, 8 },
    { SAL_CPU_RISCV, "riscv", 4, 32, riscv_names, 0, 2, 8, 1, 2 },
    { SAL_CPU_RISCV64, "riscv64", 8, 32, riscv_names, 0, 2, 8, 1, 2 },
};

const sal_cpu_desc_t *sal_cpu_desc(sal_cpu_t cpu)
{
    for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
        if (cpus[i].cpu == cpu) {
            return &cpus[i];
        }
    }
    return &unknown_cpu;
}

static const alias_t *aliases_of(sal_cpu_t cpu)
{
    switch (cpu) {
    case SAL_CPU_ARM:
        return arm_aliases;
    case SAL_CPU_ARM64:
        return arm64_aliases;
    case SAL_CPU_RISCV:
    case SAL_CPU_RISCV64:
        return riscv_aliases;
    default:
        return no_aliases;
    }
}

int sal_reg_index(const sal_cpu_desc_t *cpu, const char *name, size_t len)
{
    for (int i = 0; i < cpu->n_regs; i++) {
        if (strlen(cpu->reg_names[i]) == len && !memcmp(cpu->reg_names[i], name, len)) {
            return i;
        }
    }
    for (const alias_t *a = aliases_of(cpu->cpu); a->name; a++) {
        if (strlen(a->name) == len && !memcmp(a->name, name, len)) {
            return a->index;
        }
    }
    return -1;
}

/* The flags must name this CPU and no other; Windows' reporting bits are none. */
static bool flags_fit(const layout_t *l, const sal_span_t *raw)
{
    uint64_t flags = 0;
    uint32_t low = 0;
    bool ok;

    if (l->flags_width == 8) {
        ok = sal_span_u64(raw, l->flags_at, &flags);
    } else {
        ok = sal_span_u32(raw, l->flags_at, &low);
        flags = low;
    }
    return ok && (flags & (cpu_bits | l->bit) & ~(reporting_bits & ~l->bit)) == l->bit;
}

static void load_runs(sal_regs_t *out, const layout_t *l, const sal_span_t *raw)
{
    for (const run_t *r = l->runs; r->count; r++) {
        for (unsigned i = 0; i < r->count; i++) {
            uint64_t at = r->offset + (uint64_t)i * r->width;
            uint32_t narrow = 0;

            if (r->width == 8) {
                sal_span_u64(raw, at, &out->value[r->first + i]);
            } else {
                sal_span_u32(raw, at, &narrow);
                out->value[r->first + i] = narrow;
            }
            out->valid |= UINT64_C(1) << (r->first + i);
        }
    }
}

apr_status_t sal_context_read(sal_regs_t *out, const sal_span_t *raw, sal_cpu_t cpu,
                              sal_error_t *err)
{
    bool known = false, fits = false;

    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        const layout_t *l = &layouts[i];

        if (l->cpu != cpu) {
            continue;
        }
        known = true;
        if (!flags_fit(l, raw)) {
            continue;
        }
        fits = true;
        if (raw->size >= l->size) {
            *out = (sal_regs_t){ .cpu = cpu };
            load_runs(out, l, raw);
            return APR_SUCCESS;
        }
    }
    if (!known) {
        return sal_fail(err, SAL_E_UNSUPPORTED, "context of a CPU whose layout is not known");
    }
    return sal_fail(err, SAL_E_MALFORMED, "context of %zu bytes %s of %s", raw->size,
                    fits ? "is too short for one" : "does not name itself one",
                    sal_cpu_desc(cpu)->name);
}

static void store(uint8_t *out, uint64_t v, unsigned width, bool big_endian)
{
    for (unsigned i = 0; i < width; i++) {
        out[big_endian ? width - 1 - i : i] = (uint8_t)(v >> (8 * i));
    }
}

size_t sal_context_write(uint8_t *out, size_t room, const sal_regs_t *regs, bool big_endian)
{
    const layout_t *l = NULL;

    for (size_t i = 0; !l && i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        l = layouts[i].cpu == regs->cpu ? &layouts[i] : NULL;
    }
    if (!l || l->size > room) {
        return 0;
    }
    memset(out, 0, l->size);
    /* the record claims control, integer and segment registers */
    store(out + l->flags_at, l->bit | 0x7, l->flags_width, big_endian);
    for (const run_t *r = l->runs; r->count; r++) {
        for (unsigned i = 0; i < r->count; i++) {
            store(out + r->offset + (size_t)i * r->width, regs->value[r->first + i], r->width,
                  big_endian);
        }
    }
    return l->size;
}
