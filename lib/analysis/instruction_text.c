/*
 * Prints an instruction in the form that readers of stackwalk documents know: Intel order, the size
 * word before the bracket, hexadecimal numbers. For display only.
 */
#include "analysis/instruction_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    char *to;
    size_t left;
} sink_t;

static void put(sink_t *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(sink_t *s, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(s->to, s->left, fmt, args);
    va_end(args);
    if (n > 0) {
        size_t used = (size_t)n < s->left ? (size_t)n : s->left - 1;

        s->to += used;
        s->left -= used;
    }
}

/* "jnbe" -> "ja": of the two names of a condition, the one without a doubled negation. */
static void put_mnemonic(sink_t *s, const sal_decoded_t *d)
{
    static const struct {
        const char *theirs, *ours;
    } conditions[] = { { "nbe", "a" }, { "be", "na" }, { "nl", "ge" }, { "nle", "g" } };
    static const char *const stems[] = { "j", "set", "cmov" };
    const char *name = d->mnemonic;

    for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
        size_t len = strlen(stems[i]);

        for (size_t k = 0; strncmp(name, stems[i], len) == 0 && k < 4; k++) {
            if (strcmp(name + len, conditions[k].theirs) == 0) {
                put(s, "%s%s", stems[i], conditions[k].ours);
                return;
            }
        }
    }
    if (sal_is_string_op(d)) {
        put(s, "%.*s", (int)strlen(name) - 1, name); /* the operands say which size */
    } else {
        put(s, "%s%s", name, sal_is_far(d) ? "f" : "");
    }
}

static const char *size_word(unsigned bits)
{
    switch (bits) {
    case 8:
        return "byte ";
    case 16:
        return "word ";
    case 32:
        return "dword ";
    case 48:
        return "far ";
    case 64:
        return "qword ";
    case 80:
        return "mword ";
    case 128:
        return "xmmword ";
    case 256:
        return "ymmword ";
    case 512:
        return "zmmword ";
    default:
        return "";
    }
}

static void put_signed(sink_t *s, int64_t v)
{
    put(s, "%s0x%" PRIx64, v < 0 ? "-" : "", v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* movs and cmps: both segments are shown. */
static bool has_two_pointers(const sal_decoded_t *d)
{
    return d->operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
           d->operands[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

static void put_memory(sink_t *s, const ZydisDecodedOperand *o, const sal_decoded_t *d)
{
    const ZydisDecodedOperandMem *m = &o->mem;
    int64_t disp = m->disp.has_displacement ? m->disp.value : 0;
    bool is_address = m->type == ZYDIS_MEMOP_TYPE_AGEN; /* lea: as wide as what it goes to */

    put(s, "%s", size_word(is_address ? d->operands[0].size : o->size));
    if (m->segment == ZYDIS_REGISTER_FS || m->segment == ZYDIS_REGISTER_GS ||
        (sal_is_string_op(d) && (m->segment == ZYDIS_REGISTER_ES || has_two_pointers(d)))) {
        put(s, "%s:", d->register_name(m->segment));
    }
    put(s, "[");
    if (m->base == ZYDIS_REGISTER_NONE && m->index == ZYDIS_REGISTER_NONE) {
        /* An absolute address is shown as it is encoded, 32 bits without their sign. */
        put(s, "0x%" PRIx64 "]", disp == (int32_t)disp ? (uint32_t)disp : (uint64_t)disp);
        return;
    }
    if (m->base != ZYDIS_REGISTER_NONE) {
        put(s, "%s", d->register_name(m->base));
    }
    if (m->index != ZYDIS_REGISTER_NONE) {
        put(s, "%s%s * %u", m->base != ZYDIS_REGISTER_NONE ? " + " : "", d->register_name(m->index),
            m->scale);
    }
    if (disp) {
        put(s, " %c 0x%" PRIx64, disp < 0 ? '-' : '+',
            disp < 0 ? 0 - (uint64_t)disp : (uint64_t)disp);
    }
    put(s, "]");
}

static void put_operand(sink_t *s, const ZydisDecodedOperand *o, const sal_decoded_t *d)
{
    switch (o->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        if (o->reg.value >= ZYDIS_REGISTER_ST0 && o->reg.value <= ZYDIS_REGISTER_ST7) {
            put(s, "st(%d)", (int)(o->reg.value - ZYDIS_REGISTER_ST0));
        } else {
            put(s, "%s", d->register_name(o->reg.value));
        }
        break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        put_memory(s, o, d);
        break;
    case ZYDIS_OPERAND_TYPE_POINTER:
        put(s, "0x%x:0x%x", o->ptr.segment, o->ptr.offset);
        break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        if (o->imm.is_relative) {
            put(s, "$%s", o->imm.value.s < 0 ? "" : "+");
            put_signed(s, o->imm.value.s);
        } else if (o->imm.is_signed) {
            put_signed(s, o->imm.value.s);
        } else {
            put(s, "0x%" PRIx64, (uint64_t)o->imm.value.u);
        }
        break;
    default:
        break;
    }
}

/*
 * Of a string operation the pointers and the accumulator or port, not counters and flags; of a nop
 * no register that it does nothing with.
 */
static bool is_written(const sal_decoded_t *d, const ZydisDecodedOperand *o)
{
    if (d->insn.mnemonic == ZYDIS_MNEMONIC_NOP) {
        return o == d->operands;
    }
    if (!sal_is_string_op(d) || o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        return true;
    }
    switch (o->reg.value) {
    case ZYDIS_REGISTER_AL:
    case ZYDIS_REGISTER_AX:
    case ZYDIS_REGISTER_EAX:
    case ZYDIS_REGISTER_RAX:
    case ZYDIS_REGISTER_DX:
        return o->type == ZYDIS_OPERAND_TYPE_REGISTER;
    default:
        return false;
    }
}

void sal_instruction_text(char *out, size_t size, const sal_decoded_t *d)
{
    sink_t s = { out, size };
    unsigned n = 0;

    *out = '\0';
    if (d->insn.attributes & ZYDIS_ATTRIB_HAS_LOCK) {
        put(&s, "lock ");
    }
    if (d->insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) {
        put(&s, "rep ");
    } else if (d->insn.attributes & ZYDIS_ATTRIB_HAS_REPNE) {
        put(&s, "repnz ");
    }
    put_mnemonic(&s, d);
    for (unsigned i = 0; i < sal_operand_count(d); i++) {
        if (is_written(d, &d->operands[i])) {
            put(&s, "%s", n++ ? ", " : " ");
            put_operand(&s, &d->operands[i], d);
        }
    }
}
