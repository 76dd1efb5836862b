/*
 * Symbols of one dump's modules: each is fetched on first use and given back with the pool. Not for
 * more than one thread at a time.
 */
#include "unwind/unwind_private.h"

#include <sys/resource.h>
#include "base/text.h"

struct sal_dump_symbols_t {
    const sal_minidump_t *md;
    sal_supplier_t *supplier;
    apr_pool_t *pool;
    sal_sym_ref_t *refs; /* by index of the module */
    bool *fetched;
    void (*watch)(const sal_md_module_t *module, void *baton);
    void *watch_baton;
    uint64_t text_used; /* of rules and programs that were read */
    long faults;        /* of the process, when pages were last given back */
};

/* A fault makes up to 64 KiB of a mapped symcache resident. */
enum { MAX_TEXT = 24 << 20, RELAX_FAULTS = 256 };

bool sal_walk_charge(const sal_walk_t *w, uint64_t bytes)
{
    if (!w->syms || bytes > MAX_TEXT - w->syms->text_used) {
        return false;
    }
    w->syms->text_used += bytes;
    return true;
}

static apr_status_t release(void *data)
{
    sal_dump_symbols_t *s = data;

    for (size_t i = 0; i < s->md->n_modules; i++) {
        if (s->fetched[i] && s->refs[i].entry) {
            sal_supplier_release(s->supplier, &s->refs[i]);
        }
    }
    return APR_SUCCESS;
}

sal_dump_symbols_t *sal_dump_symbols_make(const sal_minidump_t *md, sal_supplier_t *supplier,
                                          apr_pool_t *p)
{
    sal_dump_symbols_t *s = apr_pcalloc(p, sizeof(*s));

    s->md = md;
    s->supplier = supplier;
    s->pool = p;
    s->refs = apr_pcalloc(p, (md->n_modules + 1) * sizeof(*s->refs));
    s->fetched = apr_pcalloc(p, (md->n_modules + 1) * sizeof(*s->fetched));
    apr_pool_cleanup_register(p, s, release, apr_pool_cleanup_null);
    return s;
}

void sal_dump_symbols_watch(sal_dump_symbols_t *s,
                            void (*fn)(const sal_md_module_t *module, void *baton), void *baton)
{
    s->watch = fn;
    s->watch_baton = baton;
}

/* Index of a module of this dump; n_modules for a stranger. */
static size_t index_of(const sal_dump_symbols_t *s, const sal_md_module_t *module)
{
    if (!module || module < s->md->modules || module >= s->md->modules + s->md->n_modules) {
        return s->md->n_modules;
    }
    return (size_t)(module - s->md->modules);
}

static void fetch(sal_dump_symbols_t *s, size_t i, const sal_md_module_t *module)
{
    sal_sym_module_t known = { .debug_file =
                                   module->debug_file ? sal_basename(module->debug_file) : NULL,
                               .debug_id = module->debug_id,
                               .code_file = sal_basename(module->name),
                               .code_id = module->code_id,
                               .code_path = module->name };

    if (known.debug_file && !*known.debug_file) {
        known.debug_file = known.code_file;
    }
    sal_supplier_get_module(&s->refs[i], s->supplier, &known, s->pool);
}

/* Frames are all over their modules and seldom asked for twice: what they touched may go. */
static void relax(sal_dump_symbols_t *s)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_minflt - s->faults < RELAX_FAULTS) {
        return;
    }
    s->faults = usage.ru_minflt;
    for (size_t i = 0; i < s->md->n_modules; i++) {
        if (s->fetched[i] && s->refs[i].state == SAL_SYM_FOUND) {
            sal_symcache_relax(s->refs[i].cache);
        }
    }
}

const sal_sym_ref_t *sal_dump_symbols_get(sal_dump_symbols_t *s, const sal_md_module_t *module)
{
    size_t i = index_of(s, module);

    if (i == s->md->n_modules || !s->supplier) {
        return NULL;
    }
    if (!s->fetched[i]) {
        s->fetched[i] = true;
        if (s->watch) {
            s->watch(module, s->watch_baton);
        }
        fetch(s, i, module);
        if (s->refs[i].state == SAL_SYM_FOUND) {
            sal_symcache_sparse(s->refs[i].cache);
        }
    }
    if (s->refs[i].state == SAL_SYM_FOUND) {
        relax(s);
    }
    return &s->refs[i];
}

const sal_sym_ref_t *sal_dump_symbols_peek(const sal_dump_symbols_t *s,
                                           const sal_md_module_t *module)
{
    size_t i = index_of(s, module);

    return i < s->md->n_modules && s->fetched[i] ? &s->refs[i] : NULL;
}
