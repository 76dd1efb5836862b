/*
 * Crash reasons of Windows, Linux and Android, and the kinds of faults. Texts and rules:
 * docs/stackwalk.md "Crash reason".
 */
#include "analysis/reason.h"

#include <apr_strings.h>

#include "analysis/error_codes.h"

enum {
    WIN_ACCESS_VIOLATION = 0xc0000005,
    WIN_IN_PAGE_ERROR = 0xc0000006,
    WIN_STACK_OVERFLOW = 0xc00000fd,
    WIN_INT_DIVIDE = 0xc0000094,
    WIN_PRIVILEGED = 0xc0000096,
    WIN_BUFFER_OVERRUN = 0xc0000409,
    WIN_OUT_OF_MEMORY = 0xe0000008,
    WIN_CPP_EXCEPTION = 0xe06d7363,
    WIN_SIMULATED = 0x0517a7ed
};
enum { SIG_ILL = 4, SIG_TRAP = 5, SIG_BUS = 7, SIG_FPE = 8, SIG_SEGV = 11, SIG_SYS = 31 };
enum { SI_FROM_KERNEL = 0x80, FPE_INT_DIVIDE = 1 };
enum {
    MAC_BAD_ACCESS = 1,
    MAC_ARITHMETIC = 3,
    MAC_I386_GPFLT = 13,
    MAC_X86_DIVIDE = 1,
    MAC_PPC_ZERO_DIVIDE = 2
};

/* Windows' word for what was tried: first parameter of access violations and page errors. */
static const char *access_word(uint64_t parameter)
{
    switch (parameter) {
    case 0:
        return "READ";
    case 1:
        return "WRITE";
    case 8:
        return "EXEC";
    default:
        return NULL;
    }
}

static const char *name_or_hex(sal_code_table_t table, uint32_t code, apr_pool_t *p)
{
    const char *name = sal_code_name(table, code);

    return name ? name : apr_psprintf(p, "0x%08x", code);
}

const char *sal_reason_windows_error(uint32_t code, apr_pool_t *p)
{
    const char *name = sal_code_name(SAL_CODES_win32_error, code), *facility;

    if (!name) {
        name = sal_code_name(SAL_CODES_ntstatus, code);
    }
    if (name) {
        return name;
    }
    facility = sal_code_name(SAL_CODES_windows_facility, (code & 0x0fff0000) >> 16);
    name = sal_code_name(SAL_CODES_win32_error, code & 0xffff);
    if (code >> 28 && facility && name) {
        return apr_pstrcat(p, facility, " / ", name, NULL);
    }
    return apr_psprintf(p, "unknown 0x%08x", code);
}

static const char *windows(const sal_md_exception_t *e, apr_pool_t *p)
{
    const char *name, *access = access_word(e->parameters[0]);

    switch (e->code) {
    case WIN_OUT_OF_MEMORY:
        return "Out of Memory";
    case WIN_CPP_EXCEPTION:
        return "Unhandled C++ Exception";
    case WIN_SIMULATED:
        return "Simulated Exception";
    case WIN_ACCESS_VIOLATION:
        if (e->parameter_count >= 1 && access) {
            return apr_pstrcat(p, "EXCEPTION_ACCESS_VIOLATION_", access, NULL);
        }
        break;
    case WIN_IN_PAGE_ERROR:
        if (e->parameter_count >= 3 && access) {
            return apr_pstrcat(p, "EXCEPTION_IN_PAGE_ERROR_", access, " / ",
                               name_or_hex(SAL_CODES_ntstatus, (uint32_t)e->parameters[2], p),
                               NULL);
        }
        break;
    case WIN_BUFFER_OVERRUN:
        if (e->parameter_count >= 1) {
            return apr_pstrcat(
                p, "EXCEPTION_STACK_BUFFER_OVERRUN / ",
                name_or_hex(SAL_CODES_windows_fastfail, (uint32_t)e->parameters[0], p), NULL);
        }
        break;
    default:
        break;
    }
    name = sal_code_name(SAL_CODES_windows_exception, e->code);
    return name ? name : sal_reason_windows_error(e->code, p);
}

static sal_code_table_t signal_table(uint32_t signal)
{
    switch (signal) {
    case SIG_ILL:
        return SAL_CODES_linux_sigill_kind;
    case SIG_TRAP:
        return SAL_CODES_linux_sigtrap_kind;
    case SIG_BUS:
        return SAL_CODES_linux_sigbus_kind;
    case SIG_FPE:
        return SAL_CODES_linux_sigfpe_kind;
    case SIG_SEGV:
        return SAL_CODES_linux_sigsegv_kind;
    case SIG_SYS:
        return SAL_CODES_linux_sigsys_kind;
    default:
        return SAL_CODES_none;
    }
}

/* Signal and si_code; a code that any signal may have is looked up after the signal's own. */
static const char *linux_signal(const sal_md_exception_t *e, apr_pool_t *p)
{
    const char *signal = sal_code_name(SAL_CODES_linux, e->code);
    const char *kind = sal_code_name(signal_table(e->code), e->flags);

    if (!signal) {
        return NULL;
    }
    if (!kind) {
        if (e->flags == 0) {
            return signal;
        }
        kind = name_or_hex(SAL_CODES_linux_sicode, e->flags, p);
    }
    return apr_pstrcat(p, signal, " / ", kind, NULL);
}

const char *sal_reason_text(const sal_md_exception_t *e, sal_os_t os, sal_cpu_t cpu, apr_pool_t *p)
{
    const char *text = NULL;

    if (os == SAL_OS_WINDOWS) {
        text = windows(e, p);
    } else if (os == SAL_OS_LINUX || os == SAL_OS_ANDROID) {
        text = linux_signal(e, p);
    } else if (os == SAL_OS_MACOS || os == SAL_OS_IOS) {
        text = sal_reason_mac(e, cpu, p);
    }
    return text ? text : apr_psprintf(p, "unknown 0x%08x / 0x%08x", e->code, e->flags);
}

uint64_t sal_reason_address(const sal_md_exception_t *e, sal_os_t os, int pointer_size)
{
    uint64_t address = e->address;

    if (os == SAL_OS_WINDOWS && e->parameter_count >= 2 &&
        (e->code == WIN_ACCESS_VIOLATION || e->code == WIN_IN_PAGE_ERROR)) {
        address = e->parameters[1];
    }
    /* 32-bit values arrive sign-extended from some writers. */
    return pointer_size == 4 ? (uint32_t)address : address;
}

static sal_fault_t windows_fault(const sal_md_exception_t *e)
{
    switch (e->code) {
    case WIN_ACCESS_VIOLATION:
        if (e->parameter_count < 1) {
            return SAL_FAULT_OTHER;
        }
        return e->parameters[0] == 0   ? SAL_FAULT_READ
               : e->parameters[0] == 1 ? SAL_FAULT_WRITE
               : e->parameters[0] == 8 ? SAL_FAULT_EXEC
                                       : SAL_FAULT_OTHER;
    case WIN_STACK_OVERFLOW:
        return SAL_FAULT_STACK_OVERFLOW;
    case WIN_INT_DIVIDE:
        return SAL_FAULT_INT_DIVIDE;
    case WIN_PRIVILEGED:
        return SAL_FAULT_PRIVILEGED;
    default:
        return SAL_FAULT_OTHER;
    }
}

sal_fault_t sal_reason_fault(const sal_md_exception_t *e, sal_os_t os, sal_cpu_t cpu)
{
    switch (os) {
    case SAL_OS_WINDOWS:
        return windows_fault(e);
    case SAL_OS_LINUX:
    case SAL_OS_ANDROID:
        return e->code == SIG_FPE && e->flags == FPE_INT_DIVIDE ? SAL_FAULT_INT_DIVIDE
                                                                : SAL_FAULT_OTHER;
    case SAL_OS_MACOS:
    case SAL_OS_IOS:
        if (e->code == MAC_ARITHMETIC &&
            (((cpu == SAL_CPU_AMD64 || cpu == SAL_CPU_X86) && e->flags == MAC_X86_DIVIDE) ||
             (cpu == SAL_CPU_PPC && e->flags == MAC_PPC_ZERO_DIVIDE))) {
            return SAL_FAULT_INT_DIVIDE;
        }
        return SAL_FAULT_OTHER;
    default:
        return SAL_FAULT_OTHER;
    }
}

bool sal_reason_is_gpf(const sal_md_exception_t *e, sal_os_t os, sal_cpu_t cpu)
{
    uint64_t address = sal_reason_address(e, os, 8);

    if (cpu != SAL_CPU_AMD64) {
        return false;
    }
    switch (os) {
    case SAL_OS_WINDOWS:
        return windows_fault(e) == SAL_FAULT_READ && address == UINT64_MAX;
    case SAL_OS_MACOS:
        return e->code == MAC_BAD_ACCESS && e->flags == MAC_I386_GPFLT && address == 0;
    case SAL_OS_LINUX:
        return (e->code == SIG_SEGV || e->code == SIG_BUS) && e->flags == SI_FROM_KERNEL &&
               address == 0;
    default:
        return false;
    }
}
