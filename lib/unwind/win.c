/*
 * STACK WIN (x86): frame data programs and FPO records. 32-bit wrapping arithmetic, at most
 * MAX_VARS names and MAX_OPERANDS operands. Language: docs/stackwalk.md "STACK WIN".
 */
#include "unwind/unwind_private.h"

enum { EIP, ESP, EBP, EBX, ESI, EDI };
enum { MAX_OPERANDS = 64, MAX_VARS = 64, WORD = 4 };

static const uint64_t forwarded = 1u << EBP | 1u << EBX | 1u << ESI | 1u << EDI;

typedef struct {
    sal_str_t name;
    uint32_t value;
    bool set;
} var_t;

typedef struct {
    sal_str_t name; /* s NULL: a plain number */
    uint32_t value;
} operand_t;

typedef struct {
    var_t vars[MAX_VARS];
    unsigned n_vars;
    operand_t stack[MAX_OPERANDS];
    unsigned n;
    const sal_stack_t *memory;
} machine_t;

static sal_str_t str(const char *s)
{
    return (sal_str_t){ s, (uint32_t)strlen(s) };
}

static bool same(sal_str_t a, sal_str_t b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static var_t *find(machine_t *m, sal_str_t name)
{
    for (unsigned i = 0; i < m->n_vars; i++) {
        if (same(m->vars[i].name, name)) {
            return &m->vars[i];
        }
    }
    return NULL;
}

static bool set(machine_t *m, sal_str_t name, uint32_t value)
{
    var_t *v = find(m, name);

    if (!v) {
        if (m->n_vars == MAX_VARS) {
            return false;
        }
        v = &m->vars[m->n_vars++];
        v->name = name;
    }
    v->value = value;
    v->set = true;
    return true;
}

static bool get(machine_t *m, const char *name, uint32_t *value)
{
    var_t *v = find(m, str(name));

    if (!v || !v->set) {
        return false;
    }
    *value = v->value;
    return true;
}

static bool pop_value(machine_t *m, uint32_t *value)
{
    operand_t *o;
    var_t *v;

    if (!m->n) {
        return false;
    }
    o = &m->stack[--m->n];
    if (!o->name.s) {
        *value = o->value;
        return true;
    }
    v = find(m, o->name);
    if (!v || !v->set) {
        return false;
    }
    *value = v->value;
    return true;
}

static bool push_value(machine_t *m, uint32_t value)
{
    if (m->n == MAX_OPERANDS) {
        return false;
    }
    m->stack[m->n++] = (operand_t){ { NULL, 0 }, value };
    return true;
}

static bool push_name(machine_t *m, sal_str_t name)
{
    if (m->n == MAX_OPERANDS) {
        return false;
    }
    m->stack[m->n++] = (operand_t){ name, 0 };
    return true;
}

static bool assign(machine_t *m)
{
    sal_str_t name;
    uint32_t value;
    var_t *v;

    if (m->n < 2 || !m->stack[m->n - 2].name.s) {
        return false;
    }
    name = m->stack[m->n - 2].name;
    if (m->stack[m->n - 1].name.s && same(m->stack[m->n - 1].name, str(".undef"))) {
        m->n -= 2;
        v = find(m, name);
        if (v) {
            v->set = false;
        }
        return true;
    }
    if (!pop_value(m, &value)) {
        return false;
    }
    m->n--;
    return set(m, name, value);
}

static bool binary(machine_t *m, char op)
{
    uint32_t rhs, lhs;

    if (!pop_value(m, &rhs) || !pop_value(m, &lhs)) {
        return false;
    }
    switch (op) {
    case '+':
        return push_value(m, lhs + rhs);
    case '-':
        return push_value(m, lhs - rhs);
    case '*':
        return push_value(m, lhs * rhs);
    case '/':
        return rhs && push_value(m, lhs / rhs);
    case '%':
        return rhs && push_value(m, lhs % rhs);
    default: /* '@' */
        return rhs && !(rhs & (rhs - 1)) && push_value(m, lhs & ~(rhs - 1));
    }
}

static bool dereference(machine_t *m)
{
    uint32_t address;
    uint64_t v;

    return pop_value(m, &address) && sal_stack_load(m->memory, address, &v) &&
           push_value(m, (uint32_t)v);
}

static bool constant(sal_str_t t, uint32_t *out)
{
    bool minus = t.s[0] == '-';
    uint32_t i = minus || t.s[0] == '+';
    uint64_t n = 0, limit = minus ? UINT64_C(1) << 31 : INT32_MAX;

    if (i == t.len) {
        return false;
    }
    for (; i < t.len; i++) {
        unsigned digit = (unsigned)(t.s[i] - '0');

        if (digit > 9 || (n = n * 10 + digit) > limit) {
            return false;
        }
    }
    *out = minus ? (uint32_t)(0 - n) : (uint32_t)n;
    return true;
}

static bool run_token(machine_t *m, sal_str_t t)
{
    uint32_t value;

    if (t.len == 1) {
        if (strchr("+-*/%@", t.s[0])) {
            return binary(m, t.s[0]);
        }
        if (t.s[0] == '^') {
            return dereference(m);
        }
        if (t.s[0] == '=') {
            return assign(m);
        }
    }
    if (t.s[0] == '=') { /* "=$eip": some compilers leave the blank out */
        return assign(m) && run_token(m, (sal_str_t){ t.s + 1, t.len - 1 });
    }
    if (t.s[0] == '$' || t.s[0] == '.') {
        return push_name(m, t);
    }
    return constant(t, &value) && push_value(m, value);
}

static bool run(machine_t *m, sal_str_t program)
{
    const char *s = program.s, *end = program.s + program.len;

    while (s < end) {
        const char *start;
        sal_str_t t;

        while (s < end && (*s == ' ' || *s == '\t' || *s == '\r')) {
            s++;
        }
        start = s;
        while (s < end && *s != ' ' && *s != '\t' && *s != '\r') {
            s++;
        }
        t = (sal_str_t){ start, (uint32_t)(s - start) };
        /* "==": a token of '=' alone may recurse once per character, so it is refused. */
        if (t.len > 1 && t.s[0] == '=' && t.s[1] == '=') {
            return false;
        }
        if (t.len && !run_token(m, t)) {
            return false;
        }
    }
    return true;
}

static bool frame_size(const sal_win_t *win, uint32_t grand_params, uint32_t *out)
{
    return !__builtin_add_overflow(win->locals, win->saved, out) &&
           !__builtin_add_overflow(*out, grand_params, out);
}

static bool set_start(machine_t *m, const sal_win_t *win, const sal_regs_t *callee,
                      uint32_t grand_params)
{
    uint64_t esp, ebp, ebx;
    uint32_t size, search;

    if (!sal_reg_get(callee, ESP, &esp) || !sal_reg_get(callee, EBP, &ebp) ||
        !frame_size(win, grand_params, &size)) {
        return false;
    }
    if (memchr(win->program.s, '@', win->program.len)) {
        search = (uint32_t)ebp + WORD;
    } else if (__builtin_add_overflow((uint32_t)esp, size, &search)) {
        return false;
    }
    if (sal_reg_get(callee, EBX, &ebx)) {
        set(m, str("$ebx"), (uint32_t)ebx);
    }
    return set(m, str("$esp"), (uint32_t)esp) && set(m, str("$ebp"), (uint32_t)ebp) &&
           set(m, str(".cbParams"), win->params) && set(m, str(".cbCalleeParams"), grand_params) &&
           set(m, str(".cbSavedRegs"), win->saved) && set(m, str(".cbLocals"), win->locals) &&
           set(m, str(".raSearch"), search) && set(m, str(".raSearchStart"), search);
}

/* Registers that a callee preserves keep their value until the record says otherwise. */
static void forward(sal_regs_t *caller, const sal_regs_t *callee)
{
    uint64_t v;

    memset(caller, 0, sizeof(*caller));
    caller->cpu = callee->cpu;
    for (int i = EIP; i <= EDI; i++) {
        if (forwarded >> i & 1 && sal_reg_get(callee, i, &v)) {
            sal_reg_set(caller, i, v);
        }
    }
}

bool sal_win_program(sal_regs_t *caller, const sal_win_t *win, const sal_regs_t *callee,
                     const sal_stack_t *stack, uint32_t grand_params)
{
    static const struct {
        const char *name;
        int reg;
    } results[] = { { "$eip", EIP }, { "$esp", ESP }, { "$ebp", EBP },
                    { "$ebx", EBX }, { "$esi", ESI }, { "$edi", EDI } };
    machine_t m = { .memory = stack };
    uint32_t value;
    uint64_t eip = 0;

    if (!win->program.len || !set_start(&m, win, callee, grand_params) || !run(&m, win->program)) {
        return false;
    }
    if (!get(&m, "$esp", &value)) {
        return false;
    }
    forward(caller, callee);
    sal_reg_get(callee, EIP, &eip);
    caller->value[EIP] = eip; /* not valid unless assigned, but where the walk goes on */
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        if (get(&m, results[i].name, &value)) {
            sal_reg_set(caller, results[i].reg, value);
        }
    }
    return true;
}

bool sal_win_fpo(sal_regs_t *caller, const sal_win_t *win, const sal_regs_t *callee,
                 const sal_stack_t *stack, uint32_t grand_params, bool has_grand_callee)
{
    uint64_t esp, ebp, eip, old_eip;
    uint32_t size, slot;

    if (!sal_reg_get(callee, ESP, &esp) || !sal_reg_get(callee, EIP, &old_eip) ||
        !frame_size(win, grand_params, &size) ||
        __builtin_add_overflow((uint32_t)esp, size, &slot) || !sal_stack_load(stack, slot, &eip)) {
        return false;
    }
    if (!has_grand_callee && eip == old_eip) {
        /* A return address left over from a call that has returned already. */
        if (__builtin_add_overflow(slot, WORD, &slot) || !sal_stack_load(stack, slot, &eip)) {
            return false;
        }
    }
    if (win->allocates_base_pointer) {
        uint64_t at = esp + grand_params + win->saved;

        if (at < 8 || !sal_stack_load(stack, at - 8, &ebp)) {
            return false;
        }
    } else if (!sal_reg_get(callee, EBP, &ebp)) {
        return false;
    }
    if (slot > UINT32_MAX - WORD) {
        return false;
    }
    forward(caller, callee);
    sal_reg_set(caller, EIP, eip);
    sal_reg_set(caller, ESP, slot + WORD);
    sal_reg_set(caller, EBP, ebp);
    return true;
}

/* Bytes of parameters the callee's own callee left on the stack: it pops them itself. */
static uint32_t grand_callee_params(const sal_walk_t *w)
{
    const sal_frame_t *grand;
    const sal_symcache_t *symbols;
    sal_sym_hit_t hit;
    sal_win_t win;
    uint64_t offset;

    if (w->n < 2) {
        return 0;
    }
    grand = &w->frames[w->n - 2];
    symbols = sal_walk_symbols(w, grand->module);
    if (!symbols) {
        return 0;
    }
    offset = grand->instruction - grand->module->base;
    if (!sal_symcache_lookup(symbols, offset, &hit, NULL, 0) || !hit.outer.function.len) {
        return 0;
    }
    if (!hit.is_public && (sal_symcache_win(symbols, offset, false, &win) ||
                           sal_symcache_win(symbols, offset, true, &win))) {
        return win.params;
    }
    return hit.parameter_size;
}

bool sal_walk_win(const sal_walk_t *w, sal_regs_t *caller)
{
    const sal_frame_t *callee = sal_walk_callee(w);
    const sal_symcache_t *symbols = sal_walk_symbols(w, callee->module);
    uint64_t offset;
    sal_win_t win;

    if (!symbols) {
        return false;
    }
    offset = callee->instruction - callee->module->base;
    /* A frame data record that fails does not give way to FPO, only to CFI. */
    if (sal_symcache_win(symbols, offset, false, &win)) {
        /* Names are looked for one by one: a program costs more than rules of its length. */
        return sal_walk_charge(w, 4 * (uint64_t)win.program.len) &&
               sal_win_program(caller, &win, &callee->regs, &w->stack, grand_callee_params(w));
    }
    if (sal_symcache_win(symbols, offset, true, &win)) {
        return sal_win_fpo(caller, &win, &callee->regs, &w->stack, grand_callee_params(w),
                           w->n > 1);
    }
    return false;
}
