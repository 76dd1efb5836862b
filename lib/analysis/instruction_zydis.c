/*
 * Any x86-64 instruction, by Zydis. A file of its own: a program that would rather not load the
 * library defines sal_decode_zydis itself (tools/quick_decode.c).
 */
#include "analysis/instruction_private.h"

#include <stdio.h>

static const char *register_name(ZydisRegister r)
{
    const char *name = ZydisRegisterGetString(r);

    return name ? name : "";
}

bool sal_decode_zydis(sal_decoded_t *d, const uint8_t *bytes, size_t size)
{
    ZydisDecoder decoder;
    const char *name;

    if (!ZYAN_SUCCESS(
            ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
        !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &d->insn, d->operands))) {
        return false;
    }
    if (d->insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (d->insn.opcode & 0xf8) == 0xb0) {
        d->operands[1].imm.is_signed = false; /* mov to a byte: shown as it is encoded */
        d->operands[1].imm.value.u &= 0xff;
    }
    name = ZydisMnemonicGetString(d->insn.mnemonic);
    snprintf(d->mnemonic, sizeof(d->mnemonic), "%s", name ? name : "");
    d->register_name = register_name;
    return true;
}
