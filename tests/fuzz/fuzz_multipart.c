/*
 * Bodies of any shape through everything that reads them before they are stored: gzip, multipart,
 * JSON and text annotations. The events must not depend on how the bytes are cut, and what is
 * accepted must make a raw crash document that reads back as it was.
 *
 * First byte: 'g' the rest is a gzip body, 'j' a JSON part, else it is the first of a form whose
 * boundary is its first line without the dashes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "crash/annotations.h"
#include "crash/inflate.h"
#include "crash/multipart.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    apr_initialize();
    sal_log_sink(silent, NULL);
    return 0;
}

/* What came out: parts, their headers and a hash of their bytes. */
typedef struct sum_t {
    sal_annotations_t *annotations;
    const char *name, *charset;
    apr_pool_t *pool;
    char *text;
    size_t text_size;
    uint64_t hash;
    int parts, lax, open;
} sum_t;

static void mix(sum_t *s, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        s->hash = (s->hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    }
}

static void must(bool truth)
{
    if (!truth) {
        abort();
    }
}

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    sum_t *s = baton;

    (void)err;
    must(!s->open++);
    must(!part->name || sal_utf8_valid(part->name, strlen(part->name)));
    must(!part->filename || sal_utf8_valid(part->filename, strlen(part->filename)));
    s->parts++;
    s->text_size = 0;
    s->name = part->name && *part->name ? apr_pstrdup(s->pool, part->name) : NULL;
    s->charset = apr_pstrdup(s->pool, part->charset);
    mix(s, "[", 1);
    mix(s, part->name ? part->name : "-", part->name ? strlen(part->name) : 1);
    mix(s, part->type, strlen(part->type));
    return APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sum_t *s = baton;

    (void)err;
    must(s->open && size > 0);
    mix(s, data, size);
    s->text = realloc(s->text, s->text_size + size);
    memcpy(s->text + s->text_size, data, size);
    s->text_size += size;
    return APR_SUCCESS;
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    sum_t *s = baton;

    (void)err;
    must(s->open--);
    mix(s, "]", 1);
    if (s->name) {
        sal_annotations_text(s->annotations, s->name, s->text ? s->text : "", s->text_size,
                             s->charset);
    }
    return APR_SUCCESS;
}

static void lax_delimiter(void *baton)
{
    ((sum_t *)baton)->lax++;
}

static const sal_multipart_events_t events = { part_begin, part_data, part_end, lax_delimiter };

static apr_status_t parse(sum_t *s, const char *boundary, const char *data, size_t size,
                          size_t step, apr_pool_t *p)
{
    sal_multipart_t *m;
    apr_status_t rv;

    *s = (sum_t){ .pool = p, .hash = 1, .annotations = sal_annotations_make(1 << 20, p) };
    rv = sal_multipart_make(&m, boundary, 100, &events, s, p, NULL);
    for (size_t at = 0; rv == APR_SUCCESS && at < size; at += step) {
        rv = sal_multipart_feed(m, data + at, size - at < step ? size - at : step, NULL);
    }
    return rv == APR_SUCCESS ? sal_multipart_finish(m, NULL) : rv;
}

/* The document must survive being written and read. */
static void check_document(sal_annotations_t *a, apr_pool_t *p)
{
    sal_raw_meta_t meta = { .throttle_rule = "r",
                            .dump_checksums = sal_json_own(json_object(), p) };
    json_t *raw, *again;
    const char *text;

    sal_annotations_end(a);
    sal_annotations_map_dialect(a, NULL, NULL);
    raw = sal_annotations_raw(a, "de1bb258-cbbf-4589-a673-34f800160918", &meta, p);
    text = sal_json_python(raw, p);
    must(sal_json_parse(&again, text, strlen(text), p, NULL) == APR_SUCCESS);
    must(json_equal(raw, again));
    json_decref(raw);
}

static void try_form(const char *data, size_t size, apr_pool_t *p)
{
    size_t line = 0, step = 1 + size % 7;
    const char *boundary;
    apr_status_t rv;
    sum_t whole, cut;

    while (line < size && line < 100 && data[line] != '\r' && data[line]) {
        line++;
    }
    boundary = line > 2 ? apr_pstrmemdup(p, data + 2, line - 2) : "x";
    rv = parse(&whole, boundary, data, size, size + 1, p);
    must(parse(&cut, boundary, data, size, step, p) == rv);
    if (rv == APR_SUCCESS) {
        must(whole.hash == cut.hash && whole.parts == cut.parts && whole.lax == cut.lax);
        check_document(whole.annotations, p);
    }
    free(whole.text);
    free(cut.text);
}

static void try_json(const char *data, size_t size, apr_pool_t *p)
{
    sal_annotations_t *a = sal_annotations_make(1 << 20, p);
    char *copy = malloc(size + !size); /* of its very size, so that ASan sees an overrun */

    if (size) {
        memcpy(copy, data, size);
    }
    if (sal_annotations_json(a, copy, size, p, NULL) == APR_SUCCESS) {
        check_document(a, p);
    }
    free(copy);
}

typedef struct sunk_t {
    uint64_t hash;
    apr_uint64_t total;
} sunk_t;

static apr_status_t sink(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sunk_t *s = baton;

    (void)err;
    s->total += size;
    for (apr_size_t i = 0; i < size; i++) {
        s->hash = (s->hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    }
    return APR_SUCCESS;
}

static apr_status_t inflate_in(sunk_t *s, const char *data, size_t size, size_t step, apr_pool_t *p)
{
    sal_inflate_t *z;
    apr_status_t rv;

    *s = (sunk_t){ 1, 0 };
    must(sal_inflate_make(&z, 1 << 20, sink, s, p, NULL) == APR_SUCCESS);
    rv = APR_SUCCESS;
    for (size_t at = 0; rv == APR_SUCCESS && at < size; at += step) {
        rv = sal_inflate_feed(z, data + at, size - at < step ? size - at : step, NULL);
    }
    must(s->total <= 1 << 20);
    return rv == APR_SUCCESS ? sal_inflate_finish(z, NULL) : rv;
}

static void try_gzip(const char *data, size_t size, apr_pool_t *p)
{
    sunk_t whole, cut;
    apr_status_t rv = inflate_in(&whole, data, size, size + 1, p);

    must(inflate_in(&cut, data, size, 1 + size % 5, p) == rv);
    must(rv != APR_SUCCESS || (whole.hash == cut.hash && whole.total == cut.total));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    if (size && text[0] == 'g') {
        try_gzip(text + 1, size - 1, p);
    } else if (size && text[0] == 'j') {
        try_json(text + 1, size - 1, p);
    } else {
        try_form(text, size, p);
    }
    apr_pool_destroy(p);
    return 0;
}
