/*
 * Decodes the x86-64 instructions that programs mostly crash in, without Zydis: loading and
 * relocating that library takes as long as a whole walk of a small dump. Whatever is not certainly
 * one of them is left to Zydis: other prefixes, VEX, string operations, rare opcodes. A test holds
 * that both say the same of whatever this one takes (tests/unit/test_instruction.c). Opcodes: AMD64
 * Architecture Programmer's Manual, volume 3, appendix A.
 */
#include "analysis/instruction_private.h"

#include <string.h>

/* Operands. E: register or memory by ModRM; G: register by ModRM; Z: register in the opcode. */
enum {
    NONE,
    EB, /* byte */
    EW,
    ED,
    EV, /* of the operand's size: 16, 32 or 64 bits */
    EQ, /* 64 bits whatever the prefixes say */
    GB,
    GV,
    ZB,
    ZV,
    ZQ,
    AL,
    AX, /* rAX of the operand's size */
    IB, /* signed byte, widened */
    UB, /* unsigned byte */
    IW, /* unsigned 16 bits */
    IZ, /* signed 16 or 32 bits, widened */
    IV, /* as wide as the operand */
    JB, /* relative, 8 bits */
    JZ, /* relative, 32 bits */
    M,  /* an address, not what is there */
    VX, /* xmm register by ModRM.reg */
    WD, /* xmm register, or 32 bits of memory */
    WQ,
    WX
};

enum { ANY_REG = -1, PLAIN = 0, ON_MEMORY = 1, LOCKABLE = 2, DEFAULT_64 = 4, NEEDS_W = 8 };

typedef struct form_t {
    uint8_t map, first, last; /* map 1: after 0F */
    uint8_t prefix;           /* mandatory: 0, 66, F2, F3; 0 lets 66 choose 16 bits in map 0 */
    int8_t reg;               /* ModRM.reg, or ANY_REG */
    uint8_t flags;
    uint8_t operands[3];
    uint16_t mnemonic;
    char name[11];
} form_t;

#define N(m, name) ZYDIS_MNEMONIC_##m, name
static const form_t forms[] = {
    { 0, 0x50, 0x57, 0, ANY_REG, DEFAULT_64, { ZQ }, N(PUSH, "push") },
    { 0, 0x58, 0x5f, 0, ANY_REG, DEFAULT_64, { ZQ }, N(POP, "pop") },
    { 0, 0x63, 0x63, 0, ANY_REG, NEEDS_W, { GV, ED }, N(MOVSXD, "movsxd") },
    { 0, 0x69, 0x69, 0, ANY_REG, PLAIN, { GV, EV, IZ }, N(IMUL, "imul") },
    { 0, 0x6b, 0x6b, 0, ANY_REG, PLAIN, { GV, EV, IB }, N(IMUL, "imul") },
    { 0, 0x84, 0x84, 0, ANY_REG, PLAIN, { EB, GB }, N(TEST, "test") },
    { 0, 0x85, 0x85, 0, ANY_REG, PLAIN, { EV, GV }, N(TEST, "test") },
    { 0, 0x86, 0x86, 0, ANY_REG, LOCKABLE, { EB, GB }, N(XCHG, "xchg") },
    { 0, 0x87, 0x87, 0, ANY_REG, LOCKABLE, { EV, GV }, N(XCHG, "xchg") },
    { 0, 0x88, 0x88, 0, ANY_REG, PLAIN, { EB, GB }, N(MOV, "mov") },
    { 0, 0x89, 0x89, 0, ANY_REG, PLAIN, { EV, GV }, N(MOV, "mov") },
    { 0, 0x8a, 0x8a, 0, ANY_REG, PLAIN, { GB, EB }, N(MOV, "mov") },
    { 0, 0x8b, 0x8b, 0, ANY_REG, PLAIN, { GV, EV }, N(MOV, "mov") },
    { 0, 0x8d, 0x8d, 0, ANY_REG, ON_MEMORY, { GV, M }, N(LEA, "lea") },
    { 0, 0x8f, 0x8f, 0, 0, DEFAULT_64, { EQ }, N(POP, "pop") },
    { 0, 0xa8, 0xa8, 0, ANY_REG, PLAIN, { AL, IB }, N(TEST, "test") },
    { 0, 0xa9, 0xa9, 0, ANY_REG, PLAIN, { AX, IZ }, N(TEST, "test") },
    { 0, 0xb0, 0xb7, 0, ANY_REG, PLAIN, { ZB, UB }, N(MOV, "mov") },
    { 0, 0xb8, 0xbf, 0, ANY_REG, PLAIN, { ZV, IV }, N(MOV, "mov") },
    { 0, 0xc2, 0xc2, 0, ANY_REG, DEFAULT_64, { IW }, N(RET, "ret") },
    { 0, 0xc3, 0xc3, 0, ANY_REG, DEFAULT_64, { NONE }, N(RET, "ret") },
    { 0, 0xc6, 0xc6, 0, 0, PLAIN, { EB, IB }, N(MOV, "mov") },
    { 0, 0xc7, 0xc7, 0, 0, PLAIN, { EV, IZ }, N(MOV, "mov") },
    { 0, 0xc9, 0xc9, 0, ANY_REG, DEFAULT_64, { NONE }, N(LEAVE, "leave") },
    { 0, 0xcc, 0xcc, 0, ANY_REG, DEFAULT_64, { NONE }, N(INT3, "int3") },
    { 0, 0xcd, 0xcd, 0, ANY_REG, DEFAULT_64, { UB }, N(INT, "int") },
    { 0, 0xe8, 0xe8, 0, ANY_REG, DEFAULT_64, { JZ }, N(CALL, "call") },
    { 0, 0xe9, 0xe9, 0, ANY_REG, DEFAULT_64, { JZ }, N(JMP, "jmp") },
    { 0, 0xeb, 0xeb, 0, ANY_REG, DEFAULT_64, { JB }, N(JMP, "jmp") },
    { 0, 0xf4, 0xf4, 0, ANY_REG, DEFAULT_64, { NONE }, N(HLT, "hlt") },
    { 0, 0xf6, 0xf6, 0, 0, PLAIN, { EB, IB }, N(TEST, "test") },
    { 0, 0xf7, 0xf7, 0, 0, PLAIN, { EV, IZ }, N(TEST, "test") },
    { 0, 0xf6, 0xf6, 0, 2, LOCKABLE, { EB }, N(NOT, "not") },
    { 0, 0xf7, 0xf7, 0, 2, LOCKABLE, { EV }, N(NOT, "not") },
    { 0, 0xf6, 0xf6, 0, 3, LOCKABLE, { EB }, N(NEG, "neg") },
    { 0, 0xf7, 0xf7, 0, 3, LOCKABLE, { EV }, N(NEG, "neg") },
    { 0, 0xf6, 0xf6, 0, 6, PLAIN, { EB }, N(DIV, "div") },
    { 0, 0xf7, 0xf7, 0, 6, PLAIN, { EV }, N(DIV, "div") },
    { 0, 0xf6, 0xf6, 0, 7, PLAIN, { EB }, N(IDIV, "idiv") },
    { 0, 0xf7, 0xf7, 0, 7, PLAIN, { EV }, N(IDIV, "idiv") },
    { 0, 0xfe, 0xfe, 0, 0, LOCKABLE, { EB }, N(INC, "inc") },
    { 0, 0xff, 0xff, 0, 0, LOCKABLE, { EV }, N(INC, "inc") },
    { 0, 0xfe, 0xfe, 0, 1, LOCKABLE, { EB }, N(DEC, "dec") },
    { 0, 0xff, 0xff, 0, 1, LOCKABLE, { EV }, N(DEC, "dec") },
    { 0, 0xff, 0xff, 0, 2, DEFAULT_64, { EQ }, N(CALL, "call") },
    { 0, 0xff, 0xff, 0, 4, DEFAULT_64, { EQ }, N(JMP, "jmp") },
    { 0, 0xff, 0xff, 0, 6, DEFAULT_64, { EQ }, N(PUSH, "push") },
    { 1, 0x05, 0x05, 0, ANY_REG, DEFAULT_64, { NONE }, N(SYSCALL, "syscall") },
    { 1, 0x0b, 0x0b, 0, ANY_REG, DEFAULT_64, { NONE }, N(UD2, "ud2") },
    { 1, 0x10, 0x10, 0, ANY_REG, PLAIN, { VX, WX }, N(MOVUPS, "movups") },
    { 1, 0x10, 0x10, 0x66, ANY_REG, PLAIN, { VX, WX }, N(MOVUPD, "movupd") },
    { 1, 0x10, 0x10, 0xf3, ANY_REG, PLAIN, { VX, WD }, N(MOVSS, "movss") },
    { 1, 0x10, 0x10, 0xf2, ANY_REG, PLAIN, { VX, WQ }, N(MOVSD, "movsd") },
    { 1, 0x11, 0x11, 0, ANY_REG, PLAIN, { WX, VX }, N(MOVUPS, "movups") },
    { 1, 0x11, 0x11, 0x66, ANY_REG, PLAIN, { WX, VX }, N(MOVUPD, "movupd") },
    { 1, 0x11, 0x11, 0xf3, ANY_REG, PLAIN, { WD, VX }, N(MOVSS, "movss") },
    { 1, 0x11, 0x11, 0xf2, ANY_REG, PLAIN, { WQ, VX }, N(MOVSD, "movsd") },
    { 1, 0x28, 0x28, 0, ANY_REG, PLAIN, { VX, WX }, N(MOVAPS, "movaps") },
    { 1, 0x28, 0x28, 0x66, ANY_REG, PLAIN, { VX, WX }, N(MOVAPD, "movapd") },
    { 1, 0x29, 0x29, 0, ANY_REG, PLAIN, { WX, VX }, N(MOVAPS, "movaps") },
    { 1, 0x29, 0x29, 0x66, ANY_REG, PLAIN, { WX, VX }, N(MOVAPD, "movapd") },
    { 1, 0x2e, 0x2e, 0, ANY_REG, PLAIN, { VX, WD }, N(UCOMISS, "ucomiss") },
    { 1, 0x6f, 0x6f, 0x66, ANY_REG, PLAIN, { VX, WX }, N(MOVDQA, "movdqa") },
    { 1, 0x6f, 0x6f, 0xf3, ANY_REG, PLAIN, { VX, WX }, N(MOVDQU, "movdqu") },
    { 1, 0x7f, 0x7f, 0x66, ANY_REG, PLAIN, { WX, VX }, N(MOVDQA, "movdqa") },
    { 1, 0x7f, 0x7f, 0xf3, ANY_REG, PLAIN, { WX, VX }, N(MOVDQU, "movdqu") },
    { 1, 0xaf, 0xaf, 0, ANY_REG, PLAIN, { GV, EV }, N(IMUL, "imul") },
    { 1, 0xb0, 0xb0, 0, ANY_REG, LOCKABLE, { EB, GB }, N(CMPXCHG, "cmpxchg") },
    { 1, 0xb1, 0xb1, 0, ANY_REG, LOCKABLE, { EV, GV }, N(CMPXCHG, "cmpxchg") },
    { 1, 0xb6, 0xb6, 0, ANY_REG, PLAIN, { GV, EB }, N(MOVZX, "movzx") },
    { 1, 0xb7, 0xb7, 0, ANY_REG, PLAIN, { GV, EW }, N(MOVZX, "movzx") },
    { 1, 0xbe, 0xbe, 0, ANY_REG, PLAIN, { GV, EB }, N(MOVSX, "movsx") },
    { 1, 0xbf, 0xbf, 0, ANY_REG, PLAIN, { GV, EW }, N(MOVSX, "movsx") },
    { 1, 0xc0, 0xc0, 0, ANY_REG, LOCKABLE, { EB, GB }, N(XADD, "xadd") },
    { 1, 0xc1, 0xc1, 0, ANY_REG, LOCKABLE, { EV, GV }, N(XADD, "xadd") },
};

static const struct {
    uint16_t mnemonic;
    char name[4];
} arithmetic[8] = {
    { N(ADD, "add") }, { N(OR, "or") },   { N(ADC, "adc") }, { N(SBB, "sbb") },
    { N(AND, "and") }, { N(SUB, "sub") }, { N(XOR, "xor") }, { N(CMP, "cmp") },
};

static const struct {
    uint16_t jump;
    char name[5];
} conditions[16] = {
    { N(JO, "jo") }, { N(JNO, "jno") }, { N(JB, "jb") },   { N(JNB, "jnb") },
    { N(JZ, "jz") }, { N(JNZ, "jnz") }, { N(JBE, "jbe") }, { N(JNBE, "jnbe") },
    { N(JS, "js") }, { N(JNS, "jns") }, { N(JP, "jp") },   { N(JNP, "jnp") },
    { N(JL, "jl") }, { N(JNL, "jnl") }, { N(JLE, "jle") }, { N(JNLE, "jnle") },
};

typedef struct cursor_t {
    const uint8_t *at, *end;
    uint8_t prefix; /* 66, F2 or F3, or 0 */
    uint8_t rex, opcode, modrm;
    bool lock, has_modrm;
    ZydisRegister segment;
    unsigned bits;      /* of the operand: 16, 32, 64 */
    unsigned immediate; /* bytes of it, for what is relative to the end */
} cursor_t;

static bool take(cursor_t *c, unsigned n, int64_t *v)
{
    uint64_t u = 0;

    if ((size_t)(c->end - c->at) < n) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        u |= (uint64_t)*c->at++ << 8 * i;
    }
    *v = n == 8 ? (int64_t)u : (int64_t)(u << (64 - 8 * n)) >> (64 - 8 * n);
    return true;
}

/* Each prefix at most once, no others than these, REX last: else it is Zydis' business. */
static bool take_prefixes(cursor_t *c)
{
    for (; c->at < c->end; c->at++) {
        uint8_t b = *c->at;

        if (b == 0x66 || b == 0xf2 || b == 0xf3) {
            if (c->prefix) {
                return false;
            }
            c->prefix = b;
        } else if (b == 0xf0) {
            if (c->lock) {
                return false;
            }
            c->lock = true;
        } else if (b == 0x64 || b == 0x65) {
            if (c->segment != ZYDIS_REGISTER_NONE) {
                return false;
            }
            c->segment = b == 0x64 ? ZYDIS_REGISTER_FS : ZYDIS_REGISTER_GS;
        } else {
            break;
        }
    }
    if (c->at < c->end && (*c->at & 0xf0) == 0x40) {
        c->rex = *c->at++;
    }
    c->bits = c->rex & 8 ? 64 : c->prefix == 0x66 ? 16 : 32;
    return c->at < c->end;
}

/* Rows whose names and meaning follow from bits of the opcode. */
static bool regular_form(form_t *f, uint8_t map, uint8_t opcode, uint8_t reg)
{
    static const uint8_t shapes[6][2] = { { EB, GB }, { EV, GV }, { GB, EB },
                                          { GV, EV }, { AL, IB }, { AX, IZ } };
    int operation = -1;

    memset(f, 0, sizeof(*f));
    f->reg = ANY_REG;
    if (map == 0 && opcode < 0x40 && (opcode & 7) < 6) {
        operation = opcode >> 3;
        memcpy(f->operands, shapes[opcode & 7], 2);
        f->flags = (opcode & 7) < 2 && operation != 7 ? LOCKABLE : PLAIN;
    } else if (map == 0 && (opcode == 0x80 || opcode == 0x81 || opcode == 0x83)) {
        operation = reg;
        f->operands[0] = opcode == 0x80 ? EB : EV;
        f->operands[1] = opcode == 0x81 ? IZ : IB;
        f->flags = operation != 7 ? LOCKABLE : PLAIN;
    } else if (opcode >> 4 == (map ? 8 : 7)) {
        f->operands[0] = map ? JZ : JB;
        f->flags = DEFAULT_64;
        f->mnemonic = conditions[opcode & 15].jump;
        memcpy(f->name, conditions[opcode & 15].name, sizeof(conditions[0].name));
        return true;
    }
    if (operation >= 0) {
        f->mnemonic = arithmetic[operation].mnemonic;
        memcpy(f->name, arithmetic[operation].name, sizeof(arithmetic[0].name));
    }
    return operation >= 0;
}

static bool find_form(form_t *f, const cursor_t *c, uint8_t map)
{
    /* 66 is part of the opcode where a form wants it, and the operand's size elsewhere. */
    static const uint8_t sse[] = { 0x10, 0x11, 0x28, 0x29, 0x2e, 0x6f, 0x7f };
    bool exact = c->prefix != 0 &&
                 (c->prefix != 0x66 || (map == 1 && memchr(sse, c->opcode, sizeof(sse)) != NULL));
    uint8_t reg = c->at < c->end ? *c->at >> 3 & 7 : 0;

    if (!exact && regular_form(f, map, c->opcode, reg)) {
        return true;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const form_t *row = &forms[i];

        if (row->map == map && row->first <= c->opcode && c->opcode <= row->last &&
            row->prefix == (exact ? c->prefix : 0) && (row->reg == ANY_REG || row->reg == reg)) {
            *f = *row;
            return true;
        }
    }
    return false;
}

static ZydisRegister reg8(unsigned n, bool has_rex)
{
    if (n >= 8) {
        return (ZydisRegister)(ZYDIS_REGISTER_R8B + (n - 8));
    }
    return (ZydisRegister)(has_rex && n >= 4 ? ZYDIS_REGISTER_SPL + (n - 4)
                                             : ZYDIS_REGISTER_AL + n);
}

static void set_reg(ZydisDecodedOperand *o, const cursor_t *c, unsigned n, unsigned bits)
{
    o->type = ZYDIS_OPERAND_TYPE_REGISTER;
    o->size = (ZyanU16)bits;
    switch (bits) {
    case 8:
        o->reg.value = reg8(n, c->rex != 0);
        break;
    case 16:
        o->reg.value = (ZydisRegister)(ZYDIS_REGISTER_AX + n);
        break;
    case 32:
        o->reg.value = (ZydisRegister)(ZYDIS_REGISTER_EAX + n);
        break;
    case 64:
        o->reg.value = (ZydisRegister)(ZYDIS_REGISTER_RAX + n);
        break;
    default:
        o->reg.value = (ZydisRegister)(ZYDIS_REGISTER_XMM0 + n);
        break;
    }
}

static bool set_sib(ZydisDecodedOperand *o, cursor_t *c, unsigned mod, unsigned *disp)
{
    unsigned index, base;
    uint8_t sib;

    if (c->at == c->end) {
        return false;
    }
    sib = *c->at++;
    index = (sib >> 3 & 7) | (c->rex & 2) << 2;
    base = (sib & 7) | (c->rex & 1) << 3;
    if (index != 4) {
        o->mem.index = (ZydisRegister)(ZYDIS_REGISTER_RAX + index);
        o->mem.scale = (ZyanU8)(1 << (sib >> 6));
    }
    if ((base & 7) == 5 && mod == 0) {
        *disp = 4;
    } else {
        o->mem.base = (ZydisRegister)(ZYDIS_REGISTER_RAX + base);
    }
    return true;
}

static bool set_memory(ZydisDecodedOperand *o, cursor_t *c, unsigned bits)
{
    unsigned mod = c->modrm >> 6, rm = c->modrm & 7, disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    int64_t value = 0;

    o->type = ZYDIS_OPERAND_TYPE_MEMORY;
    o->size = (ZyanU16)bits;
    o->mem.type = ZYDIS_MEMOP_TYPE_MEM;
    o->mem.segment = c->segment;
    if (rm == 4) {
        if (!set_sib(o, c, mod, &disp)) {
            return false;
        }
    } else if (rm == 5 && mod == 0) {
        o->mem.base = ZYDIS_REGISTER_RIP;
        disp = 4;
    } else {
        o->mem.base = (ZydisRegister)(ZYDIS_REGISTER_RAX + (rm | (c->rex & 1) << 3));
    }
    if (disp && !take(c, disp, &value)) {
        return false;
    }
    o->mem.disp.has_displacement = disp != 0;
    o->mem.disp.value = value;
    return true;
}

/* The operand that ModRM names: of `bits` in memory, of `reg_bits` in a register. */
static bool set_rm(ZydisDecodedOperand *o, cursor_t *c, unsigned bits, unsigned reg_bits)
{
    if (c->modrm >> 6 == 3) {
        set_reg(o, c, (c->modrm & 7u) | (c->rex & 1u) << 3, reg_bits);
        return true;
    }
    return set_memory(o, c, bits);
}

static bool set_immediate(ZydisDecodedOperand *o, cursor_t *c, unsigned bytes, bool is_signed,
                          bool is_relative)
{
    int64_t v;

    if (!take(c, bytes, &v)) {
        return false;
    }
    o->type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
    o->imm.is_signed = is_signed;
    o->imm.is_relative = is_relative;
    if (is_signed || is_relative) {
        o->imm.value.s = v;
    } else {
        o->imm.value.u = (uint64_t)v & ((UINT64_C(1) << 8 * bytes) - 1);
    }
    return true;
}

static bool set_operand(ZydisDecodedOperand *o, cursor_t *c, uint8_t kind)
{
    unsigned g = (c->modrm >> 3 & 7u) | (c->rex & 4u) << 1;
    unsigned z = (c->opcode & 7u) | (c->rex & 1u) << 3;

    switch (kind) {
    case EB:
        return set_rm(o, c, 8, 8);
    case EW:
        return set_rm(o, c, 16, 16);
    case ED:
        return set_rm(o, c, 32, 32);
    case EV:
        return set_rm(o, c, c->bits, c->bits);
    case EQ:
        return set_rm(o, c, 64, 64);
    case WD:
        return set_rm(o, c, 32, 128);
    case WQ:
        return set_rm(o, c, 64, 128);
    case WX:
        return set_rm(o, c, 128, 128);
    case M:
        if (!set_rm(o, c, c->bits, c->bits) || o->type != ZYDIS_OPERAND_TYPE_MEMORY) {
            return false;
        }
        o->mem.type = ZYDIS_MEMOP_TYPE_AGEN;
        o->mem.segment = ZYDIS_REGISTER_NONE;
        return true;
    case GB:
        set_reg(o, c, g, 8);
        return true;
    case GV:
        set_reg(o, c, g, c->bits);
        return true;
    case VX:
        set_reg(o, c, g, 128);
        return true;
    case ZB:
        set_reg(o, c, z, 8);
        return true;
    case ZV:
        set_reg(o, c, z, c->bits);
        return true;
    case ZQ:
        set_reg(o, c, z, 64);
        return true;
    case AL:
        set_reg(o, c, 0, 8);
        return true;
    case AX:
        set_reg(o, c, 0, c->bits);
        return true;
    case IB:
        return set_immediate(o, c, 1, true, false);
    case UB:
        return set_immediate(o, c, 1, false, false);
    case IW:
        return set_immediate(o, c, 2, false, false);
    case IZ:
        return set_immediate(o, c, c->bits == 16 ? 2 : 4, true, false);
    case IV:
        return set_immediate(o, c, c->bits / 8, true, false);
    case JB:
        return set_immediate(o, c, 1, true, true);
    default: /* JZ */
        return set_immediate(o, c, 4, true, true);
    }
}

static bool has_modrm(const form_t *f)
{
    for (int i = 0; i < 3; i++) {
        uint8_t k = f->operands[i];

        if ((k >= EB && k <= GV) || k >= M) {
            return true;
        }
    }
    return false;
}

static const char *register_name(ZydisRegister r)
{
    /* In Zydis' order. */
    static const char names[][6] = {
        "al",   "cl",   "dl",   "bl",   "ah",   "ch",   "dh",   "bh",   "spl",  "bpl",
        "sil",  "dil",  "r8b",  "r9b",  "r10b", "r11b", "r12b", "r13b", "r14b", "r15b",
        "ax",   "cx",   "dx",   "bx",   "sp",   "bp",   "si",   "di",   "r8w",  "r9w",
        "r10w", "r11w", "r12w", "r13w", "r14w", "r15w", "eax",  "ecx",  "edx",  "ebx",
        "esp",  "ebp",  "esi",  "edi",  "r8d",  "r9d",  "r10d", "r11d", "r12d", "r13d",
        "r14d", "r15d", "rax",  "rcx",  "rdx",  "rbx",  "rsp",  "rbp",  "rsi",  "rdi",
        "r8",   "r9",   "r10",  "r11",  "r12",  "r13",  "r14",  "r15",
    };
    static const char xmm[][6] = { "xmm0",  "xmm1",  "xmm2",  "xmm3", "xmm4",  "xmm5",
                                   "xmm6",  "xmm7",  "xmm8",  "xmm9", "xmm10", "xmm11",
                                   "xmm12", "xmm13", "xmm14", "xmm15" };

    if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_R15) {
        return names[r - ZYDIS_REGISTER_AL];
    }
    if (r >= ZYDIS_REGISTER_XMM0 && r <= ZYDIS_REGISTER_XMM15) {
        return xmm[r - ZYDIS_REGISTER_XMM0];
    }
    return r == ZYDIS_REGISTER_RIP ? "rip" : r == ZYDIS_REGISTER_FS ? "fs" : "gs";
}

static bool fits(const form_t *f, const cursor_t *c)
{
    bool memory = c->has_modrm && c->modrm >> 6 != 3;

    return !((f->flags & DEFAULT_64 && c->prefix) || (f->flags & NEEDS_W && !(c->rex & 8)) ||
             (c->lock && !(f->flags & LOCKABLE && memory)));
}

bool sal_decode_quick(sal_decoded_t *d, const uint8_t *bytes, size_t size)
{
    cursor_t c = { .at = bytes, .end = bytes + (size < 15 ? size : 15) };
    uint8_t map = 0;
    form_t f;

    memset(d, 0, sizeof(*d));
    if (!take_prefixes(&c)) {
        return false;
    }
    c.opcode = *c.at++;
    if (c.opcode == 0x0f) {
        map = 1;
        if (c.at == c.end) {
            return false;
        }
        c.opcode = *c.at++;
    }
    if (!find_form(&f, &c, map)) {
        return false;
    }
    c.has_modrm = has_modrm(&f);
    if (c.has_modrm) {
        if (c.at == c.end) {
            return false;
        }
        c.modrm = *c.at++;
    }
    if (!fits(&f, &c)) {
        return false;
    }
    for (int i = 0; i < 3 && f.operands[i] != NONE; i++) {
        if (!set_operand(&d->operands[i], &c, f.operands[i])) {
            return false;
        }
        d->insn.operand_count_visible++;
    }
    d->insn.operand_count = d->insn.operand_count_visible;
    d->insn.mnemonic = (ZydisMnemonic)f.mnemonic;
    d->insn.length = (ZyanU8)(c.at - bytes);
    d->insn.operand_width = (ZyanU8)(f.flags & DEFAULT_64 ? 64 : c.bits); /* of what has a stack */
    d->insn.attributes = c.lock ? ZYDIS_ATTRIB_HAS_LOCK : 0;
    memcpy(d->mnemonic, f.name, sizeof(f.name));
    d->register_name = register_name;
    return true;
}
