/*
 * arm: STACK CFI, frame pointer (iOS only: nobody else keeps r11 as one), scan.
 */
#include "unwind/unwind_private.h"

enum { R4 = 4, FP = 11, SP = 13, LR = 14, PC = 15 };
enum { WORD = 4 };

static const uint64_t saved = 0x7fu << R4 | 1u << FP;

static bool by_cfi(const sal_walk_t *w, sal_regs_t *caller)
{
    return sal_walk_cfi(w, caller, saved, 0);
}

static bool by_frame_pointer(const sal_walk_t *w, sal_regs_t *caller)
{
    const sal_regs_t *r = &sal_walk_callee(w)->regs;
    uint64_t fp, sp, pc, up;

    if (w->md->system.os != SAL_OS_IOS || !sal_reg_get(r, FP, &fp) || !sal_reg_get(r, SP, &sp) ||
        fp >= UINT32_MAX - 2 * WORD) {
        return false;
    }
    if (fp == 0) {
        /* The end of the chain: a caller without pc ends the walk, where no caller would scan. */
        sal_reg_set(caller, PC, 0);
        sal_reg_set(caller, SP, sp);
        return true;
    }
    if (!sal_stack_load(&w->stack, fp, &up) || !sal_stack_load(&w->stack, fp + WORD, &pc)) {
        return false;
    }
    sal_reg_set(caller, PC, pc);
    sal_reg_set(caller, FP, up);
    sal_reg_set(caller, SP, fp + 2 * WORD);
    return true;
}

static bool by_scan(sal_walk_t *w, sal_regs_t *caller)
{
    sal_scan_hit_t hit;

    return sal_scan_caller(w, NULL, caller, &hit);
}

/* A leaf that touches no stack returns through lr: its caller has the same sp. */
static bool same_sp(const sal_walk_t *w, const sal_frame_t *callee, const sal_frame_t *caller)
{
    (void)w;
    (void)caller;
    return callee->trust == SAL_TRUST_CONTEXT;
}

const sal_unwinder_t sal_unwind_arm = { SAL_CPU_ARM, by_cfi, by_frame_pointer, by_scan, same_sp };
