/*
 * Stack scanning: the last resort. A word of the stack is taken for a return address if it points
 * into a module and, where symbols are known, into a function. Shared by all CPUs; knows no
 * registers.
 */
#include "unwind/unwind_private.h"

enum { WINDOW = 40, WIDE_WINDOW = 160 };

bool sal_scan_plausible(const sal_walk_t *w, uint64_t word)
{
    const sal_md_module_t *module;
    const sal_symcache_t *symbols;
    sal_sym_hit_t hit;

    if (word <= 1) {
        return false;
    }
    module = sal_minidump_module_at(w->md, word - 1);
    if (!module) {
        return false;
    }
    symbols = sal_walk_symbols(w, module);
    if (!symbols) {
        return true;
    }
    return sal_symcache_lookup(symbols, word - 1 - module->base, &hit, NULL, 0) &&
           hit.outer.function.len;
}

static unsigned window(const sal_walk_t *w)
{
    sal_trust_t trust = sal_walk_callee(w)->trust;

    return trust == SAL_TRUST_CONTEXT || trust == SAL_TRUST_CFI ? WIDE_WINDOW : WINDOW;
}

bool sal_scan_find(sal_walk_t *w, uint64_t from, unsigned words, bool (*valid)(uint64_t pc),
                   sal_scan_hit_t *hit)
{
    uint64_t step = (uint64_t)w->stack.pointer_size;

    if (!w->scans_left) {
        return false;
    }
    for (unsigned i = 0; i < words; i++) {
        uint64_t address = from + i * step, word;

        if (address < from || !sal_stack_load(&w->stack, address, &word)) {
            return false;
        }
        if ((!valid || valid(word)) && sal_scan_plausible(w, word)) {
            *hit = (sal_scan_hit_t){ address, word, i };
            return true;
        }
    }
    return false;
}

bool sal_scan_caller(sal_walk_t *w, bool (*valid)(uint64_t pc), sal_regs_t *caller,
                     sal_scan_hit_t *hit)
{
    uint64_t word = (uint64_t)w->stack.pointer_size, sp;
    uint64_t highest = word == 4 ? UINT32_MAX : UINT64_MAX;

    if (!sal_reg_get(&sal_walk_callee(w)->regs, w->cpu->sp, &sp) ||
        !sal_scan_find(w, sp, window(w), valid, hit) || hit->address > highest - word) {
        return false;
    }
    sal_reg_set(caller, w->cpu->pc, hit->word);
    sal_reg_set(caller, w->cpu->sp, hit->address + word);
    return true;
}
