/*
 * What the files of this room share: the state of one walk, the seam of the CPUs, and the
 * strategies that more than one CPU uses. Nothing here is seen outside lib/unwind.
 */
#ifndef SAL_UNWIND_PRIVATE_H
#define SAL_UNWIND_PRIVATE_H

#include "unwind/unwind.h"

/* The stack of the thread: the only memory a walk reads. */
typedef struct sal_stack_t {
    sal_span_t bytes;
    uint64_t base;
    int pointer_size; /* 4 or 8 */
} sal_stack_t;

typedef struct sal_walk_t {
    const sal_minidump_t *md;
    const sal_cpu_desc_t *cpu;
    sal_dump_symbols_t *syms; /* NULL: none */
    sal_stack_t stack;
    uint64_t auth_mask;        /* arm64: bits of a pointer that are address */
    const sal_frame_t *frames; /* found so far; the last one is the callee */
    size_t n;
    unsigned scans_left; /* frames that may still be found by scanning */
} sal_walk_t;

/*
 * One CPU: how the frame that called w's last is found. Each fills registers of the caller or
 * answers false; they are tried in this order.
 */
typedef struct sal_unwinder_t {
    sal_cpu_t cpu;
    bool (*by_cfi)(const sal_walk_t *w, sal_regs_t *caller);
    bool (*by_frame_pointer)(const sal_walk_t *w, sal_regs_t *caller); /* NULL: none is kept */
    bool (*by_scan)(sal_walk_t *w, sal_regs_t *caller);
    /* May the caller have its callee's stack pointer? NULL: never. */
    bool (*same_sp)(const sal_walk_t *w, const sal_frame_t *callee, const sal_frame_t *caller);
} sal_unwinder_t;

extern const sal_unwinder_t sal_unwind_x86, sal_unwind_amd64, sal_unwind_arm, sal_unwind_arm64,
    sal_unwind_mips, sal_unwind_mips64;

/* ---- registers and memory ---- */

static inline bool sal_reg_get(const sal_regs_t *r, int i, uint64_t *v)
{
    if (i < 0 || i >= SAL_MAX_REGS || !(r->valid >> i & 1)) {
        return false;
    }
    *v = r->value[i];
    return true;
}

static inline void sal_reg_set(sal_regs_t *r, int i, uint64_t v)
{
    if (i >= 0 && i < SAL_MAX_REGS) {
        r->value[i] = v;
        r->valid |= UINT64_C(1) << i;
    }
}

/* Nobody may rely on it any more; the value stays, for the test of progress. */
static inline void sal_reg_clear(sal_regs_t *r, int i)
{
    if (i >= 0 && i < SAL_MAX_REGS) {
        r->valid &= ~(UINT64_C(1) << i);
    }
}

/* Pointer-sized load; false unless all of it lies in the stack. */
bool sal_stack_load(const sal_stack_t *s, uint64_t address, uint64_t *v);

static inline const sal_frame_t *sal_walk_callee(const sal_walk_t *w)
{
    return &w->frames[w->n - 1];
}

/*
 * Takes the text of a rule or program off what all frames of a dump may read together; false: it is
 * used up, and the strategy has no answer.
 */
bool sal_walk_charge(const sal_walk_t *w, uint64_t bytes);

/* Symbols of a module, or NULL; fetches them. */
const sal_symcache_t *sal_walk_symbols(const sal_walk_t *w, const sal_md_module_t *module);

/* ---- STACK CFI (cfi.c) ---- */

typedef struct sal_cfi_env_t {
    const sal_cpu_desc_t *cpu;
    const sal_regs_t *callee;
    uint64_t unreadable; /* bits of registers that hold a guess and may not be read */
    const sal_stack_t *stack;
    uint64_t cfa;
    bool has_cfa; /* false while .cfa itself is evaluated */
} sal_cfi_env_t;

/* One postfix expression; docs/stackwalk.md "STACK CFI". */
bool sal_cfi_eval(uint64_t *out, sal_str_t expr, const sal_cfi_env_t *env);

/* Rules of one frame: texts in force, later ones replace earlier ones register by register. */
typedef struct sal_cfi_rules_t {
    sal_str_t cfa, ra;
    sal_str_t reg[SAL_MAX_REGS];
    uint64_t has;   /* bit i: reg[i] has a rule */
    uint64_t alias; /* bit i: given under another name than the register's own */
} sal_cfi_rules_t;

/* Adds the rules of one INIT or delta record; false: malformed. */
bool sal_cfi_rules_add(sal_cfi_rules_t *rules, sal_str_t text, const sal_cpu_desc_t *cpu);

/* Registers of the caller; false unless .cfa and .ra evaluate. saved: what callees preserve. */
bool sal_cfi_apply(sal_regs_t *caller, const sal_cfi_rules_t *rules, sal_cfi_env_t *env,
                   uint64_t saved);

/*
 * The whole strategy for w's last frame. guess: registers that may be read only when the frame
 * stands at the first instruction of its record.
 */
bool sal_walk_cfi(const sal_walk_t *w, sal_regs_t *caller, uint64_t saved, uint64_t guess);

/* ---- STACK WIN (win.c), x86 only ---- */

/* Runs a frame data program; vars in and out are the caller's and callee's registers. */
bool sal_win_program(sal_regs_t *caller, const sal_win_t *win, const sal_regs_t *callee,
                     const sal_stack_t *stack, uint32_t grand_params);
bool sal_win_fpo(sal_regs_t *caller, const sal_win_t *win, const sal_regs_t *callee,
                 const sal_stack_t *stack, uint32_t grand_params, bool has_grand_callee);
bool sal_walk_win(const sal_walk_t *w, sal_regs_t *caller);

/* ---- scanning (scan.c) ---- */

/* A word that may be a return address: in a module, and in a function if symbols are known. */
bool sal_scan_plausible(const sal_walk_t *w, uint64_t word);

typedef struct sal_scan_hit_t {
    uint64_t address; /* of the word */
    uint64_t word;
    unsigned index;
} sal_scan_hit_t;

/* First plausible word from `from` on, at most `words`. valid: the CPU's own test of a pc. */
bool sal_scan_find(sal_walk_t *w, uint64_t from, unsigned words, bool (*valid)(uint64_t pc),
                   sal_scan_hit_t *hit);

/*
 * A scan from the callee's sp, over more words when the callee is known for sure; sets pc and sp
 * of the caller.
 */
bool sal_scan_caller(sal_walk_t *w, bool (*valid)(uint64_t pc), sal_regs_t *caller,
                     sal_scan_hit_t *hit);

#endif
