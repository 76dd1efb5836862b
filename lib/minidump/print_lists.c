/*
 * Lists of threads, memory, handles and mappings as text. Every record of the file is shown, also
 * those that the decoder leaves out.
 */
#include "minidump/print_private.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    THREAD_SIZE = 48,
    THREAD_NAME_SIZE = 12,
    THREAD_INFO_HEADER = 12,
    THREAD_INFO_SIZE = 64,
    DESCRIPTOR_SIZE = 16,
    MEMORY_INFO_HEADER = 16,
    MEMORY_INFO_SIZE = 48,
    HANDLE_HEADER = 16,
    HANDLE_SIZE = 32,
    HANDLE2_SIZE = 40,
    MAX_HANDLE_INFOS = 64 /* of one handle: the chain may lead in a circle */
};

static const md_field_t thread_fields[] = {
    { "thread_id", 0, 4, MD_HEX },
    { "suspend_count", 4, 4, MD_DECIMAL },
    { "priority_class", 8, 4, MD_HEX },
    { "priority", 12, 4, MD_HEX },
    { "teb", 16, 8, MD_HEX },
    { "stack.start_of_memory_range", 24, 8, MD_HEX },
    { "stack.memory.data_size", 32, 4, MD_HEX },
    { "stack.memory.rva", 36, 4, MD_HEX },
    { "thread_context.data_size", 40, 4, MD_HEX },
    { "thread_context.rva", 44, 4, MD_HEX },
    { NULL, 0, 0, 0 },
};
static const md_field_t memory_fields[] = {
    { "start_of_memory_range", 0, 8, MD_HEX },
    { "memory.data_size", 8, 4, MD_HEX },
    { "memory.rva", 12, 4, MD_HEX },
    { NULL, 0, 0, 0 },
};
static const md_field_t memory64_fields[] = {
    { "start_of_memory_range", 0, 8, MD_HEX },
    { "memory.data_size", 8, 8, MD_HEX },
    { NULL, 0, 0, 0 },
};
static const md_field_t memory_info_fields[] = {
    { "base_address", 0, 8, MD_HEX },
    { "allocation_base", 8, 8, MD_HEX },
    { "allocation_protection", 16, 4, MD_HEX },
    { "region_size", 24, 8, MD_HEX },
    { "state", 32, 4, MD_HEX },
    { "protection", 36, 4, MD_HEX },
    { "_type", 40, 4, MD_HEX },
    { NULL, 0, 0, 0 },
};
static const md_field_t handle_fields[] = {
    { "handle", 0, 8, MD_HEX },
    { "type_name_rva", 8, 4, MD_HEX },
    { "object_name_rva", 12, 4, MD_HEX },
    { "attributes", 16, 4, MD_HEX },
    { "granted_access", 20, 4, MD_HEX },
    { "handle_count", 24, 4, MD_DECIMAL },
    { "pointer_count", 28, 4, MD_DECIMAL },
    { NULL, 0, 0, 0 },
};
static const md_field_t thread_info_fields[] = {
    { "thread_id", 0, 4, MD_HEX },
    { "dump_flags", 4, 4, MD_HEX },
    { "dump_error", 8, 4, MD_HEX },
    { "exit_status", 12, 4, MD_HEX },
    { "create_time", 16, 8, MD_HEX },
    { "exit_time", 24, 8, MD_HEX },
    { "kernel_time", 32, 8, MD_HEX },
    { "user_time", 40, 8, MD_HEX },
    { "start_address", 48, 8, MD_HEX },
    { "affinity", 56, 8, MD_HEX },
    { NULL, 0, 0, 0 },
};

/* ---- threads ---- */

static void print_stack(const md_print_t *p, const sal_md_thread_t *t)
{
    unsigned width = sal_cpu_desc(p->md->system.cpu)->pointer_size == 4 ? 4 : 8;
    const sal_md_memory_t *region = NULL;
    sal_span_t bytes = t->stack;

    if (!bytes.size && (region = sal_minidump_memory_at(p->md, t->stack_start))) {
        bytes = region->bytes;
    }
    if (!bytes.size) {
        fputs("No stack\n\n", p->f);
        return;
    }
    fputs("Stack\n", p->f);
    for (uint64_t at = 0; at + width <= bytes.size; at += width) {
        fprintf(p->f, "    0x%08" PRIx64 ": 0x%0*" PRIx64 "\n", at, (int)width * 2,
                md_number(&bytes, at, width));
    }
    fputc('\n', p->f);
}

void md_print_threads(const md_print_t *p)
{
    md_list_t list;

    if (!md_list(p->md, SAL_STREAM_THREAD_LIST, THREAD_SIZE, MD_MAX_THREADS, &list)) {
        return;
    }
    fprintf(p->f, "MinidumpThreadList\n  thread_count = %u\n\n", list.count);
    for (uint32_t i = 0; i < list.count && i < p->md->n_threads; i++) {
        const sal_md_thread_t *t = &p->md->threads[i];
        sal_span_t s = md_entry(&list, i);

        fprintf(p->f, "thread[%u]\nMINIDUMP_THREAD\n", i);
        md_print_fields(p->f, &s, thread_fields, 27);
        fputc('\n', p->f);
        md_print_context(p->f, &t->context, p->md->system.cpu);
        if (p->brief) {
            fputc('\n', p->f);
        } else {
            print_stack(p, t);
        }
    }
}

typedef struct name_t {
    uint32_t id, index;
} name_t;

static int by_id(const void *a, const void *b)
{
    const name_t *x = a, *y = b;

    if (x->id != y->id) {
        return x->id < y->id ? -1 : 1;
    }
    return x->index < y->index ? -1 : 1;
}

/* By id; of several names of one the last counts. Returns how many are left. */
static uint32_t sort_names(name_t *names, const md_list_t *list)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        sal_span_t s = md_entry(list, i);

        names[i] = (name_t){ md_u32(&s, 0), i };
    }
    qsort(names, list->count, sizeof(*names), by_id);
    for (uint32_t i = 0; i < list->count; i++) {
        if (i + 1 == list->count || names[i + 1].id != names[i].id) {
            names[n++] = names[i];
        }
    }
    return n;
}

void md_print_thread_names(const md_print_t *p)
{
    md_list_t list;
    name_t *names;
    uint32_t n;

    if (!md_list(p->md, SAL_STREAM_THREAD_NAMES, THREAD_NAME_SIZE, MD_MAX_THREADS, &list)) {
        return;
    }
    names = md_array(p->md, list.count, sizeof(*names));
    n = sort_names(names, &list);
    fprintf(p->f, "MinidumpThreadNames\n  thread_count = %u\n\n", n);
    for (uint32_t i = 0; i < n; i++) {
        sal_span_t s = md_entry(&list, names[i].index);
        const char *name = md_utf16_at(p->md, md_u64(&s, 4));

        fprintf(p->f,
                "thread_name[%u]\nMINIDUMP_THREAD_NAME\n  thread_id = 0x%x\n  name      = \"%s\""
                "\n\n",
                i, names[i].id, name ? name : "(invalid)");
    }
}

void md_print_thread_infos(const md_print_t *p)
{
    md_list_t list;

    if (!md_list_ext(p->md, SAL_STREAM_THREAD_INFO_LIST, THREAD_INFO_HEADER, THREAD_INFO_SIZE,
                     MD_MAX_THREADS, &list)) {
        return;
    }
    fprintf(p->f, "MinidumpThreadInfoList\n  thread_info_count = %u\n\n", list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);

        fprintf(p->f, "thread info[%u]\nMINIDUMP_THREAD_INFO\n", i);
        md_print_fields(p->f, &s, thread_info_fields, 27);
        fputc('\n', p->f);
    }
}

/* ---- memory ---- */

static void print_contents(const md_print_t *p, const sal_span_t *bytes)
{
    if (!p->brief) {
        fputs("Memory\n", p->f);
        md_print_bytes(p->f, bytes);
    }
    fputc('\n', p->f);
}

static bool print_memory64(const md_print_t *p)
{
    sal_span_t s;
    uint64_t count, rva;

    if (!sal_minidump_stream(p->md, SAL_STREAM_MEMORY64_LIST, &s) || !sal_span_has(&s, 0, 16)) {
        return false;
    }
    count = md_u64(&s, 0);
    rva = md_u64(&s, 8);
    if (count != (s.size - 16) / DESCRIPTOR_SIZE || (s.size - 16) % DESCRIPTOR_SIZE) {
        return false;
    }
    fprintf(p->f, "MinidumpMemory64List\n  region_count = %" PRIu64 "\n\n", count);
    for (uint64_t i = 0; i < count; i++) {
        sal_span_t entry, bytes = { NULL, 0, false };

        sal_span_sub(&s, 16 + i * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE, &entry);
        fprintf(p->f, "region[%" PRIu64 "]\nMINIDUMP_MEMORY_DESCRIPTOR64\n", i);
        md_print_fields(p->f, &entry, memory64_fields, 21);
        if (rva <= p->md->file.size && sal_span_sub(&p->md->file, rva, md_u64(&entry, 8), &bytes)) {
            rva += bytes.size;
        } else {
            rva = UINT64_MAX; /* what follows has no place either */
        }
        print_contents(p, &bytes);
    }
    return true;
}

void md_print_memory(const md_print_t *p)
{
    md_list_t list;

    if (print_memory64(p) ||
        !md_list(p->md, SAL_STREAM_MEMORY_LIST, DESCRIPTOR_SIZE, MD_MAX_MEMORY, &list)) {
        return;
    }
    fprintf(p->f, "MinidumpMemoryList\n  region_count = %u\n\n", list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i), bytes = { NULL, 0, false };

        fprintf(p->f, "region[%u]\nMINIDUMP_MEMORY_DESCRIPTOR\n", i);
        md_print_fields(p->f, &s, memory_fields, 21);
        if (!md_location(p->md, &s, 8, &bytes)) {
            bytes = (sal_span_t){ NULL, 0, false };
        }
        print_contents(p, &bytes);
    }
}

void md_print_memory_info(const md_print_t *p)
{
    md_list_t list;

    if (!md_list_ext(p->md, SAL_STREAM_MEMORY_INFO_LIST, MEMORY_INFO_HEADER, MEMORY_INFO_SIZE,
                     MD_MAX_REGIONS, &list)) {
        return;
    }
    fprintf(p->f, "MinidumpMemoryInfoList\n  region_count = %u\n\n", list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);

        fprintf(p->f, "region[%u]\nMINIDUMP_MEMORY_INFO\n", i);
        md_print_fields(p->f, &s, memory_info_fields, 21);
        fputc('\n', p->f);
    }
}

/* ---- handles ---- */

/* What Windows knows of the object besides: records that lead from one to the next. */
static void print_handle_infos(const md_print_t *p, uint32_t rva)
{
    if (!rva) {
        fputs("  (object_info)     = (null)\n", p->f);
    }
    for (unsigned n = 0; rva && n < MAX_HANDLE_INFOS; n++) {
        sal_span_t s;

        if (!sal_span_sub(&p->md->file, rva, 12, &s)) {
            fputs("  (object_info)     = (invalid)\n", p->f);
            return;
        }
        fprintf(p->f, "  (object_info)     = type %u, %u bytes at 0x%x\n", md_u32(&s, 4),
                md_u32(&s, 8), rva + 12);
        rva = md_u32(&s, 0);
    }
}

static void print_handle(const md_print_t *p, const sal_span_t *s, const sal_md_handle_t *h)
{
    uint32_t info = md_u32(s, 32);

    fputs("MINIDUMP_HANDLE_DESCRIPTOR\n", p->f);
    md_print_fields(p->f, s, handle_fields, 17);
    if (s->size == HANDLE2_SIZE) {
        fprintf(p->f, "  object_info_rva   = 0x%x\n", info);
    } else {
        fputs("  object_info_rva   = (invalid)\n", p->f);
    }
    fprintf(p->f, "  (type_name)       = %s\n  (object_name)     = %s\n",
            h->type_name ? h->type_name : "(null)", h->object_name ? h->object_name : "(null)");
    print_handle_infos(p, s->size == HANDLE2_SIZE ? info : 0);
    fputc('\n', p->f);
}

void md_print_handles(const md_print_t *p)
{
    sal_span_t s, entry;
    uint32_t header, size;

    if (!p->md->has_handles || !sal_minidump_stream(p->md, SAL_STREAM_HANDLE_DATA, &s)) {
        return;
    }
    header = md_u32(&s, 0);
    size = md_u32(&s, 4);
    fprintf(p->f, "MinidumpHandleDataStream\n  handle_count = %zu\n\n", p->md->n_handles);
    for (size_t i = 0; i < p->md->n_handles; i++) {
        if (sal_span_sub(&s, header + (uint64_t)i * size, size, &entry)) {
            fprintf(p->f, "handle[%zu]\n", i);
            print_handle(p, &entry, &p->md->handles[i]);
        }
    }
}
