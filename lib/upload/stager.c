/*
 * Inflating, digesting and writing of one file after the other. The bytes of a deflate stream are
 * written as they came; a .sym that comes plain is deflated here, anything else is written plain.
 */
#include "upload/stager.h"

#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "base/file.h"
#include "upload/digest.h"

enum {
    OUT_SIZE = 262144,
    DEFLATE_LEVEL = 6,
    SMALL = 16384,            /* stored bytes that need no file before they are published */
    SMALL_PACKED = 4 * SMALL, /* nor would one be adopted by a retry */
};

static const uint64_t ratio_floor = 1 << 20; /* small files may pack as well as they like */

struct sal_upload_stager_t {
    sal_symbol_store_t *store;
    char prefix;
    apr_pool_t *file_pool; /* of the file that was begun */
    sal_symbol_temp_t *temp;
    sal_digest_t *digest;
    EVP_MD_CTX *stored;
    z_stream inflater, deflater;
    bool has_inflater, has_deflater;
    bool is_sym, deflated, deflating, ended, keep_small;
    uint64_t size, packed, stored_size, limit;
    uint32_t ratio;
    size_t out_used, head_len, body;
    char head[SAL_SYM_HEADER_BYTES];
    unsigned char *out, *pack;
};

static apr_status_t end_streams(void *v)
{
    sal_upload_stager_t *st = v;

    if (st->has_inflater) {
        inflateEnd(&st->inflater);
    }
    if (st->has_deflater) {
        deflateEnd(&st->deflater);
    }
    EVP_MD_CTX_free(st->stored);
    return APR_SUCCESS;
}

apr_status_t sal_upload_stager_make(sal_upload_stager_t **out, sal_symbol_store_t *store,
                                    char prefix, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_stager_t *st = apr_pcalloc(p, sizeof(*st));
    apr_status_t rv = sal_digest_make(&st->digest, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    st->store = store;
    st->prefix = prefix;
    st->limit = UINT64_MAX;
    st->stored = EVP_MD_CTX_new();
    st->out = apr_palloc(p, OUT_SIZE);
    apr_pool_create(&st->file_pool, p);
    apr_pool_cleanup_register(p, st, end_streams, apr_pool_cleanup_null);
    if (!st->stored || inflateInit2(&st->inflater, -MAX_WBITS) != Z_OK) {
        return sal_fail(err, APR_ENOMEM, "no memory to inflate");
    }
    st->has_inflater = true;
    *out = st;
    return APR_SUCCESS;
}

void sal_upload_stager_keep_small(sal_upload_stager_t *st)
{
    st->keep_small = true;
}

const void *sal_upload_stager_body(const sal_upload_stager_t *st, size_t *size)
{
    *size = st->body;
    return st->body ? st->out : NULL;
}

/* ---- writing ---- */

static apr_status_t flush(sal_upload_stager_t *st, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (!st->temp && (rv = sal_symbol_temp_begin_as(&st->temp, st->store, st->prefix, st->file_pool,
                                                    err)) != APR_SUCCESS) {
        return rv;
    }
    if (st->out_used) {
        rv = sal_fd_write_all(sal_symbol_temp_fd(st->temp), st->out, st->out_used);
        EVP_DigestUpdate(st->stored, st->out, st->out_used);
        st->stored_size += st->out_used;
        st->out_used = 0;
    }
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "cannot write to the symbol store");
}

static apr_status_t write_stored(sal_upload_stager_t *st, const void *data, size_t size,
                                 sal_error_t *err)
{
    const char *from = data;

    while (size) {
        size_t n = OUT_SIZE - st->out_used;

        n = size < n ? size : n;
        memcpy(st->out + st->out_used, from, n);
        st->out_used += n;
        from += n;
        size -= n;
        if (st->out_used == OUT_SIZE) {
            apr_status_t rv = flush(st, err);

            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
    }
    return APR_SUCCESS;
}

static apr_status_t deflate_some(sal_upload_stager_t *st, const void *data, size_t size, int how,
                                 sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    st->deflater.next_in = (unsigned char *)(uintptr_t)data;
    st->deflater.avail_in = (uInt)size;
    do {
        st->deflater.next_out = st->pack;
        st->deflater.avail_out = SAL_DIGEST_ROOM;
        deflate(&st->deflater, how);
        rv = write_stored(st, st->pack, SAL_DIGEST_ROOM - st->deflater.avail_out, err);
    } while (rv == APR_SUCCESS && st->deflater.avail_out == 0);
    return rv;
}

/* ---- begin ---- */

static apr_status_t begin_deflating(sal_upload_stager_t *st, apr_pool_t *p, sal_error_t *err)
{
    if (st->has_deflater) {
        deflateReset(&st->deflater);
        return APR_SUCCESS;
    }
    if (deflateInit2(&st->deflater, DEFLATE_LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return sal_fail(err, APR_ENOMEM, "no memory to compress");
    }
    st->pack = apr_palloc(p, SAL_DIGEST_ROOM);
    st->has_deflater = true;
    return APR_SUCCESS;
}

apr_status_t sal_upload_stager_begin(sal_upload_stager_t *st, const char *leaf, bool deflated,
                                     sal_error_t *err)
{
    static const unsigned char gzip_head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };
    apr_status_t rv;

    sal_upload_stager_drop(st);
    st->is_sym = sal_symbol_leaf_is_sym(leaf);
    st->deflated = deflated;
    st->deflating = st->is_sym && !deflated;
    st->ended = false;
    st->size = st->packed = st->stored_size = 0;
    st->out_used = st->head_len = st->body = 0;
    inflateReset(&st->inflater);
    if (!EVP_DigestInit_ex(st->stored, EVP_sha256(), NULL)) {
        return sal_fail(err, APR_EGENERAL, "SHA-256 is switched off in OpenSSL");
    }
    if ((rv = sal_digest_begin(st->digest, err)) != APR_SUCCESS ||
        (st->deflating &&
         (rv = begin_deflating(st, apr_pool_parent_get(st->file_pool), err)) != APR_SUCCESS)) {
        return rv;
    }
    return st->is_sym ? write_stored(st, gzip_head, sizeof(gzip_head), err) : APR_SUCCESS;
}

void sal_upload_stager_limit(sal_upload_stager_t *st, uint64_t size, uint32_t ratio)
{
    st->limit = size;
    st->ratio = ratio;
}

/* ---- bytes ---- */

static apr_status_t take_plain(sal_upload_stager_t *st, const unsigned char *data, size_t size,
                               sal_error_t *err)
{
    size_t head = SAL_SYM_HEADER_BYTES - st->head_len;

    head = size < head ? size : head;
    memcpy(st->head + st->head_len, data, head);
    st->head_len += head;
    st->size += size;
    sal_digest_add(st->digest, size);
    if (st->size > st->limit ||
        (st->ratio && st->size > ratio_floor && st->size / st->ratio > st->packed)) {
        return sal_fail(err, SAL_E_TOOBIG, "Archive member too large");
    }
    if (st->deflating) {
        return deflate_some(st, data, size, Z_NO_FLUSH, err);
    }
    return st->is_sym ? APR_SUCCESS : write_stored(st, data, size, err);
}

static apr_status_t feed_plain(sal_upload_stager_t *st, const char *data, size_t size,
                               sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    st->packed += size;
    while (size && rv == APR_SUCCESS) {
        unsigned char *room = sal_digest_room(st->digest);
        size_t n = size < SAL_DIGEST_ROOM ? size : SAL_DIGEST_ROOM;

        memcpy(room, data, n);
        rv = take_plain(st, room, n, err);
        data += n;
        size -= n;
    }
    return rv;
}

static apr_status_t inflate_some(sal_upload_stager_t *st, const char *data, size_t size,
                                 size_t *took, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    int rc = Z_OK;

    st->inflater.next_in = (unsigned char *)(uintptr_t)data;
    st->inflater.avail_in = (uInt)size;
    st->packed += size; /* for the ratio; what is not taken is given back below */
    while (rv == APR_SUCCESS && rc == Z_OK && !st->ended) {
        unsigned char *room = sal_digest_room(st->digest);

        st->inflater.next_out = room;
        st->inflater.avail_out = SAL_DIGEST_ROOM;
        rc = inflate(&st->inflater, Z_NO_FLUSH);
        if (rc == Z_BUF_ERROR) {
            break; /* wants more input */
        }
        if (rc != Z_OK && rc != Z_STREAM_END) {
            return sal_fail(err, SAL_E_MALFORMED, "damaged deflate stream");
        }
        st->ended = rc == Z_STREAM_END;
        if (st->inflater.avail_out < SAL_DIGEST_ROOM) {
            rv = take_plain(st, room, SAL_DIGEST_ROOM - st->inflater.avail_out, err);
        }
    }
    *took = size - st->inflater.avail_in;
    st->packed -= st->inflater.avail_in;
    return rv;
}

apr_status_t sal_upload_stager_feed(sal_upload_stager_t *st, const char *data, size_t size,
                                    size_t *took, sal_error_t *err)
{
    apr_status_t rv;

    *took = size;
    if (!st->deflated) {
        return feed_plain(st, data, size, err);
    }
    rv = inflate_some(st, data, size, took, err);
    /* Bytes after the end of the stream are no part of it: a gzip trailer follows there. */
    return rv == APR_SUCCESS && st->is_sym ? write_stored(st, data, *took, err) : rv;
}

uint64_t sal_upload_stager_size(const sal_upload_stager_t *st)
{
    return st->size;
}

uint64_t sal_upload_stager_packed(const sal_upload_stager_t *st)
{
    return st->packed;
}

bool sal_upload_stager_ended(const sal_upload_stager_t *st)
{
    return st->ended;
}

/* ---- end ---- */

static apr_status_t gzip_trailer(sal_upload_stager_t *st, uint32_t crc, sal_error_t *err)
{
    unsigned char tail[8];

    for (int i = 0; i < 4; i++) {
        tail[i] = (unsigned char)(crc >> (8 * i));
        tail[4 + i] = (unsigned char)(st->size >> (8 * i));
    }
    return write_stored(st, tail, sizeof(tail), err);
}

/* To its file, or kept where it is: an archive has up to 100,000 members, most of them small. */
static apr_status_t end_stored(sal_upload_stager_t *st, sal_upload_entry_t *e, sal_error_t *err)
{
    apr_status_t rv;

    if (st->keep_small && !st->temp && st->out_used && st->out_used <= SMALL &&
        st->packed <= SMALL_PACKED) {
        EVP_DigestUpdate(st->stored, st->out, st->out_used);
        st->stored_size = st->body = st->out_used;
        e->temp[0] = '\0';
        return APR_SUCCESS;
    }
    if ((rv = flush(st, err)) == APR_SUCCESS) {
        apr_cpystrn(e->temp, sal_symbol_temp_release(st->temp, st->file_pool), sizeof(e->temp));
    }
    return rv;
}

apr_status_t sal_upload_stager_end(sal_upload_stager_t *st, sal_upload_entry_t *e,
                                   sal_sym_header_t *header, apr_pool_t *p, sal_error_t *err)
{
    sal_digests_t digests;
    apr_status_t rv = APR_SUCCESS;

    sal_digest_end(st->digest, &digests);
    if (st->deflating) {
        rv = deflate_some(st, "", 0, Z_FINISH, err);
    }
    if (rv == APR_SUCCESS && st->is_sym) {
        rv = gzip_trailer(st, digests.crc, err);
    }
    if (rv != APR_SUCCESS || (rv = end_stored(st, e, err)) != APR_SUCCESS) {
        return rv;
    }
    EVP_DigestFinal_ex(st->stored, e->stored_sha256, NULL);
    memcpy(e->md5, digests.md5, sizeof(e->md5));
    memcpy(e->sha256, digests.sha256, sizeof(e->sha256));
    e->crc = digests.crc;
    e->size = st->size;
    e->packed = st->packed;
    e->stored_size = st->stored_size;
    e->flags |= st->deflated ? SAL_UPLOAD_DEFLATED : 0;
    *header = (sal_sym_header_t){ 0 };
    if (st->is_sym) {
        sal_sym_header_read(header, st->head, st->head_len, p);
    }
    st->temp = NULL;
    apr_pool_clear(st->file_pool);
    return APR_SUCCESS;
}

void sal_upload_stager_drop(sal_upload_stager_t *st)
{
    st->temp = NULL;
    apr_pool_clear(st->file_pool);
}
