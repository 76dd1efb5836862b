/*
 * The walk: from the registers of a thread to its frames, one caller at a time, until no strategy
 * finds another or the result makes no progress. Knows no CPU but through sal_unwinder_t, and
 * nothing of reports. Rules: docs/stackwalk.md.
 */
#include "unwind/unwind_private.h"

#include <inttypes.h>
#include <apr_tables.h>

#include "base/log.h"

enum {
    LOWEST_PC = 4096, /* nobody maps the first page */
    MAX_SCANS = 16384
};

static const sal_unwinder_t *const unwinders[] = {
    &sal_unwind_x86,   &sal_unwind_amd64, &sal_unwind_arm,
    &sal_unwind_arm64, &sal_unwind_mips,  &sal_unwind_mips64,
};

static const sal_unwinder_t *unwinder_of(sal_cpu_t cpu)
{
    for (size_t i = 0; i < sizeof(unwinders) / sizeof(unwinders[0]); i++) {
        if (unwinders[i]->cpu == cpu) {
            return unwinders[i];
        }
    }
    return NULL;
}

const char *sal_trust_name(sal_trust_t t)
{
    switch (t) {
    case SAL_TRUST_SCAN:
        return "scan";
    case SAL_TRUST_CFI_SCAN:
        return "cfi_scan";
    case SAL_TRUST_FRAME_POINTER:
        return "frame_pointer";
    case SAL_TRUST_CFI:
        return "cfi";
    case SAL_TRUST_PREWALKED:
        return "prewalked";
    case SAL_TRUST_CONTEXT:
        return "context";
    default:
        return "non";
    }
}

bool sal_stack_load(const sal_stack_t *s, uint64_t address, uint64_t *v)
{
    uint32_t narrow;

    if (address < s->base) {
        return false;
    }
    if (s->pointer_size == 8) {
        return sal_span_u64(&s->bytes, address - s->base, v);
    }
    if (!sal_span_u32(&s->bytes, address - s->base, &narrow)) {
        return false;
    }
    *v = narrow;
    return true;
}

const sal_symcache_t *sal_walk_symbols(const sal_walk_t *w, const sal_md_module_t *module)
{
    const sal_sym_ref_t *ref;

    if (!w->syms || !module) {
        return NULL;
    }
    ref = sal_dump_symbols_get(w->syms, module);
    return ref && ref->state == SAL_SYM_FOUND ? ref->cache : NULL;
}

/* At last what the list holds at the stack pointer: a thread may run on another stack than its
 * first. */
bool sal_thread_stack(sal_md_memory_t *out, const sal_minidump_t *md, const sal_md_thread_t *thread,
                      const sal_regs_t *context)
{
    const sal_md_memory_t *region;
    uint64_t sp = 0;

    *out = (sal_md_memory_t){ thread->stack_start, thread->stack };
    if (out->bytes.size == 0 && (region = sal_minidump_memory_at(md, thread->stack_start))) {
        *out = *region;
    }
    if (sal_reg_get(context, sal_cpu_desc(context->cpu)->sp, &sp) &&
        (out->bytes.size == 0 || sp < out->base || !sal_span_has(&out->bytes, sp - out->base, 8)) &&
        (region = sal_minidump_memory_at(md, sp))) {
        *out = *region;
    }
    return out->bytes.size && out->base <= UINT64_MAX - (out->bytes.size - 1);
}

/* arm64 signs pointers in the bits above the address space; modules may widen what counts. */
static uint64_t auth_mask(const sal_minidump_t *md)
{
    uint64_t top = (UINT64_C(1) << 47) - 1, mask = 1;

    for (size_t i = 0; i < md->n_modules; i++) {
        uint64_t end = md->modules[i].base + md->modules[i].size;

        if (end > top && end >= md->modules[i].base) {
            top = end;
        }
    }
    while (mask < top) {
        if (mask >> 63) {
            return UINT64_MAX;
        }
        mask <<= 1;
    }
    return mask - 1;
}

static bool makes_progress(const sal_walk_t *w, const sal_unwinder_t *u, const sal_frame_t *caller)
{
    const sal_frame_t *callee = sal_walk_callee(w);
    uint64_t pc = caller->regs.value[w->cpu->pc];
    uint64_t sp = caller->regs.value[w->cpu->sp];
    uint64_t callee_sp = callee->regs.value[w->cpu->sp];

    if (pc < LOWEST_PC || sp < callee_sp) {
        return false;
    }
    return sp > callee_sp || (u->same_sp && u->same_sp(w, callee, caller));
}

static bool caller_of(sal_walk_t *w, const sal_unwinder_t *u, sal_frame_t *out)
{
    if (w->cpu->pc < 0 || w->cpu->sp < 0 || w->cpu->pointer_size < 4) {
        return false;
    }
    if (u->by_cfi(w, &out->regs)) {
        out->trust = SAL_TRUST_CFI;
        return true;
    }
    if (u->by_frame_pointer && u->by_frame_pointer(w, &out->regs)) {
        out->trust = SAL_TRUST_FRAME_POINTER;
        return true;
    }
    out->trust = SAL_TRUST_SCAN;
    return u->by_scan(w, &out->regs);
}

static bool next_frame(sal_walk_t *w, const sal_unwinder_t *u, sal_frame_t *caller)
{
    memset(caller, 0, sizeof(*caller));
    caller->regs.cpu = w->cpu->cpu;
    if (!caller_of(w, u, caller) || !makes_progress(w, u, caller)) {
        return false;
    }
    caller->instruction = caller->regs.value[w->cpu->pc] - (uint64_t)w->cpu->pc_adjust;
    caller->module = sal_minidump_module_at(w->md, caller->instruction);
    if (caller->trust == SAL_TRUST_SCAN) {
        w->scans_left--;
    }
    return true;
}

apr_status_t sal_unwind(sal_frame_t **frames, size_t *n, const sal_minidump_t *md,
                        const sal_md_thread_t *thread, const sal_regs_t *context,
                        sal_dump_symbols_t *syms, size_t max, apr_pool_t *p, sal_error_t *err)
{
    const sal_cpu_desc_t *cpu = sal_cpu_desc(context->cpu);
    const sal_unwinder_t *u = unwinder_of(context->cpu);
    apr_array_header_t *list = apr_array_make(p, 16, sizeof(sal_frame_t));
    sal_walk_t w = { .md = md, .cpu = cpu, .syms = syms, .scans_left = MAX_SCANS };
    sal_frame_t frame = { .trust = SAL_TRUST_CONTEXT, .regs = *context };
    sal_md_memory_t stack;

    *frames = NULL;
    *n = 0;
    if (!sal_reg_get(context, cpu->pc, &frame.instruction)) {
        return sal_fail(err, SAL_E_UNSUPPORTED, "thread %u: its context has no program counter",
                        thread->id);
    }
    frame.module = sal_minidump_module_at(md, frame.instruction);
    APR_ARRAY_PUSH(list, sal_frame_t) = frame;
    if (sal_thread_stack(&stack, md, thread, context)) {
        w.stack = (sal_stack_t){ stack.bytes, stack.base, cpu->pointer_size };
    }
    w.auth_mask = context->cpu == SAL_CPU_ARM64 ? auth_mask(md) : UINT64_MAX;
    max = max ? max : SAL_MAX_FRAMES;
    while (u && w.stack.bytes.size && (size_t)list->nelts < max) {
        w.frames = (const sal_frame_t *)list->elts;
        w.n = (size_t)list->nelts;
        if (!next_frame(&w, u, &frame)) {
            sal_log(SAL_LOG_DEBUG, 0, "unwind: thread %u: frame %zu has no caller", thread->id,
                    w.n - 1);
            break;
        }
        sal_log(SAL_LOG_DEBUG, 0,
                "unwind: thread %u: frame %zu by %s, pc 0x%" PRIx64 " sp 0x%" PRIx64, thread->id,
                w.n, sal_trust_name(frame.trust), frame.regs.value[cpu->pc],
                frame.regs.value[cpu->sp]);
        APR_ARRAY_PUSH(list, sal_frame_t) = frame;
    }
    *frames = (sal_frame_t *)list->elts;
    *n = (size_t)list->nelts;
    return APR_SUCCESS;
}
