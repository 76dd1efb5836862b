/*
 * What calls to an S3 server mean: keys, objects, pages of a listing, check sums.
 */
#include "store/s3_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <sys/stat.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include "base/text.h"

#define KEY_MAX 1024
#define LIST_REPLY_MAX (16 << 20)
#define PIECE 65536

static apr_status_t close_s3(void *baton)
{
    sal_s3_t *s3 = baton;

    while (s3->n_idle > 0) {
        curl_easy_cleanup(s3->idle[--s3->n_idle]);
    }
    pthread_mutex_destroy(&s3->lock);
    return APR_SUCCESS;
}

static bool endpoint_ok(const char *url)
{
    const char *host = !strncasecmp(url, "http://", 7)    ? url + 7
                       : !strncasecmp(url, "https://", 8) ? url + 8
                                                          : "";

    return *host && !strpbrk(host, "/?#@ ");
}

/* Names that are the same in a path as they are, and cannot leave it. */
static bool bucket_ok(const char *name)
{
    size_t n = strlen(name);

    return n >= 3 && n <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n &&
           name[0] != '.' && name[0] != '-';
}

static int or_default(int value, int fallback)
{
    return value > 0 ? value : fallback;
}

apr_status_t sal_s3_check(const sal_s3_opts_t *opts, sal_error_t *err)
{
    if (!opts->endpoint || !endpoint_ok(opts->endpoint)) {
        return sal_fail(err, APR_EINVAL,
                        "\"%.200s\" is no address of an S3 server: expected http://HOST[:PORT] or "
                        "https://HOST[:PORT]",
                        opts->endpoint ? opts->endpoint : "");
    }
    if (!opts->bucket || !bucket_ok(opts->bucket)) {
        return sal_fail(err, APR_EINVAL, "\"%.100s\" is no name of a bucket",
                        opts->bucket ? opts->bucket : "");
    }
    if (!opts->key || !*opts->key || !opts->secret || !*opts->secret) {
        return sal_fail(err, APR_EINVAL, "no key and secret for %s", opts->endpoint);
    }
    return APR_SUCCESS;
}

apr_status_t sal_s3_make(sal_s3_t **out, const sal_s3_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    sal_s3_t *s3 = apr_pcalloc(p, sizeof(*s3));
    sal_s3_opts_t *o = &s3->opts;
    apr_status_t rv = sal_s3_check(opts, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *o = *opts;
    o->region = apr_pstrdup(p, opts->region && *opts->region ? opts->region : "us-east-1");
    o->key = apr_pstrdup(p, opts->key);
    o->secret = apr_pstrdup(p, opts->secret);
    o->connect_seconds = or_default(opts->connect_seconds, 5);
    o->stall_seconds = or_default(opts->stall_seconds, 20);
    o->total_seconds = or_default(opts->total_seconds, 300);
    o->tries = or_default(opts->tries, 5);
    s3->base = apr_pstrcat(p, opts->endpoint, "/", opts->bucket, NULL);
    s3->sigv4 = apr_pstrcat(p, "aws:amz:", o->region, ":s3", NULL);
    pthread_mutex_init(&s3->lock, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    apr_pool_cleanup_register(p, s3, close_s3, apr_pool_cleanup_null);
    *out = s3;
    return APR_SUCCESS;
}

void sal_s3_stops_if(sal_s3_t *s3, bool (*stopping)(void *), void *baton)
{
    s3->stopping = stopping;
    s3->stop_baton = baton;
}

/* ---- objects ---- */

static apr_status_t key_ok(const char *key, sal_error_t *err)
{
    size_t n = key ? strlen(key) : 0;

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f) {
            n = 0;
        }
    }
    if (n == 0 || n > KEY_MAX || !sal_utf8_valid(key, n)) {
        return sal_fail(err, APR_EINVAL,
                        "not a key of an object: 1 to %d bytes of UTF-8 without "
                        "control characters",
                        KEY_MAX);
    }
    return APR_SUCCESS;
}

/* A call about an object. p is for the call. */
static s3_call_t about(sal_s3_t *s3, const char *method, const char *key, apr_pool_t *p)
{
    return (s3_call_t){ .s3 = s3,
                        .method = method,
                        .path = apr_pstrcat(p, "/", s3_encode(key, true, p), NULL),
                        .fd = -1 };
}

static const char *name_of(const s3_call_t *c, const char *key, apr_pool_t *p)
{
    return apr_psprintf(p, "S3 %s %s/%.300s", c->method, c->s3->opts.bucket, key);
}

static apr_status_t run(s3_call_t *c, const char *key, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = s3_perform(c, name_of(c, key, p), err);

    if (rv != APR_SUCCESS) {
        free(c->reply);
        c->reply = NULL;
    }
    return rv;
}

apr_status_t sal_s3_put(sal_s3_t *s3, const char *key, const void *data, apr_size_t size,
                        const char *content_type, const char *const *headers, sal_error_t *err)
{
    unsigned char sum[32];
    char hex[65];
    apr_pool_t *p;
    s3_call_t c;
    apr_status_t rv = key_ok(key, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    sal_sha256(data, size, sum);
    sal_hex(hex, sum, sizeof(sum));
    apr_pool_create(&p, NULL);
    c = about(s3, "PUT", key, p);
    c.content_type = content_type;
    c.headers = headers;
    c.sha256 = hex;
    c.data = size ? data : "";
    c.size = size;
    rv = run(&c, key, p, err);
    free(c.reply);
    apr_pool_destroy(p);
    return rv;
}

/* The sum of what the file holds now; its size is what was summed up. */
static apr_status_t hash_fd(char hex[65], apr_uint64_t *size, int fd, sal_error_t *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sum[32];
    char *piece = malloc(PIECE);
    ssize_t n = 0;
    bool good = ctx && piece && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

    *size = 0;
    while (good && (n = pread(fd, piece, PIECE, (off_t)*size)) > 0) {
        good = EVP_DigestUpdate(ctx, piece, (size_t)n);
        *size += (apr_uint64_t)n;
    }
    good = good && n == 0 && EVP_DigestFinal_ex(ctx, sum, NULL);
    EVP_MD_CTX_free(ctx);
    free(piece);
    if (!good) {
        return sal_fail(err, APR_EGENERAL, "what is to be stored cannot be read");
    }
    sal_hex(hex, sum, sizeof(sum));
    return APR_SUCCESS;
}

apr_status_t sal_s3_put_fd(sal_s3_t *s3, const char *key, int fd, const char *content_type,
                           const char *const *headers, sal_error_t *err)
{
    char hex[65];
    apr_pool_t *p;
    s3_call_t c;
    apr_uint64_t size;
    apr_status_t rv = key_ok(key, err);

    if (rv != APR_SUCCESS || (rv = hash_fd(hex, &size, fd, err)) != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&p, NULL);
    c = about(s3, "PUT", key, p);
    c.content_type = content_type;
    c.headers = headers;
    c.sha256 = hex;
    c.fd = fd;
    c.size = size;
    rv = run(&c, key, p, err);
    free(c.reply);
    apr_pool_destroy(p);
    return rv;
}

static apr_status_t check_sum(const s3_call_t *c, const char *key, sal_error_t *err)
{
    unsigned char sum[32];
    char hex[65];

    if (!c->info.sha256[0]) {
        return APR_SUCCESS;
    }
    sal_sha256(c->reply ? c->reply : "", c->got, sum);
    sal_hex(hex, sum, sizeof(sum));
    return strcmp(hex, c->info.sha256)
               ? sal_fail(err, SAL_E_MALFORMED, "S3 object %s/%.300s is damaged",
                          c->s3->opts.bucket, key)
               : APR_SUCCESS;
}

apr_status_t sal_s3_get(sal_span_t *out, sal_s3_info_t *info, sal_s3_t *s3, const char *key,
                        apr_size_t max, apr_pool_t *p, sal_error_t *err)
{
    apr_pool_t *tmp;
    s3_call_t c;
    apr_status_t rv = key_ok(key, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&tmp, NULL);
    c = about(s3, "GET", key, tmp);
    c.most = max;
    rv = run(&c, key, tmp, err);
    if (rv == APR_SUCCESS && (rv = check_sum(&c, key, err)) == APR_SUCCESS) {
        *out = (sal_span_t){ apr_pmemdup(p, c.reply ? c.reply : "", c.got + 1), c.got, false };
        if (info) {
            *info = c.info;
            info->size = c.got;
        }
    }
    free(c.reply);
    apr_pool_destroy(tmp);
    return rv;
}

apr_status_t sal_s3_head(sal_s3_info_t *info, sal_s3_t *s3, const char *key, sal_error_t *err)
{
    apr_pool_t *p;
    s3_call_t c;
    apr_status_t rv = key_ok(key, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&p, NULL);
    c = about(s3, "HEAD", key, p);
    rv = run(&c, key, p, err);
    *info = c.info;
    free(c.reply);
    apr_pool_destroy(p);
    return rv;
}

apr_status_t sal_s3_delete(sal_s3_t *s3, const char *key, sal_error_t *err)
{
    apr_pool_t *p;
    s3_call_t c;
    apr_status_t rv = key_ok(key, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&p, NULL);
    c = about(s3, "DELETE", key, p);
    c.most = S3_ERROR_MAX;
    rv = run(&c, key, p, err);
    free(c.reply);
    apr_pool_destroy(p);
    return rv;
}

/* ---- listing ---- */

/* The entries of a page. */
static apr_status_t tell(const char *xml, apr_size_t size, sal_s3_list_fn fn, void *baton,
                         apr_pool_t *p, sal_error_t *err)
{
    const char *at = xml, *end = xml + size;
    apr_pool_t *one;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&one, p);
    while (rv == APR_SUCCESS && (at = strstr(at, "<Contents>")) != NULL) {
        const char *stop = strstr(at, "</Contents>"), *from = at, *text;
        sal_s3_entry_t entry = { .key = s3_xml(&from, stop ? stop : end, "Key", one) };
        int64_t bytes = 0;

        if (!stop || !entry.key) {
            rv = sal_fail(err, SAL_E_MALFORMED, "a listing of an S3 server makes no sense");
            break;
        }
        from = at;
        text = s3_xml(&from, stop, "Size", one);
        if (text && sal_parse_int(text, 0, INT64_MAX, &bytes)) {
            entry.size = (apr_uint64_t)bytes;
        }
        from = at;
        entry.etag = s3_xml(&from, stop, "ETag", one);
        rv = fn(baton, &entry, err);
        apr_pool_clear(one);
        at = stop;
    }
    apr_pool_destroy(one);
    return rv;
}

static apr_status_t list_page(const char **token, sal_s3_t *s3, const char *prefix,
                              sal_s3_list_fn fn, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const char *old = *token, *at;
    apr_pool_t *tmp;
    s3_call_t c = { .s3 = s3, .method = "GET", .path = "", .most = LIST_REPLY_MAX, .fd = -1 };
    apr_status_t rv;

    apr_pool_create(&tmp, NULL);
    c.query = apr_pstrcat(tmp, old ? "continuation-token=" : "",
                          old ? s3_encode(old, false, tmp) : "", old ? "&" : "", "list-type=2",
                          "&max-keys=1000&prefix=", s3_encode(prefix, false, tmp), NULL);
    *token = NULL;
    rv = run(&c, prefix, tmp, err);
    if (rv == APR_SUCCESS && c.reply) {
        at = c.reply;
        *token = s3_xml(&at, c.reply + c.got, "NextContinuationToken", p);
        rv = tell(c.reply, c.got, fn, baton, tmp, err);
    }
    if (rv == APR_SUCCESS && *token && old && !strcmp(*token, old)) {
        rv = sal_fail(err, SAL_E_MALFORMED, "a listing of an S3 server has no end");
    }
    free(c.reply);
    apr_pool_destroy(tmp);
    return rv;
}

apr_status_t sal_s3_list(sal_s3_t *s3, const char *prefix, sal_s3_list_fn fn, void *baton,
                         apr_pool_t *p, sal_error_t *err)
{
    const char *token = NULL;
    apr_status_t rv;

    do {
        rv = list_page(&token, s3, prefix, fn, baton, p, err);
    } while (rv == APR_SUCCESS && token);
    return rv;
}
