/*
 * Fuzz target: any text as a microdump, opened and walked. What is accepted must keep the promises
 * of the object: one thread, memory in order, modules that a look-up finds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <apr_general.h>

#include "analysis/stackwalk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return 0;
}

static void need(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check(const sal_minidump_t *md)
{
    need(md->n_threads == 1 && md->has_thread_list && md->n_streams == 0);
    for (size_t i = 0; i < md->n_memory; i++) {
        const sal_md_memory_t *m = &md->memory[i];

        need(m->bytes.size && (i == 0 || m->base > m[-1].base + (m[-1].bytes.size - 1)));
        need(sal_minidump_memory_at(md, m->base) == m);
    }
    need(md->n_module_order <= md->n_modules);
    for (size_t i = 0; i < md->n_modules; i++) {
        const sal_md_module_t *m = &md->modules[i];

        need(m->size && m->name && m->debug_file && m->code_id);
        need(strlen(m->debug_id) < sizeof(m->debug_id));
    }
    for (size_t i = 0; i < md->n_module_order; i++) { /* its last byte belongs to it alone */
        const sal_md_module_t *m = &md->modules[md->module_order[i]];

        need(sal_minidump_module_at(md, m->base + (m->size - 1)) == m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sal_stackwalk_opts_t opts = { .details = true };
    sal_minidump_t *md;
    sal_error_t err;
    apr_pool_t *p;
    json_t *doc;

    apr_pool_create(&p, NULL);
    if (sal_minidump_open(&md, (sal_span_t){ data, size, false }, p, &err) == APR_SUCCESS &&
        md->microdump.present) {
        check(md);
        if (sal_stackwalk(&doc, md, &opts, p, &err) == APR_SUCCESS) {
            need(sal_stackwalk_human(doc, 0, p) != NULL);
            json_decref(doc);
        }
    }
    apr_pool_destroy(p);
    return 0;
}
