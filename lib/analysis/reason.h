/*
 * What an exception record says: the reason in words, the address, and the questions that the
 * analysis of the instruction asks of it.
 */
#ifndef SAL_ANALYSIS_REASON_H
#define SAL_ANALYSIS_REASON_H

#include "minidump/minidump.h"

/* "SIGSEGV / SEGV_MAPERR", "EXCEPTION_ACCESS_VIOLATION_READ", ...; in p or static. */
const char *sal_reason_text(const sal_md_exception_t *e, sal_os_t os, sal_cpu_t cpu, apr_pool_t *p);

/* A Windows error number, as GetLastError() gives it: its name, or "unknown 0x%08x". */
const char *sal_reason_windows_error(uint32_t code, apr_pool_t *p);

/* macOS and iOS, called by sal_reason_text. NULL for a code that is none of theirs. */
const char *sal_reason_mac(const sal_md_exception_t *e, sal_cpu_t cpu, apr_pool_t *p);

/* The address that the fault is about. */
uint64_t sal_reason_address(const sal_md_exception_t *e, sal_os_t os, int pointer_size);

typedef enum {
    SAL_FAULT_OTHER,
    SAL_FAULT_READ,
    SAL_FAULT_WRITE,
    SAL_FAULT_EXEC,
    SAL_FAULT_STACK_OVERFLOW,
    SAL_FAULT_INT_DIVIDE,
    SAL_FAULT_PRIVILEGED
} sal_fault_t;

/* Kind of fault, where the record is precise enough to be held against the instruction. */
sal_fault_t sal_reason_fault(const sal_md_exception_t *e, sal_os_t os, sal_cpu_t cpu);

/* True if the record looks like an amd64 general protection fault, which hides the address. */
bool sal_reason_is_gpf(const sal_md_exception_t *e, sal_os_t os, sal_cpu_t cpu);

#endif
