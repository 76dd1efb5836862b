/*
 * x86: STACK WIN, STACK CFI, frame pointer, scan.
 */
#include "unwind/unwind_private.h"

enum { EIP, ESP, EBP, EBX, ESI, EDI };
enum { WORD = 4, MAX_FRAME = 128 * 1024 };

static const uint64_t saved = 1u << EBP | 1u << EBX | 1u << EDI | 1u << ESI;

/* Takes ebp at its word: checking more makes scans run past the end of good stacks. */
static bool by_cfi(const sal_walk_t *w, sal_regs_t *caller)
{
    uint64_t unused;

    return sal_reg_get(&sal_walk_callee(w)->regs, ESP, &unused) &&
           (sal_walk_win(w, caller) || sal_walk_cfi(w, caller, saved, 0));
}

static bool by_frame_pointer(const sal_walk_t *w, sal_regs_t *caller)
{
    uint64_t bp, ip, up;

    if (!sal_reg_get(&sal_walk_callee(w)->regs, EBP, &bp) || bp >= UINT32_MAX - 2 * WORD ||
        !sal_stack_load(&w->stack, bp + WORD, &ip) || !sal_stack_load(&w->stack, bp, &up)) {
        return false;
    }
    sal_reg_set(caller, EIP, ip);
    sal_reg_set(caller, ESP, bp + 2 * WORD);
    sal_reg_set(caller, EBP, up);
    return true;
}

static void scan_ebp(const sal_walk_t *w, const sal_scan_hit_t *hit, sal_regs_t *caller)
{
    uint64_t slot = hit->address - WORD, v, bp, unused;

    if (!hit->index || !sal_stack_load(&w->stack, slot, &v)) {
        return;
    }
    if (v > hit->address && v - slot <= MAX_FRAME) {
        if (sal_stack_load(&w->stack, v, &unused)) {
            sal_reg_set(caller, EBP, v);
        }
    } else if (sal_reg_get(&sal_walk_callee(w)->regs, EBP, &bp) && bp >= hit->address + WORD &&
               sal_stack_load(&w->stack, bp, &unused)) {
        sal_reg_set(caller, EBP, bp);
    }
}

static bool by_scan(sal_walk_t *w, sal_regs_t *caller)
{
    sal_scan_hit_t hit;

    if (!sal_scan_caller(w, NULL, caller, &hit)) {
        return false;
    }
    scan_ebp(w, &hit, caller);
    return true;
}

const sal_unwinder_t sal_unwind_x86 = { SAL_CPU_X86, by_cfi, by_frame_pointer, by_scan, NULL };
