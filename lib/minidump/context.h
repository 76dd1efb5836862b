/*
 * CPU contexts: registers of a thread by index, with a bit mask of those that are valid.
 */
#ifndef SAL_MINIDUMP_CONTEXT_H
#define SAL_MINIDUMP_CONTEXT_H

#include <stdbool.h>
#include "base/error.h"
#include "base/reader.h"

typedef enum {
    SAL_CPU_UNKNOWN,
    SAL_CPU_X86,
    SAL_CPU_AMD64,
    SAL_CPU_ARM,
    SAL_CPU_ARM64,
    SAL_CPU_MIPS,
    SAL_CPU_MIPS64,
    SAL_CPU_PPC,
    SAL_CPU_PPC64,
    SAL_CPU_SPARC,
    SAL_CPU_RISCV,
    SAL_CPU_RISCV64
} sal_cpu_t;

enum { SAL_MAX_REGS = 40 };

/*
 * A register file. Order of registers, so that indexes can be used as constants:
 *   amd64: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip          (17)
 *   x86:   eip esp ebp ebx esi edi eax ecx edx eflags           (10)
 *   arm:   r0..r10 fp(11) r12 sp(13) lr(14) pc(15)              (16)
 *   arm64: x0..x28 fp(29) lr(30) sp(31) pc(32)                  (33)
 */
typedef struct sal_regs_t {
    sal_cpu_t cpu;
    uint64_t valid; /* bit i: value[i] is known */
    uint64_t value[SAL_MAX_REGS];
} sal_regs_t;

typedef struct sal_cpu_desc_t {
    sal_cpu_t cpu;
    const char *name; /* "amd64" */
    int pointer_size; /* 4 or 8 */
    int n_regs;
    const char *const *reg_names;
    int pc, sp, fp, lr; /* indexes; -1 if there is none */
    int pc_adjust;      /* what is taken off a return address */
} sal_cpu_desc_t;

/* Description of a CPU; SAL_CPU_UNKNOWN for those we hold no layout of, never NULL. */
SAL_API const sal_cpu_desc_t *sal_cpu_desc(sal_cpu_t cpu);

/* Index of a register by name, aliases included ("x29", "r11", "$esp" without the '$'); -1. */
SAL_API int sal_reg_index(const sal_cpu_desc_t *cpu, const char *name, size_t len);

/* Decodes a raw context record; SAL_E_MALFORMED if it is too short or of another CPU. */
SAL_API apr_status_t sal_context_read(sal_regs_t *out, const sal_span_t *raw, sal_cpu_t cpu,
                                      sal_error_t *err);

/*
 * The inverse: a record of regs' CPU (arm64: today's layout) with its flags set and everything
 * that is no general register 0. Returns its size; 0 if it does not fit or the CPU is not known.
 */
SAL_API size_t sal_context_write(uint8_t *out, size_t room, const sal_regs_t *regs,
                                 bool big_endian);

enum { SAL_MAX_CONTEXT = 1232 }; /* bytes of the largest record that sal_context_write makes */

#endif
