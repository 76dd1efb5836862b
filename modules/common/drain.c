/*
 * A proxy or client that is still sending when the connection closes never reads the answer; one
 * that may send for ever must not keep a thread. So: a bounded amount is read, then the door shuts.
 */
#include "common/drain.h"

#include <http_protocol.h>

void web_drain(request_rec *r, apr_off_t max)
{
    apr_bucket_brigade *bb;
    apr_off_t total = 0, n;
    int eos = 0;

    if (r->expecting_100 || r->main || r->connection->keepalive == AP_CONN_CLOSE) {
        return;
    }
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (!eos && total < max &&
           ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, 65536) ==
               APR_SUCCESS) {
        eos = !APR_BRIGADE_EMPTY(bb) && APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
        total += apr_brigade_length(bb, 0, &n) == APR_SUCCESS && n > 0 ? n : 0;
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    if (!eos) {
        r->connection->keepalive = AP_CONN_CLOSE;
    }
}
