/*
 * A symcache of what few addresses need, in one pass over the text.
 *
 * Lines go to the builder unparsed or not at all: FILE and INLINE_ORIGIN always, the block of a
 * FUNC if it covers an address. What decides about an address that no FUNC covers, the last FUNC
 * and the last PUBLIC at or before it, is known at the end only: they are kept as text and follow
 * then. So the builder and the lookups are the same as for a whole symcache, and so are the
 * answers.
 */
#include "symbols/symcache_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

/* The last record of a kind at or before an address; of equal ones the first of the file. */
typedef struct last_t {
    bool any;
    uint64_t address;
    char *line; /* malloc'ed */
    size_t len, size;
} last_t;

typedef struct part_t {
    const uint64_t *offsets;
    size_t n;
    last_t *func, *public; /* of each address */
    sal_symfile_t *build;  /* parses for the builder */
    sal_symfile_t *head;   /* parses FUNC and PUBLIC lines for us */
    sal_symrec_t rec;      /* what head found */
    bool parsed;
    bool wanted; /* the block we are in */
} part_t;

static apr_status_t on_head(void *baton, const sal_symrec_t *r)
{
    part_t *part = baton;

    part->rec = *r;
    part->parsed = r->kind == SAL_SYMREC_FUNC || r->kind == SAL_SYMREC_PUBLIC;
    return APR_SUCCESS;
}

static apr_status_t pass_on(sal_symfile_t *f, const char *line, size_t len)
{
    apr_status_t rv = sal_symfile_feed(f, line, len);

    return rv == APR_SUCCESS ? sal_symfile_feed(f, "\n", 1) : rv;
}

/* Index of the first address at or behind `from`. */
static size_t first_at(const part_t *part, uint64_t from)
{
    size_t low = 0, high = part->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (part->offsets[middle] < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static apr_status_t keep_line(last_t *last, uint64_t address, const char *line, size_t len)
{
    if (len > last->size) {
        char *grown = realloc(last->line, len * 2);

        if (!grown) {
            return APR_ENOMEM;
        }
        last->line = grown;
        last->size = len * 2;
    }
    memcpy(last->line, line, len);
    last->len = len;
    last->address = address;
    last->any = true;
    return APR_SUCCESS;
}

/*
 * Addresses from the record to the next kept one may have it for their last. The text is nearly
 * always sorted, so only the first address behind the record need be told: whoever lies further
 * back takes the last of its neighbours before it (settle).
 */
static apr_status_t note_last(part_t *part, last_t *lasts, const char *line, size_t len)
{
    size_t i = first_at(part, part->rec.address);

    if (i < part->n && part->rec.address == 0 && lasts[i].any && lasts[i].address == 0) {
        return pass_on(part->build, line, len); /* several PUBLICs at 0 count for none */
    }
    if (i == part->n || (lasts[i].any && lasts[i].address >= part->rec.address)) {
        return APR_SUCCESS;
    }
    return keep_line(&lasts[i], part->rec.address, line, len);
}

static bool covers(const part_t *part)
{
    size_t i = first_at(part, part->rec.address);

    return i < part->n && part->offsets[i] - part->rec.address < part->rec.size;
}

/* FUNC and PUBLIC: is it of use, now or in the end? */
static apr_status_t on_symbol(part_t *part, const char *line, size_t len)
{
    apr_status_t rv;

    part->parsed = part->wanted = false;
    rv = pass_on(part->head, line, len);
    if (rv != APR_SUCCESS || !part->parsed) {
        return rv;
    }
    if (part->rec.kind == SAL_SYMREC_PUBLIC) {
        return note_last(part, part->public, line, len);
    }
    if (part->rec.size == 0) {
        return APR_SUCCESS; /* no FUNC at all */
    }
    part->wanted = covers(part);
    return part->wanted ? pass_on(part->build, line, len) : note_last(part, part->func, line, len);
}

static bool begins(const char *line, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len > n && memcmp(line, with, n) == 0;
}

static apr_status_t on_line(void *baton, const char *line, size_t len)
{
    part_t *part = baton;

    switch (*line) {
    case 'F': /* FUNC, FILE, or the address of a line record */
        if (begins(line, len, "FUNC")) {
            return on_symbol(part, line, len);
        }
        break;
    case 'P':
        return on_symbol(part, line, len);
    case 'S':
        return APR_SUCCESS;
    default:
        break;
    }
    if (part->wanted || *line == 'M' || begins(line, len, "FILE") || begins(line, len, "INFO") ||
        begins(line, len, "INLINE_ORIGIN")) {
        return pass_on(part->build, line, len);
    }
    return APR_SUCCESS;
}

/* Feeds the last record of each address; neighbours that have the same one feed it once. */
static apr_status_t settle(part_t *part, const last_t *lasts)
{
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < part->n && rv == APR_SUCCESS; i++) {
        if (lasts[i].any) {
            rv = pass_on(part->build, lasts[i].line, lasts[i].len);
        }
    }
    return rv;
}

static apr_status_t part_free(void *data)
{
    part_t *part = data;

    for (size_t i = 0; i < part->n; i++) {
        free(part->func[i].line);
        free(part->public[i].line);
    }
    return APR_SUCCESS;
}

static part_t *part_make(const uint64_t *offsets, size_t n, symx_build_t *b, apr_pool_t *p)
{
    part_t *part = apr_pcalloc(p, sizeof(*part));

    part->offsets = offsets;
    part->n = n;
    part->func = apr_pcalloc(p, n * sizeof(*part->func));
    part->public = apr_pcalloc(p, n * sizeof(*part->public));
    part->build = sal_symfile_make(symx_on_record, b, p);
    part->head = sal_symfile_make(on_head, part, p);
    apr_pool_cleanup_register(p, part, part_free, apr_pool_cleanup_null);
    return part;
}

static apr_status_t build_part(const char *path, int fd, const char *sym_path,
                               const uint64_t *offsets, size_t n, apr_pool_t *p, sal_error_t *err)
{
    symx_build_t *b = symx_build_make(p);
    part_t *part = b ? part_make(offsets, n, b, p) : NULL;
    sal_symfile_stats_t stats;
    apr_status_t rv;

    if (!part) {
        return sal_fail_os(err, APR_ENOMEM, "cannot read %s", sym_path);
    }
    rv = sal_symfile_read_fd(sal_symfile_make_lines(on_line, part, p), fd, sym_path, &stats, err);
    if (rv == APR_SUCCESS && (rv = settle(part, part->func)) == APR_SUCCESS) {
        rv = settle(part, part->public);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_symfile_finish(part->build, &stats);
    }
    return rv == APR_SUCCESS ? symx_finish(b, path, sym_path, &stats, p, err) : rv;
}

apr_status_t sal_symcache_build_part(const char *path, const char *sym_path,
                                     const uint64_t *offsets, size_t n, apr_pool_t *p,
                                     sal_error_t *err)
{
    int fd = open(sym_path, O_RDONLY | O_CLOEXEC);
    apr_pool_t *scratch;
    apr_status_t rv;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", sym_path);
    }
    apr_pool_create(&scratch, p);
    rv = build_part(path, fd, sym_path, offsets, n, scratch, err);
    apr_pool_destroy(scratch);
    close(fd);
    return rv;
}
