/*
 * Any bytes as a .sym (plain, gzip, zstd): indexed or refused; what was indexed opens and answers
 * every question about the addresses it covers. Parsing in small pieces gives what parsing at once
 * gives; a symcache of some addresses answers for them as the whole one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/log.h"
#include "symbols/symcache.h"
#include "symbols/symfile.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *path, *text_path, *part_path;

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

static void remove_file(void)
{
    unlink(path);
    unlink(text_path);
    unlink(part_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    apr_pool_t *pool;

    (void)argc, (void)argv;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_sink(silent, NULL);
    path = apr_psprintf(pool, "/tmp/fuzz_symfile.%d.symx", (int)getpid());
    text_path = apr_pstrcat(pool, path, ".sym", NULL);
    part_path = apr_pstrcat(pool, path, ".part", NULL);
    atexit(remove_file);
    return 0;
}

typedef struct sum_t {
    uint64_t records, sum;
} sum_t;

static apr_status_t add_up(void *baton, const sal_symrec_t *r)
{
    sum_t *s = baton;

    s->records++;
    s->sum = s->sum * 31 + r->kind + r->address * 3 + r->size * 5 + r->params * 7 + r->number +
             r->line * 11 + r->file + r->depth + r->text.len + r->os.len + r->arch.len + r->id.len;
    for (size_t i = 0; i < r->text.len; i++) {
        s->sum = s->sum * 31 + (unsigned char)r->text.s[i];
    }
    return APR_SUCCESS;
}

static sum_t parse(const uint8_t *data, size_t size, size_t piece, apr_pool_t *p)
{
    sum_t s = { 0, 0 };
    sal_symfile_t *f = sal_symfile_make(add_up, &s, p);

    for (size_t at = 0; at < size; at += piece) {
        sal_symfile_feed(f, (const char *)data + at, size - at < piece ? size - at : piece);
    }
    sal_symfile_finish(f, NULL);
    return s;
}

static volatile unsigned sink;

static void eat(sal_str_t s)
{
    for (uint32_t i = 0; i < s.len; i++) {
        sink += (unsigned char)s.s[i];
    }
}

static void ask(const sal_symcache_t *c, uint64_t address)
{
    static sal_sym_frame_t inlines[SAL_SYM_MAX_INLINES];
    sal_sym_hit_t hit;
    sal_cfi_t cfi;
    sal_win_t win;

    if (sal_symcache_lookup(c, address, &hit, inlines, SAL_SYM_MAX_INLINES)) {
        uint32_t base = sal_symcache_line_base(c, address);

        if (base > address || (hit.function_size && address < hit.function_offset)) {
            abort();
        }
        eat(hit.outer.function);
        eat(hit.outer.file);
        for (uint32_t i = 0; i < hit.n_inlines; i++) {
            eat(inlines[i].function);
            eat(inlines[i].file);
        }
    }
    if (sal_symcache_cfi(c, address, &cfi)) {
        if (address < cfi.start || address - cfi.start >= cfi.size) {
            abort();
        }
        for (uint32_t i = 0; i < cfi.n_deltas; i++) {
            eat(sal_symcache_cfi_delta(c, &cfi, i));
        }
    }
    if (sal_symcache_win(c, address, address % 2 == 1, &win)) {
        eat(win.program);
    }
}

static bool same_text(sal_str_t a, sal_str_t b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static bool same_frame(const sal_sym_frame_t *a, const sal_sym_frame_t *b)
{
    return same_text(a->function, b->function) && same_text(a->file, b->file) && a->line == b->line;
}

static void compare(const sal_symcache_t *whole, const sal_symcache_t *part, uint64_t address)
{
    static sal_sym_frame_t a[SAL_SYM_MAX_INLINES], b[SAL_SYM_MAX_INLINES];
    sal_sym_hit_t one, two;
    bool found = sal_symcache_lookup(whole, address, &one, a, SAL_SYM_MAX_INLINES);

    if (sal_symcache_lookup(part, address, &two, b, SAL_SYM_MAX_INLINES) != found) {
        abort();
    }
    if (!found) {
        return;
    }
    if (!same_frame(&one.outer, &two.outer) || one.n_inlines != two.n_inlines ||
        one.function_offset != two.function_offset || one.function_size != two.function_size) {
        abort();
    }
    for (uint32_t i = 0; i < one.n_inlines; i++) {
        if (!same_frame(&a[i], &b[i])) {
            abort();
        }
    }
}

static void compare_parts(const sal_symcache_t *whole, const uint8_t *data, size_t size,
                          apr_pool_t *p)
{
    uint64_t offsets[40];
    sal_symcache_t *part;
    FILE *f = fopen(text_path, "w");

    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        return; /* the disk is full */
    }
    for (size_t i = 0; i < 40; i++) {
        offsets[i] = i * 0xd3 + (size % 0xd3);
    }
    if (sal_symcache_build_part(part_path, text_path, offsets, 40, p, NULL) != APR_SUCCESS ||
        sal_symcache_open(&part, part_path, p, NULL) != APR_SUCCESS) {
        abort();
    }
    for (size_t i = 0; i < 40; i++) {
        compare(whole, part, offsets[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    sal_symcache_t *c;
    sum_t whole;
    sum_t cut;

    apr_pool_create(&p, NULL);
    whole = parse(data, size, size + 1, p);
    cut = parse(data, size, 1 + size % 13, p);
    if (whole.records != cut.records || whole.sum != cut.sum) {
        abort();
    }
    if (sal_symcache_build_mem(path, (sal_span_t){ data, size, false }, p, NULL) == APR_SUCCESS) {
        if (sal_symcache_open(&c, path, p, NULL) != APR_SUCCESS) {
            abort();
        }
        for (uint64_t x = 0; x < 0x2200; x += 0x15) {
            ask(c, x);
        }
        ask(c, UINT32_MAX);
        ask(c, UINT64_MAX);
        compare_parts(c, data, size, p);
    }
    apr_pool_destroy(p);
    return 0;
}
