/*
 * Processed documents: zstd-compressed JSON as blobs beside the containers.
 */
#include "crash/store_private.h"

#include <string.h>
#include <zstd.h>
#include <apr_strings.h>
#include "base/json.h"

#define DOC_MAX (UINT64_C(512) << 20)
#define LEVEL 3 /* read more often than written */
#define PREFIX "processed/"

/* Keys come from the database, but a wrong one must not reach another room of the store. */
static bool key_ok(const char *key)
{
    return key && !strncmp(key, PREFIX, strlen(PREFIX));
}

static apr_status_t compress(void **out, size_t *out_size, const char *text, apr_pool_t *p)
{
    size_t size = strlen(text), room = ZSTD_compressBound(size);

    *out = apr_palloc(p, room);
    *out_size = ZSTD_compress(*out, room, text, size, LEVEL);
    return ZSTD_isError(*out_size) ? APR_ENOMEM : APR_SUCCESS;
}

static apr_status_t begin(sal_blob_writer_t **w, sal_crash_store_t *store, const char *key,
                          const json_t *doc, apr_pool_t *tmp, apr_pool_t *p, sal_error_t *err)
{
    void *data;
    size_t size;
    apr_status_t rv = compress(&data, &size, sal_json_text(doc, tmp), tmp);

    if (rv != APR_SUCCESS) {
        return sal_fail(err, rv, "%s cannot be compressed", key);
    }
    if ((rv = sal_blob_begin(w, store->blobs, p, err)) == APR_SUCCESS) {
        rv = sal_blob_write(*w, data, size, err);
    }
    return rv == APR_SUCCESS ? sal_blob_name(*w, key, err) : rv;
}

apr_status_t sal_processed_begin(sal_blob_writer_t **w, const char **key, sal_crash_store_t *store,
                                 const char *id, apr_int64_t job, apr_int64_t fence,
                                 const json_t *doc, apr_pool_t *p, sal_error_t *err)
{
    char dir[12];
    apr_pool_t *tmp;
    apr_status_t rv;

    if (!sal_crash_id_valid(id)) {
        return sal_fail(err, APR_EINVAL, "\"%.40s\" is not a crash id", id);
    }
    sal_crash_dir_of(dir, id);
    *key = apr_psprintf(p, PREFIX "%s/%s.%" APR_INT64_T_FMT ".%" APR_INT64_T_FMT ".json.zst", dir,
                        id, job, fence);
    apr_pool_create(&tmp, p);
    rv = begin(w, store, *key, doc, tmp, p, err);
    apr_pool_destroy(tmp);
    return rv;
}

apr_status_t sal_processed_put(const char **key, sal_crash_store_t *store, const char *id,
                               apr_int64_t job, apr_int64_t fence, const json_t *doc, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_blob_writer_t *w;
    apr_status_t rv = sal_processed_begin(&w, key, store, id, job, fence, doc, p, err);

    return rv == APR_SUCCESS ? sal_blob_sync(w, err) : rv;
}

static apr_status_t expand(json_t **out, const char *key, sal_span_t blob, apr_pool_t *tmp,
                           apr_pool_t *p, sal_error_t *err)
{
    unsigned long long size = ZSTD_getFrameContentSize(blob.data, blob.size);
    char *text;

    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > DOC_MAX) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: not a document of ours", key);
    }
    text = apr_palloc(tmp, (apr_size_t)size + 1);
    if (ZSTD_decompress(text, (size_t)size, blob.data, blob.size) != size) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: damaged", key);
    }
    return sal_json_parse(out, text, (apr_size_t)size, p, err);
}

apr_status_t sal_processed_get(json_t **out, sal_crash_store_t *store, const char *key,
                               apr_pool_t *p, sal_error_t *err)
{
    sal_span_t blob;
    apr_pool_t *tmp;
    apr_status_t rv;

    if (!key_ok(key)) {
        return sal_fail(err, APR_EINVAL, "\"%.100s\" names no processed document", key ? key : "");
    }
    apr_pool_create(&tmp, p);
    rv = sal_blob_map(&blob, store->blobs, key, tmp, err);
    if (rv == APR_SUCCESS) {
        rv = expand(out, key, blob, tmp, p, err);
    }
    apr_pool_destroy(tmp);
    return rv;
}

apr_status_t sal_processed_remove(sal_crash_store_t *store, const char *key, sal_error_t *err)
{
    apr_pool_t *tmp;
    apr_status_t rv;

    if (!key_ok(key)) {
        return sal_fail(err, APR_EINVAL, "\"%.100s\" names no processed document", key ? key : "");
    }
    apr_pool_create(&tmp, NULL);
    rv = sal_blob_remove(store->blobs, key, tmp, err);
    apr_pool_destroy(tmp);
    return rv;
}
