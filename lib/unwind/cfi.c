/*
 * STACK CFI: rules of a frame and their postfix expressions. 64-bit wrapping arithmetic, a bounded
 * operand stack, a bound on the text looked at. Symbol files come from outside: nothing in them may
 * cost more than the record is long. Language: docs/stackwalk.md "STACK CFI".
 */
#include "unwind/unwind_private.h"

enum {
    MAX_OPERANDS = 64,
    MAX_RULE_TEXT = 4 << 20 /* bytes of records read for one frame */
};

typedef struct {
    uint64_t v[MAX_OPERANDS];
    unsigned n;
} operands_t;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Next blank-separated token of *text; false at the end. */
static bool next_token(sal_str_t *text, sal_str_t *token)
{
    while (text->len && is_blank(*text->s)) {
        text->s++;
        text->len--;
    }
    token->s = text->s;
    while (text->len && !is_blank(*text->s)) {
        text->s++;
        text->len--;
    }
    token->len = (uint32_t)(text->s - token->s);
    return token->len > 0;
}

static bool is(sal_str_t t, const char *word)
{
    return strlen(word) == t.len && memcmp(t.s, word, t.len) == 0;
}

static bool push(operands_t *o, uint64_t v)
{
    if (o->n == MAX_OPERANDS) {
        return false;
    }
    o->v[o->n++] = v;
    return true;
}

/* Signed decimal, whole token, within int64. */
static bool number(sal_str_t t, uint64_t *v)
{
    bool minus = t.s[0] == '-';
    uint32_t i = minus || t.s[0] == '+';
    uint64_t limit = minus ? UINT64_C(1) << 63 : INT64_MAX, n = 0;

    if (i == t.len) {
        return false;
    }
    for (; i < t.len; i++) {
        unsigned digit = (unsigned)(t.s[i] - '0');

        if (digit > 9 || n > (limit - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *v = minus ? 0 - n : n;
    return true;
}

static bool binary(operands_t *o, char op)
{
    uint64_t lhs, rhs;

    if (o->n < 2) {
        return false;
    }
    rhs = o->v[--o->n];
    lhs = o->v[--o->n];
    switch (op) {
    case '+':
        return push(o, lhs + rhs);
    case '-':
        return push(o, lhs - rhs);
    case '*':
        return push(o, lhs * rhs);
    case '/':
        return rhs && push(o, lhs / rhs);
    case '%':
        return rhs && push(o, lhs % rhs);
    default: /* '@': align down, only to a power of two */
        return rhs && !(rhs & (rhs - 1)) && push(o, lhs & ~(rhs - 1));
    }
}

static bool dereference(operands_t *o, const sal_stack_t *stack)
{
    uint64_t v;

    return o->n && sal_stack_load(stack, o->v[--o->n], &v) && push(o, v);
}

static bool push_register(operands_t *o, const char *name, uint32_t len, const sal_cfi_env_t *env)
{
    int i = sal_reg_index(env->cpu, name, len);
    uint64_t v;

    if (i < 0 || env->unreadable >> i & 1) {
        return false;
    }
    return sal_reg_get(env->callee, i, &v) && push(o, v);
}

static bool operand(operands_t *o, sal_str_t t, const sal_cfi_env_t *env)
{
    const char *dollar = memchr(t.s, '$', t.len);
    uint64_t v;

    if (is(t, ".cfa")) {
        return env->has_cfa && push(o, env->cfa);
    }
    if (is(t, ".undef")) {
        return false;
    }
    if (dollar) {
        return push_register(o, dollar + 1, (uint32_t)(t.s + t.len - dollar - 1), env);
    }
    return number(t, &v) ? push(o, v) : push_register(o, t.s, t.len, env);
}

bool sal_cfi_eval(uint64_t *out, sal_str_t expr, const sal_cfi_env_t *env)
{
    operands_t o = { .n = 0 };
    sal_str_t t;

    while (next_token(&expr, &t)) {
        bool ok;

        if (t.len == 1 && strchr("+-*/%@", t.s[0])) {
            ok = binary(&o, t.s[0]);
        } else if (t.len == 1 && t.s[0] == '^') {
            ok = dereference(&o, env->stack);
        } else {
            ok = operand(&o, t, env);
        }
        if (!ok) {
            return false;
        }
    }
    if (o.n != 1) {
        return false;
    }
    *out = o.v[0];
    return true;
}

/* Files the expression under its register; rules for registers we do not know are dropped. */
static void file_rule(sal_cfi_rules_t *rules, sal_str_t name, sal_str_t expr,
                      const sal_cpu_desc_t *cpu)
{
    int i;

    if (is(name, ".cfa")) {
        rules->cfa = expr;
        return;
    }
    if (is(name, ".ra")) {
        rules->ra = expr;
        return;
    }
    if (name.len && name.s[0] == '$') {
        name.s++;
        name.len--;
    }
    i = sal_reg_index(cpu, name.s, name.len);
    if (i >= 0 && i < SAL_MAX_REGS) {
        uint64_t bit = UINT64_C(1) << i;

        rules->reg[i] = expr;
        rules->has |= bit;
        rules->alias = is(name, cpu->reg_names[i]) ? rules->alias & ~bit : rules->alias | bit;
    }
}

bool sal_cfi_rules_add(sal_cfi_rules_t *rules, sal_str_t text, const sal_cpu_desc_t *cpu)
{
    sal_str_t t, name = { NULL, 0 }, expr = { NULL, 0 };

    while (next_token(&text, &t)) {
        if (t.len > 1 && t.s[t.len - 1] == ':') {
            if (name.s && !expr.len) {
                return false;
            }
            if (name.s) {
                file_rule(rules, name, expr, cpu);
            }
            name = (sal_str_t){ t.s, t.len - 1 };
            expr.len = 0;
        } else if (!name.s) {
            return false;
        } else {
            if (!expr.len) {
                expr.s = t.s;
            }
            expr.len = (uint32_t)(t.s + t.len - expr.s);
        }
    }
    if (!name.s || !expr.len) {
        return false;
    }
    file_rule(rules, name, expr, cpu);
    return true;
}

static bool fits(const sal_cfi_env_t *env, uint64_t v)
{
    return env->cpu->pointer_size == 8 || v <= UINT32_MAX;
}

bool sal_cfi_apply(sal_regs_t *caller, const sal_cfi_rules_t *rules, sal_cfi_env_t *env,
                   uint64_t saved)
{
    uint64_t ra, v;

    if (!rules->cfa.len || !rules->ra.len) {
        return false;
    }
    env->has_cfa = false;
    if (!sal_cfi_eval(&env->cfa, rules->cfa, env) || !fits(env, env->cfa)) {
        return false;
    }
    env->has_cfa = true;
    if (!sal_cfi_eval(&ra, rules->ra, env) || !fits(env, ra)) {
        return false;
    }
    memset(caller, 0, sizeof(*caller));
    caller->cpu = env->cpu->cpu;
    for (int i = 0; i < env->cpu->n_regs && i < SAL_MAX_REGS; i++) {
        if (saved >> i & 1 && sal_reg_get(env->callee, i, &v)) {
            sal_reg_set(caller, i, v);
        }
    }
    sal_reg_set(caller, env->cpu->sp, env->cfa);
    sal_reg_set(caller, env->cpu->pc, ra);
    for (int i = 0; i < env->cpu->n_regs && i < SAL_MAX_REGS; i++) {
        if (!(rules->has >> i & 1)) {
            continue;
        }
        if (!sal_cfi_eval(&v, rules->reg[i], env)) {
            /* A rule under an alias does not reach the value kept under the own name. */
            if (!(rules->alias >> i & 1)) {
                sal_reg_clear(caller, i);
            }
        } else if (fits(env, v)) {
            sal_reg_set(caller, i, v);
        }
    }
    return true;
}

bool sal_walk_cfi(const sal_walk_t *w, sal_regs_t *caller, uint64_t saved, uint64_t guess)
{
    const sal_frame_t *callee = sal_walk_callee(w);
    const sal_symcache_t *symbols = sal_walk_symbols(w, callee->module);
    sal_cfi_env_t env = { .cpu = w->cpu, .callee = &callee->regs, .stack = &w->stack };
    sal_cfi_rules_t rules = { .has = 0 };
    uint64_t offset, text, sp;
    sal_cfi_t cfi;

    if (!symbols || !sal_reg_get(&callee->regs, w->cpu->sp, &sp)) {
        return false;
    }
    offset = callee->instruction - callee->module->base;
    if (!sal_symcache_cfi(symbols, offset, &cfi) || !sal_walk_charge(w, cfi.init.len) ||
        !sal_cfi_rules_add(&rules, cfi.init, w->cpu)) {
        return false;
    }
    text = cfi.init.len;
    for (uint32_t i = 0; i < cfi.n_deltas; i++) {
        sal_str_t delta = sal_symcache_cfi_delta(symbols, &cfi, i);

        text += delta.len + 1;
        if (text > MAX_RULE_TEXT || !sal_walk_charge(w, delta.len + 1) ||
            !sal_cfi_rules_add(&rules, delta, w->cpu)) {
            return false;
        }
    }
    env.unreadable = cfi.start == offset ? 0 : guess;
    return sal_cfi_apply(caller, &rules, &env, saved);
}
