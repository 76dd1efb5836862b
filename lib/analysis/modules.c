/*
 * Modules of the process, loaded and unloaded, and how the search for their symbols went.
 */
#include "analysis/analysis_private.h"

#include <stdlib.h>
#include <apr_strings.h>

#include "base/text.h"

enum { MAX_UNLOADED_AT = 32 };

static const char no_debug_id[] = "000000000000000000000000000000000";

/* Statistics are kept by name of the file: a file that is mapped twice is one. */
static void count_one(sal_analysis_t *r, const sal_md_module_t *m, const sal_sym_ref_t *ref)
{
    const char *name = sal_basename(m->name);
    sal_symbol_stats_t *stats = apr_hash_get(r->symbol_stats, name, APR_HASH_KEY_STRING);
    sal_symcache_info_t info;

    if (!stats) {
        stats = apr_pcalloc(r->pool, sizeof(*stats));
        apr_hash_set(r->symbol_stats, name, APR_HASH_KEY_STRING, stats);
    }
    if (ref->state == SAL_SYM_MISSING) {
        return;
    }
    stats->loaded = true;
    if (ref->state == SAL_SYM_CORRUPT || !ref->cache) {
        stats->corrupt = true;
        return;
    }
    sal_symcache_info(ref->cache, &info);
    stats->corrupt = stats->corrupt || info.skipped_lines;
    if (info.url && *info.url) {
        stats->url = apr_pstrdup(r->pool, info.url);
    }
}

void sal_analysis_count_symbols(sal_analysis_t *r)
{
    r->symbol_stats = apr_hash_make(r->pool);
    for (size_t i = 0; i < r->md->n_modules; i++) {
        const sal_sym_ref_t *ref = sal_dump_symbols_peek(r->syms, &r->md->modules[i]);

        if (ref) {
            count_one(r, &r->md->modules[i], ref);
        }
    }
}

static json_t *cert_of(const sal_analysis_t *r, const char *name)
{
    const char *subject = r->certs ? json_string_value(json_object_get(r->certs, name)) : NULL;

    return sal_analysis_text(r, subject);
}

/* The names of a module's symbols; those that a server knew stand for those the dump lacks. */
static void debug_names(const char **debug_file, const char **debug_id, const sal_analysis_t *r,
                        const sal_md_module_t *m)
{
    const sal_sym_ref_t *ref = sal_dump_symbols_peek(r->syms, m);

    *debug_file = m->debug_file ? sal_basename(m->debug_file) : "";
    *debug_id = *m->debug_id ? m->debug_id : no_debug_id;
    if (ref && ref->debug_id) {
        *debug_file = ref->debug_file;
        *debug_id = ref->debug_id;
    }
}

json_t *sal_analysis_modules(const sal_analysis_t *r)
{
    static const sal_symbol_stats_t never_asked;
    json_t *out = json_array();

    for (size_t i = 0; i < r->md->n_modules; i++) {
        const sal_md_module_t *m = &r->md->modules[i];
        const char *name = sal_basename(m->name);
        const sal_symbol_stats_t *asked = apr_hash_get(r->symbol_stats, name, APR_HASH_KEY_STRING);
        const sal_symbol_stats_t *stats = asked ? asked : &never_asked;
        const char *debug_file, *debug_id;

        debug_names(&debug_file, &debug_id, r, m);
        json_array_append_new(
            out,
            json_pack(
                "{s:o,s:o,s:o,s:b,s:o,s:o,s:o,s:o,s:b,s:b,s:o,s:o}", "base_addr",
                sal_analysis_hex(r, m->base), "cert_subject", cert_of(r, name), "code_id",
                sal_analysis_text(r, m->code_id ? m->code_id : ""), "corrupt_symbols",
                stats->corrupt, "debug_file", sal_analysis_text(r, debug_file), "debug_id",
                sal_analysis_text(r, debug_id), "end_addr", sal_analysis_hex(r, m->base + m->size),
                "filename", sal_analysis_text(r, name), "loaded_symbols", stats->loaded,
                "missing_symbols", asked && !stats->loaded, "symbol_url",
                sal_analysis_text(r, stats->url), "version", sal_analysis_text(r, m->version)));
    }
    return out;
}

json_t *sal_analysis_unloaded(const sal_analysis_t *r)
{
    json_t *out = json_array();

    for (size_t i = 0; i < r->md->n_unloaded; i++) {
        const sal_md_unloaded_t *m = &r->md->unloaded[i];

        json_array_append_new(out, json_pack("{s:o,s:o,s:o,s:o,s:o}", "base_addr",
                                             sal_analysis_hex(r, m->base), "cert_subject",
                                             cert_of(r, m->name), "code_id",
                                             sal_analysis_text(r, m->code_id ? m->code_id : ""),
                                             "end_addr", sal_analysis_hex(r, m->base + m->size),
                                             "filename", sal_analysis_text(r, m->name)));
    }
    return out;
}

typedef struct {
    const char *name;
    uint64_t offset;
} found_t;

static int by_name_and_offset(const void *a, const void *b)
{
    const found_t *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->offset > y->offset) - (x->offset < y->offset);
}

/* Which unloaded modules were at address, and how far into each; null for none. */
json_t *sal_analysis_unloaded_at(sal_analysis_t *r, uint64_t address)
{
    found_t found[MAX_UNLOADED_AT];
    size_t n = 0;
    json_t *out, *offsets = NULL;

    for (size_t i = 0; i < r->md->n_unloaded && n < MAX_UNLOADED_AT && r->unloaded_left; i++) {
        const sal_md_unloaded_t *m = &r->md->unloaded[i];

        if (address >= m->base && address - m->base < m->size) {
            found[n++] = (found_t){ m->name, address - m->base };
            r->unloaded_left--;
        }
    }
    if (n == 0) {
        return json_null();
    }
    qsort(found, n, sizeof(found[0]), by_name_and_offset);
    out = json_array();
    for (size_t i = 0; i < n; i++) {
        bool same_name = i > 0 && strcmp(found[i].name, found[i - 1].name) == 0;

        if (same_name && found[i].offset == found[i - 1].offset) {
            continue;
        }
        if (!same_name) {
            offsets = json_array();
            json_array_append_new(
                out, json_pack("{s:o,s:o}", "module",
                               sal_analysis_name(r, found[i].name, strlen(found[i].name)),
                               "offsets", offsets));
        }
        json_array_append_new(offsets, sal_analysis_hex(r, found[i].offset));
    }
    return out;
}
