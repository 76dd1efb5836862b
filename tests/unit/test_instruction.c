/*
 * The quick decoder against Zydis: whatever it takes must look the same in every field that the
 * analysis uses, and in print.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "analysis/instruction_private.h"

enum { MAX_BYTES = 15 };

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static void show(const char *what, const uint8_t *bytes, size_t size, const char *ours,
                 const char *theirs)
{
    print_error("%s differs for", what);
    for (size_t i = 0; i < size; i++) {
        print_error(" %02x", bytes[i]);
    }
    print_error(": quick \"%s\", Zydis \"%s\"\n", ours, theirs);
}

static bool same_operand(const ZydisDecodedOperand *a, const ZydisDecodedOperand *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return a->reg.value == b->reg.value;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        return a->mem.type == b->mem.type && a->mem.base == b->mem.base &&
               a->mem.index == b->mem.index &&
               (a->mem.index == ZYDIS_REGISTER_NONE || a->mem.scale == b->mem.scale) &&
               (a->mem.disp.has_displacement ? a->mem.disp.value : 0) ==
                   (b->mem.disp.has_displacement ? b->mem.disp.value : 0) &&
               (a->mem.type == ZYDIS_MEMOP_TYPE_AGEN || a->size == b->size);
    default:
        return a->imm.is_relative == b->imm.is_relative && a->imm.value.u == b->imm.value.u;
    }
}

static bool moves_stack(const sal_decoded_t *d)
{
    return d->insn.mnemonic == ZYDIS_MNEMONIC_PUSH || d->insn.mnemonic == ZYDIS_MNEMONIC_POP ||
           d->insn.mnemonic == ZYDIS_MNEMONIC_RET || d->insn.mnemonic == ZYDIS_MNEMONIC_CALL;
}

/* 1 if the quick decoder took it, and then all is the same; 0 if it left it; fails otherwise. */
static int compare(const uint8_t *bytes, size_t size)
{
    sal_decoded_t ours, theirs;
    char our_text[256], their_text[256] = "not an instruction";
    bool same;

    if (!sal_decode_quick(&ours, bytes, size)) {
        return 0;
    }
    sal_instruction_text(our_text, sizeof(our_text), &ours);
    same = sal_decode_zydis(&theirs, bytes, size);
    if (same) {
        sal_instruction_text(their_text, sizeof(their_text), &theirs);
        same = strcmp(our_text, their_text) == 0 && ours.insn.mnemonic == theirs.insn.mnemonic &&
               ours.insn.length == theirs.insn.length && sal_is_far(&ours) == sal_is_far(&theirs) &&
               sal_is_string_op(&ours) == sal_is_string_op(&theirs) &&
               sal_operand_count(&ours) == sal_operand_count(&theirs) &&
               strcmp(ours.mnemonic, theirs.mnemonic) == 0 &&
               (!moves_stack(&ours) || ours.insn.operand_width == theirs.insn.operand_width);
    }
    for (unsigned i = 0; same && i < sal_operand_count(&ours); i++) {
        same = same_operand(&ours.operands[i], &theirs.operands[i]);
    }
    if (!same) {
        show("it", bytes, size, our_text, their_text);
        fail();
    }
    return 1;
}

/* Every opcode, ModRM byte and pair of prefixes, with random bytes behind them. */
static void every_opcode(void **unused)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xf2, 0xf3, 0xf0, 0x64, 0x65, 0x2e, 0x67 };
    static const uint8_t rexes[] = { 0, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4f };
    int taken = 0;

    (void)unused;
    for (unsigned k = 0; k < sizeof(prefixes) * sizeof(rexes); k++) {
        uint8_t prefix = prefixes[k / sizeof(rexes)], rex = rexes[k % sizeof(rexes)];

        for (unsigned i = 0; i < 2 * 65536; i++) {
            uint8_t bytes[MAX_BYTES];
            unsigned n = 0;

            if (prefix) {
                bytes[n++] = prefix;
            }
            if (rex) {
                bytes[n++] = rex;
            }
            if (i >> 16) {
                bytes[n++] = 0x0f;
            }
            bytes[n++] = i >> 8 & 0xff;
            bytes[n++] = i & 0xff;
            while (n < MAX_BYTES) {
                bytes[n++] = (uint8_t)next_random();
            }
            taken += compare(bytes, sizeof(bytes));
        }
    }
    assert_true(taken > 1000000);
}

/* Random bytes, random lengths: also what ends too early. */
static void random_bytes(void **unused)
{
    uint8_t bytes[MAX_BYTES];
    int taken = 0;

    (void)unused;
    for (int i = 0; i < 2000000; i++) {
        for (int k = 0; k < MAX_BYTES; k++) {
            bytes[k] = (uint8_t)next_random();
        }
        taken += compare(bytes, 1 + next_random() % MAX_BYTES);
    }
    assert_true(taken > 100000);
}

/* What programs crash in must be taken, or the quick decoder is for nothing. */
static void common_ones_are_quick(void **unused)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } cases[] = {
        { "\xc7\x00\x05\x00\x00\x00", 6, "mov dword [rax], 0x5" },
        { "\x8b\x04\x25\x00\x00\x00\x00", 7, "mov eax, dword [0x0]" },
        { "\xc7\x84\x24\x90\x03\x00\x00\x01\x00\x00\xc0", 11,
          "mov dword [rsp + 0x390], -0x3fffffff" },
        { "\xcd\x29", 2, "int 0x29" },
        { "\x0f\x0b", 2, "ud2" },
        { "\xcc", 1, "int3" },
        { "\xff\x50\x18", 3, "call qword [rax + 0x18]" },
        { "\x0f\x29\x44\x24\x10", 5, "movaps xmmword [rsp + 0x10], xmm0" },
        { "\x64\x48\x8b\x04\x25\x28\x00\x00\x00", 9, "mov rax, qword fs:[0x28]" },
        { "\xf0\xff\x0f", 3, "lock dec dword [rdi]" },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sal_decoded_t d;
        char text[256];

        assert_true(sal_decode_quick(&d, (const uint8_t *)cases[i].bytes, cases[i].size));
        assert_int_equal(d.insn.length, cases[i].size);
        sal_instruction_text(text, sizeof(text), &d);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(compare((const uint8_t *)cases[i].bytes, cases[i].size), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_opcode),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(common_ones_are_quick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
