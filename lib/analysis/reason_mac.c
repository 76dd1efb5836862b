/*
 * Crash reasons of macOS and iOS: Mach exceptions, and the packed codes of EXC_RESOURCE and
 * EXC_GUARD. Texts: docs/stackwalk.md "Crash reason".
 */
#include "analysis/reason.h"

#include <apr_strings.h>

#include "analysis/error_codes.h"

enum {
    BAD_ACCESS = 1,
    BAD_INSTRUCTION = 2,
    ARITHMETIC = 3,
    SOFTWARE = 5,
    BREAKPOINT = 6,
    RESOURCE = 11,
    GUARD = 12,
    SIMULATED = 0x43507378
};
enum {
    GUARD_NONE,
    GUARD_MACH_PORT,
    GUARD_FD,
    GUARD_USER,
    GUARD_VN,
    GUARD_VIRT_MEMORY,
    GUARD_REJECTED_SC
};

/* Tables of the codes that belong to a CPU. */
static sal_code_table_t cpu_table(uint32_t code, sal_cpu_t cpu)
{
    static const sal_code_table_t tables[][3] = {
        [BAD_ACCESS] = { SAL_CODES_mac_bad_access_arm_type, SAL_CODES_mac_bad_access_ppc_type,
                         SAL_CODES_mac_bad_access_x86_type },
        [BAD_INSTRUCTION] = { SAL_CODES_mac_bad_instruction_arm_type,
                              SAL_CODES_mac_bad_instruction_ppc_type,
                              SAL_CODES_mac_bad_instruction_x86_type },
        [ARITHMETIC] = { SAL_CODES_mac_arithmetic_arm_type, SAL_CODES_mac_arithmetic_ppc_type,
                         SAL_CODES_mac_arithmetic_x86_type },
        [BREAKPOINT] = { SAL_CODES_mac_breakpoint_arm_type, SAL_CODES_mac_breakpoint_ppc_type,
                         SAL_CODES_mac_breakpoint_x86_type },
    };

    if (code != BAD_ACCESS && code != BAD_INSTRUCTION && code != ARITHMETIC && code != BREAKPOINT) {
        return SAL_CODES_none;
    }
    switch (cpu) {
    case SAL_CPU_ARM64:
        return tables[code][0];
    case SAL_CPU_PPC:
        return tables[code][1];
    case SAL_CPU_X86:
    case SAL_CPU_AMD64:
        return tables[code][2];
    default:
        return SAL_CODES_none;
    }
}

static const char *unknown_flavor(const char *head, uint64_t code, uint64_t sub, apr_pool_t *p)
{
    return apr_psprintf(p, "%s0x%016" APR_UINT64_T_HEX_FMT " / 0x%016" APR_UINT64_T_HEX_FMT, head,
                        code, sub);
}

static const char *resource(uint64_t type, uint64_t code, uint64_t sub, apr_pool_t *p)
{
    static const sal_code_table_t flavors[] = {
        SAL_CODES_none,
        SAL_CODES_mac_resource_cpu_flavor,
        SAL_CODES_mac_resource_wakeups_flavor,
        SAL_CODES_mac_resource_memory_flavor,
        SAL_CODES_mac_resource_io_flavor,
        SAL_CODES_mac_resource_threads_flavor,
    };
    const char *name = sal_code_name(SAL_CODES_mac_resource_type, (uint32_t)type);
    const char *flavor, *head;

    if (!name || type >= sizeof(flavors) / sizeof(flavors[0])) {
        return NULL;
    }
    head = apr_pstrcat(p, "EXC_RESOURCE / ", name, " / ", NULL);
    flavor = sal_code_name(flavors[type], (uint32_t)(code >> 58) & 7);
    if (!flavor) {
        return unknown_flavor(head, code, sub, p);
    }
    switch (type) {
    case 1:
        return apr_psprintf(p, "%s%s interval: %us CPU limit: %u%% CPU consumed: %u%%", head,
                            flavor, (unsigned)(code >> 7 & 0x1ffffff), (unsigned)(code & 7),
                            (unsigned)(sub & 7));
    case 2:
        return apr_psprintf(p, "%s%s interval: %us wakeups permitted: %u wakeups observed: %u",
                            head, flavor, (unsigned)(code >> 20 & 0xfffff),
                            (unsigned)(code & 0xfff), (unsigned)(sub & 0xfff));
    case 3:
        return apr_psprintf(p, "%s%s high watermark limit: %uMiB", head, flavor,
                            (unsigned)(code & 0x1fff));
    case 4:
        return apr_psprintf(p, "%s%s interval: %us I/O limit: %u%% I/O observed: %u%%", head,
                            flavor, (unsigned)(code >> 15 & 0x1ffff), (unsigned)(code & 0x7fff),
                            (unsigned)(sub & 0x7fff));
    default:
        return apr_psprintf(p, "%s%s high watermark limit: %u", head, flavor,
                            (unsigned)(code & 0x7fff));
    }
}

#define U64 "%" APR_UINT64_T_FMT

static const char *mach_port(const char *head, const char *flavor, unsigned port, uint64_t sub,
                             apr_pool_t *p)
{
    if (sub) {
        return apr_psprintf(p, "%s%s port name: %u subcode: " U64, head, flavor, port, sub);
    }
    return apr_psprintf(p, "%s%s port name: %u", head, flavor, port);
}

static const char *guard(uint64_t type, uint64_t code, uint64_t sub, apr_pool_t *p)
{
    static const sal_code_table_t flavors[] = {
        SAL_CODES_none,
        SAL_CODES_mac_guard_mach_port_flavor,
        SAL_CODES_mac_guard_fd_flavor,
        SAL_CODES_none,
        SAL_CODES_mac_guard_vn_flavor,
        SAL_CODES_mac_guard_virt_memory_flavor,
        SAL_CODES_mac_guard_rejecte_sys_call_flavor,
    };
    const char *name = sal_code_name(SAL_CODES_mac_guard_type, (uint32_t)type);
    const char *flavor, *head;
    unsigned low = (unsigned)(code & 0xfffffff);

    if (!name || type >= sizeof(flavors) / sizeof(flavors[0])) {
        return NULL;
    }
    head = apr_pstrcat(p, "EXC_GUARD / ", name, NULL);
    if (type == GUARD_NONE) {
        return head;
    }
    if (type == GUARD_USER) {
        return apr_psprintf(p, "%s/ namespace: %u guard identifier: " U64, head,
                            (unsigned)(code & 0xffffffff), sub);
    }
    head = apr_pstrcat(p, head, " / ", NULL);
    flavor = sal_code_name(flavors[type], (uint32_t)(code >> 32) & 0x1fffffff);
    if (!flavor) {
        return unknown_flavor(head, code, sub, p);
    }
    switch (type) {
    case GUARD_MACH_PORT:
        return mach_port(head, flavor, low, sub, p);
    case GUARD_FD:
        return apr_psprintf(p, "%s%s file descriptor: %u guard identifier: " U64, head, flavor, low,
                            sub);
    case GUARD_VN:
        return apr_psprintf(p, "%s%s pid: %u guard identifier: " U64, head, flavor, low, sub);
    case GUARD_VIRT_MEMORY:
        return apr_psprintf(p, "%s%s offset: " U64, head, flavor, sub);
    default:
        return apr_psprintf(p, "%s%s syscall: " U64, head, flavor, sub);
    }
}

const char *sal_reason_mac(const sal_md_exception_t *e, sal_cpu_t cpu, apr_pool_t *p)
{
    const char *name = sal_code_name(SAL_CODES_mac, e->code), *detail = NULL;
    uint64_t type = e->flags >> 29 & 7;

    if (!name) {
        return NULL;
    }
    if (e->code == SIMULATED) {
        return "Simulated Exception";
    }
    if (e->code == RESOURCE) {
        detail = resource(type, e->parameters[1], e->parameters[2], p);
    } else if (e->code == GUARD) {
        detail = guard(type, e->parameters[1], e->parameters[2], p);
    }
    if (detail) {
        return detail;
    }
    if (e->code == BAD_ACCESS) {
        detail = sal_code_name(SAL_CODES_mac_bad_access_kern_type, e->flags);
    } else if (e->code == SOFTWARE) {
        detail = sal_code_name(SAL_CODES_mac_software_type, e->flags);
    }
    if (!detail) {
        detail = sal_code_name(cpu_table(e->code, cpu), e->flags);
    }
    return detail ? apr_pstrcat(p, name, " / ", detail, NULL)
                  : apr_psprintf(p, "%s / 0x%08x", name, e->flags);
}
