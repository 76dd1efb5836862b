/*
 * What the crashing instruction does, by Zydis and the registers of the exception: which memory it
 * touches and how, where it sends the instruction pointer, whether it can fault the way it is said
 * to have. Rules: docs/stackwalk.md "Instruction".
 */
#include "analysis/instruction.h"

#include "analysis/instruction_private.h"

enum { RSP = 7, RIP = 16, WORD = 8 };

/* Index of a full-width register in our register file, or -1: others cannot be looked up. */
static int reg_of(ZydisRegister r)
{
    /* Order of sal_regs_t: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip. */
    static const ZydisRegister low[] = { ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_RDX, ZYDIS_REGISTER_RCX,
                                         ZYDIS_REGISTER_RBX, ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDI,
                                         ZYDIS_REGISTER_RBP, ZYDIS_REGISTER_RSP };

    for (int i = 0; i < 8; i++) {
        if (low[i] == r) {
            return i;
        }
    }
    if (r >= ZYDIS_REGISTER_R8 && r <= ZYDIS_REGISTER_R15) {
        return 8 + (int)(r - ZYDIS_REGISTER_R8);
    }
    return r == ZYDIS_REGISTER_RIP ? RIP : -1;
}

static bool value_of(const sal_regs_t *regs, ZydisRegister r, uint64_t *v)
{
    int i = reg_of(r);

    if (i < 0 || !(regs->valid >> i & 1)) {
        return false;
    }
    *v = regs->value[i];
    return true;
}

static bool is_jcc(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_JO:
    case ZYDIS_MNEMONIC_JNO:
    case ZYDIS_MNEMONIC_JB:
    case ZYDIS_MNEMONIC_JNB:
    case ZYDIS_MNEMONIC_JZ:
    case ZYDIS_MNEMONIC_JNZ:
    case ZYDIS_MNEMONIC_JBE:
    case ZYDIS_MNEMONIC_JNBE:
    case ZYDIS_MNEMONIC_JS:
    case ZYDIS_MNEMONIC_JNS:
    case ZYDIS_MNEMONIC_JP:
    case ZYDIS_MNEMONIC_JNP:
    case ZYDIS_MNEMONIC_JL:
    case ZYDIS_MNEMONIC_JNL:
    case ZYDIS_MNEMONIC_JLE:
    case ZYDIS_MNEMONIC_JNLE:
        return true;
    default:
        return false;
    }
}

/*
 * How the explicit operand `index` of an opcode we know for sure is used. False for an opcode that
 * we do not; *type unknown for one that touches no memory at all (lea).
 */
static bool derive(const sal_decoded_t *d, unsigned index, sal_access_type_t *type)
{
    *type = SAL_ACCESS_READ;
    switch (d->insn.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
        *type = index == 0 ? SAL_ACCESS_READWRITE : SAL_ACCESS_READ;
        return true;
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
        *type = SAL_ACCESS_READWRITE;
        return true;
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVAPS:
    case ZYDIS_MNEMONIC_MOVUPS:
        *type = index == 0 ? SAL_ACCESS_WRITE : SAL_ACCESS_READ;
        return true;
    case ZYDIS_MNEMONIC_POP:
        *type = SAL_ACCESS_WRITE;
        return true;
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_UCOMISS:
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_RET:
        return true;
    case ZYDIS_MNEMONIC_CALL:
        *type = sal_is_far(d) ? SAL_ACCESS_UNKNOWN : SAL_ACCESS_READ;
        return !sal_is_far(d);
    case ZYDIS_MNEMONIC_LEA:
        *type = SAL_ACCESS_UNKNOWN;
        return true;
    default:
        *type = SAL_ACCESS_UNKNOWN;
        return is_jcc(d->insn.mnemonic);
    }
}

static bool is_privileged(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_CLTS:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_IN:
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_INVD:
    case ZYDIS_MNEMONIC_INVEPT:
    case ZYDIS_MNEMONIC_INVLPG:
    case ZYDIS_MNEMONIC_INVVPID:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_LGDT:
    case ZYDIS_MNEMONIC_LIDT:
    case ZYDIS_MNEMONIC_LLDT:
    case ZYDIS_MNEMONIC_LMSW:
    case ZYDIS_MNEMONIC_LTR:
    case ZYDIS_MNEMONIC_MONITOR:
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MWAIT:
    case ZYDIS_MNEMONIC_OUT:
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
    case ZYDIS_MNEMONIC_RDMSR:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_SWAPGS:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_VMCALL:
    case ZYDIS_MNEMONIC_VMCLEAR:
    case ZYDIS_MNEMONIC_VMFUNC:
    case ZYDIS_MNEMONIC_VMLAUNCH:
    case ZYDIS_MNEMONIC_VMLOAD:
    case ZYDIS_MNEMONIC_VMMCALL:
    case ZYDIS_MNEMONIC_VMPTRLD:
    case ZYDIS_MNEMONIC_VMPTRST:
    case ZYDIS_MNEMONIC_VMREAD:
    case ZYDIS_MNEMONIC_VMRESUME:
    case ZYDIS_MNEMONIC_VMRUN:
    case ZYDIS_MNEMONIC_VMSAVE:
    case ZYDIS_MNEMONIC_VMWRITE:
    case ZYDIS_MNEMONIC_VMXOFF:
    case ZYDIS_MNEMONIC_VMXON:
    case ZYDIS_MNEMONIC_WBINVD:
    case ZYDIS_MNEMONIC_WRMSR:
    case ZYDIS_MNEMONIC_XSETBV:
        return true;
    default:
        return false;
    }
}

static bool is_memory(const ZydisDecodedOperand *o)
{
    return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.type == ZYDIS_MEMOP_TYPE_MEM;
}

/* base + index * scale + displacement; segment bases are not in the registers we have. */
static bool address_of(const sal_decoded_t *d, const ZydisDecodedOperand *o, const sal_regs_t *regs,
                       uint64_t *address, bool *null_base)
{
    uint64_t v;

    *address = o->mem.disp.has_displacement ? (uint64_t)o->mem.disp.value : 0;
    *null_base = false;
    if (o->mem.base != ZYDIS_REGISTER_NONE) {
        if (!value_of(regs, o->mem.base, &v)) {
            return false;
        }
        *null_base = v == 0;
        /* rip is that of the next instruction when the address is made. */
        *address += o->mem.base == ZYDIS_REGISTER_RIP ? v + d->insn.length : v;
    }
    if (o->mem.index != ZYDIS_REGISTER_NONE) {
        if (!value_of(regs, o->mem.index, &v)) {
            return false;
        }
        *address += v * o->mem.scale;
    }
    return true;
}

static void add_access(sal_instruction_t *out, uint64_t address, uint32_t size,
                       sal_access_type_t type, bool null_base)
{
    if (out->n_accesses < SAL_MAX_ACCESSES) {
        out->accesses[out->n_accesses++] = (sal_access_t){
            .address = address, .size = size, .type = type, .null_base = null_base
        };
    }
}

/*
 * Bytes that the instruction itself moves to or from the stack. A prefix 66 makes pushes and pops
 * 16 bits wide, not near calls and returns; a far return takes two words of the operand's width.
 */
static uint32_t stack_bytes(const sal_decoded_t *d)
{
    bool narrow = d->insn.operand_width == 16;

    switch (d->insn.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_POP:
        return narrow ? 2 : WORD;
    case ZYDIS_MNEMONIC_RET:
        return sal_is_far(d) ? 2 * d->insn.operand_width / 8u : WORD;
    default:
        return WORD;
    }
}

static void add_stack_access(sal_instruction_t *out, const sal_decoded_t *d, const sal_regs_t *regs)
{
    uint32_t size = stack_bytes(d);
    uint64_t sp;

    if (!value_of(regs, ZYDIS_REGISTER_RSP, &sp)) {
        return;
    }
    switch (d->insn.mnemonic) {
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_PUSH:
        add_access(out, sp - size, size, SAL_ACCESS_WRITE, sp == size);
        break;
    case ZYDIS_MNEMONIC_POP:
    case ZYDIS_MNEMONIC_RET:
        add_access(out, sp, size, SAL_ACCESS_READ, sp == 0);
        break;
    default:
        break;
    }
}

/* False as soon as one address cannot be made: half a list would be a wrong one. */
static bool list_accesses(sal_instruction_t *out, const sal_decoded_t *d, const sal_regs_t *regs)
{
    for (unsigned i = 0; i < sal_operand_count(d); i++) {
        const ZydisDecodedOperand *o = &d->operands[i];
        sal_access_type_t type;
        uint64_t address;
        bool null_base;

        if (!is_memory(o)) {
            continue;
        }
        if (!derive(d, i, &type)) {
            type = SAL_ACCESS_UNKNOWN;
        }
        if (!address_of(d, o, regs, &address, &null_base)) {
            return false;
        }
        if (d->insn.mnemonic != ZYDIS_MNEMONIC_NOP) {
            add_access(out, address, o->size / 8, type, null_base);
        }
    }
    if (out->derivable) {
        add_stack_access(out, d, regs);
    }
    return true;
}

static uint64_t list_registers(const sal_decoded_t *d)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < sal_operand_count(d); i++) {
        const ZydisDecodedOperand *o = &d->operands[i];

        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            int base = reg_of(o->mem.base), index = reg_of(o->mem.index);

            mask |= base >= 0 ? UINT64_C(1) << base : 0;
            mask |= index >= 0 ? UINT64_C(1) << index : 0;
        }
    }
    return mask;
}

static bool load(const sal_minidump_t *md, uint64_t address, uint64_t *v)
{
    const sal_md_memory_t *region = sal_minidump_memory_at(md, address);

    return region && sal_span_u64(&region->bytes, address - region->base, v);
}

static bool load_stack(const sal_minidump_t *md, const sal_md_thread_t *thread, uint64_t sp,
                       uint64_t *v)
{
    if (thread && thread->stack.size && sp >= thread->stack_start &&
        sal_span_u64(&thread->stack, sp - thread->stack_start, v)) {
        return true;
    }
    return load(md, sp, v);
}

static void jump_to(sal_instruction_t *out, uint64_t target)
{
    out->ip_update = SAL_IP_JUMPS;
    out->ip_target = target;
    out->ip_null = target == 0;
}

/* The target of a jump or call; an immediate one was valid when it was compiled. */
static void jump_operand(sal_instruction_t *out, const sal_decoded_t *d, const sal_minidump_t *md,
                         const sal_regs_t *regs)
{
    const ZydisDecodedOperand *o = &d->operands[0];
    uint64_t address, target;
    bool unused;

    if (!d->insn.operand_count_visible) {
        return;
    }
    if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        if (value_of(regs, o->reg.value, &target)) {
            jump_to(out, target);
        }
    } else if (is_memory(o) && address_of(d, o, regs, &address, &unused) &&
               load(md, address, &target)) {
        jump_to(out, target);
    }
}

static void follow(sal_instruction_t *out, const sal_decoded_t *d, const sal_minidump_t *md,
                   const sal_md_thread_t *thread, const sal_regs_t *regs)
{
    uint64_t sp, target;

    switch (d->insn.mnemonic) {
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_JMP:
        jump_operand(out, d, md, regs);
        break;
    case ZYDIS_MNEMONIC_RET:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        if (value_of(regs, ZYDIS_REGISTER_RSP, &sp) && load_stack(md, thread, sp, &target)) {
            jump_to(out, target);
        }
        break;
    default:
        out->ip_update = is_jcc(d->insn.mnemonic) ? SAL_IP_UNKNOWN : SAL_IP_STAYS;
        break;
    }
}

static bool decode(sal_decoded_t *d, const sal_minidump_t *md, const sal_regs_t *regs)
{
    const sal_md_memory_t *region;
    uint64_t pc = regs->value[RIP], offset;
    const uint8_t *bytes;
    size_t size;

    if (!(regs->valid >> RIP & 1) || !(region = sal_minidump_memory_at(md, pc))) {
        return false;
    }
    offset = pc - region->base;
    if (offset >= region->bytes.size) {
        return false;
    }
    bytes = region->bytes.data + offset;
    size = region->bytes.size - offset;
    return sal_decode_quick(d, bytes, size) || sal_decode_zydis(d, bytes, size);
}

void sal_instruction_analyze(sal_instruction_t *out, const sal_minidump_t *md,
                             const sal_md_thread_t *thread, const sal_regs_t *context)
{
    sal_decoded_t d;
    sal_access_type_t unused;

    memset(out, 0, sizeof(*out));
    if (context->cpu != SAL_CPU_AMD64 || !decode(&d, md, context)) {
        return;
    }
    out->known = true;
    sal_instruction_text(out->text, sizeof(out->text), &d);
    out->derivable = derive(&d, 0, &unused);
    out->division = d.insn.mnemonic == ZYDIS_MNEMONIC_DIV || d.insn.mnemonic == ZYDIS_MNEMONIC_IDIV;
    out->privileged =
        is_privileged(d.insn.mnemonic) || (d.insn.mnemonic == ZYDIS_MNEMONIC_RET && sal_is_far(&d));
    out->gpf_only_non_canonical = out->derivable && d.insn.mnemonic != ZYDIS_MNEMONIC_MOVAPS;
    out->has_accesses = list_accesses(out, &d, context);
    if (!out->has_accesses) {
        out->n_accesses = 0;
    }
    out->registers = list_registers(&d);
    follow(out, &d, md, thread, context);
}
