/*
 * The incremental multipart parser. A window holds what cannot be decided yet: at most a header
 * block, or a delimiter that may have begun. Knows nothing of annotations or dumps.
 */
#include "crash/multipart.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "crash/part_header.h"

#define WINDOW 3072 /* enough for delimiters and nearly all header blocks */
#define WINDOW_MAX (SAL_PART_HEADER_MAX + 512) /* the longest header block and a delimiter */
#define LAX_BOUNDARY_MIN 16                    /* shorter ones may well occur in a dump */

typedef enum { PREAMBLE, AFTER_DELIMITER, PADDING, HEADERS, BODY, DONE, BROKEN } state_t;

struct sal_multipart_t {
    const sal_multipart_events_t *events;
    void *baton;
    state_t state;
    apr_status_t broken;
    int parts, max_parts;
    bool lax;                                    /* delimiters without a line break count */
    char needle[SAL_MULTIPART_BOUNDARY_MAX + 3]; /* "--" and the boundary */
    apr_size_t needle_len;
    apr_pool_t *pool;
    apr_size_t used;       /* bytes in window */
    apr_size_t room;       /* of window */
    apr_uint64_t consumed; /* bytes of input before the window */
    char *window;          /* first, or a larger one for a long header block */
    char first[WINDOW];
};

apr_status_t sal_multipart_make(sal_multipart_t **out, const char *boundary, int max_parts,
                                const sal_multipart_events_t *events, void *baton, apr_pool_t *p,
                                sal_error_t *err)
{
    apr_size_t len = strlen(boundary);
    sal_multipart_t *m;

    if (len < 1 || len > SAL_MULTIPART_BOUNDARY_MAX) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "a boundary has 1..%d characters, not %" APR_SIZE_T_FMT,
                        SAL_MULTIPART_BOUNDARY_MAX, len);
    }
    m = apr_palloc(p, sizeof(*m));
    memset(m, 0, offsetof(sal_multipart_t, first));
    m->pool = p;
    m->window = m->first;
    m->room = WINDOW;
    m->events = events;
    m->baton = baton;
    m->max_parts = max_parts;
    m->lax = len >= LAX_BOUNDARY_MIN;
    memcpy(m->needle, "--", 2);
    memcpy(m->needle + 2, boundary, len + 1);
    m->needle_len = len + 2;
    *out = m;
    return APR_SUCCESS;
}

/*
 * Each step looks at [at, at+size) of the window, sets *took to the bytes it is done with and
 * returns; taking nothing without a change of state means: more input is needed.
 */
typedef apr_status_t (*step_fn)(sal_multipart_t *m, const char *at, apr_size_t size,
                                apr_size_t *took, sal_error_t *err);

static apr_size_t min_size(apr_size_t a, apr_size_t b)
{
    return a < b ? a : b;
}

static apr_status_t step_preamble(sal_multipart_t *m, const char *at, apr_size_t size,
                                  apr_size_t *took, sal_error_t *err)
{
    const char *hit = memmem(at, size, m->needle, m->needle_len);

    (void)err;
    if (hit) {
        *took = (apr_size_t)(hit - at) + m->needle_len;
        m->state = AFTER_DELIMITER;
    } else {
        *took = size - min_size(size, m->needle_len - 1);
    }
    return APR_SUCCESS;
}

static apr_status_t step_after(sal_multipart_t *m, const char *at, apr_size_t size,
                               apr_size_t *took, sal_error_t *err)
{
    (void)err;
    if (size < 2) {
        return APR_SUCCESS;
    }
    if (!memcmp(at, "--", 2)) {
        m->state = DONE;
        *took = 2;
    } else {
        m->state = PADDING;
    }
    return APR_SUCCESS;
}

/* Blanks, or anything, up to the end of the delimiter's line. */
static apr_status_t step_padding(sal_multipart_t *m, const char *at, apr_size_t size,
                                 apr_size_t *took, sal_error_t *err)
{
    const char *hit = memmem(at, size, "\r\n", 2);

    (void)err;
    if (hit) {
        *took = (apr_size_t)(hit - at) + 2;
        m->state = HEADERS;
    } else {
        *took = size - min_size(size, 1);
    }
    return APR_SUCCESS;
}

static apr_status_t read_part(sal_multipart_t *m, char *room, const char *block, apr_size_t size,
                              sal_error_t *err)
{
    sal_part_header_t header;
    apr_status_t rv = sal_part_header_read(&header, room, block, size, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    m->state = BODY;
    return m->events->part_begin(m->baton, &header.part, err);
}

static apr_status_t begin_part(sal_multipart_t *m, const char *block, apr_size_t size,
                               sal_error_t *err)
{
    char small[SAL_PART_HEADER_ROOM(500)], *room = small; /* the rule; stacks stay small */
    apr_status_t rv;

    if (++m->parts > m->max_parts) {
        return sal_fail(err, SAL_E_TOOBIG, "more than %d parts", m->max_parts);
    }
    if (SAL_PART_HEADER_ROOM(size) > sizeof(small)) {
        room = malloc(SAL_PART_HEADER_ROOM(size));
        if (!room) {
            return sal_fail(err, APR_ENOMEM, "no memory for a part's headers");
        }
    }
    rv = read_part(m, room, block, size, err);
    if (room != small) {
        free(room);
    }
    return rv;
}

static apr_status_t step_headers(sal_multipart_t *m, const char *at, apr_size_t size,
                                 apr_size_t *took, sal_error_t *err)
{
    const char *hit;

    if (size < 2) {
        return APR_SUCCESS;
    }
    if (!memcmp(at, "\r\n", 2)) { /* a part without any header: it has no name */
        *took = 2;
        return begin_part(m, at, 0, err);
    }
    hit = memmem(at, min_size(size, SAL_PART_HEADER_MAX + 4), "\r\n\r\n", 4);
    if (hit) {
        *took = (apr_size_t)(hit - at) + 4;
        return begin_part(m, at, (apr_size_t)(hit - at), err);
    }
    if (size >= SAL_PART_HEADER_MAX + 4) {
        return sal_fail(err, SAL_E_MALFORMED, "a part's headers are over %d bytes",
                        SAL_PART_HEADER_MAX);
    }
    return APR_SUCCESS;
}

static apr_status_t emit(sal_multipart_t *m, const char *at, apr_size_t size, sal_error_t *err)
{
    return size ? m->events->part_data(m->baton, at, size, err) : APR_SUCCESS;
}

typedef enum { NO_DELIMITER, STRICT_DELIMITER, LAX_DELIMITER, UNDECIDED } verdict_t;

/* What the boundary found at `hit` is. */
static verdict_t judge(const sal_multipart_t *m, const char *at, apr_size_t size, const char *hit)
{
    apr_size_t before = (apr_size_t)(hit - at), after = size - before - m->needle_len;
    const char *next = hit + m->needle_len;

    if (before >= 2 && !memcmp(hit - 2, "\r\n", 2)) {
        return STRICT_DELIMITER;
    }
    if (!m->lax) {
        return NO_DELIMITER;
    }
    if (after < 2) {
        return UNDECIDED;
    }
    return !memcmp(next, "\r\n", 2) || !memcmp(next, "--", 2) ? LAX_DELIMITER : NO_DELIMITER;
}

static apr_status_t end_part(sal_multipart_t *m, const char *at, apr_size_t size, bool lax,
                             sal_error_t *err)
{
    apr_status_t rv = emit(m, at, size, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    m->state = AFTER_DELIMITER;
    if (lax && m->events->lax_delimiter) {
        m->events->lax_delimiter(m->baton);
    }
    return m->events->part_end(m->baton, err);
}

static apr_status_t step_body(sal_multipart_t *m, const char *at, apr_size_t size, apr_size_t *took,
                              sal_error_t *err)
{
    const char *from = at, *end = at + size, *hit;

    while ((hit = memmem(from, (apr_size_t)(end - from), m->needle, m->needle_len)) != NULL) {
        apr_size_t before = (apr_size_t)(hit - at);
        verdict_t v = judge(m, at, size, hit);

        if (v == UNDECIDED) {
            *took = before - min_size(before, 2);
            return emit(m, at, *took, err);
        }
        if (v != NO_DELIMITER) {
            *took = before + m->needle_len;
            return end_part(m, at, v == STRICT_DELIMITER ? before - 2 : before, v == LAX_DELIMITER,
                            err);
        }
        from = hit + 1;
    }
    /* Keep what may be the start of a delimiter, with the line break before it. */
    *took = size - min_size(size, m->needle_len + 1);
    return emit(m, at, *took, err);
}

static apr_status_t run_window(sal_multipart_t *m, sal_error_t *err)
{
    static const step_fn steps[] = { step_preamble, step_after, step_padding, step_headers,
                                     step_body };
    apr_size_t at = 0;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && m->state < DONE) {
        state_t before = m->state;
        apr_size_t took = 0;

        rv = steps[m->state](m, m->window + at, m->used - at, &took, err);
        at += took;
        if (m->state == before && (took == 0 || at == m->used)) {
            break;
        }
    }
    if (rv != APR_SUCCESS) {
        if (err) {
            err->offset = m->consumed + at;
        }
        m->state = BROKEN;
        m->broken = rv;
        return rv;
    }
    m->consumed += at;
    m->used -= at;
    memmove(m->window, m->window + at, m->used);
    return APR_SUCCESS;
}

/* A header block that fills the window: few have one. */
static void grow_window(sal_multipart_t *m)
{
    char *grown = apr_palloc(m->pool, WINDOW_MAX);

    memcpy(grown, m->window, m->used);
    m->window = grown;
    m->room = WINDOW_MAX;
}

apr_status_t sal_multipart_feed(sal_multipart_t *m, const char *data, apr_size_t size,
                                sal_error_t *err)
{
    while (size && m->state < DONE) {
        apr_size_t n;
        apr_status_t rv;

        if (m->used == m->room && m->room < WINDOW_MAX) {
            grow_window(m);
        }
        n = min_size(size, m->room - m->used);
        memcpy(m->window + m->used, data, n);
        m->used += n;
        data += n;
        size -= n;
        rv = run_window(m, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    if (m->state == BROKEN) {
        return sal_fail(err, m->broken, "the form was given up earlier");
    }
    return APR_SUCCESS; /* what follows the closing delimiter is nobody's */
}

apr_status_t sal_multipart_finish(sal_multipart_t *m, sal_error_t *err)
{
    if (m->state == DONE) {
        return APR_SUCCESS;
    }
    return sal_fail_at(
        err, m->state == BROKEN ? m->broken : SAL_E_MALFORMED, m->consumed + m->used, "%s",
        m->state == PREAMBLE ? "no delimiter in the body" : "the form has no closing delimiter");
}
