/*
 * The symbol file: what is written, and in which order.
 *
 * MODULE, INFO CODE_ID, FILE, INLINE_ORIGIN, then FUNC with its lines and PUBLIC by address, then
 * STACK CFI. Functions of DWARF stand before symbols of the symbol table; files and origins get
 * their numbers in order of first use, so that the text depends on the input alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dumpsyms/write_private.h"

/* ---- what is written: functions and publics merged ---- */

static bool inside(uint64_t addr, uint64_t start, uint64_t size)
{
    return addr - start < size;
}

/* A symbol inside the one before it (a local label, an alias within) names nothing new. */
static uint32_t merge_items(uint32_t *item, const dump_funcs_t *f, const dump_publics_t *s)
{
    uint32_t n = 0, fi = 0, si = 0;
    uint64_t start = 0, size = 0;

    while (fi < f->funcs || si < s->n) {
        if (si == s->n || (fi < f->funcs && f->func[fi].addr <= s->sym[si].addr)) {
            start = f->func[fi].addr;
            size = f->func[fi].size;
            si += si < s->n && s->sym[si].addr == start;
            item[n++] = fi++;
            continue;
        }
        if (n == 0 || !inside(s->sym[si].addr, start, size)) {
            start = s->sym[si].addr;
            size = s->sym[si].size;
            item[n++] = si | DUMP_ITEM_PUBLIC;
        }
        si++;
    }
    return n;
}

/* ---- numbers by first use ---- */

typedef struct numbers_t {
    uint32_t *number, *order;
    uint32_t n, size;
} numbers_t;

static bool numbers_make(numbers_t *u, uint32_t size)
{
    u->n = 0;
    u->size = size;
    u->number = malloc((size_t)(size + 1) * sizeof(uint32_t));
    u->order = malloc((size_t)(size + 1) * sizeof(uint32_t));
    if (u->number == NULL || u->order == NULL) {
        return false;
    }
    memset(u->number, 0xff, (size_t)(size + 1) * sizeof(uint32_t));
    return true;
}

static void numbers_use(numbers_t *u, uint32_t id)
{
    if (id < u->size && u->number[id] == UINT32_MAX) {
        u->number[id] = u->n;
        u->order[u->n++] = id;
    }
}

static void number_func(numbers_t *files, numbers_t *origins, sal_dumpsyms_info_t *info,
                        const dump_func_t *f)
{
    dump_unpack_t u;
    dump_site_t site;
    dump_line_t line;
    bool first;

    dump_unpack_start(&u, f);
    while (dump_unpack_site(&u, &site, &first)) {
        if (first) {
            numbers_use(files, site.call_file);
            numbers_use(origins, site.origin);
            info->inlines++;
        }
    }
    while (dump_unpack_line(&u, &line)) {
        numbers_use(files, line.file);
        info->lines++;
    }
}

static void number_items(numbers_t *files, numbers_t *origins, sal_dumpsyms_info_t *info,
                         const dump_text_t *t)
{
    for (uint32_t i = 0; i < t->items; i++) {
        if ((t->item[i] & DUMP_ITEM_PUBLIC) != 0) {
            info->publics++;
        } else {
            info->functions++;
            number_func(files, origins, info, &t->funcs->func[t->item[i]]);
        }
    }
}

/* ---- the bound on output ---- */

typedef struct bound_t {
    FILE *out;
    uint64_t left;
    bool over;
} bound_t;

static ssize_t bound_write(void *cookie, const char *buf, size_t n)
{
    bound_t *b = cookie;

    if (n > b->left) {
        b->over = true;
        errno = EFBIG;
        return 0;
    }
    b->left -= n;
    return (ssize_t)fwrite(buf, 1, n, b->out);
}

/* ---- all of it ---- */

typedef struct dump_t {
    dump_elf_t elf;
    dump_publics_t publics;
    dump_funcs_t funcs;
    dump_text_t text;
    uint32_t *item;
    numbers_t files, origins;
    char *cfi; /* only where nothing else was found */
    size_t cfi_size;
} dump_t;

static apr_status_t write_records(FILE *out, dump_t *d, const sal_dumpsyms_info_t *info,
                                  const sal_dumpsyms_opts_t *opts, sal_error_t *err)
{
    apr_status_t rv;

    dump_header_write(out, info, opts);
    for (uint32_t i = 0; i < d->files.n; i++) {
        fprintf(out, "FILE %u %s\n", i, d->funcs.files[d->files.order[i]]);
    }
    rv = dump_text_origins(out, &d->text, err);
    return rv == APR_SUCCESS ? dump_text_items(out, &d->text, err) : rv;
}

static apr_status_t prepare(dump_t *d, sal_dumpsyms_info_t *info, const sal_dumpsyms_opts_t *opts,
                            sal_error_t *err)
{
    d->item = malloc(((size_t)d->funcs.funcs + d->publics.n + 1) * sizeof(uint32_t));
    if (d->item == NULL || !numbers_make(&d->files, d->funcs.n_files) ||
        !numbers_make(&d->origins, d->funcs.n_origins)) {
        return sal_fail(err, APR_ENOMEM, "no memory for %u functions", d->funcs.funcs);
    }
    d->text.funcs = &d->funcs;
    d->text.publics = &d->publics;
    d->text.item = d->item;
    d->text.items = merge_items(d->item, &d->funcs, &d->publics);
    number_items(&d->files, &d->origins, info, &d->text);
    d->text.file_number = d->files.number;
    d->text.origin_number = d->origins.number;
    d->text.origin_order = d->origins.order;
    d->text.n_origins = d->origins.n;
    d->text.threads = opts->threads;
    return APR_SUCCESS;
}

/* CFI goes to the output as it is made. Only a file without any name has it made first: whether it
 * has symbols at all is then up to CFI, and nothing may have been written before that is known. */
static apr_status_t cfi_first(dump_t *d, sal_dumpsyms_info_t *info, const sal_dumpsyms_opts_t *opts,
                              apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    FILE *mem;

    if (d->text.items > 0) {
        return APR_SUCCESS;
    }
    if (!opts->no_cfi) {
        mem = open_memstream(&d->cfi, &d->cfi_size);
        if (mem == NULL) {
            return sal_fail(err, APR_ENOMEM, "no memory for CFI");
        }
        rv = dump_cfi_write(mem, &info->cfi, &d->elf, p, err);
        fclose(mem);
    }
    if (rv == APR_SUCCESS && info->cfi == 0) {
        return sal_fail(err, APR_NOTFOUND,
                        "%s: no symbols: no debug information, no symbol table "
                        "and no CFI",
                        d->elf.path);
    }
    return rv;
}

static apr_status_t write_all(FILE *out, dump_t *d, sal_dumpsyms_info_t *info,
                              const sal_dumpsyms_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = write_records(out, d, info, opts, err);

    if (rv == APR_SUCCESS && d->cfi != NULL) {
        fwrite(d->cfi, 1, d->cfi_size, out);
    } else if (rv == APR_SUCCESS && !opts->no_cfi) {
        rv = dump_cfi_write(out, &info->cfi, &d->elf, p, err);
    }
    if (rv == APR_SUCCESS && (fflush(out) != 0 || ferror(out))) {
        rv = sal_fail_os(err, APR_FROM_OS_ERROR(errno), "cannot write the symbols");
    }
    return rv;
}

static apr_status_t write_bounded(FILE *out, dump_t *d, sal_dumpsyms_info_t *info,
                                  const sal_dumpsyms_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    bound_t bound = { out, opts->max_output, false };
    FILE *counted;
    apr_status_t rv;

    if (opts->max_output == 0) {
        return write_all(out, d, info, opts, p, err);
    }
    counted = fopencookie(&bound, "w", (cookie_io_functions_t){ .write = bound_write });
    if (counted == NULL) {
        return sal_fail(err, APR_ENOMEM, "no memory for a stream");
    }
    rv = write_all(counted, d, info, opts, p, err);
    fclose(counted);
    if (bound.over) {
        return sal_fail(err, APR_ENOSPC, "%s: symbols are over the limit of %llu bytes",
                        d->elf.path, (unsigned long long)opts->max_output);
    }
    return rv;
}

static int thread_count(const sal_dumpsyms_opts_t *opts)
{
    long n = opts->threads > 0 ? opts->threads : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 64 ? 64 : (int)n;
}

apr_status_t sal_dumpsyms_write(FILE *out, sal_dumpsyms_info_t *info, const char *path,
                                const sal_dumpsyms_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    static const sal_dumpsyms_opts_t none;
    sal_dumpsyms_opts_t with = opts != NULL ? *opts : none;
    dump_t *d = apr_pcalloc(p, sizeof(*d));
    apr_status_t rv;

    with.threads = thread_count(&with);
    memset(info, 0, sizeof(*info));
    rv = dump_elf_open(&d->elf, info, path, &with, p, err);
    if (rv == APR_SUCCESS) {
        rv = dump_publics_read(&d->publics, &d->elf, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = dump_funcs_read(&d->funcs, &d->elf, &d->publics, &with, err);
    }
    if (rv == APR_SUCCESS) {
        rv = prepare(d, info, &with, err);
    }
    if (rv == APR_SUCCESS) {
        rv = cfi_first(d, info, &with, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = write_bounded(out, d, info, &with, p, err);
    }
    dump_funcs_free(&d->funcs);
    free(d->item);
    free(d->files.number);
    free(d->files.order);
    free(d->origins.number);
    free(d->origins.order);
    free(d->cfi);
    return rv;
}
