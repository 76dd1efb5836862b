/*
 * The crash_info object: why, where, by what instruction.
 */
#include "analysis/crash.h"

#include <apr_strings.h>

/* The thread an exception belongs to. */
static const sal_md_thread_t *thread_of(const sal_minidump_t *md, uint32_t id)
{
    const sal_md_thread_t *found = NULL;

    for (size_t i = 0; i < md->n_threads; i++) {
        if (md->threads[i].id == id) {
            found = &md->threads[i];
        }
    }
    return found;
}

/* Null pointers with an offset, and addresses that a protection fault keeps to itself. */
static void adjust_address(sal_crash_t *c)
{
    const sal_instruction_t *insn = &c->insn;
    sal_access_t candidates[SAL_MAX_ACCESSES + 1];
    unsigned n = insn->n_accesses;

    if (!insn->known || !insn->has_accesses) {
        return;
    }
    memcpy(candidates, insn->accesses, n * sizeof(candidates[0]));
    if (insn->ip_update == SAL_IP_JUMPS) {
        candidates[n++] = (sal_access_t){ .address = insn->ip_target, .null_base = insn->ip_null };
    }
    for (unsigned i = 0; i < n; i++) {
        if (candidates[i].null_base) {
            c->adjusted = SAL_ADJUSTED_NULL;
            c->adjusted_address = candidates[i].address;
            return;
        }
    }
    for (unsigned i = 0; c->gpf && i < n; i++) {
        if (sal_non_canonical(candidates[i].address)) {
            c->adjusted = SAL_ADJUSTED_NON_CANONICAL;
            c->adjusted_address = candidates[i].address;
            return;
        }
    }
}

static void study(sal_crash_t *c, const sal_analysis_t *r)
{
    const sal_minidump_t *md = r->md;

    memset(c, 0, sizeof(*c));
    c->md = md;
    c->exception = &md->exception;
    c->address = sal_reason_address(c->exception, md->system.os, r->pointer_size);
    c->fault = sal_reason_fault(c->exception, md->system.os, md->system.cpu);
    c->gpf = sal_reason_is_gpf(c->exception, md->system.os, md->system.cpu);
    c->has_context =
        c->exception->context.size &&
        sal_context_read(&c->context, &c->exception->context, md->system.cpu, NULL) == APR_SUCCESS;
    if (c->has_context) {
        sal_instruction_analyze(&c->insn, md, thread_of(md, c->exception->thread_id), &c->context);
        adjust_address(c);
    }
    sal_crash_guard_pages(c);
}

static json_t *adjusted_json(const sal_crash_t *c, const sal_analysis_t *r)
{
    switch (c->adjusted) {
    case SAL_ADJUSTED_NULL:
        return json_pack("{s:s,s:o}", "kind", "null-pointer", "offset",
                         sal_analysis_hex(r, c->adjusted_address));
    case SAL_ADJUSTED_NON_CANONICAL:
        return json_pack("{s:s,s:o}", "kind", "non-canonical", "address",
                         sal_analysis_hex(r, c->adjusted_address));
    default:
        return json_null();
    }
}

static json_t *accesses_json(const sal_crash_t *c, const sal_analysis_t *r)
{
    static const char *const types[] = { NULL, "read", "write", "readwrite" };
    json_t *out;

    if (!c->insn.known || !c->insn.has_accesses) {
        return json_null();
    }
    out = json_array();
    for (unsigned i = 0; i < c->insn.n_accesses; i++) {
        const sal_access_t *a = &c->insn.accesses[i];
        json_t *one = json_pack("{s:o,s:o}", "address", sal_analysis_hex(r, a->address), "size",
                                a->size ? json_integer(a->size) : json_null());

        if (a->guard_page) {
            json_object_set_new(one, "is_likely_guard_page", json_true());
        }
        if (types[a->type]) {
            json_object_set_new(one, "access_type", json_string(types[a->type]));
        }
        json_array_append_new(out, one);
    }
    return out;
}

static json_t *assertion_json(const sal_analysis_t *r)
{
    const sal_md_assertion_t *a = &r->md->assertion;
    const char *text;

    if (!a->present) {
        return json_null();
    }
    text = a->type == 1   ? "Invalid parameter passed to library function"
           : a->type == 2 ? "Pure virtual function called"
                          : apr_psprintf(r->pool, "Unknown assertion type 0x%08x", a->type);
    if (a->expression && *a->expression) {
        text = apr_pstrcat(r->pool, text, " ", a->expression, NULL);
    }
    if (a->function && *a->function) {
        text = apr_pstrcat(r->pool, text, " in function ", a->function, NULL);
    }
    if (a->file && *a->file) {
        text = apr_pstrcat(r->pool, text, ", in file ", a->file, NULL);
    }
    if (a->line) {
        text = apr_psprintf(r->pool, "%s at line %u", text, a->line);
    }
    return sal_analysis_text(r, text);
}

static json_t *no_crash(const sal_analysis_t *r, json_t *thread)
{
    return json_pack("{s:n,s:n,s:n,s:o,s:n,s:o,s:n,s:n,s:n,s:n}", "type", "address",
                     "adjusted_address", "assertion", assertion_json(r), "crash_inconsistencies",
                     "crashing_thread", thread, "instruction", "instruction_pointer_update",
                     "memory_accesses", "possible_bit_flips");
}

json_t *sal_analysis_crash_info(const sal_analysis_t *r)
{
    json_t *thread = r->requesting >= 0 ? json_integer(r->requesting) : json_null();
    const sal_instruction_t *insn;
    json_t *update, *out;
    sal_crash_t c;

    if (!r->md->exception.present) {
        return no_crash(r, thread);
    }
    study(&c, r);
    insn = &c.insn;
    update = insn->known && insn->ip_update == SAL_IP_JUMPS
                 ? json_pack("{s:o}", "address", sal_analysis_hex(r, insn->ip_target))
                 : json_null();
    out = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "type",
                    sal_analysis_text(r, sal_reason_text(c.exception, r->md->system.os,
                                                         r->md->system.cpu, r->pool)),
                    "address", sal_analysis_hex(r, c.address), "adjusted_address",
                    adjusted_json(&c, r), "assertion", assertion_json(r), "crash_inconsistencies",
                    sal_crash_inconsistencies(&c), "crashing_thread", thread, "instruction",
                    insn->known ? json_string(insn->text) : json_null(),
                    "instruction_pointer_update", update, "memory_accesses", accesses_json(&c, r),
                    "possible_bit_flips", sal_crash_bit_flips(&c, r));
    if (r->opts->details && insn->known && insn->ip_update == SAL_IP_UNKNOWN) {
        json_object_set_new(out, "jump_is_unknown", json_true());
    }
    return out;
}
