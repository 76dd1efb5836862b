/*
 * arm64: STACK CFI, frame pointer, scan. Code and frame pointers may be signed (pointer
 * authentication): the signature is masked off before a value is used.
 */
#include "unwind/unwind_private.h"

enum { X19 = 19, FP = 29, LR = 30, SP = 31, PC = 32 };
enum { WORD = 8 };

static const uint64_t saved = UINT64_C(0x3ff) << X19 | UINT64_C(1) << FP;

static bool plausible_pc(uint64_t pc)
{
    return pc >= 0x1000 && pc <= UINT64_C(0x000fffffffffffff);
}

static void strip(const sal_walk_t *w, sal_regs_t *r, int reg)
{
    uint64_t v;

    if (sal_reg_get(r, reg, &v)) {
        sal_reg_set(r, reg, v & w->auth_mask);
    }
}

static bool by_cfi(const sal_walk_t *w, sal_regs_t *caller)
{
    /* lr of a frame found by its frame pointer is what the prologue saved: right at the entry of
     * a function, a guess everywhere else. */
    uint64_t guess = sal_walk_callee(w)->trust == SAL_TRUST_FRAME_POINTER ? UINT64_C(1) << LR : 0;

    if (!sal_walk_cfi(w, caller, saved, guess)) {
        return false;
    }
    strip(w, caller, PC);
    strip(w, caller, LR);
    strip(w, caller, FP);
    return true;
}

static bool by_frame_pointer(const sal_walk_t *w, sal_regs_t *caller)
{
    const sal_regs_t *r = &sal_walk_callee(w)->regs;
    uint64_t fp, sp, pc = 0, up = 0, lr, caller_sp;

    if (!sal_reg_get(r, FP, &fp) || !sal_reg_get(r, SP, &sp) || fp >= UINT64_MAX - 2 * WORD) {
        return false;
    }
    caller_sp = sp;
    if (fp != 0) {
        if (!sal_stack_load(&w->stack, fp, &up) || !sal_stack_load(&w->stack, fp + WORD, &pc)) {
            return false;
        }
        caller_sp = fp + 2 * WORD;
    }
    up &= w->auth_mask;
    pc &= w->auth_mask;
    if (!plausible_pc(pc)) {
        return false;
    }
    sal_reg_set(caller, PC, pc);
    sal_reg_set(caller, FP, up);
    sal_reg_set(caller, SP, caller_sp);
    if (up && up <= UINT64_MAX - WORD && sal_stack_load(&w->stack, up + WORD, &lr)) {
        sal_reg_set(caller, LR, lr & w->auth_mask);
    }
    return true;
}

static bool by_scan(sal_walk_t *w, sal_regs_t *caller)
{
    sal_scan_hit_t hit;

    return sal_scan_caller(w, plausible_pc, caller, &hit);
}

/* Leaf functions need no stack; CFI may name a caller at the same sp as long as pc moves. */
static bool same_sp(const sal_walk_t *w, const sal_frame_t *callee, const sal_frame_t *caller)
{
    (void)w;
    if (callee->trust != SAL_TRUST_CONTEXT && caller->trust != SAL_TRUST_CFI) {
        return false;
    }
    return caller->regs.value[PC] != callee->regs.value[PC];
}

const sal_unwinder_t sal_unwind_arm64 = { SAL_CPU_ARM64, by_cfi, by_frame_pointer, by_scan,
                                          same_sp };
