/*
 * Sending a stored file: as it is by sendfile, with conditions and ranges left to httpd's core, or
 * inflated on the fly for a client that does not take gzip.
 */
#include "symbols_private.h"

#include <stdlib.h>

#include <apr_strings.h>
#include <util_filter.h>
#include <zlib.h>

APLOG_USE_MODULE(symbols);

enum { CHUNK = 65536 };

/* Does one element of Accept-Encoding ("gzip;q=0.5") take gzip? -1: it speaks of another coding. */
static int takes_gzip(char *element)
{
    char *params = element + strcspn(element, "; \t"), *q;

    q = *params ? strstr(params + 1, "q=") : NULL;
    *params = '\0';
    if (strcmp(element, "gzip") && strcmp(element, "x-gzip") && strcmp(element, "*")) {
        return -1;
    }
    return !q || strtod(q + 2, NULL) > 0.0;
}

/* Without the header the client gets text: debuggers and plain curl do not ask, nor inflate. */
static int accepts_gzip(request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Accept-Encoding");
    int any = 0;
    char *element;

    while (header && (element = ap_get_list_item(r->pool, &header)) != NULL) {
        int wildcard = element[0] == '*', takes = takes_gzip(element);

        if (takes >= 0 && !wildcard) {
            return takes;
        }
        any = takes >= 0 ? takes : any;
    }
    return any;
}

static const char *etag_of(request_rec *r, apr_file_t *file, int weak)
{
    char digest[SAL_SHA256_HEX + 1];
    apr_os_file_t fd;
    const char *tag;

    if (apr_os_file_get(&fd, file) == APR_SUCCESS && sal_symbol_store_digest(digest, fd)) {
        return apr_psprintf(r->pool, "%s\"%s\"", weak ? "W/" : "", digest);
    }
    tag = ap_make_etag(r, weak);
    return tag && *tag ? tag : NULL;
}

/* Everything about the representation that a condition may ask for. */
static void describe(request_rec *r, apr_file_t *file, const char *leaf, int gzipped, int inflating)
{
    const char *etag = etag_of(r, file, inflating);

    ap_set_content_type(r,
                        sal_symbol_leaf_is_sym(leaf) ? "text/plain" : "application/octet-stream");
    if (gzipped) {
        apr_table_mergen(r->headers_out, "Vary", "Accept-Encoding");
        if (!inflating) {
            apr_table_setn(r->headers_out, "Content-Encoding", "gzip");
        }
    }
    apr_table_setn(r->headers_out, "Cache-Control",
                   "public, max-age=31536000, immutable, no-transform");
    /* It is compressed, or asked not to be: mod_deflate and mod_brotli keep their hands off. */
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
    ap_update_mtime(r, r->finfo.mtime);
    ap_set_last_modified(r);
    if (etag) {
        apr_table_setn(r->headers_out, "ETag", etag);
    }
}

static int pass(request_rec *r, apr_bucket_brigade *bb)
{
    apr_status_t rv = ap_pass_brigade(r->output_filters, bb);

    apr_brigade_cleanup(bb);
    return rv == APR_SUCCESS && !r->connection->aborted;
}

static int send_as_it_is(request_rec *r, apr_file_t *file)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    apr_brigade_insert_file(bb, file, 0, r->finfo.size, r->pool);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    pass(r, bb);
    return OK;
}

/* One round: some input in, all the output it gives to the client. 1: more, 0: end, -1: broken. */
static int inflate_round(request_rec *r, z_stream *z, apr_bucket_brigade *bb, unsigned char *out)
{
    int rc = Z_OK;

    do {
        z->next_out = out;
        z->avail_out = CHUNK;
        rc = inflate(z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            return -1;
        }
        if (z->avail_out < CHUNK) {
            APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_transient_create(
                                            (char *)out, CHUNK - z->avail_out, bb->bucket_alloc));
            if (!pass(r, bb)) {
                return -1;
            }
        }
    } while (rc == Z_OK && z->avail_out == 0);
    return rc != Z_STREAM_END;
}

static int inflate_all(request_rec *r, apr_file_t *file, z_stream *z, apr_bucket_brigade *bb)
{
    unsigned char *in = apr_palloc(r->pool, CHUNK), *out = apr_palloc(r->pool, CHUNK);
    apr_size_t n = CHUNK;
    int more = 1;

    while (more > 0 && apr_file_read(file, in, &n) == APR_SUCCESS && n > 0) {
        z->next_in = in;
        z->avail_in = (uInt)n;
        more = inflate_round(r, z, bb, out);
        n = CHUNK;
    }
    return more == 0;
}

static int send_inflated(request_rec *r, apr_file_t *file)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    z_stream z = { 0 };
    int whole = 1;

    /* A range of text would mean inflating up to it; none is offered. */
    apr_table_unset(r->headers_in, "Range");
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!r->header_only) {
        whole = inflate_all(r, file, &z, bb);
    }
    inflateEnd(&z);
    if (!whole) {
        if (!r->connection->aborted) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL2021: %s is damaged; upload it again",
                          r->filename);
        }
        /* The status is out: only a cut connection tells the client that the text is not whole. */
        r->connection->keepalive = AP_CONN_CLOSE;
        APR_BRIGADE_INSERT_TAIL(
            bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, bb->bucket_alloc));
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    pass(r, bb);
    return OK;
}

int symbols_send_file(request_rec *r, const char *path, const char *leaf, int gzipped)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_int32_t flags = APR_READ | APR_BINARY;
    apr_file_t *file;
    apr_status_t rv;
    int rc, inflating;

    if (core->enable_sendfile == ENABLE_SENDFILE_ON) {
        flags |= APR_FOPEN_SENDFILE_ENABLED;
    }
    rv = apr_file_open(&file, path, flags, 0, r->pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&r->finfo, APR_FINFO_NORM, file);
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r, "SAL2022: cannot read %s", path);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    r->filename = apr_pstrdup(r->pool, path);
    inflating = gzipped && dc->always_gzip != 1 && !accepts_gzip(r);
    describe(r, file, leaf, gzipped, inflating);
    if (!inflating) {
        ap_set_content_length(r, r->finfo.size);
        ap_set_accept_ranges(r);
    }
    if ((rc = ap_meets_conditions(r)) != OK) {
        return rc;
    }
    return inflating ? send_inflated(r, file) : send_as_it_is(r, file);
}
