/*
 * Sentry's dialect. First byte: 'e' the rest is an envelope, 'm' MessagePack, else an event's JSON,
 * which is also given in pieces.
 */
#include "fuzz_collect.h"
#include "crash/envelope.h"
#include "crash/msgpack.h"
#include "crash/sentry.h"

typedef struct sum_t {
    uint64_t hash;
    int parts, open;
} sum_t;

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    sum_t *s = baton;

    (void)err;
    must(!s->open++ && part->name && *part->name);
    must(sal_utf8_valid(part->name, strlen(part->name)));
    s->parts++;
    s->hash = mix(s->hash, part->name, strlen(part->name));
    return APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sum_t *s = baton;

    (void)err;
    must(s->open && size);
    s->hash = mix(s->hash, data, size);
    return APR_SUCCESS;
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    (void)err;
    must(((sum_t *)baton)->open--);
    return APR_SUCCESS;
}

static const sal_multipart_events_t events = { part_begin, part_data, part_end, NULL };

static apr_status_t parse(sum_t *s, const char *data, size_t size, bool cut, apr_pool_t *p)
{
    uint64_t state = size;
    sal_envelope_t *e;
    apr_status_t rv = APR_SUCCESS;

    *s = (sum_t){ 1, 0, 0 };
    must(sal_envelope_make(&e, 50, &events, s, p, NULL) == APR_SUCCESS);
    for (size_t at = 0, n; rv == APR_SUCCESS && at < size; at += n) {
        n = cut ? next_cut(&state, size - at) : size;
        rv = sal_envelope_feed(e, data + at, n, NULL);
    }
    return rv == APR_SUCCESS ? sal_envelope_finish(e, NULL) : rv;
}

static void try_envelope(const char *data, size_t size, apr_pool_t *p)
{
    sum_t whole, cut;
    apr_status_t rv = parse(&whole, data, size, false, p);

    must(parse(&cut, data, size, true, p) == rv);
    must(rv != APR_SUCCESS || (whole.hash == cut.hash && whole.parts == cut.parts && !cut.open));
}

/* As one text, in pieces, and over what a file said. */
static void try_event(const char *data, size_t size, const json_t *file, apr_pool_t *p)
{
    sal_annotations_t *a = sal_annotations_make(1 << 20, p);
    const char *id;

    sal_annotations_text(a, "sentry", data, size / 2, "utf-8");
    sal_annotations_text(a, "sentry__2", data + size / 2, size - size / 2, "utf-8");
    sal_annotations_text(a, "sentry__1", data, size / 2, "utf-8");
    sal_annotations_text(a, "sentry[tags][x]", data, size % 20, "utf-8");
    sal_sentry_map(&id, a, file, "42", p);
    must(!id || strlen(id) == 36);
    check_document(a, p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + !size);
    json_t *event = NULL;
    apr_pool_t *p;

    if (!size) {
        free(copy);
        return 0;
    }
    apr_pool_create(&p, NULL);
    memcpy(copy, data + 1, size - 1);
    if (data[0] == 'e') {
        try_envelope(copy, size - 1, p);
    } else if (data[0] == 'm') {
        if (sal_msgpack_read(&event, copy, size - 1, NULL) == APR_SUCCESS) {
            try_event("", 0, json_is_object(event) ? event : NULL, p);
            json_decref(event);
        }
    } else {
        try_event(copy, size - 1, NULL, p);
    }
    free(copy);
    apr_pool_destroy(p);
    return 0;
}
