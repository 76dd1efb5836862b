/*
 * The decoded instruction as the two files that look at it share it.
 */
#ifndef SAL_ANALYSIS_INSTRUCTION_PRIVATE_H
#define SAL_ANALYSIS_INSTRUCTION_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <Zydis/Zydis.h>

typedef struct sal_decoded_t {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    char mnemonic[24];
    const char *(*register_name)(ZydisRegister r);
} sal_decoded_t;

/*
 * Decode the instruction at bytes; false if it is none or there are too few bytes. The quick one
 * knows common instructions only, and of those fills no more than what this room looks at.
 */
bool sal_decode_quick(sal_decoded_t *d, const uint8_t *bytes, size_t size);
bool sal_decode_zydis(sal_decoded_t *d, const uint8_t *bytes, size_t size);

/* movs, stos, outs ...: their operands are fixed, and not written in the assembler's short form. */
static inline bool sal_is_string_op(const sal_decoded_t *d)
{
    return d->insn.meta.category == ZYDIS_CATEGORY_STRINGOP ||
           d->insn.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* Operands to look at: those that are written, and all of a string operation. */
static inline unsigned sal_operand_count(const sal_decoded_t *d)
{
    return sal_is_string_op(d) ? d->insn.operand_count : d->insn.operand_count_visible;
}

static inline bool sal_is_far(const sal_decoded_t *d)
{
    return d->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
}

/* Intel syntax as minidump-stackwalk prints it: `mov dword [rax + 0x8], 0x5`. */
void sal_instruction_text(char *out, size_t size, const sal_decoded_t *d);

#endif
