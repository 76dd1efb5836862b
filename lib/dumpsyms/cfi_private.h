/*
 * What the CFI files share: cfi.c reads entries and writes records, cfi_rows.c runs their
 * instructions, cfi_expr.c says DWARF expressions in postfix.
 */
#ifndef DUMPSYMS_CFI_PRIVATE_H
#define DUMPSYMS_CFI_PRIVATE_H

#include "base/reader.h"
#include "dumpsyms/dump_private.h"

enum { CFI_COLUMNS = 33, CFI_NONE = -1 };

/* Registers that have a name; a column is an index into names. */
typedef struct cfi_cpu_t {
    GElf_Half machine;
    const char *const *names;
    int columns;
    int extra;         /* DWARF number of the last column, where it is not its index; else -1 */
    bool ra_in_column; /* the return address is in its column until it is saved */
} cfi_cpu_t;

const cfi_cpu_t *cfi_cpu(GElf_Half machine);
int cfi_column(const cfi_cpu_t *cpu, uint64_t reg); /* CFI_NONE: no name */

/* ---- reading; a false answer leaves the place undefined ---- */

typedef struct cfi_in_t {
    sal_span_t bytes;
    uint64_t at, end; /* end <= bytes.size */
} cfi_in_t;

bool cfi_u(cfi_in_t *in, unsigned size, uint64_t *v);
bool cfi_uleb(cfi_in_t *in, uint64_t *v);
bool cfi_sleb(cfi_in_t *in, int64_t *v);

/* ---- rows ---- */

typedef enum cfi_kind_t {
    CFI_UNSPECIFIED,
    CFI_UNDEFINED,
    CFI_SAME,
    CFI_OFFSET,     /* saved at CFA + value */
    CFI_VAL_OFFSET, /* is CFA + value */
    CFI_REGISTER,   /* is in register value */
    CFI_EXPR,       /* saved where the expression says; value: offset of its block */
    CFI_VAL_EXPR    /* is what the expression says */
} cfi_kind_t;

typedef struct cfi_state_t {
    uint8_t cfa_kind; /* CFI_UNSPECIFIED, CFI_REGISTER, CFI_EXPR */
    uint8_t kind[CFI_COLUMNS];
    uint64_t cfa_reg; /* DWARF number */
    int64_t cfa_value;
    int64_t value[CFI_COLUMNS];
} cfi_state_t;

typedef struct cfi_cie_t {
    uint64_t offset, code_align, ra;
    int64_t data_align;
    uint64_t instructions, instructions_end;
    uint8_t encoding; /* of addresses: DW_EH_PE_... */
    unsigned address_size;
    bool augmented; /* FDEs have augmentation data */
} cfi_cie_t;

enum { CFI_DEPTH = 16 };

typedef struct cfi_run_t {
    const cfi_cpu_t *cpu;
    const cfi_cie_t *cie;
    cfi_in_t in;
    uint64_t loc, end; /* of the row that is being made; of the entry */
    bool broken;       /* instructions that cannot be read: rules after loc are not known */
    int depth;
    cfi_state_t now, initial, saved[CFI_DEPTH];
} cfi_run_t;

/* Runs the CIE's instructions; then cfi_row gives each row [*start, run->loc or end). */
void cfi_begin(cfi_run_t *run, const cfi_cpu_t *cpu, const cfi_cie_t *cie, sal_span_t bytes);
void cfi_entry(cfi_run_t *run, uint64_t at, uint64_t at_end, uint64_t pc, uint64_t size);
bool cfi_row(cfi_run_t *run, uint64_t *start);

/* ---- expressions ---- */

enum { CFI_TEXT = 128 };

/* The block (ULEB size, operations) at offset, in postfix. with_cfa: the CFA is on the stack
 * before. False: it cannot be said. */
bool cfi_postfix(char out[CFI_TEXT], const cfi_cpu_t *cpu, sal_span_t bytes, uint64_t offset,
                 bool with_cfa);

#endif
