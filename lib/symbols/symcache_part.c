/*
 * A symcache of what few addresses need, in one pass over the text.
 *
 * Lines go to the builder unparsed or not at all: FILE always, the block of a FUNC if it covers an
 * address. What is known at the end only is kept as text and follows then: the last FUNC and the
 * last PUBLIC at or before an address that no FUNC covers, and the INLINE_ORIGINs that such blocks
 * refer to. So the builder and the lookups are the same as for a whole symcache, and so are the
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

/* INLINE_ORIGIN lines: there are hundreds of thousands, of which a few are wanted. */
enum { CHUNK = 1 << 20, ANY_NUMBER = UINT32_MAX };
#define MAX_ORIGINS (UINT64_C(4) << 30)

typedef struct origin_t { /* the line follows */
    uint32_t number, len;
} origin_t;

typedef struct chunk_t {
    struct chunk_t *next;
    size_t used, size;
    char bytes[];
} chunk_t;

typedef struct part_t {
    const uint64_t *offsets;
    size_t n;
    last_t *func, *public; /* of each address */
    chunk_t *origins, **last_chunk;
    uint64_t origin_bytes;
    symx_build_t *tables;
    sal_symfile_t *text;  /* reads the lines */
    sal_symfile_t *build; /* parses for the builder */
    sal_symfile_t *head;  /* parses FUNC and PUBLIC lines for us */
    sal_symrec_t rec;     /* what head found */
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
        return sal_symfile_line(part->build, line, len); /* several PUBLICs at 0 count for none */
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

/* Of a block that is not wanted only the end is. */
static void want(part_t *part, bool yes)
{
    part->wanted = yes;
    sal_symfile_skim(part->text, !yes);
}

/* FUNC and PUBLIC: is it of use, now or in the end? */
static apr_status_t on_symbol(part_t *part, const char *line, size_t len)
{
    apr_status_t rv;

    part->parsed = false;
    want(part, false);
    rv = sal_symfile_line(part->head, line, len);
    if (rv != APR_SUCCESS || !part->parsed) {
        return rv;
    }
    if (part->rec.kind == SAL_SYMREC_PUBLIC) {
        return note_last(part, part->public, line, len);
    }
    if (part->rec.size == 0) {
        return APR_SUCCESS; /* no FUNC at all */
    }
    want(part, covers(part));
    return part->wanted ? sal_symfile_line(part->build, line, len)
                        : note_last(part, part->func, line, len);
}

/* The number of an INLINE_ORIGIN line of the usual form, else ANY_NUMBER. */
static uint32_t origin_number(const char *line, size_t len)
{
    enum { AT = sizeof("INLINE_ORIGIN ") - 1, DIGITS = 9 };
    uint32_t number = 0;
    size_t i = AT;

    for (; i < len && i < AT + DIGITS && line[i] >= '0' && line[i] <= '9'; i++) {
        number = number * 10 + (uint32_t)(line[i] - '0');
    }
    return i > AT && i < len && line[i] == ' ' && line[AT - 1] == ' ' ? number : ANY_NUMBER;
}

static chunk_t *add_chunk(part_t *part, size_t least)
{
    size_t size = least > CHUNK ? least : CHUNK;
    chunk_t *c = part->origin_bytes < MAX_ORIGINS ? malloc(sizeof(*c) + size) : NULL;

    if (c) {
        *c = (chunk_t){ .size = size };
        *part->last_chunk = c;
        part->origin_bytes += size;
    }
    return c;
}

static apr_status_t keep_origin(part_t *part, const char *line, size_t len)
{
    origin_t head = { origin_number(line, len), (uint32_t)len };
    chunk_t *c = *part->last_chunk;

    if (c && c->size - c->used < sizeof(head) + len) {
        part->last_chunk = &c->next;
        c = NULL;
    }
    if (!c && !(c = add_chunk(part, sizeof(head) + len))) {
        return part->origin_bytes < MAX_ORIGINS ? APR_ENOMEM : SAL_E_TOOBIG;
    }
    memcpy(c->bytes + c->used, &head, sizeof(head));
    memcpy(c->bytes + c->used + sizeof(head), line, len);
    c->used += sizeof(head) + len;
    return APR_SUCCESS;
}

/* Feeds the INLINE_ORIGINs that the blocks have referred to. */
static apr_status_t settle_origins(part_t *part)
{
    apr_status_t rv = APR_SUCCESS;

    for (const chunk_t *c = part->origins; c; c = c->next) {
        for (size_t at = 0; at < c->used && rv == APR_SUCCESS;) {
            origin_t head;

            memcpy(&head, c->bytes + at, sizeof(head));
            at += sizeof(head);
            if (head.number == ANY_NUMBER || symx_map_peek(&part->tables->origin_of, head.number)) {
                rv = sal_symfile_line(part->build, c->bytes + at, head.len);
            }
            at += head.len;
        }
    }
    return rv;
}

static bool begins(const char *line, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len >= n && memcmp(line, with, n) == 0;
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
    case 'P': /* another word is a damaged line, and ends no block */
        if (begins(line, len, "PUBLIC")) {
            return on_symbol(part, line, len);
        }
        break;
    case 'S':
        return APR_SUCCESS;
    default:
        break;
    }
    if (begins(line, len, "INLINE_ORIGIN")) {
        return keep_origin(part, line, len);
    }
    if (part->wanted || *line == 'M' || begins(line, len, "FILE") || begins(line, len, "INFO")) {
        return sal_symfile_line(part->build, line, len);
    }
    return APR_SUCCESS;
}

/* Feeds the last record of each address; neighbours that have the same one feed it once. */
static apr_status_t settle(part_t *part, const last_t *lasts)
{
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < part->n && rv == APR_SUCCESS; i++) {
        if (lasts[i].any) {
            rv = sal_symfile_line(part->build, lasts[i].line, lasts[i].len);
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
    for (chunk_t *c = part->origins, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    return APR_SUCCESS;
}

static part_t *part_make(const uint64_t *offsets, size_t n, symx_build_t *b, apr_pool_t *p)
{
    part_t *part = apr_pcalloc(p, sizeof(*part));

    part->offsets = offsets;
    part->n = n;
    part->tables = b;
    part->last_chunk = &part->origins;
    part->func = apr_pcalloc(p, n * sizeof(*part->func));
    part->public = apr_pcalloc(p, n * sizeof(*part->public));
    part->text = sal_symfile_make_lines(on_line, part, p);
    part->build = sal_symfile_make(symx_on_record, b, p);
    part->head = sal_symfile_make(on_head, part, p);
    want(part, false);
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
    rv = sal_symfile_read_fd(part->text, fd, sym_path, &stats, err);
    if (rv == APR_SUCCESS && (rv = settle(part, part->func)) == APR_SUCCESS) {
        rv = settle(part, part->public);
    }
    rv = rv == APR_SUCCESS ? settle_origins(part) : rv;
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
