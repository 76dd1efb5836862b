/*
 * The decoded instruction as the two files that look at it share it.
 */
#ifndef SAL_ANALYSIS_INSTRUCTION_PRIVATE_H
#define SAL_ANALYSIS_INSTRUCTION_PRIVATE_H

#include <stddef.h>
#include <Zydis/Zydis.h>

typedef struct sal_decoded_t {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
} sal_decoded_t;

/* Intel syntax as minidump-stackwalk prints it: `mov dword [rax + 0x8], 0x5`. */
void sal_instruction_text(char *out, size_t size, const sal_decoded_t *d);

#endif
