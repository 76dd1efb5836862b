/*
 * Any text as rules of STACK CFI and as a STACK WIN program. Lines: the first is INIT, the others
 * are deltas; the whole is the program.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "unwind/unwind_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[512];

static void fill(sal_regs_t *regs, sal_cpu_t cpu)
{
    memset(regs, 0, sizeof(*regs));
    regs->cpu = cpu;
    for (int i = 0; i < sal_cpu_desc(cpu)->n_regs; i += 1 + i % 3) {
        sal_reg_set(regs, i, 0x1000 + 8 * (uint64_t)i);
    }
    sal_reg_set(regs, sal_cpu_desc(cpu)->sp, 0x1000);
}

static void run_cfi(sal_str_t text, sal_cpu_t cpu)
{
    sal_regs_t callee, caller;
    const sal_cpu_desc_t *desc = sal_cpu_desc(cpu);
    sal_stack_t stack = { { memory, sizeof(memory), false }, 0x1000, desc->pointer_size };
    sal_cfi_env_t env = { .cpu = desc, .callee = &callee, .stack = &stack, .unreadable = 0x40 };
    sal_cfi_rules_t rules = { .has = 0 };

    fill(&callee, cpu);
    while (text.len) {
        const char *end = memchr(text.s, '\n', text.len);
        uint32_t len = end ? (uint32_t)(end - text.s) : text.len;

        if (!sal_cfi_rules_add(&rules, (sal_str_t){ text.s, len }, desc)) {
            return;
        }
        text.s += len + (end != NULL);
        text.len -= len + (end != NULL);
    }
    if (sal_cfi_apply(&caller, &rules, &env, 0x5555)) {
        for (int i = 0; i < SAL_MAX_REGS; i++) {
            if (caller.valid >> i & 1 &&
                (i >= desc->n_regs || (desc->pointer_size == 4 && caller.value[i] > UINT32_MAX))) {
                abort();
            }
        }
    }
}

static void run_win(sal_str_t text, bool has_grand_callee)
{
    sal_regs_t callee, caller;
    sal_stack_t stack = { { memory, sizeof(memory), false }, 0x1000, 4 };
    sal_win_t win = { .program = text, .has_program = true, .locals = 8, .saved = 4 };

    fill(&callee, SAL_CPU_X86);
    sal_win_program(&caller, &win, &callee, &stack, 4);
    if (text.len >= 8) {
        memcpy(&win.locals, text.s, 4);
        memcpy(&win.saved, text.s + 4, 4);
        win.allocates_base_pointer = text.len & 1;
        sal_win_fpo(&caller, &win, &callee, &stack, text.len, has_grand_callee);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sal_str_t text = { (const char *)data, (uint32_t)size };

    run_cfi(text, SAL_CPU_AMD64);
    run_cfi(text, SAL_CPU_X86);
    run_cfi(text, SAL_CPU_ARM64);
    run_win(text, true);
    run_win(text, false);
    return 0;
}
