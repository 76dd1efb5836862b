/*
 * Raw CPU contexts as text. Records that the decoder would refuse are said to be none.
 */
#include "minidump/print_private.h"

#include <inttypes.h>

enum { X86_AREA = 56, X86_AREA_SIZE = 80, X86_EXTENDED = 204, X86_EXTENDED_SIZE = 512 };

static const md_field_t x86_head[] = {
    { "context_flags", 0, 4, MD_HEX },
    { "dr0", 4, 4, MD_HEX },
    { "dr1", 8, 4, MD_HEX },
    { "dr2", 12, 4, MD_HEX },
    { "dr3", 16, 4, MD_HEX },
    { "dr6", 20, 4, MD_HEX },
    { "dr7", 24, 4, MD_HEX },
    { "float_save.control_word", 28, 4, MD_HEX },
    { "float_save.status_word", 32, 4, MD_HEX },
    { "float_save.tag_word", 36, 4, MD_HEX },
    { "float_save.error_offset", 40, 4, MD_HEX },
    { "float_save.error_selector", 44, 4, MD_HEX },
    { "float_save.data_offset", 48, 4, MD_HEX },
    { "float_save.data_selector", 52, 4, MD_HEX },
    { NULL, 0, 0, 0 },
};
static const md_field_t x86_rest[] = {
    { "float_save.cr0_npx_state", 136, 4, MD_HEX },
    { "gs", 140, 4, MD_HEX },
    { "fs", 144, 4, MD_HEX },
    { "es", 148, 4, MD_HEX },
    { "ds", 152, 4, MD_HEX },
    { "edi", 156, 4, MD_HEX },
    { "esi", 160, 4, MD_HEX },
    { "ebx", 164, 4, MD_HEX },
    { "edx", 168, 4, MD_HEX },
    { "ecx", 172, 4, MD_HEX },
    { "eax", 176, 4, MD_HEX },
    { "ebp", 180, 4, MD_HEX },
    { "eip", 184, 4, MD_HEX },
    { "cs", 188, 4, MD_HEX },
    { "eflags", 192, 4, MD_HEX },
    { "esp", 196, 4, MD_HEX },
    { "ss", 200, 4, MD_HEX },
    { NULL, 0, 0, 0 },
};
static const md_field_t amd64_fields[] = {
    { "p1_home", 0, 8, MD_HEX },
    { "p2_home", 8, 8, MD_HEX },
    { "p3_home", 16, 8, MD_HEX },
    { "p4_home", 24, 8, MD_HEX },
    { "p5_home", 32, 8, MD_HEX },
    { "p6_home", 40, 8, MD_HEX },
    { "context_flags", 48, 4, MD_HEX },
    { "mx_csr", 52, 4, MD_HEX },
    { "cs", 56, 2, MD_HEX },
    { "ds", 58, 2, MD_HEX },
    { "es", 60, 2, MD_HEX },
    { "fs", 62, 2, MD_HEX },
    { "gs", 64, 2, MD_HEX },
    { "ss", 66, 2, MD_HEX },
    { "eflags", 68, 4, MD_HEX },
    { "dr0", 72, 8, MD_HEX },
    { "dr1", 80, 8, MD_HEX },
    { "dr2", 88, 8, MD_HEX },
    { "dr3", 96, 8, MD_HEX },
    { "dr6", 104, 8, MD_HEX },
    { "dr7", 112, 8, MD_HEX },
    { "rax", 120, 8, MD_HEX },
    { "rcx", 128, 8, MD_HEX },
    { "rdx", 136, 8, MD_HEX },
    { "rbx", 144, 8, MD_HEX },
    { "rsp", 152, 8, MD_HEX },
    { "rbp", 160, 8, MD_HEX },
    { "rsi", 168, 8, MD_HEX },
    { "rdi", 176, 8, MD_HEX },
    { "r8", 184, 8, MD_HEX },
    { "r9", 192, 8, MD_HEX },
    { "r10", 200, 8, MD_HEX },
    { "r11", 208, 8, MD_HEX },
    { "r12", 216, 8, MD_HEX },
    { "r13", 224, 8, MD_HEX },
    { "r14", 232, 8, MD_HEX },
    { "r15", 240, 8, MD_HEX },
    { "rip", 248, 8, MD_HEX },
    { NULL, 0, 0, 0 },
};

static void print_x86(FILE *f, const sal_span_t *raw)
{
    sal_span_t part;

    fputs("CONTEXT_X86\n", f);
    md_print_fields(f, raw, x86_head, 28);
    sal_span_sub(raw, X86_AREA, X86_AREA_SIZE, &part);
    fprintf(f, "  float_save.register_area[%d] = 0x", X86_AREA_SIZE);
    md_print_hex(f, &part);
    fputc('\n', f);
    md_print_fields(f, raw, x86_rest, 28);
    sal_span_sub(raw, X86_EXTENDED, X86_EXTENDED_SIZE, &part);
    fprintf(f, "  extended_registers[%d]      = 0x", X86_EXTENDED_SIZE);
    md_print_hex(f, &part);
    fputs("\n\n", f);
}

static void print_amd64(FILE *f, const sal_span_t *raw)
{
    fputs("CONTEXT_AMD64\n", f);
    md_print_fields(f, raw, amd64_fields, 13);
    fputc('\n', f);
}

/* n numbers in a row, labelled by a format with their index in it. */
static void print_row(FILE *f, const sal_span_t *raw, const char *before, const char *after,
                      int digits, uint64_t at, unsigned width, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t where = at + (uint64_t)i * width;

        fprintf(f, "  %s%*u%s = 0x", before, digits, i, after);
        if (width == 16) {
            uint64_t lo = md_u64(raw, where + (raw->swap ? 8 : 0));
            uint64_t hi = md_u64(raw, where + (raw->swap ? 0 : 8));

            if (hi) {
                fprintf(f, "%" PRIx64 "%016" PRIx64 "\n", hi, lo);
            } else {
                fprintf(f, "%" PRIx64 "\n", lo);
            }
        } else {
            fprintf(f, "%" PRIx64 "\n", md_number(raw, where, width));
        }
    }
}

static void print_arm(FILE *f, const sal_span_t *raw)
{
    fprintf(f, "CONTEXT_ARM\n  context_flags       = 0x%x\n", md_u32(raw, 0));
    print_row(f, raw, "iregs[", "]           ", 2, 4, 4, 16);
    fprintf(f, "  cpsr                = 0x%x\n  float_save.fpscr     = 0x%" PRIx64 "\n",
            md_u32(raw, 68), md_u64(raw, 72));
    print_row(f, raw, "float_save.regs[", "]", 2, 80, 8, 32);
    print_row(f, raw, "float_save.extra[", "]", 2, 336, 4, 8);
}

/* Old: the layout of early Breakpad, known by its flags of 64 bits. */
static void print_arm64(FILE *f, const sal_span_t *raw)
{
    bool old = !(md_u32(raw, 0) & 0x00400000);
    static const char *const last[] = { "x29 (fp)", "x30 (lr)", "sp", "pc" };
    char pad[8];

    fprintf(f, "CONTEXT_ARM64%s\n  context_flags        = 0x%" PRIx64 "\n", old ? "_OLD" : "",
            md_number(raw, 0, old ? 8 : 4));
    for (unsigned i = 0; i < 29; i++) {
        snprintf(pad, sizeof(pad), "x%u", i);
        fprintf(f, "  %-20s = 0x%" PRIx64 "\n", pad, md_u64(raw, 8 + 8 * (uint64_t)i));
    }
    for (unsigned i = 0; i < 4; i++) {
        fprintf(f, "  %-20s = 0x%" PRIx64 "\n", last[i], md_u64(raw, 240 + 8 * (uint64_t)i));
    }
    fprintf(f, "  %-20s = 0x%x\n", "cpsr", md_u32(raw, old ? 272 : 4));
    fprintf(f, "  %-20s = 0x%x\n", "fpsr", md_u32(raw, old ? 276 : 788));
    fprintf(f, "  %-20s = 0x%x\n", "fpcr", md_u32(raw, old ? 280 : 784));
    print_row(f, raw, "d", "", -2, old ? 284 : 272, 16, 32);
    if (!old) {
        print_row(f, raw, "bcr[", "]", 2, 792, 4, 8);
        print_row(f, raw, "bvr[", "]", 2, 824, 8, 8);
        print_row(f, raw, "wcr[", "]", 2, 888, 4, 2);
        print_row(f, raw, "wvr[", "]", 2, 896, 8, 2);
    }
}

static void print_mips(FILE *f, const sal_span_t *raw)
{
    static const struct {
        const char *name;
        unsigned index;
    } regs[] = {
        { "s0", 16 }, { "s1", 17 }, { "s2", 18 }, { "s3", 19 }, { "s4", 20 }, { "s5", 21 },
        { "s6", 22 }, { "s7", 23 }, { "gp", 28 }, { "sp", 29 }, { "fp", 30 }, { "ra", 31 }
    };

    fprintf(f, "CONTEXT_MIPS\n  context_flags       = 0x%x\n", md_u32(raw, 0));
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        fprintf(f, "  %s                = 0x%" PRIx64 "\n", regs[i].name,
                md_u64(raw, 8 + 8 * (uint64_t)regs[i].index));
    }
}

/* CPUs that nobody else prints: the registers that are decoded. */
static void print_registers(FILE *f, const sal_regs_t *regs)
{
    const sal_cpu_desc_t *cpu = sal_cpu_desc(regs->cpu);

    fputs("CONTEXT_", f);
    for (const char *c = cpu->name; *c; c++) {
        fputc(*c >= 'a' && *c <= 'z' ? *c - 32 : *c, f);
    }
    fputc('\n', f);
    for (int i = 0; i < cpu->n_regs; i++) {
        fprintf(f, "  %-13s = 0x%" PRIx64 "\n", cpu->reg_names[i], regs->value[i]);
    }
    fputc('\n', f);
}

void md_print_context(FILE *f, const sal_span_t *raw, sal_cpu_t cpu)
{
    sal_regs_t regs;

    if (!raw->size || sal_context_read(&regs, raw, cpu, NULL) != APR_SUCCESS) {
        fputs("  (no context)\n\n", f);
        return;
    }
    switch (cpu) {
    case SAL_CPU_X86:
        print_x86(f, raw);
        break;
    case SAL_CPU_AMD64:
        print_amd64(f, raw);
        break;
    case SAL_CPU_ARM:
        print_arm(f, raw);
        break;
    case SAL_CPU_ARM64:
        print_arm64(f, raw);
        break;
    case SAL_CPU_MIPS:
    case SAL_CPU_MIPS64:
        print_mips(f, raw);
        break;
    default:
        print_registers(f, &regs);
    }
}
