/*
 * Tables of the builder -> the file, in one forward pass through a small buffer. The file is made
 * beside its place and renamed into it.
 */
#include "symbols/symcache_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <xxhash.h>
#include "base/file.h"

enum { BUFFER = 256 * 1024 };

typedef struct writer_t {
    symx_build_t *b;
    int fd;
    apr_status_t rv;
    uint64_t at; /* offset in the file */
    size_t used;
    uint32_t ranges, top; /* of the merged sequence: how many, the last start */
    uint32_t buckets, shift;
    uint32_t index, bucket; /* while the buckets are written */
    uint8_t *buffer;
} writer_t;

uint64_t sal_symcache_stamp_of(const struct stat *st)
{
    uint64_t parts[4] = { (uint64_t)st->st_ino, (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
                          (uint64_t)st->st_mtim.tv_nsec };
    uint64_t h = XXH3_64bits(parts, sizeof(parts));

    return h ? h : 1;
}

static void flush(writer_t *w)
{
    if (w->rv == APR_SUCCESS && w->used > 0) {
        w->rv = sal_fd_write_all(w->fd, w->buffer, w->used);
    }
    w->used = 0;
}

static void put(writer_t *w, const void *data, size_t size)
{
    const uint8_t *p = data;

    w->at += size;
    while (size > 0 && w->rv == APR_SUCCESS) {
        size_t n = size < BUFFER - w->used ? size : BUFFER - w->used;

        memcpy(w->buffer + w->used, p, n);
        w->used += n;
        p += n;
        size -= n;
        if (w->used == BUFFER) {
            flush(w);
        }
    }
}

static void put32(writer_t *w, uint32_t v)
{
    v = htole32(v);
    put(w, &v, sizeof(v));
}

static void put_words(writer_t *w, const void *data, size_t bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    put(w, data, bytes);
#else
    for (size_t i = 0; i < bytes / 4; i++) {
        put32(w, ((const uint32_t *)data)[i]);
    }
#endif
}

static apr_status_t count_range(void *baton, uint32_t start, const symx_loc_t *loc)
{
    writer_t *w = baton;

    (void)loc;
    w->top = start;
    return ++w->ranges == SYMX_NONE ? SAL_E_TOOBIG : APR_SUCCESS;
}

static apr_status_t put_bucket(void *baton, uint32_t start, const symx_loc_t *loc)
{
    writer_t *w = baton;

    (void)loc;
    while (w->bucket <= start >> w->shift) {
        put32(w, w->index);
        w->bucket++;
    }
    w->index++;
    return w->rv;
}

static apr_status_t put_start(void *baton, uint32_t start, const symx_loc_t *loc)
{
    writer_t *w = baton;

    (void)loc;
    put32(w, start);
    return w->rv;
}

static apr_status_t put_loc(void *baton, uint32_t start, const symx_loc_t *loc)
{
    writer_t *w = baton;

    (void)start;
    put_words(w, loc, sizeof(*loc));
    return w->rv;
}

/* Buckets of 1 KiB, or wider where that would give more buckets than ranges. */
static void choose_buckets(writer_t *w)
{
    w->shift = SYMX_MIN_SHIFT;
    while (w->shift < 31 && (w->top >> w->shift) > w->ranges + 64) {
        w->shift++;
    }
    w->buckets = (w->top >> w->shift) + 2;
}

static const symx_vec_t *section_vec(const symx_build_t *b, int section)
{
    switch (section) {
    case SYMX_CALL:
        return &b->calls;
    case SYMX_FUNC:
        return &b->funcs;
    case SYMX_FILE:
        return &b->files;
    case SYMX_STR:
        return &b->strs;
    case SYMX_CFI:
        return &b->cfi;
    case SYMX_DELTA:
        return &b->deltas;
    case SYMX_WIN:
        return &b->win;
    case SYMX_FPO:
        return &b->fpo;
    case SYMX_BYTES:
        return &b->bytes;
    default:
        return NULL;
    }
}

static uint32_t section_count(const writer_t *w, int section)
{
    const symx_vec_t *v = section_vec(w->b, section);

    return v ? (uint32_t)v->count : section == SYMX_BUCKET ? w->buckets : w->ranges;
}

/* All of the header is known before the first byte is written. */
static void fill_header(writer_t *w, symx_header_t *h)
{
    const symx_build_t *b = w->b;
    uint64_t at = sizeof(*h);

    memset(h, 0, sizeof(*h));
    memcpy(h->magic, SYMX_MAGIC, 4);
    h->version = htole32(SYMX_VERSION);
    h->stamp = htole64(b->stamp);
    h->source_size = htole64(b->source_size);
    h->shift = htole32(w->shift);
    h->skipped = htole32(b->skipped > UINT32_MAX ? UINT32_MAX : (uint32_t)b->skipped);
    h->functions = htole32(b->n_functions);
    h->lines = htole32(b->n_lines);
    h->inlines = htole32(b->n_inlines);
    h->publics = htole32(b->n_publics);
    for (int i = 0; i < SYMX_STRINGS; i++) {
        h->strings[i] = htole32(b->strings[i]);
    }
    for (int i = 0; i < SYMX_SECTIONS; i++) {
        uint32_t count = section_count(w, i);

        at = (at + 7) & ~UINT64_C(7);
        h->sections[i].offset = htole64(at);
        h->sections[i].count = htole32(count);
        h->sections[i].element = htole32(symx_element[i]);
        at += (uint64_t)count * symx_element[i];
    }
    h->total = htole64(at);
    h->checksum = htole64(XXH64(h, sizeof(*h), 0));
}

static void write_section(writer_t *w, int section)
{
    static const symx_range_fn range_fns[] = {
        [SYMX_BUCKET] = put_bucket, [SYMX_RANGE] = put_start, [SYMX_LOC] = put_loc
    };
    const symx_vec_t *v = section_vec(w->b, section);

    if (section == SYMX_BYTES) {
        put(w, v->data, v->count);
    } else if (v) {
        put_words(w, v->data, v->count * v->element);
    } else {
        apr_status_t rv = symx_merge(w->b, range_fns[section], w);

        w->rv = w->rv ? w->rv : rv;
    }
    while (section == SYMX_BUCKET && w->bucket < w->buckets) {
        put32(w, w->index);
        w->bucket++;
    }
}

static apr_status_t write_file(writer_t *w)
{
    static const uint8_t zeros[8] = { 0 };
    symx_header_t h;

    w->rv = symx_merge(w->b, count_range, w);
    if (w->rv != APR_SUCCESS) {
        return w->rv;
    }
    choose_buckets(w);
    fill_header(w, &h);
    put(w, &h, sizeof(h));
    for (int i = 0; i < SYMX_SECTIONS && w->rv == APR_SUCCESS; i++) {
        put(w, zeros, (8 - w->at % 8) % 8);
        write_section(w, i);
    }
    flush(w);
    return w->rv;
}

static apr_status_t write_and_rename(writer_t *w, const char *temp, const char *path,
                                     sal_error_t *err)
{
    apr_status_t rv;

    w->buffer = malloc(BUFFER);
    rv = w->buffer ? write_file(w) : APR_ENOMEM;
    free(w->buffer);
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "cannot write %s", temp);
    }
    if (rename(temp, path) != 0) {
        return sal_fail_os(err, errno, "cannot rename %s to %s", temp, path);
    }
    return APR_SUCCESS;
}

/*
 * No fsync: a symcache that a power cut tore is found out by its size or header and built again,
 * and its bytes never go anywhere unchecked.
 */
apr_status_t symx_write(symx_build_t *b, const char *path, apr_pool_t *p, sal_error_t *err)
{
    char *temp = apr_pstrcat(p, path, ".tmp.XXXXXX", NULL);
    writer_t w = { .b = b };
    apr_status_t rv;

    w.fd = mkostemp(temp, O_CLOEXEC);
    if (w.fd < 0) {
        return sal_fail_os(err, errno, "cannot make %s", temp);
    }
    (void)!fchmod(w.fd, 0644);
    rv = write_and_rename(&w, temp, path, err);
    close(w.fd);
    if (rv != APR_SUCCESS) {
        unlink(temp);
    }
    return rv;
}
