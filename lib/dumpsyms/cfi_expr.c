/*
 * DWARF expressions of call frames in the postfix language of STACK CFI, as far as that can say
 * them: it knows + - * / % @ and ^, numbers and registers, but neither comparisons nor jumps.
 *
 * This is enough for what occurs: saved registers behind a signal frame, realigned stacks, and the
 * CFA of procedure linkage tables, whose comparison becomes a division since its left side is
 * bounded. Text is built from subexpressions on a small stack; what does not fit is not said.
 */
#include "dumpsyms/cfi_private.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>

enum { MAX_ITEMS = 8, MAX_OPS = 64 };

typedef struct item_t {
    char text[CFI_TEXT];
    bool constant;
    int64_t value; /* of a constant */
    uint64_t most; /* the value is at most this, as an unsigned number */
} item_t;

typedef struct expr_t {
    const cfi_cpu_t *cpu;
    cfi_in_t in;
    item_t item[MAX_ITEMS];
    int n;
} expr_t;

static item_t *push(expr_t *e)
{
    item_t *top;

    if (e->n == MAX_ITEMS) {
        return NULL;
    }
    top = &e->item[e->n++];
    *top = (item_t){ .most = UINT64_MAX };
    return top;
}

static bool push_constant(expr_t *e, int64_t value)
{
    item_t *top = push(e);

    if (!top) {
        return false;
    }
    snprintf(top->text, sizeof(top->text), "%lld", (long long)value);
    top->constant = true;
    top->value = value;
    top->most = (uint64_t)value;
    return true;
}

static bool push_register(expr_t *e, uint64_t reg)
{
    int column = cfi_column(e->cpu, reg);
    item_t *top = push(e);
    int64_t offset;

    if (!top || column == CFI_NONE || !cfi_sleb(&e->in, &offset)) {
        return false;
    }
    if (offset) {
        snprintf(top->text, sizeof(top->text), "%s %lld +", e->cpu->names[column],
                 (long long)offset);
    } else {
        snprintf(top->text, sizeof(top->text), "%s", e->cpu->names[column]);
    }
    return true;
}

/* The top becomes "top TAIL". */
static bool append(item_t *top, const char *tail)
{
    size_t n = strlen(top->text);

    top->constant = false;
    top->most = UINT64_MAX;
    return (size_t)snprintf(top->text + n, sizeof(top->text) - n, " %s", tail) <
           sizeof(top->text) - n;
}

static bool append_number(item_t *top, uint64_t number, const char *operator)
{
    char tail[40];

    snprintf(tail, sizeof(tail), "%lld %s", (long long)number, operator);
    return append(top, tail);
}

static bool power_of_two(uint64_t n)
{
    return n && !(n & (n - 1)) && n <= INT64_MAX;
}

/* a AND b: a remainder, or rounding down. */
static bool say_and(item_t *a, const item_t *b)
{
    uint64_t mask = (uint64_t)b->value;

    if (!b->constant) {
        return false;
    }
    if (power_of_two(mask + 1)) {
        bool ok = append_number(a, mask + 1, "%");

        a->most = mask;
        return ok;
    }
    return power_of_two(~mask + 1) && append_number(a, ~mask + 1, "@");
}

static bool say_shift(item_t *a, const item_t *b, const char *operator)
{
    return b->constant && b->value >= 0 && b->value < 63 &&
           append_number(a, UINT64_C(1) << b->value, operator);
}

/* a >= b, where a is below 2b: a / b is 0 or 1. */
static bool say_ge(item_t *a, const item_t *b)
{
    bool ok = b->constant && b->value > 0 && b->value < INT64_MAX / 2 &&
              a->most < 2 * (uint64_t)b->value && append_number(a, (uint64_t)b->value, "/");

    a->most = 1;
    return ok;
}

static bool binary(expr_t *e, uint64_t op)
{
    item_t *a, *b;
    char tail[CFI_TEXT + 4];

    if (e->n < 2) {
        return false;
    }
    b = &e->item[--e->n];
    a = b - 1;
    switch (op) {
    case DW_OP_and:
        return say_and(a, b);
    case DW_OP_shl:
        return say_shift(a, b, "*");
    case DW_OP_shr:
        return say_shift(a, b, "/");
    case DW_OP_ge:
        return say_ge(a, b);
    default:
        snprintf(tail, sizeof(tail), "%s %c", b->text,
                 op == DW_OP_plus    ? '+'
                 : op == DW_OP_minus ? '-'
                                     : '*');
        return append(a, tail);
    }
}

static bool shuffle(expr_t *e, uint64_t op)
{
    item_t swapped, *top;
    int from = op == DW_OP_dup ? 1 : 2;

    if (op == DW_OP_drop) {
        return e->n-- > 0;
    }
    if (e->n < from) {
        return false;
    }
    if (op == DW_OP_swap) {
        swapped = e->item[e->n - 1];
        e->item[e->n - 1] = e->item[e->n - 2];
        e->item[e->n - 2] = swapped;
        return true;
    }
    if (!(top = push(e))) {
        return false;
    }
    *top = e->item[e->n - 1 - from];
    return true;
}

/* DW_OP_const1u to DW_OP_consts, in that order: sizes 1 2 4 8, unsigned and signed, and LEBs. */
static bool constant(expr_t *e, uint64_t op)
{
    unsigned size = 1U << ((op - DW_OP_const1u) / 2);
    int64_t s;
    uint64_t u;

    if (op == DW_OP_constu) {
        return cfi_uleb(&e->in, &u) && push_constant(e, (int64_t)u);
    }
    if (op == DW_OP_consts) {
        return cfi_sleb(&e->in, &s) && push_constant(e, s);
    }
    if (!cfi_u(&e->in, size, &u)) {
        return false;
    }
    if (((op - DW_OP_const1u) & 1) && size < 8 && (u >> (8 * size - 1))) {
        u |= ~UINT64_C(0) << (8 * size);
    }
    return push_constant(e, (int64_t)u);
}

static bool operation(expr_t *e, uint64_t op)
{
    uint64_t n;

    if (op >= DW_OP_lit0 && op <= DW_OP_lit31) {
        return push_constant(e, (int64_t)(op - DW_OP_lit0));
    }
    if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
        return push_register(e, op - DW_OP_breg0);
    }
    if (op >= DW_OP_const1u && op <= DW_OP_consts) {
        return constant(e, op);
    }
    switch (op) {
    case DW_OP_bregx:
        return cfi_uleb(&e->in, &n) && push_register(e, n);
    case DW_OP_deref:
        return e->n && append(&e->item[e->n - 1], "^");
    case DW_OP_plus_uconst:
        return cfi_uleb(&e->in, &n) && e->n && append_number(&e->item[e->n - 1], n, "+");
    case DW_OP_plus:
    case DW_OP_minus:
    case DW_OP_mul:
    case DW_OP_and:
    case DW_OP_shl:
    case DW_OP_shr:
    case DW_OP_ge:
        return binary(e, op);
    case DW_OP_dup:
    case DW_OP_over:
    case DW_OP_swap:
    case DW_OP_drop:
        return shuffle(e, op);
    case DW_OP_nop:
        return true;
    default:
        return false;
    }
}

bool cfi_postfix(char out[CFI_TEXT], const cfi_cpu_t *cpu, sal_span_t bytes, uint64_t offset,
                 bool with_cfa)
{
    expr_t e = { .cpu = cpu, .in = { bytes, offset, bytes.size } };
    uint64_t size, op;

    if (!cfi_uleb(&e.in, &size) || size > e.in.end - e.in.at) {
        return false;
    }
    e.in.end = e.in.at + size;
    if (with_cfa) {
        memcpy(push(&e)->text, ".cfa", sizeof(".cfa"));
    }
    for (int ops = 0; e.in.at < e.in.end; ops++) {
        if (ops == MAX_OPS || !cfi_u(&e.in, 1, &op) || !operation(&e, op)) {
            return false;
        }
    }
    if (!e.n) {
        return false;
    }
    memcpy(out, e.item[e.n - 1].text, CFI_TEXT);
    return true;
}
