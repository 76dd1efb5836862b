/*
 * ThreadList and ThreadNames. Stacks and contexts stay raw bytes in the file.
 */
#include "minidump/minidump_private.h"

#include <stdlib.h>

enum { THREAD_SIZE = 48, THREAD_NAME_SIZE = 12 };

static void read_thread(sal_minidump_t *md, const sal_span_t *s, sal_md_thread_t *t)
{
    t->id = md_u32(s, 0);
    t->teb = md_u64(s, 16);
    t->stack_start = md_u64(s, 24);
    if (md_u32(s, 36) == 0 || !md_location(md, s, 32, &t->stack)) {
        t->stack = (sal_span_t){ NULL, 0, s->swap };
    }
    if (!md_location(md, s, 40, &t->context)) {
        md->bad_records++;
        t->context = (sal_span_t){ NULL, 0, s->swap };
    }
}

static int by_id(const void *a, const void *b)
{
    const sal_md_thread_t *x = *(sal_md_thread_t *const *)a, *y = *(sal_md_thread_t *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* Threads of one id, in order of id; ids are not unique in a bad dump, and all get the name. */
static void name_thread(sal_md_thread_t **order, size_t n, uint32_t id, const char *name)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (order[mid]->id < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    /* the first of the id only: a run of equal ids is filled up when all names are in */
    if (lo < n && order[lo]->id == id) {
        order[lo]->name = name;
    }
}

static void read_names(sal_minidump_t *md)
{
    sal_md_thread_t **order;
    md_list_t list;

    if (!md_list(md, SAL_STREAM_THREAD_NAMES, THREAD_NAME_SIZE, MD_MAX_THREADS, &list)) {
        return;
    }
    order = md_array(md, md->n_threads, sizeof(*order));
    for (size_t i = 0; i < md->n_threads; i++) {
        order[i] = &md->threads[i];
    }
    qsort(order, md->n_threads, sizeof(*order), by_id);
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);
        const char *name = md_utf16_at(md, md_u64(&s, 4));

        if (name) {
            name_thread(order, md->n_threads, md_u32(&s, 0), name);
        } else {
            md->bad_records++;
        }
    }
    for (size_t i = 1; i < md->n_threads; i++) {
        if (order[i]->id == order[i - 1]->id) {
            order[i]->name = order[i - 1]->name;
        }
    }
}

void md_read_threads(sal_minidump_t *md)
{
    md_list_t list;

    if (!md_list(md, SAL_STREAM_THREAD_LIST, THREAD_SIZE, MD_MAX_THREADS, &list)) {
        return;
    }
    md->has_thread_list = true;
    md->n_threads = list.count;
    md->threads = md_array(md, list.count, sizeof(*md->threads));
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);

        read_thread(md, &s, &md->threads[i]);
    }
    read_names(md);
}
