/*
 * amd64: STACK CFI, frame pointer, scan. On Windows rbp may point up to 240 bytes into the frame,
 * in steps of 16: each place is tried.
 */
#include "unwind/unwind_private.h"

enum { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R12 = 12, R15 = 15, RIP = 16 };
enum { WORD = 8, WINDOWS_PROBES = 16, PROBE_STEP = 16, MAX_FRAME = 128 * 1024 };

static const uint64_t saved = 1u << RBX | 1u << RBP | 0xfu << R12;

static bool canonical(uint64_t pc)
{
    return pc < UINT64_C(0x0000800000000000) || pc > UINT64_C(0xffff7fffffffffff);
}

enum probe { PROBE_HIT, PROBE_MISS, PROBE_UNREADABLE };

/* Is there a saved rbp and a return address at bp? */
static enum probe probe(const sal_walk_t *w, uint64_t bp, uint64_t sp, sal_regs_t *caller)
{
    uint64_t ip, up, caller_sp = bp + 2 * WORD, unused;

    if (!sal_stack_load(&w->stack, bp + WORD, &ip) || !sal_stack_load(&w->stack, bp, &up)) {
        return PROBE_UNREADABLE;
    }
    if (caller_sp <= bp || up < caller_sp) {
        return PROBE_MISS;
    }
    if (!sal_stack_load(&w->stack, up, &unused)) {
        return PROBE_UNREADABLE;
    }
    if (!canonical(ip) || caller_sp <= sp || !sal_stack_load(&w->stack, caller_sp, &unused)) {
        return PROBE_MISS;
    }
    sal_reg_set(caller, RIP, ip);
    sal_reg_set(caller, RBP, up);
    sal_reg_set(caller, RSP, caller_sp);
    return PROBE_HIT;
}

static bool by_cfi(const sal_walk_t *w, sal_regs_t *caller)
{
    return sal_walk_cfi(w, caller, saved, 0);
}

static bool by_frame_pointer(const sal_walk_t *w, sal_regs_t *caller)
{
    const sal_regs_t *r = &sal_walk_callee(w)->regs;
    int probes = w->md->system.os == SAL_OS_WINDOWS ? WINDOWS_PROBES : 1;
    uint64_t bp, sp;

    if (!sal_reg_get(r, RBP, &bp) || !sal_reg_get(r, RSP, &sp) ||
        bp >= UINT64_MAX - WINDOWS_PROBES * PROBE_STEP - 2 * WORD) {
        return false;
    }
    for (int i = 0; i < probes; i++) {
        enum probe found = probe(w, bp + (uint64_t)i * PROBE_STEP, sp, caller);

        if (found != PROBE_MISS) {
            return found == PROBE_HIT;
        }
    }
    return false;
}

/* rbp of a scanned frame: saved just below the return address, or kept because it lies above. */
static void scan_rbp(const sal_walk_t *w, const sal_scan_hit_t *hit, uint64_t bp,
                     sal_regs_t *caller)
{
    uint64_t slot = hit->address - WORD, v, unused;

    if (!hit->index || !sal_stack_load(&w->stack, slot, &v)) {
        return;
    }
    if (bp == slot && v > hit->address && v - slot <= MAX_FRAME) {
        if (sal_stack_load(&w->stack, v, &unused)) {
            sal_reg_set(caller, RBP, v);
        }
    } else if (bp >= hit->address + WORD) {
        sal_reg_set(caller, RBP, bp);
    }
}

static bool by_scan(sal_walk_t *w, sal_regs_t *caller)
{
    sal_scan_hit_t hit;
    uint64_t bp;

    if (!sal_scan_caller(w, canonical, caller, &hit)) {
        return false;
    }
    if (sal_reg_get(&sal_walk_callee(w)->regs, RBP, &bp)) {
        scan_rbp(w, &hit, bp, caller);
    }
    return true;
}

const sal_unwinder_t sal_unwind_amd64 = { SAL_CPU_AMD64, by_cfi, by_frame_pointer, by_scan, NULL };
