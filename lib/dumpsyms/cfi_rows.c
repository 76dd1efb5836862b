/*
 * Runs call frame instructions: from bytes to the rules of each row of an entry.
 *
 * Knows DWARF's instructions and which registers have names; neither sections nor text. Work is
 * linear in the instructions: every one takes at least a byte and copies at most one state.
 */
#include "dumpsyms/cfi_private.h"

#include <dwarf.h>
#include <string.h>

/* ---- registers by DWARF number ---- */

static const char *const names_amd64[] = {
    "$rax", "$rdx", "$rcx", "$rbx", "$rsi", "$rdi", "$rbp", "$rsp", "$r8",
    "$r9",  "$r10", "$r11", "$r12", "$r13", "$r14", "$r15", "$rip",
};
static const char *const names_x86[] = { "$eax", "$ecx", "$edx", "$ebx", "$esp",
                                         "$ebp", "$esi", "$edi", "$eip" };
static const char *const names_arm[] = { "r0", "r1", "r2",  "r3",  "r4",  "r5", "r6", "r7",
                                         "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc" };
static const char *const names_arm64[] = {
    "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",  "x10",
    "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",
    "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",
};
static const char *const names_mips[] = {
    "$zero", "$at", "$v0", "$v1", "$a0", "$a1", "$a2", "$a3", "$t0", "$t1", "$t2",
    "$t3",   "$t4", "$t5", "$t6", "$t7", "$s0", "$s1", "$s2", "$s3", "$s4", "$s5",
    "$s6",   "$s7", "$t8", "$t9", "$k0", "$k1", "$gp", "$sp", "$fp", "$ra",
};
static const char *const names_ppc[] = {
    "r0",  "r1",  "r2",  "r3",  "r4",  "r5",  "r6",  "r7",  "r8",  "r9",  "r10",
    "r11", "r12", "r13", "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21",
    "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31", "lr",
};
static const char *const names_riscv[] = {
    "pc", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1", "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

#define NAMES(list) list, sizeof(list) / sizeof(list[0])
static const cfi_cpu_t cpus[] = {
    { EM_X86_64, NAMES(names_amd64), -1, false }, { EM_386, NAMES(names_x86), -1, false },
    { EM_ARM, NAMES(names_arm), -1, true },       { EM_AARCH64, NAMES(names_arm64), -1, true },
    { EM_MIPS, NAMES(names_mips), -1, true },     { EM_PPC, NAMES(names_ppc), 65, true },
    { EM_PPC64, NAMES(names_ppc), 65, true },     { EM_RISCV, NAMES(names_riscv), -1, true },
};

const cfi_cpu_t *cfi_cpu(GElf_Half machine)
{
    for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
        if (cpus[i].machine == machine) {
            return &cpus[i];
        }
    }
    return NULL;
}

int cfi_column(const cfi_cpu_t *cpu, uint64_t reg)
{
    int plain = cpu->extra < 0 ? cpu->columns : cpu->columns - 1;

    if (reg < (uint64_t)plain) {
        return (int)reg;
    }
    return cpu->extra >= 0 && reg == (uint64_t)cpu->extra ? plain : CFI_NONE;
}

/* ---- reading ---- */

bool cfi_u(cfi_in_t *in, unsigned size, uint64_t *v)
{
    uint8_t one = 0;
    uint16_t two = 0;
    uint32_t four = 0;
    bool ok;

    if (in->at > in->end || size > in->end - in->at) {
        return false;
    }
    switch (size) {
    case 1:
        ok = sal_span_u8(&in->bytes, in->at, &one);
        *v = one;
        break;
    case 2:
        ok = sal_span_u16(&in->bytes, in->at, &two);
        *v = two;
        break;
    case 4:
        ok = sal_span_u32(&in->bytes, in->at, &four);
        *v = four;
        break;
    default:
        ok = size == 8 && sal_span_u64(&in->bytes, in->at, v);
    }
    in->at += size;
    return ok;
}

/* Bits beyond 64 are lost, and the number goes on: that costs its bytes and nothing else. */
static bool leb(cfi_in_t *in, uint64_t *v, unsigned *bits, uint8_t *last)
{
    uint64_t byte;

    *v = 0;
    *bits = 0;
    do {
        if (!cfi_u(in, 1, &byte)) {
            return false;
        }
        if (*bits < 64) {
            *v |= (byte & 0x7f) << *bits;
            *bits += 7;
        }
    } while (byte & 0x80);
    *last = (uint8_t)byte;
    return true;
}

bool cfi_uleb(cfi_in_t *in, uint64_t *v)
{
    unsigned bits;
    uint8_t last;

    return leb(in, v, &bits, &last);
}

bool cfi_sleb(cfi_in_t *in, int64_t *v)
{
    unsigned bits;
    uint64_t u;
    uint8_t last;

    if (!leb(in, &u, &bits, &last)) {
        return false;
    }
    if (bits < 64 && (last & 0x40)) {
        u |= ~UINT64_C(0) << bits;
    }
    *v = (int64_t)u;
    return true;
}

/* ---- instructions ---- */

static void set_rule(cfi_run_t *run, uint64_t reg, cfi_kind_t kind, int64_t value)
{
    int column = cfi_column(run->cpu, reg);

    if (column != CFI_NONE) {
        run->now.kind[column] = (uint8_t)kind;
        run->now.value[column] = value;
    }
}

static void restore(cfi_run_t *run, uint64_t reg)
{
    int column = cfi_column(run->cpu, reg);

    if (column != CFI_NONE) {
        run->now.kind[column] = run->initial.kind[column];
        run->now.value[column] = run->initial.value[column];
    }
}

static void set_cfa(cfi_run_t *run, cfi_kind_t kind, uint64_t reg, int64_t value)
{
    run->now.cfa_kind = (uint8_t)kind;
    run->now.cfa_reg = reg;
    run->now.cfa_value = value;
}

/* Wraps as two's complement does: what a damaged file says is not ours to be right about. */
static int64_t factored(const cfi_run_t *run, uint64_t n)
{
    return (int64_t)(n * (uint64_t)run->cie->data_align);
}

static bool skip_block(cfi_in_t *in)
{
    uint64_t size;

    if (!cfi_uleb(in, &size) || size > in->end - in->at) {
        return false;
    }
    in->at += size;
    return true;
}

static bool block_rule(cfi_run_t *run, cfi_kind_t kind)
{
    uint64_t reg, at;

    if (!cfi_uleb(&run->in, &reg)) {
        return false;
    }
    at = run->in.at;
    set_rule(run, reg, kind, (int64_t)at);
    return skip_block(&run->in);
}

/* Register and unsigned or signed offset, in units of the data alignment. */
static bool offset_rule(cfi_run_t *run, cfi_kind_t kind, bool is_signed, bool negative)
{
    uint64_t reg, n = 0;
    int64_t s = 0;

    if (!cfi_uleb(&run->in, &reg) ||
        !(is_signed ? cfi_sleb(&run->in, &s) : cfi_uleb(&run->in, &n))) {
        return false;
    }
    n = is_signed ? (uint64_t)s : n;
    set_rule(run, reg, kind, factored(run, negative ? 0 - n : n));
    return true;
}

static bool register_rule(cfi_run_t *run)
{
    uint64_t reg, from;

    if (!cfi_uleb(&run->in, &reg) || !cfi_uleb(&run->in, &from)) {
        return false;
    }
    set_rule(run, reg, CFI_REGISTER, (int64_t)from);
    return true;
}

static bool cfa_rule(cfi_run_t *run, uint64_t op)
{
    uint64_t reg = run->now.cfa_reg, n = 0;
    int64_t s = run->now.cfa_value;

    switch (op) {
    case DW_CFA_def_cfa:
        if (!cfi_uleb(&run->in, &reg) || !cfi_uleb(&run->in, &n)) {
            return false;
        }
        s = (int64_t)n;
        break;
    case DW_CFA_def_cfa_sf:
        if (!cfi_uleb(&run->in, &reg) || !cfi_sleb(&run->in, &s)) {
            return false;
        }
        s = factored(run, (uint64_t)s);
        break;
    case DW_CFA_def_cfa_register:
        if (!cfi_uleb(&run->in, &reg)) {
            return false;
        }
        break;
    case DW_CFA_def_cfa_offset:
        if (!cfi_uleb(&run->in, &n)) {
            return false;
        }
        s = (int64_t)n;
        break;
    case DW_CFA_def_cfa_offset_sf:
        if (!cfi_sleb(&run->in, &s)) {
            return false;
        }
        s = factored(run, (uint64_t)s);
        break;
    default: /* DW_CFA_def_cfa_expression */
        set_cfa(run, CFI_EXPR, 0, (int64_t)run->in.at);
        return skip_block(&run->in);
    }
    set_cfa(run, CFI_REGISTER, reg, s);
    return true;
}

static bool remember(cfi_run_t *run)
{
    if (run->depth == CFI_DEPTH) {
        return false;
    }
    run->saved[run->depth++] = run->now;
    return true;
}

static bool recall(cfi_run_t *run)
{
    if (!run->depth) {
        return false;
    }
    run->now = run->saved[--run->depth];
    return true;
}

static bool one_register(cfi_run_t *run, uint64_t op)
{
    uint64_t reg;

    if (!cfi_uleb(&run->in, &reg)) {
        return false;
    }
    if (op == DW_CFA_restore_extended) {
        restore(run, reg);
    } else {
        set_rule(run, reg, op == DW_CFA_undefined ? CFI_UNDEFINED : CFI_SAME, 0);
    }
    return true;
}

/* Instructions without an advance. */
static bool rule_instruction(cfi_run_t *run, uint64_t op)
{
    uint64_t ignored;

    switch (op) {
    case DW_CFA_nop:
    case DW_CFA_GNU_window_save: /* DW_CFA_AARCH64_negate_ra_state: the walker strips signatures */
        return true;
    case DW_CFA_offset_extended:
        return offset_rule(run, CFI_OFFSET, false, false);
    case DW_CFA_offset_extended_sf:
        return offset_rule(run, CFI_OFFSET, true, false);
    case DW_CFA_GNU_negative_offset_extended:
        return offset_rule(run, CFI_OFFSET, false, true);
    case DW_CFA_val_offset:
        return offset_rule(run, CFI_VAL_OFFSET, false, false);
    case DW_CFA_val_offset_sf:
        return offset_rule(run, CFI_VAL_OFFSET, true, false);
    case DW_CFA_restore_extended:
    case DW_CFA_undefined:
    case DW_CFA_same_value:
        return one_register(run, op);
    case DW_CFA_register:
        return register_rule(run);
    case DW_CFA_remember_state:
        return remember(run);
    case DW_CFA_restore_state:
        return recall(run);
    case DW_CFA_def_cfa:
    case DW_CFA_def_cfa_sf:
    case DW_CFA_def_cfa_register:
    case DW_CFA_def_cfa_offset:
    case DW_CFA_def_cfa_offset_sf:
    case DW_CFA_def_cfa_expression:
        return cfa_rule(run, op);
    case DW_CFA_expression:
        return block_rule(run, CFI_EXPR);
    case DW_CFA_val_expression:
        return block_rule(run, CFI_VAL_EXPR);
    case DW_CFA_GNU_args_size:
        return cfi_uleb(&run->in, &ignored);
    default:
        return false;
    }
}

/* DW_CFA_set_loc is an address in the entry's encoding: only absolute ones occur. */
static bool advance(cfi_run_t *run, uint64_t op, uint64_t *to)
{
    uint64_t delta = 0;
    bool ok;

    switch (op) {
    case DW_CFA_set_loc:
        return cfi_u(&run->in, run->cie->address_size, to) && !run->cie->encoding;
    case DW_CFA_advance_loc1:
        ok = cfi_u(&run->in, 1, &delta);
        break;
    case DW_CFA_advance_loc2:
        ok = cfi_u(&run->in, 2, &delta);
        break;
    case DW_CFA_advance_loc4:
        ok = cfi_u(&run->in, 4, &delta);
        break;
    default:
        ok = cfi_u(&run->in, 8, &delta);
    }
    *to = run->loc + delta * run->cie->code_align;
    return ok;
}

static bool is_advance(uint64_t op)
{
    return op == DW_CFA_set_loc || op == DW_CFA_advance_loc1 || op == DW_CFA_advance_loc2 ||
           op == DW_CFA_advance_loc4 || op == DW_CFA_MIPS_advance_loc8;
}

/* One instruction; *to moves if it advances. */
static bool instruction(cfi_run_t *run, uint64_t *to)
{
    uint64_t op, n;

    if (!cfi_u(&run->in, 1, &op)) {
        return false;
    }
    switch (op & 0xc0) {
    case DW_CFA_advance_loc:
        *to = run->loc + (op & 0x3f) * run->cie->code_align;
        return true;
    case DW_CFA_offset:
        if (!cfi_uleb(&run->in, &n)) {
            return false;
        }
        set_rule(run, op & 0x3f, CFI_OFFSET, factored(run, n));
        return true;
    case DW_CFA_restore:
        restore(run, op & 0x3f);
        return true;
    default:
        return is_advance(op) ? advance(run, op, to) : rule_instruction(run, op);
    }
}

void cfi_begin(cfi_run_t *run, const cfi_cpu_t *cpu, const cfi_cie_t *cie, sal_span_t bytes)
{
    uint64_t to = 0;

    memset(run, 0, offsetof(cfi_run_t, saved));
    run->cpu = cpu;
    run->cie = cie;
    run->in = (cfi_in_t){ bytes, cie->instructions, cie->instructions_end };
    while (run->in.at < run->in.end && instruction(run, &to)) {
    }
    run->depth = 0;
    run->initial = run->now;
}

void cfi_entry(cfi_run_t *run, uint64_t at, uint64_t at_end, uint64_t pc, uint64_t size)
{
    run->now = run->initial;
    run->depth = 0;
    run->broken = false;
    run->in.at = at;
    run->in.end = at_end;
    run->loc = pc;
    run->end = pc + size;
}

bool cfi_row(cfi_run_t *run, uint64_t *start)
{
    uint64_t to = run->loc;

    *start = run->loc;
    if (run->broken || run->loc >= run->end) {
        return false;
    }
    while (to == run->loc && run->in.at < run->in.end) {
        if (!instruction(run, &to)) {
            run->broken = true;
            return true;
        }
    }
    if (to == run->loc) {
        run->loc = run->end;
    } else if (to < run->loc) {
        run->broken = true;
    } else {
        run->loc = to;
    }
    return true;
}
