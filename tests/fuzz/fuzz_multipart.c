/*
 * Forms of any shape, cut at random: the events must not depend on how the bytes are cut.
 * The boundary is the first line of the input without its dashes.
 */
#include "fuzz_collect.h"
#include "crash/multipart.h"

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
    s->hash = mix(s->hash, "[", 1);
    s->hash = mix(s->hash, part->name ? part->name : "-", part->name ? strlen(part->name) : 1);
    s->hash = mix(s->hash, part->type, strlen(part->type));
    return APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sum_t *s = baton;

    (void)err;
    must(s->open && size > 0);
    s->hash = mix(s->hash, data, size);
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
    s->hash = mix(s->hash, "]", 1);
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

static apr_status_t parse(sum_t *s, const char *boundary, const char *data, size_t size, bool cut,
                          apr_pool_t *p)
{
    uint64_t state = mix(size, data, size);
    sal_multipart_t *m;
    apr_status_t rv;

    *s = (sum_t){ .pool = p, .hash = 1, .annotations = sal_annotations_make(1 << 20, p) };
    rv = sal_multipart_make(&m, boundary, 100, &events, s, p, NULL);
    for (size_t at = 0, n; rv == APR_SUCCESS && at < size; at += n) {
        n = cut ? next_cut(&state, size - at) : size;
        rv = sal_multipart_feed(m, data + at, n, NULL);
    }
    return rv == APR_SUCCESS ? sal_multipart_finish(m, NULL) : rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes;
    size_t line = 0;
    const char *boundary;
    apr_status_t rv;
    sum_t whole, cut;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    while (line < size && line < 100 && data[line] != '\r' && data[line]) {
        line++;
    }
    boundary = line > 2 ? apr_pstrmemdup(p, data + 2, line - 2) : "x";
    rv = parse(&whole, boundary, data, size, false, p);
    must(parse(&cut, boundary, data, size, true, p) == rv);
    if (rv == APR_SUCCESS) {
        must(whole.hash == cut.hash && whole.parts == cut.parts && whole.lax == cut.lax);
        check_document(whole.annotations, p);
    }
    free(whole.text);
    free(cut.text);
    apr_pool_destroy(p);
    return 0;
}
