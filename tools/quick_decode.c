/*
 * `salvage` does without Zydis: for an instruction that needs it, it gives way to the program that
 * has it. Stands in for lib/analysis/instruction_zydis.c when the archive is linked.
 */
#include "cmd.h"

#include "analysis/instruction_private.h"

bool sal_decode_zydis(sal_decoded_t *d, const uint8_t *bytes, size_t size)
{
    (void)d;
    (void)bytes;
    (void)size;
    cmd_give_way(CMD_TOOLS); /* returns only where it cannot, and has said so */
    return false;
}
