/*
 * Units over threads, and everything put together: one function an address, in order of address.
 *
 * Threads take runs of units in order. What a run has read is given back to the system: a debug
 * file of gigabytes passes through a few megabytes of memory. Which thread took which unit shows
 * nowhere: of equal functions the one of the first unit counts.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dumpsyms/dwarf_private.h"

enum { RUN_BYTES = 256 * 1024, MAX_THREADS = 64 };

/* All that outlives the reading. */
typedef struct owned_t {
    dw_t dw;
    dump_buf_t *bytes;
    uint32_t n;
} owned_t;

/* ---- a thread ---- */

static const dw_unit_t *unit_of(const dw_t *dw, uint32_t at)
{
    return at < dw->main.units ? &dw->main.unit[at] : &dw->split.unit[at - dw->main.units];
}

/* Whole pages of [from, to): once nobody reads them, or if the system can read them again. */
static void give_back(const dw_file_t *f, bool once, const uint8_t *from, const uint8_t *to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)from + page - 1) & ~(page - 1), end = (uintptr_t)to & ~(page - 1);
    uintptr_t base = (uintptr_t)f->image->data;

    if (start < end && start >= base &&
        end <= base + (once ? f->image->size : f->image->file_size)) {
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
}

static void give_back_run(const dw_t *dw, uint32_t from, uint32_t to)
{
    const dw_unit_t *first = unit_of(dw, from), *last = unit_of(dw, to - 1);
    const dw_file_t *f = first->file;
    const dw_span_t *info = &f->s[DW_INFO], *line = &f->s[DW_LINE];

    if (last->file != f) {
        return;
    }
    give_back(f, f->info_once, info->p + first->off, info->p + last->end);
    if (first->has_line && last->has_line && first->line < last->line && last->line <= line->n) {
        give_back(f, f->line_once, line->p + first->line, line->p + last->line);
    }
}

/* The next run of units: enough of them to be worth a lock, few enough to share out. */
static uint32_t take(dw_t *dw, uint32_t *to)
{
    uint32_t from = atomic_load(&dw->next);

    do {
        uint64_t bytes = 0;

        for (*to = from; *to < dw->units && bytes < RUN_BYTES; (*to)++) {
            const dw_unit_t *u = unit_of(dw, *to);

            bytes += u->end - u->off;
        }
    } while (!atomic_compare_exchange_weak(&dw->next, &from, *to));
    return from;
}

static void *work(void *baton)
{
    dw_worker_t *w = baton;
    uint32_t to;

    for (uint32_t from = take(w->dw, &to); from < to && !w->failed; from = take(w->dw, &to)) {
        for (uint32_t i = from; i < to && !w->failed; i++) {
            const dw_unit_t *u = unit_of(w->dw, i);

            if (!u->partial) {
                dw_unit_read(w, u, i);
            }
        }
        give_back_run(w->dw, from, to);
    }
    return NULL;
}

/* Bounds far above what sane input needs, and a constant times its size. */
static void set_bounds(dw_worker_t *w, dw_t *dw)
{
    uint64_t info = dw->main.s[DW_INFO].n + dw->split.s[DW_INFO].n + dw->alt.s[DW_INFO].n;
    uint64_t few = UINT64_C(16) << 20;

    w->dw = dw;
    w->abbrev_work = few + info + 16 * (dw->main.s[DW_ABBREV].n + dw->alt.s[DW_ABBREV].n);
    w->range_work = few / 16 + 4 * (dw->main.s[DW_RANGES].n + dw->main.s[DW_RNGLISTS].n);
    w->line_work = few + 8 * dw->main.s[DW_LINE].n;
    w->name_work = few + 256 * info;
    w->emit_work = few / 16;
}

static void worker_free(dw_worker_t *w)
{
    dw_abbrevs_free(&w->own);
    for (int i = 0; i < DW_CACHED; i++) {
        dw_abbrevs_free(&w->other[i]);
        free(w->other_scopes[i].scope);
    }
    free(w->lines.row);
    free(w->lines.seq);
    free(w->lines.dir);
    free(w->lines.source);
    free(w->scopes.scope);
    free(w->frame);
    free(w->fn);
    free(w->frange);
    free(w->range);
    free(w->inl);
    free(w->known);
    free(w->nested);
    free(w->heap);
    free(w->site);
    free(w->line);
    free(w->stack);
    free(w->out);
}

/* Runs the workers; those that could not be started are done without. */
static void run(dw_worker_t *w, int n)
{
    int started = 1;

    while (started < n && pthread_create(&w[started].thread, NULL, work, &w[started]) == 0) {
        started++;
    }
    work(&w[0]);
    while (started > 1) {
        pthread_join(w[--started].thread, NULL);
    }
}

/* ---- everything put together ---- */

static int by_address(const void *a, const void *b)
{
    const dw_func_out_t *x = a, *y = b;

    if (x->f.addr != y->f.addr) {
        return x->f.addr < y->f.addr ? -1 : 1;
    }
    if (x->unit != y->unit) {
        return x->unit < y->unit ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The first of several functions at an address stays. The same range twice is one function that was
 * folded or described twice; different ones make it "m". */
static uint32_t one_an_address(dump_func_t *to, const dw_func_out_t *all, uint32_t n)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (kept > 0 && to[kept - 1].addr == all[i].f.addr) {
            to[kept - 1].multiple |= to[kept - 1].size != all[i].f.size;
        } else {
            to[kept++] = all[i].f;
        }
    }
    return kept;
}

static bool gather(dump_funcs_t *f, dw_worker_t *w, int n)
{
    uint32_t total = 0, at = 0;
    dw_func_out_t *all;

    for (int i = 0; i < n; i++) {
        total += w[i].outs;
    }
    all = malloc(((size_t)total + 1) * sizeof(*all));
    f->func = malloc(((size_t)total + 1) * sizeof(*f->func));
    if (all == NULL || f->func == NULL) {
        free(all);
        return false;
    }
    for (int i = 0; i < n; i++) {
        for (uint32_t k = 0; k < w[i].outs; k++) {
            all[at] = w[i].out[k];
            all[at].f.body = w[i].bytes.p + all[at].body;
            at++;
        }
        free(w[i].out);
        w[i].out = NULL;
    }
    if (total > 1) {
        qsort(all, total, sizeof(*all), by_address);
    }
    f->funcs = one_an_address(f->func, all, total);
    free(all);
    return true;
}

static bool hand_over(dump_funcs_t *f, owned_t *o, dw_worker_t *w, int n)
{
    bool ok = !o->dw.origins.failed && !o->dw.files.failed;

    o->bytes = calloc((size_t)n, sizeof(*o->bytes));
    for (int i = 0; i < n && o->bytes != NULL; i++) {
        ok = ok && !w[i].failed;
        o->bytes[o->n++] = w[i].bytes;
        memset(&w[i].bytes, 0, sizeof(w[i].bytes));
        w[i].bytes.p = o->bytes[i].p; /* gather() looks here */
    }
    f->n_files = o->dw.files.n;
    f->files = malloc(((size_t)f->n_files + 1) * sizeof(*f->files));
    for (uint32_t i = 0; f->files != NULL && i < f->n_files; i++) {
        f->files[i] = o->dw.files.name[i].text;
    }
    f->origins = o->dw.origins.name;
    f->n_origins = o->dw.origins.n;
    return ok && o->bytes != NULL && f->files != NULL && gather(f, w, n);
}

static bool open_files(dw_t *dw)
{
    const dump_elf_t *e = dw->elf;
    bool main, split;

    if (e->debug_image == NULL) {
        return false;
    }
    main = dw_file_load(&dw->main, e->debug_image, false);
    split = dw_file_load(&dw->split, e->debug_image, true);
    if (e->alt_image != NULL && dw_file_load(&dw->alt, e->alt_image, false)) {
        dw->main.alt = &dw->alt;
        dw_file_index(&dw->alt);
    }
    if (main) {
        dw_file_index(&dw->main);
    }
    if (split) {
        dw_file_index(&dw->split);
        dw_join_split(&dw->split, &dw->main);
    }
    dw->units = dw->main.units + dw->split.units;
    return dw->units > 0;
}

static apr_status_t read_all(dump_funcs_t *f, owned_t *o, int threads, sal_error_t *err)
{
    dw_worker_t *w = calloc((size_t)threads, sizeof(*w));
    bool ok = w != NULL;

    for (int i = 0; i < threads && ok; i++) {
        set_bounds(&w[i], &o->dw);
    }
    if (ok) {
        run(w, threads);
        ok = hand_over(f, o, w, threads);
        for (int i = 0; i < threads; i++) {
            worker_free(&w[i]);
        }
    }
    free(w);
    return ok ? APR_SUCCESS
              : sal_fail(err, APR_ENOMEM, "%s: no memory for its functions", o->dw.elf->path);
}

apr_status_t dump_funcs_read(dump_funcs_t *f, const dump_elf_t *e,
                             const struct dump_publics_t *names, const sal_dumpsyms_opts_t *opts,
                             sal_error_t *err)
{
    int threads = opts->threads < 1 ? 1 : opts->threads > MAX_THREADS ? MAX_THREADS : opts->threads;
    owned_t *o = calloc(1, sizeof(*o));

    memset(f, 0, sizeof(*f));
    if (o == NULL || !dw_intern_init(&o->dw.origins) || !dw_intern_init(&o->dw.files)) {
        free(o);
        return sal_fail(err, APR_ENOMEM, "%s: no memory", e->path);
    }
    f->owned = o;
    o->dw.elf = e;
    o->dw.names = names;
    o->dw.inlines = !opts->no_inlines;
    o->dw.load = e->load_vaddr;
    if (!open_files(&o->dw)) {
        return APR_SUCCESS;
    }
    return read_all(f, o, threads, err);
}

void dump_funcs_free(dump_funcs_t *f)
{
    owned_t *o = f->owned;

    free(f->func);
    free(f->files);
    if (o != NULL) {
        for (uint32_t i = 0; i < o->n; i++) {
            free(o->bytes[i].p);
        }
        free(o->bytes);
        dw_file_free(&o->dw.main);
        dw_file_free(&o->dw.alt);
        dw_file_free(&o->dw.split);
        dw_intern_free(&o->dw.origins);
        dw_intern_free(&o->dw.files);
        free(o);
    }
    memset(f, 0, sizeof(*f));
}
