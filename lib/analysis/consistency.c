/*
 * Guard pages, and crashes whose reason and instruction contradict each other: signs of broken
 * hardware or of a record that hides the truth. Rules: docs/stackwalk.md "Inconsistencies".
 */
#include "analysis/crash.h"

enum { GUARD_MAX = 32768 };

bool sal_crash_may(sal_fault_t fault, const sal_md_region_t *region)
{
    switch (fault) {
    case SAL_FAULT_READ:
        return region->read;
    case SAL_FAULT_WRITE:
        return region->write;
    case SAL_FAULT_EXEC:
        return region->exec;
    default:
        return true;
    }
}

static bool has_rights(const sal_md_region_t *region)
{
    return region->read || region->write || region->exec;
}

static bool is_guard_page(const sal_minidump_t *md, uint64_t address)
{
    const sal_md_region_t *region = sal_minidump_region_at(md, address);
    size_t i;

    if (!region || has_rights(region) || region->size - 1 >= GUARD_MAX) {
        return false;
    }
    i = (size_t)(region - md->regions);
    if (i > 0 && md->regions[i - 1].base + md->regions[i - 1].size == region->base &&
        has_rights(&md->regions[i - 1])) {
        return true;
    }
    return i + 1 < md->n_regions && region->base + region->size == md->regions[i + 1].base &&
           has_rights(&md->regions[i + 1]);
}

void sal_crash_guard_pages(sal_crash_t *c)
{
    for (unsigned i = 0; i < c->insn.n_accesses; i++) {
        c->insn.accesses[i].guard_page = is_guard_page(c->md, c->insn.accesses[i].address);
    }
}

/* Is there an access of that type which covers the crash address? */
static bool covers(const sal_crash_t *c, sal_access_type_t type)
{
    for (unsigned i = 0; i < c->insn.n_accesses; i++) {
        const sal_access_t *a = &c->insn.accesses[i];

        if ((a->type == type || a->type == SAL_ACCESS_READWRITE) && a->size &&
            c->address >= a->address && c->address - a->address < a->size) {
            return true;
        }
    }
    return false;
}

/* The instruction is known well enough to say that it did not make the access it died of. */
static bool access_is_missing(const sal_crash_t *c)
{
    if (!c->insn.known || !c->insn.has_accesses) {
        return false;
    }
    switch (c->fault) {
    case SAL_FAULT_READ:
        return c->insn.derivable && !covers(c, SAL_ACCESS_READ);
    case SAL_FAULT_WRITE:
        return c->insn.derivable && !covers(c, SAL_ACCESS_WRITE);
    case SAL_FAULT_EXEC: {
        int pc = sal_cpu_desc(c->context.cpu)->pc;

        return pc >= 0 && c->context.value[pc] != c->address;
    }
    case SAL_FAULT_STACK_OVERFLOW:
        return c->insn.derivable && c->insn.n_accesses == 0;
    default:
        return false;
    }
}

static bool access_is_allowed(const sal_crash_t *c)
{
    const sal_md_region_t *region = sal_minidump_region_at(c->md, c->address);

    return region && c->fault != SAL_FAULT_STACK_OVERFLOW && sal_crash_may(c->fault, region);
}

/* All that the instruction touches is canonical, and it could only have faulted otherwise. */
static bool nothing_non_canonical(const sal_crash_t *c)
{
    const sal_instruction_t *insn = &c->insn;

    if (!insn->gpf_only_non_canonical || !insn->has_accesses || insn->ip_update == SAL_IP_UNKNOWN) {
        return false;
    }
    for (unsigned i = 0; i < insn->n_accesses; i++) {
        if (sal_non_canonical(insn->accesses[i].address)) {
            return false;
        }
    }
    return insn->ip_update != SAL_IP_JUMPS || !sal_non_canonical(insn->ip_target);
}

json_t *sal_crash_inconsistencies(const sal_crash_t *c)
{
    json_t *out = json_array();

    switch (c->fault) {
    case SAL_FAULT_INT_DIVIDE:
        if (c->insn.known && !c->insn.division) {
            json_array_append_new(out, json_string("int_div_by_zero_not_possible"));
        }
        break;
    case SAL_FAULT_PRIVILEGED:
        if (c->insn.known && !c->insn.privileged) {
            json_array_append_new(out,
                                  json_string("priv_instruction_crash_without_priv_instruction"));
        }
        break;
    case SAL_FAULT_READ:
    case SAL_FAULT_WRITE:
    case SAL_FAULT_EXEC:
    case SAL_FAULT_STACK_OVERFLOW:
        if (c->fault == SAL_FAULT_READ && c->gpf && access_is_missing(c)) {
            if (nothing_non_canonical(c)) {
                json_array_append_new(out, json_string("non_canonical_address_falsely_reported"));
            }
            break;
        }
        if (access_is_missing(c)) {
            json_array_append_new(out, json_string("crashing_access_not_found_in_memory_accesses"));
        }
        if (access_is_allowed(c)) {
            json_array_append_new(out, json_string("access_violation_when_access_allowed"));
        }
        break;
    default:
        break;
    }
    return out;
}
