/*
 * Building a symcache: records of a .sym go into tables, one FUNC at a time, and the tables into a
 * file. Which record belongs to which FUNC, and what is dropped, is decided here.
 */
#include "symbols/symcache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"
#include "symbols/symcache_build.h"

enum { CHECK_EVERY = 1 << 16 };
#define MAX_TABLES (UINT64_C(4) << 30) /* a gigabyte of text makes less than one */

static apr_status_t build_free(void *data)
{
    symx_build_t *b = data;
    symx_vec_t *vecs[] = { &b->code,   &b->calls,   &b->funcs, &b->files,   &b->strs,
                           &b->cfi,    &b->deltas,  &b->win,   &b->fpo,     &b->bytes,
                           &b->blocks, &b->publics, &b->lines, &b->inlines, &b->requeued };

    for (size_t i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++) {
        free(vecs[i]->data);
    }
    free(b->str_table.slots);
    free(b->call_table.slots);
    free(b->file_of.slots);
    free(b->file_of.dense);
    free(b->origin_of.slots);
    free(b->origin_of.dense);
    free(b);
    return APR_SUCCESS;
}

symx_build_t *symx_build_make(apr_pool_t *p)
{
    symx_build_t *b = calloc(1, sizeof(*b));

    if (!b) {
        return NULL;
    }
    apr_pool_cleanup_register(p, b, build_free, apr_pool_cleanup_null);
    b->code.element = 1;
    b->calls.element = sizeof(symx_loc_t);
    b->funcs.element = sizeof(symx_func_t);
    b->files.element = sizeof(uint32_t);
    b->strs.element = sizeof(symx_str_t);
    b->cfi.element = sizeof(symx_cfi_t);
    b->deltas.element = sizeof(symx_delta_t);
    b->win.element = sizeof(symx_win_t);
    b->fpo.element = sizeof(symx_win_t);
    b->bytes.element = 1;
    b->blocks.element = sizeof(symx_block_t);
    b->publics.element = sizeof(symx_public_t);
    b->lines.element = sizeof(symx_line_t);
    b->inlines.element = sizeof(symx_inline_t);
    b->requeued.element = sizeof(symx_inline_t);
    for (int i = 0; i < SYMX_STRINGS; i++) {
        b->strings[i] = SYMX_NONE;
    }
    return b;
}

/* Index of a name, "<unknown>" for none; SYMX_NONE: no memory. */
static uint32_t name_string(symx_build_t *b, sal_symtext_t name)
{
    static const char unknown[] = "<unknown>";

    return name.len ? symx_string(b, name.s, name.len)
                    : symx_string(b, unknown, sizeof(unknown) - 1);
}

static uint32_t add_func(symx_build_t *b, sal_symtext_t name, uint32_t flags)
{
    uint32_t str = name_string(b, name);
    symx_func_t *f = str == SYMX_NONE ? NULL : symx_push(&b->funcs);

    if (!f) {
        return SYMX_NONE;
    }
    *f = (symx_func_t){ .name = str, .flags = flags };
    return (uint32_t)b->funcs.count - 1;
}

/* Dense index of a FILE number, whether its record came already or comes later. */
static apr_status_t file_index(symx_build_t *b, uint32_t number, uint32_t *index)
{
    uint32_t *value;
    uint32_t *file;

    *index = SYMX_NONE;
    if (number == SAL_SYM_NO_FILE) {
        return APR_SUCCESS;
    }
    if (!symx_map_get(&b->file_of, number, &value)) {
        return APR_ENOMEM;
    }
    if (*value == 0) {
        file = symx_push(&b->files);
        if (!file) {
            return APR_ENOMEM;
        }
        *file = SYMX_NONE;
        *value = (uint32_t)b->files.count;
    }
    *index = *value - 1;
    return APR_SUCCESS;
}

/* The function of an INLINE_ORIGIN number, likewise; unnamed until its record comes. */
static apr_status_t origin_func(symx_build_t *b, uint32_t number, uint32_t *func)
{
    uint32_t *value;

    if (!symx_map_get(&b->origin_of, number, &value)) {
        return APR_ENOMEM;
    }
    if (*value == 0) {
        uint32_t fresh = add_func(b, (sal_symtext_t){ NULL, 0 }, SYMX_FN_INLINE);

        if (fresh == SYMX_NONE) {
            return APR_ENOMEM;
        }
        *value = fresh + 1;
    }
    *func = *value - 1;
    return APR_SUCCESS;
}

static apr_status_t end_func(symx_build_t *b)
{
    symx_block_t *block;
    size_t first = b->code.count;
    apr_status_t rv;

    if (b->state != SYMX_IN_FUNC) {
        b->state = SYMX_NO_FUNC;
        return APR_SUCCESS;
    }
    b->state = SYMX_NO_FUNC;
    rv = symx_sweep(b);
    block = symx_push(&b->blocks);
    b->lines.count = b->inlines.count = 0;
    if (rv != APR_SUCCESS || !block) {
        return APR_ENOMEM;
    }
    *block = (symx_block_t){ (uint32_t)b->start, (uint32_t)(b->end - 1), (uint32_t)first,
                             (uint32_t)(b->code.count - first) };
    return APR_SUCCESS;
}

static apr_status_t on_func(symx_build_t *b, const sal_symrec_t *r)
{
    apr_status_t rv = end_func(b);
    symx_func_t *f;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (r->size == 0 || r->address >= SYMX_TOP) {
        b->state = SYMX_SKIP_FUNC; /* and its lines */
        return APR_SUCCESS;
    }
    b->func = add_func(b, r->text, r->multiple ? SYMX_FN_MULTIPLE : 0);
    if (b->func == SYMX_NONE) {
        return APR_ENOMEM;
    }
    b->start = r->address;
    b->end = symx_end(r->address, r->size);
    f = SYMX_AT(b->funcs, symx_func_t, b->func);
    f->address = (uint32_t)b->start;
    f->size = b->end - b->start > UINT32_MAX ? UINT32_MAX : (uint32_t)(b->end - b->start);
    f->params = r->params;
    b->state = SYMX_IN_FUNC;
    b->n_functions++;
    return APR_SUCCESS;
}

/* True if a line or inline may be taken: there is a FUNC, and it starts inside. */
static bool belongs(symx_build_t *b, const sal_symrec_t *r)
{
    if (b->state == SYMX_NO_FUNC) {
        b->stray++;
    }
    return b->state == SYMX_IN_FUNC && r->size > 0 && r->address >= b->start && r->address < b->end;
}

static apr_status_t on_line(symx_build_t *b, const sal_symrec_t *r)
{
    uint32_t file;
    symx_line_t *line;

    if (!belongs(b, r)) {
        return APR_SUCCESS;
    }
    line = file_index(b, r->file, &file) == APR_SUCCESS ? symx_push(&b->lines) : NULL;
    if (!line) {
        return APR_ENOMEM;
    }
    *line = (symx_line_t){ r->address, symx_end(r->address, r->size), file, r->line,
                           (uint32_t)b->lines.count };
    b->n_lines++;
    return APR_SUCCESS;
}

static apr_status_t on_inline(symx_build_t *b, const sal_symrec_t *r)
{
    uint32_t file;
    uint32_t func;
    symx_inline_t *rec;

    if (!belongs(b, r) || r->depth >= SYMX_MAX_DEPTH || r->address + r->size < r->address) {
        return APR_SUCCESS;
    }
    rec = file_index(b, r->file, &file) == APR_SUCCESS &&
                  origin_func(b, r->number, &func) == APR_SUCCESS
              ? symx_push(&b->inlines)
              : NULL;
    if (!rec) {
        return APR_ENOMEM;
    }
    *rec = (symx_inline_t){ r->address, symx_end(r->address, r->size),
                            r->depth,   (uint32_t)b->inlines.count,
                            func,       file,
                            r->line };
    b->n_inlines++;
    return APR_SUCCESS;
}

static apr_status_t on_file(symx_build_t *b, const sal_symrec_t *r)
{
    uint32_t index;
    uint32_t str = symx_string(b, r->text.s, r->text.len);

    if (str == SYMX_NONE || file_index(b, r->number, &index) != APR_SUCCESS) {
        return APR_ENOMEM;
    }
    *SYMX_AT(b->files, uint32_t, index) = str;
    return APR_SUCCESS;
}

static apr_status_t on_origin(symx_build_t *b, const sal_symrec_t *r)
{
    uint32_t func;
    uint32_t str = name_string(b, r->text);

    if (str == SYMX_NONE || origin_func(b, r->number, &func) != APR_SUCCESS) {
        return APR_ENOMEM;
    }
    SYMX_AT(b->funcs, symx_func_t, func)->name = str;
    return APR_SUCCESS;
}

static apr_status_t on_public(symx_build_t *b, const sal_symrec_t *r)
{
    apr_status_t rv = end_func(b);
    symx_public_t *public;
    uint32_t func;

    if (rv != APR_SUCCESS || r->address >= SYMX_TOP) {
        return rv;
    }
    func = add_func(b, r->text, SYMX_FN_PUBLIC | (r->multiple ? SYMX_FN_MULTIPLE : 0));
    public = func == SYMX_NONE ? NULL : symx_push(&b->publics);
    if (!public) {
        return APR_ENOMEM;
    }
    *public = (symx_public_t){ (uint32_t)r->address, func };
    SYMX_AT(b->funcs, symx_func_t, func)->address = (uint32_t)r->address;
    SYMX_AT(b->funcs, symx_func_t, func)->params = r->params;
    b->n_publics++;
    return APR_SUCCESS;
}

static apr_status_t set_string(symx_build_t *b, enum symx_string which, sal_symtext_t text)
{
    while (text.len > 0 && (text.s[text.len - 1] == ' ' || text.s[text.len - 1] == '\t')) {
        text.len--;
    }
    if (b->strings[which] == SYMX_NONE && text.len > 0) {
        b->strings[which] = symx_string(b, text.s, text.len);
        return b->strings[which] == SYMX_NONE ? APR_ENOMEM : APR_SUCCESS;
    }
    return APR_SUCCESS;
}

static apr_status_t on_module(symx_build_t *b, const sal_symrec_t *r)
{
    apr_status_t rv;

    if (b->has_module) {
        b->stray++;
        return APR_SUCCESS;
    }
    b->has_module = true;
    rv = set_string(b, SYMX_S_OS, r->os);
    rv = rv ? rv : set_string(b, SYMX_S_ARCH, r->arch);
    rv = rv ? rv : set_string(b, SYMX_S_ID, r->id);
    return rv ? rv : set_string(b, SYMX_S_NAME, r->text);
}

static bool text_is(sal_symtext_t t, const char *s)
{
    return t.len == strlen(s) && memcmp(t.s, s, t.len) == 0;
}

static apr_status_t on_info(symx_build_t *b, const sal_symrec_t *r)
{
    const char *blank;
    sal_symtext_t id = r->text;
    sal_symtext_t name = { r->text.s + r->text.len, 0 };
    apr_status_t rv;

    if (text_is(r->id, "GENERATOR")) {
        return set_string(b, SYMX_S_GENERATOR, r->text);
    }
    if (text_is(r->id, "URL")) {
        return set_string(b, SYMX_S_URL, r->text);
    }
    if (!text_is(r->id, "CODE_ID") || b->strings[SYMX_S_CODE_ID] != SYMX_NONE) {
        return APR_SUCCESS;
    }
    blank = memchr(r->text.s, ' ', r->text.len);
    if (blank) {
        id.len = (size_t)(blank - r->text.s);
        name = (sal_symtext_t){ blank + 1, r->text.len - id.len - 1 };
    }
    rv = set_string(b, SYMX_S_CODE_ID, id);
    return rv ? rv : set_string(b, SYMX_S_CODE_FILE, name);
}

static bool starts(sal_symtext_t t, const char *s)
{
    return t.len >= strlen(s) && memcmp(t.s, s, strlen(s)) == 0;
}

/* A damaged head must not hand its followers to the head before it. */
static apr_status_t on_bad(symx_build_t *b, const sal_symrec_t *r)
{
    apr_status_t rv = APR_SUCCESS;

    if (starts(r->text, "FUNC") || starts(r->text, "PUBLIC")) {
        rv = end_func(b);
        b->state = SYMX_SKIP_FUNC;
    } else if (starts(r->text, "STACK CFI INIT")) {
        b->cfi_open = false;
        b->cfi_skip = true;
    }
    return rv;
}

/* Bytes in the tables: what a small compressed file can blow up. */
static uint64_t table_bytes(const symx_build_t *b)
{
    const symx_vec_t *vecs[] = { &b->code,    &b->calls,   &b->funcs, &b->strs, &b->bytes,
                                 &b->cfi,     &b->deltas,  &b->win,   &b->fpo,  &b->blocks,
                                 &b->publics, &b->inlines, &b->lines };
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++) {
        sum += vecs[i]->capacity * vecs[i]->element;
    }
    return sum;
}

apr_status_t symx_on_record(void *baton, const sal_symrec_t *r)
{
    symx_build_t *b = baton;

    if (++b->records % CHECK_EVERY == 0 && table_bytes(b) > MAX_TABLES) {
        return SAL_E_TOOBIG;
    }
    switch (r->kind) {
    case SAL_SYMREC_LINE:
        return on_line(b, r);
    case SAL_SYMREC_INLINE:
        return on_inline(b, r);
    case SAL_SYMREC_FUNC:
        return on_func(b, r);
    case SAL_SYMREC_CFI_DELTA:
        return symx_on_cfi_delta(b, r);
    case SAL_SYMREC_CFI_INIT:
        return symx_on_cfi_init(b, r);
    case SAL_SYMREC_WIN:
        return symx_on_win(b, r);
    case SAL_SYMREC_PUBLIC:
        return on_public(b, r);
    case SAL_SYMREC_FILE:
        return on_file(b, r);
    case SAL_SYMREC_ORIGIN:
        return on_origin(b, r);
    case SAL_SYMREC_MODULE:
        return on_module(b, r);
    case SAL_SYMREC_INFO:
        return on_info(b, r);
    case SAL_SYMREC_BAD:
        return on_bad(b, r);
    }
    return APR_SUCCESS;
}

/* Says once which lines were damaged; the count stays in the file. */
static void log_damage(const char *name, const sal_symfile_stats_t *stats)
{
    for (uint64_t i = 0; i < stats->skipped && i < SAL_SYMFILE_SAMPLES; i++) {
        sal_log(SAL_LOG_DEBUG, 0, "%s: line %llu is damaged: %s", name,
                (unsigned long long)stats->samples[i].line, stats->samples[i].text);
    }
    if (stats->skipped > 0) {
        sal_log(SAL_LOG_INFO, 2050,
                "%s: %llu damaged lines of %llu skipped, the first is line %llu", name,
                (unsigned long long)stats->skipped, (unsigned long long)stats->lines,
                (unsigned long long)stats->samples[0].line);
    }
}

apr_status_t symx_finish(symx_build_t *b, const char *path, const char *name,
                         const sal_symfile_stats_t *stats, apr_pool_t *p, sal_error_t *err)
{
    if (!b->has_module) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: %s", name,
                        stats->bytes ? "no MODULE line, so these are no symbols" : "empty file");
    }
    if (end_func(b) != APR_SUCCESS || !symx_settle_stack(b) || !symx_merge_prepare(b)) {
        return sal_fail_os(err, APR_ENOMEM, "%s: cannot be indexed", name);
    }
    log_damage(name, stats);
    b->source_size = stats->bytes;
    b->skipped = stats->skipped + b->stray;
    return symx_write(b, path, p, err);
}

apr_status_t sal_symcache_build_mem(const char *path, sal_span_t text, apr_pool_t *p,
                                    sal_error_t *err)
{
    apr_pool_t *scratch;
    symx_build_t *b;
    sal_symfile_stats_t stats;
    apr_status_t rv;

    apr_pool_create(&scratch, p);
    b = symx_build_make(scratch);
    rv = b ? sal_symfile_read_mem(sal_symfile_make(symx_on_record, b, scratch), text, &stats, err)
           : sal_fail_os(err, APR_ENOMEM, "cannot index symbols");
    if (rv == APR_SUCCESS) {
        rv = symx_finish(b, path, "symbols in memory", &stats, scratch, err);
    }
    apr_pool_destroy(scratch);
    return rv;
}

static apr_status_t build_from_fd(const char *path, int fd, const char *sym_path, apr_pool_t *p,
                                  sal_error_t *err)
{
    symx_build_t *b = symx_build_make(p);
    sal_symfile_stats_t stats;
    struct stat st;
    apr_status_t rv;

    if (!b) {
        return sal_fail_os(err, APR_ENOMEM, "cannot index %s", sym_path);
    }
    if (fstat(fd, &st) != 0) {
        return sal_fail_os(err, errno, "cannot stat %s", sym_path);
    }
    b->stamp = sal_symcache_stamp_of(&st);
    rv = sal_symfile_read_fd(sal_symfile_make(symx_on_record, b, p), fd, sym_path, &stats, err);
    return rv == APR_SUCCESS ? symx_finish(b, path, sym_path, &stats, p, err) : rv;
}

apr_status_t sal_symcache_build(const char *path, const char *sym_path, apr_pool_t *p,
                                sal_error_t *err)
{
    int fd = open(sym_path, O_RDONLY | O_CLOEXEC);
    apr_pool_t *scratch;
    apr_status_t rv;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", sym_path);
    }
    apr_pool_create(&scratch, p);
    rv = build_from_fd(path, fd, sym_path, scratch, err);
    apr_pool_destroy(scratch);
    close(fd);
    return rv;
}
