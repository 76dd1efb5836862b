/*
 * The modules of a request: each is looked up once and held to the end of the answer.
 *
 * Who cannot wait for the index of a large file gets what can be had in time: for a module of which
 * few addresses are asked, one pass over the text answers while a thread builds the index.
 */
#include "symbolicate/symbolicate.h"

#include <stdlib.h>
#include "symbolicate/json_text.h"

enum { PART_MAX = 100 }; /* addresses of a module that are worth a pass over the text */
#define HEAD_START apr_time_from_msec(20)

static sal_symbolicate_module_t *module_of(const sal_symbolicate_request_t *req, uint32_t i)
{
    return &APR_ARRAY_IDX(req->modules, i, sal_symbolicate_module_t);
}

/* ---- which addresses a module is asked for ---- */

typedef struct wanted_t {
    uint64_t offset[PART_MAX];
    size_t n;
} wanted_t;

static void want_frame(wanted_t *w, const sal_symbolicate_request_t *req,
                       const sal_symbolicate_job_t *job, const sal_symbolicate_module_t *m,
                       const char *frame)
{
    const char *first = js_first(frame);
    js_int_t index, offset;

    if (js_integer(first, &index) && !index.negative &&
        module_of(req, job->modules[index.magnitude]) == m && w->n < PART_MAX &&
        js_integer(js_next(first), &offset) && !offset.negative && !offset.big) {
        w->offset[w->n++] = offset.magnitude;
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Sorted, each once. */
static void find_wanted(wanted_t *w, const sal_symbolicate_request_t *req,
                        const sal_symbolicate_module_t *m)
{
    size_t kept = 0;

    w->n = 0;
    for (int j = 0; j < req->n_jobs; j++) {
        const sal_symbolicate_job_t *job = &req->jobs[j];

        for (const char *stack = js_first(job->stacks); stack; stack = js_next(stack)) {
            for (const char *frame = js_first(stack); frame; frame = js_next(frame)) {
                want_frame(w, req, job, m, frame);
            }
        }
    }
    qsort(w->offset, w->n, sizeof(w->offset[0]), by_value);
    for (size_t i = 0; i < w->n; i++) {
        if (kept == 0 || w->offset[i] != w->offset[kept - 1]) {
            w->offset[kept++] = w->offset[i];
        }
    }
    w->n = kept;
}

/* ---- looking up ---- */

static void fetch_part(sal_symbolicate_module_t *m, const sal_symbolicate_request_t *req,
                       sal_supplier_t *supplier, const sal_sym_module_t *names, apr_pool_t *p)
{
    wanted_t wanted;

    find_wanted(&wanted, req, m);
    sal_supplier_get_part(&m->ref, supplier, names, wanted.offset, wanted.n, p);
}

static void fetch_one(sal_symbolicate_module_t *m, const sal_symbolicate_request_t *req,
                      sal_supplier_t *supplier, apr_time_t until, apr_pool_t *p)
{
    sal_sym_module_t names = { .debug_file = m->name, .debug_id = m->id };
    bool few = until && m->n_frames <= PART_MAX;
    apr_time_t head_start = apr_time_now() + HEAD_START;

    sal_supplier_get_until(&m->ref, supplier, &names,
                           few && head_start < until ? head_start : until, p);
    if (m->ref.pending && few) {
        fetch_part(m, req, supplier, &names, p);
    }
    if (m->ref.pending && few) { /* there is no text here yet */
        sal_supplier_get_until(&m->ref, supplier, &names, until, p);
    }
}

/* Frames show the file that has the code, where the symbols name it. */
static void name_one(sal_symbolicate_module_t *m)
{
    sal_symcache_info_t info;

    if (m->ref.state == SAL_SYM_FOUND) {
        sal_symcache_info(m->ref.cache, &info);
        m->shown = info.code_file[0] ? info.code_file : m->name;
    }
}

/* What is ready at once, and the beginning of what is not: several are prepared at a time. */
static void begin_one(sal_symbolicate_module_t *m, sal_supplier_t *supplier, apr_pool_t *p)
{
    sal_sym_module_t names = { .debug_file = m->name, .debug_id = m->id };

    sal_supplier_get_until(&m->ref, supplier, &names, 1, p);
}

void sal_symbolicate_fetch(sal_symbolicate_request_t *req, sal_supplier_t *supplier,
                           apr_time_t until, apr_pool_t *p)
{
    for (int i = 0; until && i < req->modules->nelts; i++) {
        sal_symbolicate_module_t *m = module_of(req, (uint32_t)i);

        if (m->used && m->lookable) {
            begin_one(m, supplier, p);
        }
    }
    for (int i = 0; i < req->modules->nelts; i++) {
        sal_symbolicate_module_t *m = module_of(req, (uint32_t)i);

        if (m->used && m->lookable) {
            if (!until || m->ref.pending) {
                fetch_one(m, req, supplier, until, p);
            }
            name_one(m);
        }
    }
}

bool sal_symbolicate_pending(const sal_symbolicate_request_t *req)
{
    for (int i = 0; i < req->modules->nelts; i++) {
        if (module_of(req, (uint32_t)i)->ref.pending) {
            return true;
        }
    }
    return false;
}

void sal_symbolicate_release(sal_symbolicate_request_t *req, sal_supplier_t *supplier)
{
    for (int i = 0; i < req->modules->nelts; i++) {
        sal_supplier_release(supplier, &module_of(req, (uint32_t)i)->ref);
    }
}
