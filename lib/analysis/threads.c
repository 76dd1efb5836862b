/*
 * Threads: walked, and each frame given its module, function, file and line.
 */
#include <stdio.h>
#include "analysis/analysis_private.h"

#include "base/text.h"

/* Registers are written as wide as they are in the record: mips and sparc have 64 bits for each. */
static int register_digits(const sal_cpu_desc_t *cpu)
{
    return cpu->pointer_size == 8 || cpu->cpu == SAL_CPU_MIPS || cpu->cpu == SAL_CPU_SPARC ? 16 : 8;
}

static json_t *registers_json(const sal_regs_t *regs)
{
    const sal_cpu_desc_t *cpu = sal_cpu_desc(regs->cpu);
    json_t *out = json_object();
    char text[24];

    for (int k = 0; k < cpu->n_regs && k < SAL_MAX_REGS; k++) {
        /* arm's r12 is printed before its r11, which is called fp */
        int i = cpu->cpu == SAL_CPU_ARM && (k == 11 || k == 12) ? 23 - k : k;

        if (regs->valid >> i & 1) {
            snprintf(text, sizeof(text), "0x%0*llx", register_digits(cpu),
                     (unsigned long long)regs->value[i]);
            json_object_set_new(out, cpu->reg_names[i], json_string(text));
        }
    }
    return out;
}

static json_t *str_json(sal_analysis_t *r, sal_str_t s)
{
    return s.len ? sal_analysis_name(r, s.s, s.len) : json_null();
}

/* Line 0 of a line record says that there is none; of a call it is what the compiler wrote. */
static json_t *line_json(const sal_sym_frame_t *f, bool is_call)
{
    return f->line || is_call ? json_integer(f->line) : json_null();
}

/* A symcache gives this name to calls of a function that no INLINE_ORIGIN record names. */
static bool is_unnamed(sal_str_t name)
{
    static const char unnamed[] = "<unknown>";

    return name.len == sizeof(unnamed) - 1 && !memcmp(name.s, unnamed, name.len);
}

static json_t *inlines_json(sal_analysis_t *r, const sal_sym_frame_t *inlines, uint32_t n)
{
    json_t *out = NULL;

    for (uint32_t i = 0; i < n && r->room >= r->copies; i++) {
        if (is_unnamed(inlines[i].function)) {
            continue;
        }
        r->room -= r->copies;
        out = out ? out : json_array();
        json_array_append_new(out, json_pack("{s:o,s:o,s:o}", "file", str_json(r, inlines[i].file),
                                             "function", str_json(r, inlines[i].function), "line",
                                             line_json(&inlines[i], i > 0)));
    }
    return out ? out : json_null();
}

/* Adds what symbols say of the frame; what they do not is null. */
static void add_symbols(sal_analysis_t *r, json_t *out, const sal_frame_t *f)
{
    const sal_sym_ref_t *ref = f->module ? sal_dump_symbols_get(r->syms, f->module) : NULL;
    sal_sym_frame_t inlines[SAL_SYM_MAX_INLINES];
    sal_sym_hit_t hit;
    uint64_t offset;

    if (ref && ref->state == SAL_SYM_FOUND) {
        offset = f->instruction - f->module->base;
        if (sal_symcache_lookup(ref->cache, offset, &hit, inlines, SAL_SYM_MAX_INLINES) &&
            hit.outer.function.len) {
            uint32_t n = hit.n_inlines < SAL_SYM_MAX_INLINES ? hit.n_inlines : SAL_SYM_MAX_INLINES;

            json_object_set_new(out, "file", str_json(r, hit.outer.file));
            json_object_set_new(out, "function", str_json(r, hit.outer.function));
            json_object_set_new(out, "function_offset",
                                sal_analysis_hex(r, offset - hit.function_offset));
            json_object_set_new(out, "inlines", inlines_json(r, inlines, n));
            json_object_set_new(out, "line",
                                hit.outer.file.len ? line_json(&hit.outer, hit.n_inlines > 0)
                                                   : json_null());
            json_object_set_new(out, "missing_symbols", json_false());
            return;
        }
    }
    json_object_set_new(out, "file", json_null());
    json_object_set_new(out, "function", json_null());
    json_object_set_new(out, "function_offset", json_null());
    json_object_set_new(out, "inlines", json_null());
    json_object_set_new(out, "line", json_null());
    json_object_set_new(out, "missing_symbols", json_true());
}

/* What only the form for people shows. */
static void add_details(const sal_analysis_t *r, json_t *out, const sal_frame_t *f)
{
    const sal_sym_ref_t *ref = f->module ? sal_dump_symbols_get(r->syms, f->module) : NULL;

    json_object_set_new(out, "registers", registers_json(&f->regs));
    if (ref && ref->state == SAL_SYM_FOUND) {
        uint64_t offset = f->instruction - f->module->base;
        uint32_t base = sal_symcache_line_base(ref->cache, offset);

        if (base != UINT32_MAX && base <= offset) {
            json_object_set_new(out, "line_offset", json_integer((json_int_t)(offset - base)));
        }
    }
}

static json_t *frame_json(sal_analysis_t *r, const sal_frame_t *f, size_t index)
{
    const sal_md_module_t *m = f->module;
    const char *name = m ? sal_basename(m->name) : NULL;
    json_t *out = json_object();

    add_symbols(r, out, f);
    json_object_set_new(out, "frame", json_integer((json_int_t)index));
    json_object_set_new(out, "module", m ? sal_analysis_name(r, name, strlen(name)) : json_null());
    json_object_set_new(out, "module_offset",
                        m ? sal_analysis_hex(r, f->instruction - m->base) : json_null());
    json_object_set_new(out, "offset", sal_analysis_hex(r, f->instruction));
    json_object_set_new(out, "trust", json_string(sal_trust_name(f->trust)));
    json_object_set_new(out, "unloaded_modules",
                        m ? json_null() : sal_analysis_unloaded_at(r, f->instruction));
    if (r->opts->details) {
        add_details(r, out, f);
    }
    return out;
}

/* The context a thread is walked from: the exception's for the crashing thread. */
static bool context_of(const sal_analysis_t *r, size_t index, sal_regs_t *regs)
{
    const sal_minidump_t *md = r->md;
    const sal_span_t *own = &md->threads[index].context;

    if ((int)index == r->requesting && md->exception.present && md->exception.context.size &&
        sal_context_read(regs, &md->exception.context, md->system.cpu, NULL) == APR_SUCCESS) {
        return true;
    }
    return own->size && sal_context_read(regs, own, md->system.cpu, NULL) == APR_SUCCESS;
}

/* What GetLastError() would have said: a word of the thread's environment block. */
static json_t *last_error(const sal_analysis_t *r, const sal_md_thread_t *t)
{
    uint64_t address = t->teb + 13u * (uint64_t)r->pointer_size;
    const sal_md_memory_t *region = sal_minidump_memory_at(r->md, address);
    uint32_t code;

    if (r->md->system.cpu == SAL_CPU_UNKNOWN || address < t->teb || !region ||
        !sal_span_u32(&region->bytes, address - region->base, &code)) {
        return json_null();
    }
    return sal_analysis_text(r, sal_reason_windows_error(code, r->pool));
}

static bool is_dump_thread(const sal_minidump_t *md, uint32_t id)
{
    return md->breakpad.present && md->breakpad.validity & 1 && md->breakpad.dump_thread_id == id;
}

static json_t *walk_json(sal_analysis_t *r, size_t index, json_t **registers)
{
    size_t max = r->opts->max_frames ? r->opts->max_frames : SAL_MAX_FRAMES, n = 0, room;
    json_t *out = json_array();
    sal_md_memory_t stack;
    sal_frame_t *frames;
    apr_pool_t *scratch;
    sal_regs_t regs;

    r->copies = (int)index == r->requesting ? 2 : 1;
    room = r->room / (SAL_ROOM_FRAME * r->copies);
    max = max < room ? max : room;
    if (max == 0 || !context_of(r, index, &regs)) {
        return out;
    }
    apr_pool_create(&scratch, r->pool);
    if (sal_unwind(&frames, &n, r->md, &r->md->threads[index], &regs, r->syms, max, scratch,
                   NULL) == APR_SUCCESS) {
        r->room -= n * SAL_ROOM_FRAME * r->copies;
        for (size_t i = 0; i < n; i++) {
            json_array_append_new(out, frame_json(r, &frames[i], i));
        }
        if (r->opts->arguments && r->opts->details &&
            sal_thread_stack(&stack, r->md, &r->md->threads[index], &regs)) {
            sal_analysis_arguments(r, out, frames, n, &stack);
        }
        if (n && registers) {
            *registers = registers_json(&frames[0].regs);
        }
    }
    r->progress.frames += n;
    apr_pool_destroy(scratch);
    return out;
}

json_t *sal_analysis_thread(sal_analysis_t *r, size_t index, json_t **registers)
{
    const sal_md_thread_t *t = &r->md->threads[index];
    bool is_dumper = is_dump_thread(r->md, t->id);
    json_t *frames, *out;

    if (r->opts->progress) {
        r->opts->progress(&r->progress, r->opts->progress_baton);
    }
    frames = is_dumper ? json_array() : walk_json(r, index, registers);
    r->progress.threads_done++;
    out = json_pack("{s:I,s:o,s:o,s:I,s:o}", "frame_count", (json_int_t)json_array_size(frames),
                    "frames", frames, "last_error_value",
                    is_dumper ? json_null() : last_error(r, t), "thread_id", (json_int_t)t->id,
                    "thread_name", is_dumper ? json_null() : sal_analysis_text(r, t->name));

    if (is_dumper && r->opts->details) {
        json_object_set_new(out, "is_dump_thread", json_true());
    }
    return out;
}
