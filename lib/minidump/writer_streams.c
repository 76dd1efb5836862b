/*
 * The usual streams of a minidump: their fixed records, and the lists that grow entry by entry.
 */
#include "minidump/writer_private.h"

#include "minidump/minidump.h"

static sal_mdw_record_t *list(sal_mdw_t *w, sal_mdw_record_t **r, uint32_t *n)
{
    if (!*r) {
        *r = sal_mdw_record(w);
    }
    (*n)++;
    return *r;
}

void sal_mdw_system(sal_mdw_t *w, const sal_mdw_system_t *s)
{
    uint32_t csd = sal_mdw_utf16(w, s->csd ? s->csd : "");
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u16(r, s->arch);
    sal_mdw_u16(r, s->level);
    sal_mdw_u16(r, s->revision);
    sal_mdw_u8(r, s->cpu_count);
    sal_mdw_u8(r, s->product_type);
    sal_mdw_u32(r, s->major);
    sal_mdw_u32(r, s->minor);
    sal_mdw_u32(r, s->build);
    sal_mdw_u32(r, s->platform);
    sal_mdw_u32(r, csd);
    sal_mdw_u32(r, 0); /* suite mask, reserved */
    for (int i = 0; i < 6; i++) {
        sal_mdw_u32(r, s->cpu[i]);
    }
    sal_mdw_stream(w, SAL_STREAM_SYSTEM_INFO, sal_mdw_end(r));
}

void sal_mdw_thread(sal_mdw_t *w, const sal_mdw_thread_t *t)
{
    sal_mdw_record_t *r = list(w, &w->threads, &w->n_threads);

    sal_mdw_u32(r, t->id);
    sal_mdw_zero(r, 12); /* suspend count, priority class, priority */
    sal_mdw_u64(r, t->teb);
    sal_mdw_u64(r, t->stack_start);
    sal_mdw_loc(r, t->stack);
    sal_mdw_loc(r, t->context);
    if (t->name) {
        uint32_t rva = sal_mdw_utf16(w, t->name);

        r = list(w, &w->names, &w->n_names);
        sal_mdw_u32(r, t->id);
        sal_mdw_u64(r, rva);
    }
}

void sal_mdw_module(sal_mdw_t *w, const sal_mdw_module_t *m)
{
    uint32_t name = sal_mdw_utf16(w, m->name);
    sal_mdw_record_t *r = list(w, &w->modules, &w->n_modules);

    sal_mdw_u64(r, m->base);
    sal_mdw_u32(r, m->size);
    sal_mdw_u32(r, m->checksum);
    sal_mdw_u32(r, m->timestamp);
    sal_mdw_u32(r, name);
    sal_mdw_u32(r, m->has_version ? 0xfeef04bd : 0);
    sal_mdw_u32(r, m->has_version ? 0x00010000 : 0);
    for (int i = 0; i < 4; i++) {
        sal_mdw_u32(r, m->version[i]);
    }
    sal_mdw_zero(r, 52 - 24); /* flags, OS, type and date of the version */
    sal_mdw_loc(r, m->cv);
    sal_mdw_zero(r, 8 + 16); /* misc record, reserved */
}

sal_mdw_loc_t sal_mdw_cv_elf(sal_mdw_t *w, const void *build_id, size_t size)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 0x4270454c);
    sal_mdw_put(r, build_id, size);
    return sal_mdw_end(r);
}

sal_mdw_loc_t sal_mdw_cv_pdb(sal_mdw_t *w, const uint8_t guid[16], uint32_t age, const char *name)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 0x53445352);
    sal_mdw_put(r, guid, 16);
    sal_mdw_u32(r, age);
    sal_mdw_put(r, name, strlen(name) + 1);
    return sal_mdw_end(r);
}

void sal_mdw_memory(sal_mdw_t *w, uint64_t base, sal_mdw_loc_t bytes)
{
    sal_mdw_record_t *r = list(w, &w->memory, &w->n_memory);

    sal_mdw_u64(r, base);
    sal_mdw_loc(r, bytes);
}

void sal_mdw_exception(sal_mdw_t *w, const sal_mdw_exception_t *e)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, e->thread_id);
    sal_mdw_u32(r, 0);
    sal_mdw_u32(r, e->code);
    sal_mdw_u32(r, e->flags);
    sal_mdw_u64(r, 0); /* nested record */
    sal_mdw_u64(r, e->address);
    sal_mdw_u32(r, e->parameter_count);
    sal_mdw_u32(r, 0);
    for (int i = 0; i < 15; i++) {
        sal_mdw_u64(r, e->parameters[i]);
    }
    sal_mdw_loc(r, e->context);
    sal_mdw_stream(w, SAL_STREAM_EXCEPTION, sal_mdw_end(r));
}

void sal_mdw_misc(sal_mdw_t *w, uint32_t pid, uint32_t create_time)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 24);
    sal_mdw_u32(r, create_time ? 3 : 1);
    sal_mdw_u32(r, pid);
    sal_mdw_u32(r, create_time);
    sal_mdw_zero(r, 8); /* CPU times */
    sal_mdw_stream(w, SAL_STREAM_MISC_INFO, sal_mdw_end(r));
}

static void end_list(sal_mdw_t *w, uint32_t type, sal_mdw_record_t *entries, uint32_t n)
{
    sal_mdw_record_t *r;
    sal_span_t bytes;

    if (!entries) {
        return;
    }
    r = sal_mdw_record(w);
    bytes = sal_mdw_record_bytes(entries);
    sal_mdw_u32(r, n);
    sal_mdw_put(r, bytes.data, bytes.size);
    sal_mdw_stream(w, type, sal_mdw_end(r));
}

void sal_mdw_write_lists(sal_mdw_t *w)
{
    end_list(w, SAL_STREAM_THREAD_LIST, w->threads, w->n_threads);
    end_list(w, SAL_STREAM_MODULE_LIST, w->modules, w->n_modules);
    end_list(w, SAL_STREAM_MEMORY_LIST, w->memory, w->n_memory);
    end_list(w, SAL_STREAM_THREAD_NAMES, w->names, w->n_names);
}
