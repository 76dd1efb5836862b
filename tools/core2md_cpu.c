/*
 * Machines: where a Linux core keeps the registers, the process and the signal, and how they become
 * a context record. Only little-endian machines; a new one is a row of the table.
 *
 * Layouts: struct elf_prstatus, elf_prpsinfo, user_regs_struct and siginfo_t of each machine's
 * kernel headers.
 */
#include "core2md_core.h"

#include <elf.h>
#include <signal.h>
#include <apr_strings.h>
#include "base/text.h"

struct core_machine_t {
    uint16_t e_machine;
    bool is64;
    sal_cpu_t cpu;
    uint16_t arch;            /* of SystemInfo */
    const char *uname;        /* what uname -m says */
    uint16_t pid_at, regs_at; /* in NT_PRSTATUS */
    const int8_t *order;      /* register slot -> index in sal_regs_t, -1: none of ours */
    uint8_t n_slots;
    uint8_t ps_pid_at, ps_name_at, ps_args_at; /* in NT_PRPSINFO */
    void (*extras)(uint8_t *context, const core_thread_t *t, const core_machine_t *m);
};

static uint64_t slot(const core_thread_t *t, const core_machine_t *m, unsigned index)
{
    uint64_t wide = 0;
    uint32_t narrow = 0;

    if (m->is64) {
        sal_span_u64(&t->status, m->regs_at + (uint64_t)index * 8, &wide);
        return wide;
    }
    sal_span_u32(&t->status, m->regs_at + (uint64_t)index * 4, &narrow);
    return narrow;
}

static void put(uint8_t *at, uint64_t v, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        at[i] = (uint8_t)(v >> (8 * i));
    }
}

/* Segment registers, flags, and the 512 bytes of fxsave with their copy of mxcsr. */
static void amd64_extras(uint8_t *context, const core_thread_t *t, const core_machine_t *m)
{
    static const uint8_t segments[][2] = { { 17, 56 }, { 23, 58 }, { 24, 60 },
                                           { 25, 62 }, { 26, 64 }, { 20, 66 } };

    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        put(context + segments[i][1], slot(t, m, segments[i][0]), 2);
    }
    put(context + 68, slot(t, m, 18), 4);
    if (t->fp.size >= 512) {
        memcpy(context + 256, t->fp.data, 512);
        memcpy(context + 52, t->fp.data + 24, 4);
        context[48] |= 8; /* the record holds floating point state */
    }
}

static void x86_extras(uint8_t *context, const core_thread_t *t, const core_machine_t *m)
{
    static const uint8_t segments[][2] = { { 10, 140 }, { 9, 144 },  { 8, 148 },
                                           { 7, 152 },  { 13, 188 }, { 16, 200 } };

    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        put(context + segments[i][1], slot(t, m, segments[i][0]) & 0xffff, 4);
    }
}

static void arm_extras(uint8_t *context, const core_thread_t *t, const core_machine_t *m)
{
    put(context + 68, slot(t, m, 16), 4); /* cpsr */
}

static void arm64_extras(uint8_t *context, const core_thread_t *t, const core_machine_t *m)
{
    put(context + 4, slot(t, m, 33), 4); /* pstate */
}

/* r15..r12 rbp rbx r11..r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss ... */
static const int8_t amd64_order[] = { 15, 14, 13, 12, 6,  3,  11, 10, 9, 8, 0,
                                      2,  1,  4,  5,  -1, 16, -1, -1, 7, -1 };
/* ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss */
static const int8_t x86_order[] = { 3, 7, 8, 4, 5, 2, 6, -1, -1, -1, -1, -1, 0, -1, 9, 1, -1 };
static const int8_t arm_order[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static const int8_t arm64_order[] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                      11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                      22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 };

static const core_machine_t machines[] = {
    { EM_X86_64, true, SAL_CPU_AMD64, 9, "x86_64", 32, 112, amd64_order, 21, 24, 40, 56,
      amd64_extras },
    { EM_386, false, SAL_CPU_X86, 0, "i686", 24, 72, x86_order, 17, 12, 28, 44, x86_extras },
    { EM_ARM, false, SAL_CPU_ARM, 5, "armv7l", 24, 72, arm_order, 16, 12, 28, 44, arm_extras },
    { EM_AARCH64, true, SAL_CPU_ARM64, 12, "aarch64", 32, 112, arm64_order, 33, 24, 40, 56,
      arm64_extras },
};

const core_machine_t *core_machine_find(unsigned e_machine, bool is64)
{
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        if (machines[i].e_machine == e_machine && machines[i].is64 == is64) {
            return &machines[i];
        }
    }
    return NULL;
}

const char *core_machine_supported(void)
{
    return "amd64, x86, arm, arm64";
}

sal_cpu_t core_machine_cpu(const core_machine_t *m)
{
    return m->cpu;
}

uint16_t core_machine_arch(const core_machine_t *m)
{
    return m->arch;
}

const char *core_machine_uname(const core_machine_t *m)
{
    return m->uname;
}

bool core_thread_decode(const core_machine_t *m, core_thread_t *t)
{
    size_t width = m->is64 ? 8 : 4;

    if (!sal_span_has(&t->status, m->regs_at, m->n_slots * width) ||
        !sal_span_u32(&t->status, m->pid_at, &t->tid)) {
        return false;
    }
    t->regs = (sal_regs_t){ .cpu = m->cpu };
    for (unsigned i = 0; i < m->n_slots; i++) {
        if (m->order[i] >= 0) {
            t->regs.value[m->order[i]] = slot(t, m, i);
            t->regs.valid |= UINT64_C(1) << m->order[i];
        }
    }
    return true;
}

sal_mdw_loc_t core_thread_context(const core_machine_t *m, const core_thread_t *t, sal_mdw_t *w,
                                  apr_pool_t *p)
{
    uint8_t *context = apr_palloc(p, SAL_MAX_CONTEXT);
    size_t size = sal_context_write(context, SAL_MAX_CONTEXT, &t->regs, false);

    m->extras(context, t, m);
    return sal_mdw_refer(w, context, size);
}

/* ---- process and signal ---- */

uint32_t core_process_id(const core_t *core)
{
    uint32_t pid = 0;

    sal_span_u32(&core->psinfo, core->machine->ps_pid_at, &pid);
    return pid;
}

static const char *ps_text(const core_t *core, uint64_t at, size_t size)
{
    sal_span_t s;

    if (!sal_span_sub(&core->psinfo, at, size, &s)) {
        return NULL;
    }
    return sal_utf8_clean((const char *)s.data, strnlen((const char *)s.data, size), core->pool);
}

const char *core_process_name(const core_t *core)
{
    return ps_text(core, core->machine->ps_name_at, 16);
}

const char *core_process_args(const core_t *core)
{
    return ps_text(core, core->machine->ps_args_at, 80);
}

static bool is_fault(uint32_t number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
           number == SIGTRAP;
}

bool core_signal(const core_t *core, uint32_t *number, uint32_t *code, uint64_t *address)
{
    uint32_t low = 0;

    *number = *code = 0;
    *address = 0;
    if (sal_span_u32(&core->siginfo, 0, number) && *number) {
        sal_span_u32(&core->siginfo, 8, code);
    } else { /* older kernels: the signal stands in the first thread's status */
        sal_span_u32(&core->threads[0].status, 0, number);
    }
    /* only a fault that the kernel raised (code > 0) has an address, others a sender's id */
    if (is_fault(*number) && (int32_t)*code > 0) {
        if (core->is64) {
            sal_span_u64(&core->siginfo, 16, address);
        } else {
            sal_span_u32(&core->siginfo, 12, &low);
            *address = low;
        }
    }
    return *number && *number != SIGSTOP; /* no process dies of SIGSTOP: gcore stopped it */
}
