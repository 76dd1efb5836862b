/*
 * Request bodies: pumping them in pieces, and reading small ones whole.
 */
#include "common/web.h"

#include <apr_strings.h>

/* httpd reads so many of its buckets of 8000 bytes before it gives one away: memory in flight. */
#define PIECE 8000

typedef struct pump_t {
    apr_off_t max;
    apr_off_t *total;
    web_sink_fn sink;
    void *baton;
    apr_status_t *sink_status;
    int eos;
} pump_t;

/* One bucket to the sink. OK or an HTTP status. */
static int pump_bucket(pump_t *pump, apr_bucket *b)
{
    const char *data;
    apr_size_t size;
    apr_status_t rv = apr_bucket_read(b, &data, &size, APR_BLOCK_READ);

    if (rv != APR_SUCCESS) {
        return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    }
    *pump->total += (apr_off_t)size;
    if (*pump->total > pump->max) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    while (size) {
        apr_size_t n = size > PIECE ? PIECE : size;

        *pump->sink_status = pump->sink(pump->baton, data, n);
        if (*pump->sink_status != APR_SUCCESS) {
            return HTTP_BAD_REQUEST;
        }
        data += n;
        size -= n;
    }
    return OK;
}

static int pump_brigade(pump_t *pump, apr_bucket_brigade *bb)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        int rc;

        if (APR_BUCKET_IS_EOS(b)) {
            pump->eos = 1;
            return OK;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if ((rc = pump_bucket(pump, b)) != OK) {
            return rc;
        }
    }
    return OK;
}

void web_body_keep_packed(request_rec *r)
{
    for (ap_filter_t *f = r->input_filters, *next; f; f = next) {
        next = f->next;
        if (f->frec && f->frec->name && !strcasecmp(f->frec->name, "deflate")) {
            ap_remove_input_filter(f);
        }
    }
}

int web_body_pump(request_rec *r, apr_off_t max, web_sink_fn sink, void *baton, apr_off_t *total,
                  apr_status_t *sink_status)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    pump_t pump = { max, total, sink, baton, sink_status, 0 };
    int rc = OK;

    *total = 0;
    *sink_status = APR_SUCCESS;
    while (rc == OK && !pump.eos) {
        apr_status_t rv =
            ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, PIECE);

        rc = rv == APR_SUCCESS ? pump_brigade(&pump, bb)
                               : ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    if (rc == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->connection->keepalive = AP_CONN_CLOSE; /* what is left of the body is not ours to read */
    }
    return rc;
}

typedef struct text_t {
    char *data;
    apr_size_t size, room, max;
    apr_pool_t *pool;
} text_t;

static apr_status_t gather(void *baton, const char *data, apr_size_t size)
{
    text_t *t = baton;

    if (t->size + size > t->room) {
        apr_size_t room = (t->size + size) * 2;
        char *grown;

        room = room > t->max ? t->max : room;
        grown = apr_palloc(t->pool, room + 1);
        memcpy(grown, t->data, t->size);
        t->data = grown;
        t->room = room;
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
    return APR_SUCCESS;
}

int web_body_text(request_rec *r, apr_off_t max, char **out, apr_size_t *size)
{
    text_t t = { (char *)"", 0, 0, (apr_size_t)max, r->pool };
    apr_status_t sink_status;
    apr_off_t total;
    int rc = web_body_pump(r, max, gather, &t, &total, &sink_status);

    if (rc != OK) {
        return rc;
    }
    if (t.size == 0) {
        t.data = apr_pcalloc(r->pool, 1);
    }
    t.data[t.size] = '\0';
    *out = t.data;
    *size = t.size;
    return OK;
}
