/*
 * The crash as the checks see it: exception, instruction, and what they say together.
 */
#ifndef SAL_ANALYSIS_CRASH_H
#define SAL_ANALYSIS_CRASH_H

#include "analysis/analysis_private.h"

typedef enum { SAL_ADJUSTED_NONE, SAL_ADJUSTED_NULL, SAL_ADJUSTED_NON_CANONICAL } sal_adjusted_t;

typedef struct sal_crash_t {
    const sal_minidump_t *md;
    const sal_md_exception_t *exception;
    uint64_t address;
    sal_fault_t fault;
    bool gpf; /* the record has the form of a general protection fault */
    bool has_context;
    sal_regs_t context; /* of the exception */
    sal_instruction_t insn;
    sal_adjusted_t adjusted;
    uint64_t adjusted_address;
} sal_crash_t;

/* Not a 48-bit address with its sign: cannot be touched at all. */
static inline bool sal_non_canonical(uint64_t a)
{
    return a >= UINT64_C(0x0000800000000000) && a <= UINT64_C(0xffff7fffffffffff);
}

/* Whether the fault's operation may succeed in a region; an unknown one may anywhere. */
bool sal_crash_may(sal_fault_t fault, const sal_md_region_t *region);

/* Marks accesses that hit a small region without rights beside one that has some. */
void sal_crash_guard_pages(sal_crash_t *c);

/* Contradictions between the reason and the instruction: array of names. */
json_t *sal_crash_inconsistencies(const sal_crash_t *c);

/* Addresses one flipped bit away that would have worked; null if there are none. */
json_t *sal_crash_bit_flips(const sal_crash_t *c, const sal_analysis_t *r);

#endif
