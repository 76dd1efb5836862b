/*
 * Sentry's envelope, incrementally. Knows nothing of what an event means.
 */
#include "crash/envelope.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"

typedef enum {
    ENVELOPE_HEADER,
    ITEM_HEADER,
    SIZED_PAYLOAD, /* `left` bytes of it are to come */
    LINE_PAYLOAD,  /* to the end of the line */
    AFTER_PAYLOAD, /* a line break, or the end */
    BROKEN
} state_t;

struct sal_envelope_t {
    const sal_multipart_events_t *events;
    void *baton;
    apr_pool_t *pool;
    state_t state;
    apr_status_t broken;
    int items, max_items;
    bool wanted; /* the payload goes to somebody */
    apr_uint64_t left;
    apr_size_t used;
    char line[SAL_ENVELOPE_HEADER_MAX];
};

apr_status_t sal_envelope_make(sal_envelope_t **out, int max_items,
                               const sal_multipart_events_t *events, void *baton, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_envelope_t *e = apr_pcalloc(p, sizeof(*e));

    (void)err;
    e->events = events;
    e->baton = baton;
    e->pool = p;
    e->max_items = max_items;
    *out = e;
    return APR_SUCCESS;
}

static apr_status_t begin(sal_envelope_t *e, const char *name, const char *filename,
                          const char *type, sal_error_t *err)
{
    sal_part_t part = { name, filename, type, "utf-8", false };

    e->wanted = true;
    return e->events->part_begin(e->baton, &part, err);
}

static apr_status_t end_item(sal_envelope_t *e, sal_error_t *err)
{
    apr_status_t rv = e->wanted ? e->events->part_end(e->baton, err) : APR_SUCCESS;

    e->wanted = false;
    return rv;
}

/* ---- headers ---- */

static apr_status_t read_object(json_t **out, sal_envelope_t *e, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_json_parse(out, e->line, e->used, p, err);

    if (rv == APR_SUCCESS && !json_is_object(*out)) {
        rv = sal_fail(err, SAL_E_MALFORMED, "a header of the envelope is not an object");
    }
    return rv;
}

static apr_status_t envelope_header(sal_envelope_t *e, apr_pool_t *p, sal_error_t *err)
{
    json_t *header;
    const char *id;
    apr_status_t rv = read_object(&header, e, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    e->state = ITEM_HEADER;
    id = sal_json_str(header, "event_id");
    if (!id) {
        return APR_SUCCESS;
    }
    rv = begin(e, "sentry[event_id]", NULL, "text/plain", err);
    if (rv == APR_SUCCESS && *id) {
        rv = e->events->part_data(e->baton, id, strlen(id), err);
    }
    return rv == APR_SUCCESS ? end_item(e, err) : rv;
}

/* What an item becomes; most kinds become nothing. */
static apr_status_t begin_item(sal_envelope_t *e, const json_t *header, sal_error_t *err)
{
    const char *type = sal_json_str(header, "type"), *kind, *filename;

    if (type && !strcmp(type, "event")) {
        return begin(e, "sentry", NULL, "text/plain", err);
    }
    if (!type || strcmp(type, "attachment")) {
        return APR_SUCCESS;
    }
    kind = sal_json_str(header, "attachment_type");
    filename = sal_json_str(header, "filename");
    filename = filename ? sal_basename(filename) : "";
    if (kind && !strcmp(kind, "event.minidump")) {
        return begin(e, "upload_file_minidump", filename, "application/octet-stream", err);
    }
    return begin(e, *filename ? filename : "attachment", filename, "application/octet-stream", err);
}

static apr_status_t item_header(sal_envelope_t *e, apr_pool_t *p, sal_error_t *err)
{
    json_t *header, *length;
    apr_status_t rv = read_object(&header, e, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (++e->items > e->max_items) {
        return sal_fail(err, SAL_E_TOOBIG, "more than %d items", e->max_items);
    }
    length = json_object_get(header, "length");
    if (length && (!json_is_integer(length) || json_integer_value(length) < 0)) {
        return sal_fail(err, SAL_E_MALFORMED, "an item's length is not a number");
    }
    e->state = length ? SIZED_PAYLOAD : LINE_PAYLOAD;
    e->left = (apr_uint64_t)json_integer_value(length);
    rv = begin_item(e, header, err);
    if (rv == APR_SUCCESS && length && e->left == 0) {
        e->state = AFTER_PAYLOAD;
        rv = end_item(e, err);
    }
    return rv;
}

static apr_status_t end_line(sal_envelope_t *e, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *p;

    if (e->state == ITEM_HEADER && e->used == 0) {
        return APR_SUCCESS; /* blank lines between items */
    }
    apr_pool_create(&p, e->pool);
    rv = (e->state == ENVELOPE_HEADER ? envelope_header : item_header)(e, p, err);
    apr_pool_destroy(p);
    e->used = 0;
    return rv;
}

/* ---- feeding; each takes some of the bytes, at least one ---- */

static apr_status_t take_line(sal_envelope_t *e, const char *data, apr_size_t size,
                              apr_size_t *took, sal_error_t *err)
{
    const char *stop = memchr(data, '\n', size);
    apr_size_t n = stop ? (apr_size_t)(stop - data) : size;

    if (n > sizeof(e->line) - e->used) {
        return sal_fail(err, SAL_E_MALFORMED, "a header of the envelope is over %d bytes",
                        SAL_ENVELOPE_HEADER_MAX);
    }
    memcpy(e->line + e->used, data, n);
    e->used += n;
    *took = n + (stop != NULL);
    return stop ? end_line(e, err) : APR_SUCCESS;
}

static apr_status_t pass_on(sal_envelope_t *e, const char *data, apr_size_t size, sal_error_t *err)
{
    return e->wanted && size ? e->events->part_data(e->baton, data, size, err) : APR_SUCCESS;
}

static apr_status_t take_sized(sal_envelope_t *e, const char *data, apr_size_t size,
                               apr_size_t *took, sal_error_t *err)
{
    apr_status_t rv;

    *took = size < e->left ? size : (apr_size_t)e->left;
    e->left -= *took;
    rv = pass_on(e, data, *took, err);
    if (rv == APR_SUCCESS && e->left == 0) {
        e->state = AFTER_PAYLOAD;
        rv = end_item(e, err);
    }
    return rv;
}

static apr_status_t take_to_line_end(sal_envelope_t *e, const char *data, apr_size_t size,
                                     apr_size_t *took, sal_error_t *err)
{
    const char *stop = memchr(data, '\n', size);
    apr_size_t n = stop ? (apr_size_t)(stop - data) : size;
    apr_status_t rv = pass_on(e, data, n, err);

    *took = n + (stop != NULL);
    if (rv == APR_SUCCESS && stop) {
        e->state = ITEM_HEADER;
        rv = end_item(e, err);
    }
    return rv;
}

static apr_status_t take(sal_envelope_t *e, const char *data, apr_size_t size, apr_size_t *took,
                         sal_error_t *err)
{
    switch (e->state) {
    case SIZED_PAYLOAD:
        return take_sized(e, data, size, took, err);
    case LINE_PAYLOAD:
        return take_to_line_end(e, data, size, took, err);
    case AFTER_PAYLOAD:
        if (*data != '\n') {
            return sal_fail(err, SAL_E_MALFORMED, "an item's payload is longer than it says");
        }
        *took = 1;
        e->state = ITEM_HEADER;
        return APR_SUCCESS;
    default:
        return take_line(e, data, size, took, err);
    }
}

apr_status_t sal_envelope_feed(sal_envelope_t *e, const char *data, apr_size_t size,
                               sal_error_t *err)
{
    while (size && e->state != BROKEN) {
        apr_size_t took = 0;

        e->broken = take(e, data, size, &took, err);
        if (e->broken != APR_SUCCESS) {
            e->state = BROKEN;
            return e->broken;
        }
        data += took;
        size -= took;
    }
    return e->state == BROKEN ? sal_fail(err, e->broken, "the envelope was given up earlier")
                              : APR_SUCCESS;
}

apr_status_t sal_envelope_finish(sal_envelope_t *e, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (e->state == ENVELOPE_HEADER || (e->state == ITEM_HEADER && e->used)) {
        rv = end_line(e, err); /* the last line may lack its break */
    }
    if (rv == APR_SUCCESS && e->state == LINE_PAYLOAD) {
        rv = end_item(e, err);
        e->state = ITEM_HEADER;
    }
    if (rv == APR_SUCCESS && (e->state == SIZED_PAYLOAD || e->state == BROKEN)) {
        rv = sal_fail(err, e->state == BROKEN ? e->broken : SAL_E_MALFORMED,
                      "the envelope ends in the middle of an item");
    }
    return rv;
}
