/*
 * Sections of an ELF file that is stored as gzip, without unpacking it to disk.
 *
 * The section table and its names are copied, at their places, into an empty mapping of the file's
 * size, of which only those pages ever exist; then the reader of plain files finds the section.
 * Hostile input costs an inflate pass or two over what is stored, as its download does.
 */
#include "symbols/symbol_gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbols/gunzip.h"
#include "symbols/object_private.h"

enum {
    CHUNK = 65536,
    HEAD = 64,              /* of an ELF file; a smaller one has no sections */
    NAMES_BEFORE = 1 << 20, /* what lies before the table: its names, as linkers write files */
    TABLE = 4 << 20,        /* 65535 sections */
    NAMES_MAX = 16 << 20
};

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- a range of what is packed ---- */

typedef struct {
    uint64_t at, from, to; /* at: how far it is inflated */
    sal_gzip_sink_fn sink;
    void *baton;
} range_t;

/* The part of a piece that lies in the range. */
static apr_status_t pass_on(range_t *g, const char *piece, size_t n)
{
    uint64_t begin = g->from > g->at ? lesser(g->from - g->at, n) : 0;
    uint64_t end = lesser(g->to - g->at, n);

    g->at += n;
    return end > begin ? g->sink(g->baton, piece + begin, (apr_size_t)(end - begin)) : APR_SUCCESS;
}

static apr_status_t inflate_range(range_t *g, gunzip_t *z, int fd, char *in, char *out)
{
    gunzip_state_t state = GUNZIP_MORE;
    const char *next = in;
    size_t n = 0, made;
    off_t at = 0;

    while (g->at < g->to) {
        apr_status_t rv;

        if (n == 0) {
            ssize_t got = pread(fd, in, CHUNK, at);

            if (got < 0) {
                return errno;
            }
            at += got;
            n = (size_t)got;
            next = in;
        }
        if (n == 0 || state == GUNZIP_END) {
            return SAL_E_MALFORMED; /* cut off, or shorter than its trailer says */
        }
        do {
            state = gunzip_step(z, &next, &n, out, CHUNK, &made);
            if (state == GUNZIP_BAD) {
                return SAL_E_MALFORMED;
            }
            if (made && (rv = pass_on(g, out, made)) != APR_SUCCESS) {
                return rv;
            }
        } while (made == CHUNK && g->at < g->to && state == GUNZIP_MORE);
    }
    return APR_SUCCESS;
}

apr_status_t sal_gzip_range(int fd, uint64_t offset, uint64_t size, sal_gzip_sink_fn sink,
                            void *baton, sal_error_t *err)
{
    range_t g = { 0, offset, offset + size, sink, baton };
    gunzip_t *z = gunzip_make();
    char *pieces = malloc(2 * CHUNK);
    apr_status_t rv = APR_ENOMEM;

    if (z && pieces && g.to >= offset) {
        rv = inflate_range(&g, z, fd, pieces, pieces + CHUNK);
    }
    gunzip_free(z);
    free(pieces);
    return rv == APR_SUCCESS ? rv : sal_fail(err, rv, "a packed file cannot be read");
}

/* ---- the tables ---- */

typedef struct {
    uint8_t *map, *to;
    uint64_t size;
} sparse_t;

static apr_status_t copy_in(void *baton, const void *data, apr_size_t n)
{
    sparse_t *s = baton;

    memcpy(s->to, data, n);
    s->to += n;
    return APR_SUCCESS;
}

static apr_status_t fill(sparse_t *s, int fd, uint64_t from, uint64_t to, sal_error_t *err)
{
    to = lesser(to, s->size);
    if (from >= to) {
        return SAL_E_MALFORMED;
    }
    s->to = s->map + from;
    return sal_gzip_range(fd, from, to - from, copy_in, s, err);
}

static apr_status_t find(uint64_t *offset, uint64_t *size, sparse_t *s, int fd, const char *name,
                         sal_error_t *err)
{
    sal_span_t span = { s->map, (size_t)s->size, false };
    object_tables_t t;
    uint64_t from, to;
    apr_status_t rv = fill(s, fd, 0, HEAD, err);

    if (rv != APR_SUCCESS || !object_elf_tables(&t, span)) {
        return rv != APR_SUCCESS ? rv : SAL_E_MALFORMED;
    }
    from = t.sections > NAMES_BEFORE ? t.sections - NAMES_BEFORE : 0;
    to = t.sections + TABLE;
    if (to < TABLE || (rv = fill(s, fd, from, to, err)) != APR_SUCCESS) {
        return rv != APR_SUCCESS ? rv : SAL_E_MALFORMED;
    }
    object_elf_tables(&t, span);
    if (t.names_size > NAMES_MAX) {
        return SAL_E_MALFORMED;
    }
    if (t.names_size && (t.names < from || t.names + t.names_size > to) &&
        (rv = fill(s, fd, t.names, t.names + t.names_size, err)) != APR_SUCCESS) {
        return rv;
    }
    return sal_elf_section(offset, size, span, name, err);
}

apr_status_t sal_gzip_elf_section(uint64_t *offset, uint64_t *size, int fd, const char *name,
                                  sal_error_t *err)
{
    sparse_t s = { 0 };
    apr_status_t rv = sal_gzip_size(&s.size, fd);

    if (rv != APR_SUCCESS || s.size < HEAD) {
        return sal_fail(err, SAL_E_MALFORMED, "this is no packed ELF file");
    }
    s.map = mmap(NULL, (size_t)s.size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s.map == MAP_FAILED) {
        return sal_fail_os(err, errno, "no address space for a packed file");
    }
    rv = find(offset, size, &s, fd, name, err);
    munmap(s.map, (size_t)s.size);
    return rv == APR_SUCCESS || rv == APR_ENOENT
               ? rv
               : sal_fail(err, rv, "this is no packed ELF file, or a damaged one");
}
