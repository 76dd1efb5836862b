/*
 * Fuzz target: opens the input as a minidump and reads everything the object offers. Besides not
 * crashing, what it accepts must keep its promises: spans inside the file, ranges in order.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <apr_general.h>

#include "minidump/print.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static FILE *nowhere;
static volatile uint64_t sink; /* what is read must not be optimised away */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    nowhere = fopen("/dev/null", "w");
    return nowhere == NULL;
}

static void need(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_span(const sal_minidump_t *md, const sal_span_t *s)
{
    if (s->size && !md->microdump.present) { /* whose bytes were made from text */
        need(s->data >= md->file.data && s->size <= md->file.size);
        need((size_t)(s->data - md->file.data) <= md->file.size - s->size);
        sink += s->data[0] + s->data[s->size - 1];
    }
}

static void check_text(const char *s)
{
    sink += s ? strlen(s) : 0;
}

static void check_threads(const sal_minidump_t *md)
{
    sal_regs_t regs;

    for (size_t i = 0; i < md->n_threads; i++) {
        check_text(md->threads[i].name);
        check_span(md, &md->threads[i].stack);
        check_span(md, &md->threads[i].context);
        if (sal_context_read(&regs, &md->threads[i].context, md->system.cpu, NULL) == APR_SUCCESS) {
            need(regs.cpu == md->system.cpu && regs.valid);
        }
    }
    check_span(md, &md->exception.context);
    need(md->exception.parameter_count <= 15);
}

static void check_modules(const sal_minidump_t *md)
{
    need(md->n_module_order <= md->n_modules);
    for (size_t i = 0; i < md->n_modules; i++) {
        const sal_md_module_t *m = &md->modules[i];

        need(m->size && m->name && m->code_id && m->base + (m->size - 1) >= m->base);
        need(strlen(m->debug_id) < sizeof(m->debug_id));
        check_text(m->debug_file);
        check_text(m->version);
    }
    for (size_t i = 0; i < md->n_module_order; i++) {
        const sal_md_module_t *m = &md->modules[md->module_order[i]];

        need(md->microdump.present || sal_minidump_module_at(md, m->base) == m);
        need(sal_minidump_module_at(md, m->base + (m->size - 1)) == m);
    }
    for (size_t i = 0; i < md->n_unloaded; i++) {
        need(md->unloaded[i].name && md->unloaded[i].code_id);
    }
}

static void check_memory(const sal_minidump_t *md)
{
    for (size_t i = 0; i < md->n_memory; i++) {
        const sal_md_memory_t *m = &md->memory[i];

        check_span(md, &m->bytes);
        need(i == 0 || m->base > m[-1].base + (m[-1].bytes.size - 1));
        need(sal_minidump_memory_at(md, m->base + (m->bytes.size - 1)) == m);
    }
    for (size_t i = 0; i < md->n_regions; i++) {
        const sal_md_region_t *r = &md->regions[i];

        need(r->size && (i == 0 || r->base > r[-1].base + (r[-1].size - 1)));
        need(sal_minidump_region_at(md, r->base) == r);
        check_text(r->name);
    }
}

static void check_crashpad(const sal_md_crashpad_t *c)
{
    for (size_t i = 0; i < c->n_simple; i++) {
        need(c->simple[i].key && c->simple[i].value);
    }
    for (size_t i = 0; i < c->n_modules; i++) {
        for (size_t k = 0; k < c->modules[i].n_list; k++) {
            need(c->modules[i].list[k] != NULL);
        }
        for (size_t k = 0; k < c->modules[i].n_simple; k++) {
            need(c->modules[i].simple[k].key && c->modules[i].simple[k].value);
        }
        for (size_t k = 0; k < c->modules[i].n_objects; k++) {
            need(c->modules[i].objects[k].key && c->modules[i].objects[k].value);
        }
    }
}

static void check_rest(const sal_minidump_t *md)
{
    const sal_md_system_t *s = &md->system;

    need(s->csd && s->os_name && s->cpu_name);
    check_text(s->os_version);
    check_text(s->cpu_info);
    check_text(s->microcode);
    for (size_t i = 0; i < md->n_handles; i++) {
        check_text(md->handles[i].type_name);
        check_text(md->handles[i].object_name);
    }
    if (md->assertion.present) {
        need(md->assertion.expression && md->assertion.function && md->assertion.file);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sal_minidump_t *md;
    sal_error_t err;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    if (sal_minidump_open(&md, (sal_span_t){ data, size, false }, p, &err) == APR_SUCCESS) {
        check_threads(md);
        check_modules(md);
        check_memory(md);
        check_crashpad(&md->crashpad);
        check_rest(md);
        sal_minidump_print(nowhere, md, false);
    } else {
        need(strstr(err.message, " - ") != NULL);
    }
    apr_pool_destroy(p);
    return 0;
}
