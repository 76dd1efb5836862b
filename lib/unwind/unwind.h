/*
 * Unwinding: registers of a thread -> its frames, by CFI, STACK WIN, frame pointer and scanning.
 * One file per CPU behind this header.
 */
#ifndef SAL_UNWIND_UNWIND_H
#define SAL_UNWIND_UNWIND_H

#include "minidump/minidump.h"
#include "symbols/supplier.h"

typedef enum {
    SAL_TRUST_NONE,
    SAL_TRUST_SCAN,
    SAL_TRUST_CFI_SCAN,
    SAL_TRUST_FRAME_POINTER,
    SAL_TRUST_CFI,
    SAL_TRUST_PREWALKED,
    SAL_TRUST_CONTEXT
} sal_trust_t;

/* JSON name: "scan", "cfi_scan", "frame_pointer", "cfi", "prewalked", "context", "non". */
SAL_API const char *sal_trust_name(sal_trust_t t);

typedef struct sal_frame_t {
    uint64_t instruction; /* what is looked up: pc, or return address - adjust */
    sal_trust_t trust;
    sal_regs_t regs;
    const sal_md_module_t *module; /* NULL if in none */
} sal_frame_t;

/* Symbols of the modules of one dump, fetched on first use, released with the pool. */
typedef struct sal_dump_symbols_t sal_dump_symbols_t;
SAL_API sal_dump_symbols_t *sal_dump_symbols_make(const sal_minidump_t *md, sal_supplier_t *s,
                                                  apr_pool_t *p);
SAL_API const sal_sym_ref_t *sal_dump_symbols_get(sal_dump_symbols_t *syms,
                                                  const sal_md_module_t *module);
/* As above, but only what was fetched already; NULL otherwise. */
SAL_API const sal_sym_ref_t *sal_dump_symbols_peek(const sal_dump_symbols_t *syms,
                                                   const sal_md_module_t *module);

/* fn is told of each module whose symbols are about to be fetched, which may take its time. */
SAL_API void sal_dump_symbols_watch(sal_dump_symbols_t *syms,
                                    void (*fn)(const sal_md_module_t *module, void *baton),
                                    void *baton);

/*
 * The memory a walk of the thread reads: its own copy of its stack, else what the memory list holds
 * there, else at context's stack pointer. False if the dump has none.
 */
SAL_API bool sal_thread_stack(sal_md_memory_t *out, const sal_minidump_t *md,
                              const sal_md_thread_t *thread, const sal_regs_t *context);

enum { SAL_MAX_FRAMES = 1024 };

/* Walks one thread. *frames in p, at most max (0: SAL_MAX_FRAMES). Frame 0 is the context. */
SAL_API apr_status_t sal_unwind(sal_frame_t **frames, size_t *n, const sal_minidump_t *md,
                                const sal_md_thread_t *thread, const sal_regs_t *context,
                                sal_dump_symbols_t *syms, size_t max, apr_pool_t *p,
                                sal_error_t *err);

#endif
