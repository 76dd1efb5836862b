/*
 * Lines and inlined calls of one contiguous range of a function.
 *
 * Readers of symbol files find the call at a depth by bisection: calls must nest, and those of one
 * depth must not overlap. Compilers mostly see to that; where they do not, a call that overlaps the
 * one before it begins where that ends, a call that reaches beyond its caller is cut in two, and a
 * call without a caller is left out (as rust-minidump's tools have it). Line records then say where
 * the innermost call is, INLINE records where each call came from.
 */
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dwarf_private.h"

/* ---- calls made to nest ---- */

static bool before(const dw_inl_t *a, const dw_inl_t *b)
{
    if (a->start != b->start) {
        return a->start < b->start;
    }
    return a->depth != b->depth ? a->depth < b->depth : a->order < b->order;
}

static void heap_push(dw_worker_t *w, const dw_inl_t *inl)
{
    uint32_t at = w->heaps;

    if (!DW_ROOM(w->heap, w->cap_heap, w->heaps)) {
        w->failed = true;
        return;
    }
    w->heaps++;
    while (at > 0 && before(inl, &w->heap[(at - 1) / 2])) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = *inl;
}

static void heap_pop(dw_worker_t *w, dw_inl_t *out)
{
    dw_inl_t last = w->heap[--w->heaps];
    uint32_t at = 0, child;

    *out = w->heap[0];
    while ((child = 2 * at + 1) < w->heaps) {
        child += child + 1 < w->heaps && before(&w->heap[child + 1], &w->heap[child]);
        if (!before(&w->heap[child], &last)) {
            break;
        }
        w->heap[at] = w->heap[child];
        at = child;
    }
    if (w->heaps > 0) {
        w->heap[at] = last;
    }
}

static bool room_for_depth(dw_worker_t *w, uint32_t depth)
{
    if (!DW_ROOM(w->stack, w->cap_stack, depth)) {
        w->failed = true;
        return false;
    }
    return true;
}

/* Puts one call where it belongs, or back to be looked at later. w->stack: the last call of each
 * depth, in w->nested; *depth: how many. */
static void nest_one(dw_worker_t *w, dw_inl_t *inl, uint32_t *depth)
{
    uint64_t end;

    if (inl->depth > *depth) {
        return; /* no caller */
    }
    if (inl->depth < *depth) {
        end = w->nested[w->stack[inl->depth]].end;
        if (inl->end <= end) {
            return;
        }
        if (inl->start < end) {
            inl->start = end;
            heap_push(w, inl);
            return;
        }
    }
    *depth = inl->depth;
    if (*depth > 0) {
        end = w->nested[w->stack[*depth - 1]].end;
        if (inl->start >= end) {
            return;
        }
        if (inl->end > end) {
            dw_inl_t rest = *inl;

            rest.start = end;
            heap_push(w, &rest);
            inl->end = end;
        }
    }
    if (!DW_ROOM(w->nested, w->cap_nested, w->nesteds) || !room_for_depth(w, *depth)) {
        w->failed = true;
        return;
    }
    w->nested[w->nesteds] = *inl;
    w->stack[(*depth)++] = w->nesteds++;
}

/* Damaged input could cut calls without end: each call may be looked at a few times. */
static void nest(dw_worker_t *w, const dw_range_t *r, const dw_inl_t *inl, uint32_t inls)
{
    uint64_t looks = 16 * (uint64_t)inls + 1024;
    uint32_t depth = 0, next = 0;

    w->nesteds = w->heaps = 0;
    while ((next < inls || w->heaps > 0) && looks-- > 0 && !w->failed) {
        dw_inl_t one;

        if (w->heaps > 0 && (next == inls || before(&w->heap[0], &inl[next]))) {
            heap_pop(w, &one);
        } else {
            one = inl[next++];
        }
        one.end = one.end > r->end ? r->end : one.end;
        if (one.start < one.end) {
            nest_one(w, &one, &depth);
        }
    }
}

/* ---- lines ---- */

static void add_line(dw_worker_t *w, uint64_t addr, const dw_row_t *row)
{
    dump_line_t line = { addr - w->dw->load, row->line, 0 };

    if (!DW_ROOM(w->line, w->cap_line, w->n_lines)) {
        w->failed = true;
        return;
    }
    line.file = dw_file_number(w, row->file);
    w->line[w->n_lines++] = line;
}

typedef struct sweep_t {
    uint32_t next, depth;                /* call not begun; calls around, in w->stack */
    uint32_t last, last_line, last_file; /* what the record before was for */
    bool any;
} sweep_t;

/* Ends and begins calls, so that w->stack holds those around addr. */
static void move_to(dw_worker_t *w, sweep_t *s, uint64_t addr)
{
    for (;;) {
        while (s->depth > 0 && w->nested[w->stack[s->depth - 1]].end <= addr) {
            s->depth--;
        }
        if (s->next == w->nesteds || w->nested[s->next].start > addr) {
            return;
        }
        if (s->depth > w->nested[s->next].depth) {
            s->depth = w->nested[s->next].depth;
        }
        if (s->depth == w->nested[s->next].depth && room_for_depth(w, s->depth)) {
            w->stack[s->depth++] = s->next;
        }
        s->next++;
    }
}

/* One row, cut where the innermost call changes. A record is for one call and one line. */
static void sweep_row(dw_worker_t *w, sweep_t *s, const dw_row_t *row, uint64_t from, uint64_t to)
{
    while (from < to && !w->failed) {
        uint64_t end = to;
        uint32_t inner = UINT32_MAX;

        move_to(w, s, from);
        if (s->depth > 0) {
            inner = w->stack[s->depth - 1];
            end = w->nested[inner].end < end ? w->nested[inner].end : end;
        }
        if (s->next < w->nesteds && w->nested[s->next].start < end) {
            end = w->nested[s->next].start;
        }
        if (!s->any || inner != s->last || row->line != s->last_line || row->file != s->last_file) {
            add_line(w, from, row);
            s->any = true;
            s->last = inner;
            s->last_line = row->line;
            s->last_file = row->file;
        }
        from = end;
    }
}

static uint32_t first_sequence(const dw_lines_t *l, uint64_t addr)
{
    uint32_t from = 0, to = l->seqs;

    while (from < to) {
        uint32_t mid = from + (to - from) / 2;

        if (l->seq[mid].end <= addr) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

static uint32_t first_row(const dw_lines_t *l, const dw_seq_t *q, uint64_t addr)
{
    uint32_t from = q->row + 1, to = q->row + q->rows;

    while (from < to) {
        uint32_t mid = from + (to - from) / 2;

        if (l->row[mid].addr <= addr) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from - 1;
}

/* Functions that overlap could name the same rows again and again: rows are counted. */
static void sweep_lines(dw_worker_t *w, const dw_range_t *r)
{
    const dw_lines_t *l = &w->lines;
    sweep_t s = { 0 };

    w->n_lines = 0;
    for (uint32_t i = first_sequence(l, r->start); i < l->seqs && l->seq[i].start < r->end; i++) {
        const dw_seq_t *q = &l->seq[i];

        for (uint32_t n = first_row(l, q, r->start);
             n < q->row + q->rows && l->row[n].addr < r->end && !w->failed; n++) {
            const dw_row_t *row = &l->row[n];
            uint64_t from = row->addr > q->start ? row->addr : q->start;
            uint64_t to = n + 1 < q->row + q->rows ? row[1].addr : q->end;

            if (w->emit_work == 0) {
                return;
            }
            w->emit_work--;
            if (row->line == 0 && !w->dw->inlines) {
                continue;
            }
            sweep_row(w, &s, row, from > r->start ? from : r->start, to < r->end ? to : r->end);
        }
    }
}

/* ---- calls ---- */

static int by_site(const void *a, const void *b)
{
    const dump_site_t *x = a, *y = b;

    if (x->origin != y->origin) {
        return x->origin < y->origin ? -1 : 1;
    }
    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    if (x->call_line != y->call_line) {
        return x->call_line < y->call_line ? -1 : 1;
    }
    if (x->call_file != y->call_file) {
        return x->call_file < y->call_file ? -1 : 1;
    }
    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static bool same_site(const dump_site_t *a, const dump_site_t *b)
{
    return a->origin == b->origin && a->depth == b->depth && a->call_line == b->call_line &&
           a->call_file == b->call_file;
}

typedef struct run_t {
    dump_site_t *site;
    uint32_t n;
} run_t;

static int by_first(const void *a, const void *b)
{
    const run_t *x = a, *y = b;

    if (x->site->addr != y->site->addr) {
        return x->site->addr < y->site->addr ? -1 : 1;
    }
    return x->site->depth < y->site->depth ? -1 : x->site->depth > y->site->depth;
}

/* Calls of one site are one record, ranges that touch one range. Returns how many are left. */
static uint32_t join_sites(dump_site_t *site, uint32_t n)
{
    uint32_t kept = 0;

    qsort(site, n, sizeof(*site), by_site);
    for (uint32_t i = 0; i < n; i++) {
        dump_site_t *last = kept > 0 ? &site[kept - 1] : NULL;

        if (last != NULL && same_site(last, &site[i]) && last->addr + last->size == site[i].addr) {
            last->size += site[i].size;
        } else {
            site[kept++] = site[i];
        }
    }
    return kept;
}

/* Records by first address, then depth. */
static void order_sites(dw_worker_t *w)
{
    uint32_t n = w->sites, runs = 0, at = 0;
    run_t *run = malloc((size_t)n * sizeof(*run));
    dump_site_t *copy = malloc((size_t)n * sizeof(*copy));

    if (run == NULL || copy == NULL) {
        w->failed = true;
    } else {
        memcpy(copy, w->site, (size_t)n * sizeof(*copy));
        for (uint32_t i = 0; i < n; i++) {
            if (i == 0 || !same_site(&copy[i - 1], &copy[i])) {
                run[runs].site = &copy[i];
                run[runs++].n = 0;
            }
            run[runs - 1].n++;
        }
        qsort(run, runs, sizeof(*run), by_first);
        for (uint32_t i = 0; i < runs; i++) {
            memcpy(w->site + at, run[i].site, run[i].n * sizeof(*copy));
            at += run[i].n;
        }
    }
    free(run);
    free(copy);
}

static dw_die_t origin_of(const dw_worker_t *w, const dw_inl_t *inl)
{
    dw_value_t v = { inl->in_alt ? DW_REF_ALT : DW_REF, inl->die, NULL };

    return dw_referred(w, w->unit, &v);
}

static uint32_t origin_number(dw_worker_t *w, const dw_inl_t *inl)
{
    dw_die_t die = origin_of(w, inl);

    return die.unit != NULL ? dw_origin(w, die)
                            : dw_intern(&w->dw->origins, "<name omitted>", true, false);
}

static void make_sites(dw_worker_t *w)
{
    w->sites = 0;
    for (uint32_t i = 0; i < w->nesteds && !w->failed; i++) {
        const dw_inl_t *inl = &w->nested[i];
        dump_site_t site = { .addr = inl->start - w->dw->load,
                             .size = inl->end - inl->start,
                             .depth = inl->depth,
                             .call_line = inl->call_line };

        if (!DW_ROOM(w->site, w->cap_site, w->sites)) {
            w->failed = true;
            return;
        }
        site.call_file = dw_file_number(w, inl->call_file);
        site.origin = origin_number(w, inl);
        w->site[w->sites++] = site;
    }
    if (w->sites > 1) {
        w->sites = join_sites(w->site, w->sites);
        order_sites(w);
    }
}

void dw_body(dw_worker_t *w, const dw_range_t *r, dw_inl_t *inl, uint32_t inls)
{
    nest(w, r, inl, inls);
    w->emit_work += 4 * (uint64_t)inls;
    sweep_lines(w, r);
    make_sites(w);
    if (!w->failed) {
        dump_pack(&w->bytes, r->start - w->dw->load, w->site, w->sites, w->line, w->n_lines);
    }
}
