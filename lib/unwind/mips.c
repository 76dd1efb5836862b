/*
 * mips and mips64: STACK CFI and scan. The compilers save no frame chain that could be followed.
 * Registers are found by name, because their numbering belongs to the context decoder.
 */
#include "unwind/unwind_private.h"

enum { SCAN_BYTES = 1024, MIN_ARGS = 4 };

static uint64_t saved_registers(const sal_cpu_desc_t *cpu)
{
    static const char *const names[] = { "s0", "s1", "s2", "s3", "s4", "s5",
                                         "s6", "s7", "gp", "sp", "fp" };
    uint64_t mask = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int reg = sal_reg_index(cpu, names[i], 2);

        if (reg >= 0 && reg < SAL_MAX_REGS) {
            mask |= UINT64_C(1) << reg;
        }
    }
    return mask;
}

static bool by_cfi(const sal_walk_t *w, sal_regs_t *caller)
{
    return sal_walk_cfi(w, caller, saved_registers(w->cpu), 0);
}

static bool plausible_pc(uint64_t pc)
{
    return pc >= 0x1000;
}

static bool by_scan(sal_walk_t *w, sal_regs_t *caller)
{
    unsigned word = (unsigned)w->stack.pointer_size, words = SCAN_BYTES / word;
    sal_scan_hit_t hit;
    uint64_t sp;

    if (!sal_reg_get(&sal_walk_callee(w)->regs, w->cpu->sp, &sp)) {
        return false;
    }
    if (word == 4 && sal_walk_callee(w)->trust != SAL_TRUST_CONTEXT) {
        /* o32: a caller reserves four words for its callee's arguments above sp. */
        sp += MIN_ARGS * word;
        words -= MIN_ARGS;
    }
    if (!sal_scan_find(w, sp, words, plausible_pc, &hit)) {
        return false;
    }
    sal_reg_set(caller, w->cpu->pc, hit.word);
    sal_reg_set(caller, w->cpu->sp, hit.address + word);
    return true;
}

static bool same_sp(const sal_walk_t *w, const sal_frame_t *callee, const sal_frame_t *caller)
{
    (void)w;
    (void)caller;
    return callee->trust == SAL_TRUST_CONTEXT;
}

const sal_unwinder_t sal_unwind_mips = { SAL_CPU_MIPS, by_cfi, NULL, by_scan, same_sp };
const sal_unwinder_t sal_unwind_mips64 = { SAL_CPU_MIPS64, by_cfi, NULL, by_scan, same_sp };
