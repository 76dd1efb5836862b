/*
 * Tables of the builder -> the file, in one forward pass through a small buffer; the header, which
 * needs the length of the code, comes last. The file is made beside its place and renamed into it.
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
    uint32_t ranges, code; /* how many, in how many bytes */
    symx_codec_t codec;
    symx_vec_t chunks;
    uint32_t buckets, shift;
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

/* The next range of the merged sequence; every so often a chunk begins, readable by itself. */
static apr_status_t put_range(void *baton, const symx_range_t *range)
{
    writer_t *w = baton;
    uint8_t *to;
    size_t n;

    if (w->ranges == SYMX_NONE - 1 || w->code > UINT32_MAX - SYMX_C_MAX - SYMX_C_PAD) {
        return SAL_E_TOOBIG;
    }
    if (w->ranges++ % SYMX_CHUNK_RANGES == 0) {
        symx_chunk_t *chunk = symx_push(&w->chunks);

        if (!chunk) {
            return APR_ENOMEM;
        }
        *chunk = (symx_chunk_t){ range->start, w->code };
        w->codec = (symx_codec_t){ .seen[1].start = range->start };
    }
    if (BUFFER - w->used < SYMX_C_PAD) {
        flush(w);
    }
    to = w->buffer + w->used;
    n = (size_t)(symx_encode(&w->codec, range, to) - to);
    w->used += n;
    w->at += n;
    w->code += (uint32_t)n;
    return w->rv;
}

/* As narrow as they can be without being more than the chunks. */
static void choose_buckets(writer_t *w)
{
    size_t n = w->chunks.count;
    uint32_t top = n ? SYMX_AT(w->chunks, symx_chunk_t, n - 1)->start : 0;

    w->shift = SYMX_MIN_SHIFT;
    while (w->shift < 31 && (top >> w->shift) > n + 64) {
        w->shift++;
    }
    w->buckets = (top >> w->shift) + 2;
}

/* One more than the last chunk needs: the end of the last bucket. */
static void put_buckets(writer_t *w)
{
    uint32_t bucket = 0;

    for (size_t i = 0; i < w->chunks.count; i++) {
        uint32_t start = SYMX_AT(w->chunks, symx_chunk_t, i)->start;

        for (; bucket <= start >> w->shift; bucket++) {
            put32(w, (uint32_t)i);
        }
    }
    for (; bucket < w->buckets; bucket++) {
        put32(w, (uint32_t)w->chunks.count);
    }
}

static const symx_vec_t *section_vec(const writer_t *w, int section)
{
    const symx_build_t *b = w->b;

    switch (section) {
    case SYMX_CHUNK:
        return &w->chunks;
    case SYMX_CALL:
        return &b->calls;
    case SYMX_FUNC:
        return &b->funcs;
    case SYMX_FILE:
        return &b->files;
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
    const symx_vec_t *v = section_vec(w, section);

    return v ? (uint32_t)v->count : section == SYMX_BUCKET ? w->buckets : w->code;
}

/* Where the text of a string starts with its length, as records of STACK refer to it. */
static uint32_t text_of(const symx_build_t *b, uint32_t string)
{
    const symx_str_t *str;

    if (string == SYMX_NONE) {
        return SYMX_NONE;
    }
    str = SYMX_AT(b->strs, symx_str_t, string);
    return str->offset - symx_length_bytes(str->len);
}

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
    h->ranges = htole32(w->ranges);
    for (int i = 0; i < SYMX_STRINGS; i++) {
        h->strings[i] = htole32(text_of(b, b->strings[i]));
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

/* With the name at hand: a lookup would find a table of strings elsewhere in memory. */
static void put_funcs(writer_t *w)
{
    const symx_build_t *b = w->b;

    for (size_t i = 0; i < b->funcs.count; i++) {
        symx_func_t f = *SYMX_AT(b->funcs, symx_func_t, i);
        const symx_str_t *name = SYMX_AT(b->strs, symx_str_t, f.name);

        f.name = name->offset;
        f.flags |= name->len << SYMX_FN_LEN_SHIFT;
        put_words(w, &f, sizeof(f));
    }
}

static void put_files(writer_t *w)
{
    const symx_build_t *b = w->b;

    for (size_t i = 0; i < b->files.count; i++) {
        uint32_t path = *SYMX_AT(b->files, uint32_t, i);
        symx_str_t none = { 0, 0 };

        put_words(w, path == SYMX_NONE ? &none : SYMX_AT(b->strs, symx_str_t, path), sizeof(none));
    }
}

static void put_cfi(writer_t *w)
{
    for (size_t i = 0; i < w->b->cfi.count; i++) {
        symx_cfi_t cfi = *SYMX_AT(w->b->cfi, symx_cfi_t, i);

        cfi.rules = text_of(w->b, cfi.rules);
        put_words(w, &cfi, sizeof(cfi));
    }
}

static void put_deltas(writer_t *w)
{
    for (size_t i = 0; i < w->b->deltas.count; i++) {
        symx_delta_t delta = *SYMX_AT(w->b->deltas, symx_delta_t, i);

        delta.rules = text_of(w->b, delta.rules);
        put_words(w, &delta, sizeof(delta));
    }
}

static void put_win(writer_t *w, const symx_vec_t *v)
{
    for (size_t i = 0; i < v->count; i++) {
        symx_win_t win = *SYMX_AT(*v, symx_win_t, i);

        win.program = text_of(w->b, win.program);
        put_words(w, &win, sizeof(win));
    }
}

static void write_section(writer_t *w, int section)
{
    const symx_vec_t *v = section_vec(w, section);

    switch (section) {
    case SYMX_CODE: {
        static const uint8_t zeros[SYMX_C_PAD] = { 0 };
        apr_status_t rv = symx_merge(w->b, put_range, w);

        w->rv = w->rv ? w->rv : rv;
        put(w, zeros, sizeof(zeros));
        w->code += SYMX_C_PAD;
        choose_buckets(w);
        break;
    }
    case SYMX_BUCKET:
        put_buckets(w);
        break;
    case SYMX_FUNC:
        put_funcs(w);
        break;
    case SYMX_FILE:
        put_files(w);
        break;
    case SYMX_CFI:
        put_cfi(w);
        break;
    case SYMX_DELTA:
        put_deltas(w);
        break;
    case SYMX_WIN:
    case SYMX_FPO:
        put_win(w, v);
        break;
    case SYMX_BYTES:
        put(w, v->data, v->count);
        break;
    default:
        put_words(w, v->data, v->count * v->element);
    }
}

static apr_status_t write_file(writer_t *w)
{
    static const uint8_t zeros[8] = { 0 };
    symx_header_t h;

    memset(&h, 0, sizeof(h));
    put(w, &h, sizeof(h));
    for (int i = 0; i < SYMX_SECTIONS && w->rv == APR_SUCCESS; i++) {
        put(w, zeros, (8 - w->at % 8) % 8);
        write_section(w, i);
    }
    flush(w);
    fill_header(w, &h);
    if (w->rv == APR_SUCCESS && pwrite(w->fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h)) {
        w->rv = errno ? errno : APR_EGENERAL;
    }
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
    writer_t w = { .b = b, .chunks.element = sizeof(symx_chunk_t) };
    apr_status_t rv;

    w.fd = mkostemp(temp, O_CLOEXEC);
    if (w.fd < 0) {
        return sal_fail_os(err, errno, "cannot make %s", temp);
    }
    (void)!fchmod(w.fd, 0644);
    rv = write_and_rename(&w, temp, path, err);
    close(w.fd);
    free(w.chunks.data);
    if (rv != APR_SUCCESS) {
        unlink(temp);
    }
    return rv;
}
