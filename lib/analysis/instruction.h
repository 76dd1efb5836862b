/*
 * The crashing instruction: what it touches, where it jumps, what kind it is. amd64 only.
 */
#ifndef SAL_ANALYSIS_INSTRUCTION_H
#define SAL_ANALYSIS_INSTRUCTION_H

#include "minidump/minidump.h"

typedef enum {
    SAL_ACCESS_UNKNOWN,
    SAL_ACCESS_READ,
    SAL_ACCESS_WRITE,
    SAL_ACCESS_READWRITE
} sal_access_type_t;

typedef struct sal_access_t {
    uint64_t address;
    uint32_t size; /* 0: unknown */
    sal_access_type_t type;
    bool null_base; /* made from a register that holds 0 */
    bool guard_page;
} sal_access_t;

typedef enum { SAL_IP_UNKNOWN, SAL_IP_STAYS, SAL_IP_JUMPS } sal_ip_update_t;

enum { SAL_MAX_ACCESSES = 8 };

typedef struct sal_instruction_t {
    bool known; /* false: nothing below means anything */
    char text[160];
    bool has_accesses;
    sal_access_t accesses[SAL_MAX_ACCESSES];
    unsigned n_accesses;
    sal_ip_update_t ip_update;
    uint64_t ip_target; /* of SAL_IP_JUMPS */
    bool ip_null;
    uint64_t registers; /* bits of those that addresses were made from */
    bool derivable;     /* access types of this opcode are known for sure */
    bool division, privileged, gpf_only_non_canonical;
} sal_instruction_t;

/* Decodes what stands at the context's pc; stack as of the thread (may be empty). */
void sal_instruction_analyze(sal_instruction_t *out, const sal_minidump_t *md,
                             const sal_md_thread_t *thread, const sal_regs_t *context);

#endif
