/*
 * Sending a stored file: as it is by sendfile, with conditions and ranges left to httpd's core, or
 * inflated on the fly for a client that does not take gzip. Knows nothing of keys.
 */
#include "symbols_private.h"

#include <stdlib.h>
#include <unistd.h>

#include <apr_strings.h>
#include <util_filter.h>
#include <zlib.h>

#include "symbols/symbol_gzip.h"

APLOG_USE_MODULE(symbols);

enum {
    CHUNK = 65536,
    /* Up to this size bytes are read into memory: less than a mapping and its end cost. */
    SMALL = 32768
};

/* What Accept-Encoding says of one coding: -1 nothing. */
typedef struct {
    double gzip, identity, any;
} taste_t;

/* One element, "gzip;q=0.5"; it is taken apart in place. */
static void read_element(taste_t *t, char *element)
{
    char *params = element + strcspn(element, "; \t"), *q;
    double weight = 1.0;

    q = *params ? strstr(params + 1, "q=") : NULL;
    if (q) {
        weight = strtod(q + 2, NULL);
    }
    *params = '\0';
    if (!strcmp(element, "gzip") || !strcmp(element, "x-gzip")) {
        t->gzip = weight;
    } else if (!strcmp(element, "identity")) {
        t->identity = weight;
    } else if (!strcmp(element, "*")) {
        t->any = weight;
    }
}

/*
 * Without the header the client gets plain bytes: debuggers and plain curl do not ask, nor inflate.
 * Those who name both get what they like better, gzip if they like both the same.
 */
int symbols_takes_gzip(request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Accept-Encoding");
    taste_t t = { -1, -1, -1 };
    char *element;

    if (!header) {
        return 0;
    }
    if (!strcmp(header, "gzip")) {
        return 1;
    }
    while ((element = ap_get_list_item(r->pool, &header)) != NULL) {
        read_element(&t, element);
    }
    t.gzip = t.gzip < 0 ? t.any : t.gzip;
    return t.gzip > 0 && t.gzip >= t.identity;
}

static const char *etag_of(request_rec *r, const symbols_open_t *o, int weak)
{
    const char *tag;

    if (*o->meta.digest) {
        return apr_pstrcat(r->pool, weak ? "W/\"" : "\"", o->meta.digest, "\"", NULL);
    }
    tag = ap_make_etag(r, weak);
    return tag && *tag ? tag : NULL;
}

void symbols_describe(request_rec *r, const symbols_open_t *o, const char *leaf,
                      symbols_form_t form)
{
    const char *etag =
        etag_of(r, o, form == SYMBOLS_FORM_INFLATED || form == SYMBOLS_FORM_UNPACKED);

    r->content_encoding = NULL; /* mod_mime has looked at the URL, not at what is stored */
    ap_set_content_type(r,
                        sal_symbol_leaf_is_sym(leaf) ? "text/plain" : "application/octet-stream");
    if (form == SYMBOLS_FORM_GZIP || form == SYMBOLS_FORM_INFLATED) {
        apr_table_mergen(r->headers_out, "Vary", "Accept-Encoding");
    }
    if (form == SYMBOLS_FORM_GZIP) {
        apr_table_setn(r->headers_out, "Content-Encoding", "gzip");
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

/* The whole piece in memory of the connection; false where it cannot be read so. */
static int insert_small(apr_bucket_brigade *bb, const symbols_open_t *o, apr_off_t offset,
                        apr_size_t size)
{
    apr_os_file_t fd;
    char *data = apr_bucket_alloc(size, bb->bucket_alloc);

    apr_os_file_get(&fd, o->file);
    if (pread(fd, data, size, offset) != (ssize_t)size) {
        apr_bucket_free(data);
        return 0;
    }
    APR_BRIGADE_INSERT_TAIL(bb,
                            apr_bucket_heap_create(data, size, apr_bucket_free, bb->bucket_alloc));
    return 1;
}

static int send_bytes(request_rec *r, const symbols_open_t *o, apr_off_t offset, apr_off_t size)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    if (!r->header_only && size > 0 &&
        (size > SMALL || !insert_small(bb, o, offset, (apr_size_t)size))) {
        apr_bucket *e = apr_brigade_insert_file(bb, o->file, offset, size, r->pool);

#if APR_HAS_MMAP
        if (core->enable_mmap == ENABLE_MMAP_OFF) {
            apr_bucket_file_enable_mmap(e, 0);
        }
#else
        (void)e;
#endif
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    pass(r, bb);
    return OK;
}

/* ---- what is made while it is sent ---- */

void symbols_pipe_begin(symbols_pipe_t *pipe, request_rec *r)
{
    *pipe = (symbols_pipe_t){ r, apr_brigade_create(r->pool, r->connection->bucket_alloc) };
}

apr_status_t symbols_pipe_piece(void *baton, const void *data, apr_size_t size)
{
    symbols_pipe_t *o = baton;
    apr_status_t rv;

    APR_BRIGADE_INSERT_TAIL(o->bb, apr_bucket_transient_create(data, size, o->bb->bucket_alloc));
    rv = ap_pass_brigade(o->r->output_filters, o->bb);
    apr_brigade_cleanup(o->bb);
    return rv == APR_SUCCESS && o->r->connection->aborted ? APR_ECONNABORTED : rv;
}

int symbols_pipe_end(symbols_pipe_t *pipe, int whole, const char *path)
{
    request_rec *r = pipe->r;

    if (!whole) {
        if (!r->connection->aborted) {
            symbols_damaged(r, path);
        }
        symbols_cut(r, pipe->bb);
    }
    APR_BRIGADE_INSERT_TAIL(pipe->bb, apr_bucket_eos_create(pipe->bb->bucket_alloc));
    pass(r, pipe->bb);
    return OK;
}

int symbols_send_part(request_rec *r, const symbols_open_t *o, apr_off_t offset, apr_off_t size)
{
    symbols_pipe_t pipe;
    apr_os_file_t fd;
    int rc;

    symbols_describe(r, o, "", SYMBOLS_FORM_STORED);
    apr_table_unset(r->headers_out, "ETag"); /* of the whole, and that is not what is sent */
    ap_set_content_length(r, size);
    if ((rc = ap_meets_conditions(r)) != OK || !o->meta.gzip) {
        return rc == OK ? send_bytes(r, o, offset, size) : rc;
    }
    apr_table_unset(r->headers_in, "Range");
    apr_os_file_get(&fd, o->file);
    symbols_pipe_begin(&pipe, r);
    return symbols_pipe_end(&pipe,
                            r->header_only ||
                                sal_gzip_range(fd, (uint64_t)offset, (uint64_t)size,
                                               symbols_pipe_piece, &pipe, NULL) == APR_SUCCESS,
                            o->path);
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

void symbols_no_upstream(request_rec *r, const sal_error_t *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2027: nothing from upstream: %s", err->message);
}

void symbols_damaged(request_rec *r, const char *path)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL2021: %s is damaged; upload it again", path);
}

void symbols_cut(request_rec *r, apr_bucket_brigade *bb)
{
    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(
        bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, bb->bucket_alloc));
}

static int send_inflated(request_rec *r, apr_file_t *file)
{
    symbols_pipe_t pipe;
    z_stream z = { 0 };
    int whole = 1;

    /* A range of text would mean inflating up to it; none is offered. */
    apr_table_unset(r->headers_in, "Range");
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    symbols_pipe_begin(&pipe, r);
    if (!r->header_only) {
        whole = inflate_all(r, file, &z, pipe.bb);
    }
    inflateEnd(&z);
    return symbols_pipe_end(&pipe, whole, r->filename);
}

apr_status_t symbols_open(symbols_open_t *o, request_rec *r, const char *path)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_int32_t flags = APR_READ | APR_BINARY;
    apr_os_file_t fd;
    apr_status_t rv;

    if (core->enable_sendfile == ENABLE_SENDFILE_ON && dc->delivery != SYMBOLS_STREAM) {
        flags |= APR_FOPEN_SENDFILE_ENABLED;
    }
    o->path = path;
    rv = apr_file_open(&o->file, path, flags, 0, r->pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&r->finfo, APR_FINFO_NORM, o->file);
    }
    if (rv == APR_SUCCESS && r->finfo.filetype != APR_REG) {
        rv = APR_ENOENT;
    }
    if (rv != APR_SUCCESS) {
        if (!APR_STATUS_IS_ENOENT(rv) && !APR_STATUS_IS_ENOTDIR(rv) && rv != APR_ENAMETOOLONG) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r, "SAL2022: cannot read %s", path);
        }
        return rv;
    }
    r->filename = (char *)path; /* never written to, but httpd's type */
    apr_os_file_get(&fd, o->file);
    symbols_meta_get(&o->meta, symbols_metas, fd, &r->finfo);
    return APR_SUCCESS;
}

int symbols_send(request_rec *r, const symbols_open_t *o, const char *leaf, int gzip_of)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);
    symbols_form_t form = SYMBOLS_FORM_STORED;
    int rc;

    if (gzip_of && o->meta.gzip) {
        form = dc->always_gzip == 1 || symbols_takes_gzip(r) ? SYMBOLS_FORM_GZIP
                                                             : SYMBOLS_FORM_INFLATED;
    }
    symbols_describe(r, o, leaf, form);
    if (form != SYMBOLS_FORM_INFLATED) {
        ap_set_content_length(r, r->finfo.size);
        ap_set_accept_ranges(r);
    }
    if ((rc = ap_meets_conditions(r)) != OK) {
        return rc;
    }
    return form == SYMBOLS_FORM_INFLATED ? send_inflated(r, o->file)
                                         : send_bytes(r, o, 0, r->finfo.size);
}
