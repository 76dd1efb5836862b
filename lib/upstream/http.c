/*
 * One GET from an upstream server: bounded in time, size and redirects, inflated on the way, with
 * the reason when it fails. The only file that knows libcurl. Connections are kept for the next.
 */
#include "config.h"
#include "upstream/upstream_private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <zlib.h>
#include <zstd.h>
#include "base/file.h"

enum { OUT_SIZE = 128 << 10, DROPPED_MAX = 1 << 20, RETRY_AFTER_MAX = 300 };

typedef enum { PLAIN, GZIP, ZSTD, STRANGE } coding_t;

typedef struct transfer_t {
    sal_upstream_t *u;
    fetch_t *f;
    CURL *curl;
    coding_t said;     /* by the Content-Encoding header */
    coding_t coding;   /* once the body has begun */
    bool begun, ended; /* the compressed stream is whole */
    unsigned char first[4];
    size_t n_first;
    uint64_t dropped;
    z_stream z;
    bool z_open;
    ZSTD_DStream *zstd;
    unsigned char *out;
    fetch_outcome_t failed; /* what the callbacks ended it with; FETCH_OK: nothing */
} transfer_t;

void upstream_http_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counted; safe before threads and, of late, after */
}

/* ---- the body ---- */

static bool give_up(transfer_t *t, fetch_outcome_t outcome, const char *reason)
{
    t->failed = outcome;
    apr_cpystrn(t->f->reason, reason, sizeof(t->f->reason));
    return false;
}

static bool write_out(transfer_t *t, const void *data, size_t size)
{
    apr_status_t rv;
    char text[100];

    t->f->size += size;
    if (t->f->size > t->u->opts.max_file) {
        return give_up(t, FETCH_UNUSABLE, "the file is larger than allowed");
    }
    rv = size ? sal_fd_write_all(t->f->fd, data, size) : APR_SUCCESS;
    if (rv != APR_SUCCESS) {
        return give_up(t, FETCH_BROKEN, apr_strerror(rv, text, sizeof(text)));
    }
    return true;
}

static bool inflate_gzip(transfer_t *t, const unsigned char *data, size_t size)
{
    t->z.next_in = (unsigned char *)data;
    t->z.avail_in = (uInt)size;
    while (t->z.avail_in > 0) {
        int rc;

        if (t->ended) { /* another member */
            if (inflateReset(&t->z) != Z_OK) {
                return give_up(t, FETCH_BROKEN, "damaged gzip");
            }
            t->ended = false;
        }
        do {
            t->z.next_out = t->out;
            t->z.avail_out = OUT_SIZE;
            rc = inflate(&t->z, Z_NO_FLUSH);
            if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
                return give_up(t, FETCH_BROKEN, "damaged gzip");
            }
            if (!write_out(t, t->out, OUT_SIZE - t->z.avail_out)) {
                return false;
            }
        } while (t->z.avail_out == 0 && rc != Z_STREAM_END);
        t->ended = rc == Z_STREAM_END;
        if (rc == Z_BUF_ERROR) {
            break;
        }
    }
    return true;
}

static bool inflate_zstd(transfer_t *t, const unsigned char *data, size_t size)
{
    ZSTD_inBuffer in = { data, size, 0 };

    while (in.pos < in.size) {
        ZSTD_outBuffer out = { t->out, OUT_SIZE, 0 };
        size_t rc = ZSTD_decompressStream(t->zstd, &out, &in);

        if (ZSTD_isError(rc)) {
            return give_up(t, FETCH_BROKEN, "damaged zstd");
        }
        if (!write_out(t, t->out, out.pos)) {
            return false;
        }
        t->ended = rc == 0;
    }
    return true;
}

static bool put(transfer_t *t, const unsigned char *data, size_t size)
{
    switch (t->coding) {
    case GZIP:
        return inflate_gzip(t, data, size);
    case ZSTD:
        return inflate_zstd(t, data, size);
    default:
        return write_out(t, data, size);
    }
}

/* The first bytes tell how the body is compressed, where the header does not or where it lies. */
static coding_t coding_of(const transfer_t *t)
{
    static const unsigned char gzip[2] = { 0x1f, 0x8b }, zstd[4] = { 0x28, 0xb5, 0x2f, 0xfd };

    if (!t->f->inflate && t->said == PLAIN) {
        return PLAIN;
    }
    if (t->n_first >= 2 && !memcmp(t->first, gzip, 2)) {
        return GZIP;
    }
    return t->n_first >= 4 && !memcmp(t->first, zstd, 4) ? ZSTD : PLAIN;
}

static bool begin(transfer_t *t)
{
    t->begun = true;
    t->coding = coding_of(t);
    t->out = malloc(OUT_SIZE);
    if (t->coding == GZIP) {
        t->z_open = inflateInit2(&t->z, 15 + 16) == Z_OK;
    } else if (t->coding == ZSTD) {
        t->zstd = ZSTD_createDStream();
    }
    if (!t->out || (t->coding == GZIP && !t->z_open) || (t->coding == ZSTD && !t->zstd)) {
        return give_up(t, FETCH_BROKEN, "out of memory");
    }
    return put(t, t->first, t->n_first);
}

static long status_of(CURL *curl)
{
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t take_body(char *data, size_t one, size_t n, void *baton)
{
    transfer_t *t = baton;
    const unsigned char *s = (unsigned char *)data;
    size_t size = one * n, used = 0;

    if (status_of(t->curl) / 100 != 2 || t->f->fd < 0) {
        t->dropped += size;
        return t->dropped > DROPPED_MAX ? 0 : size;
    }
    if (t->said == STRANGE) {
        give_up(t, FETCH_UNUSABLE, "a Content-Encoding that was not asked for");
        return 0;
    }
    while (!t->begun && used < size) {
        t->first[t->n_first++] = s[used++];
        if (t->n_first == sizeof(t->first) && !begin(t)) {
            return 0;
        }
    }
    return !t->begun || put(t, s + used, size - used) ? size : 0;
}

/* The end of the body: a stream that is cut off is not one. */
static bool finish(transfer_t *t)
{
    if (!t->begun && !begin(t)) {
        return false;
    }
    if (t->coding != PLAIN && !t->ended) {
        return give_up(t, FETCH_BROKEN, "the compressed file is cut off");
    }
    return true;
}

/* ---- the head ---- */

static bool is_header(const char *line, size_t size, const char *name)
{
    size_t n = strlen(name);

    return size > n && !strncasecmp(line, name, n) && line[n] == ':';
}

static size_t take_header(char *data, size_t one, size_t n, void *baton)
{
    transfer_t *t = baton;
    size_t size = one * n;
    char value[80] = "";
    const char *colon = memchr(data, ':', size);

    if (size > 5 && !strncmp(data, "HTTP/", 5)) { /* another head, after 100 Continue */
        t->said = PLAIN;
        t->f->retry_after = 0;
    }
    if (colon && (size_t)(data + size - colon) < sizeof(value)) {
        apr_cpystrn(value, colon + 1, (apr_size_t)(data + size - colon));
        apr_collapse_spaces(value, value);
    }
    if (is_header(data, size, "content-encoding")) {
        t->said = !strcasecmp(value, "gzip") || !strcasecmp(value, "x-gzip") ? GZIP
                  : !strcasecmp(value, "zstd")                               ? ZSTD
                  : !*value || !strcasecmp(value, "identity")                ? PLAIN
                                                                             : STRANGE;
    } else if (is_header(data, size, "retry-after") && isdigit((unsigned char)*value)) {
        long seconds = strtol(value, NULL, 10);

        t->f->retry_after = seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (int)seconds;
    }
    return size;
}

/* Scheme, host and port of two URLs are the same, as written. */
static bool same_origin(const char *a, const char *b)
{
    size_t n = strcspn(strstr(a, "//") + 2, "/?#") + (size_t)(strstr(a, "//") + 2 - a);

    return !strncasecmp(a, b, n) && strchr("/?#", b[n]);
}

static struct curl_slist *make_headers(const transfer_t *t, const char *url, apr_pool_t *p)
{
    struct curl_slist *h = curl_slist_append(NULL, "Accept-Encoding: gzip, zstd");

    if (!t->u->opts.silent) {
        h = curl_slist_append(h, apr_pstrcat(p, SAL_UPSTREAM_VIA ": ", t->f->via, NULL));
    }
    if (t->f->server->header && same_origin(t->f->server->url, url)) {
        h = curl_slist_append(h, t->f->server->header); /* a token is for that server alone */
    }
    return h;
}

/* ---- one request ---- */

static CURL *take_handle(sal_upstream_t *u)
{
    CURL *curl = NULL;

    pthread_mutex_lock(&u->lock);
    if (u->n_idle > 0) {
        curl = u->idle[--u->n_idle];
    }
    pthread_mutex_unlock(&u->lock);
    if (curl) {
        curl_easy_reset(curl); /* connections and names stay */
    }
    return curl ? curl : curl_easy_init();
}

static void give_handle(sal_upstream_t *u, CURL *curl)
{
    pthread_mutex_lock(&u->lock);
    if (u->n_idle < (int)(sizeof(u->idle) / sizeof(u->idle[0]))) {
        u->idle[u->n_idle++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&u->lock);
    if (curl) {
        curl_easy_cleanup(curl);
    }
}

void upstream_http_close(sal_upstream_t *u)
{
    while (u->n_idle > 0) {
        curl_easy_cleanup(u->idle[--u->n_idle]);
    }
}

static int progress(void *baton, curl_off_t total, curl_off_t now, curl_off_t up_total,
                    curl_off_t up)
{
    (void)total;
    (void)now;
    (void)up_total;
    (void)up;
    return upstream_ends(((transfer_t *)baton)->u);
}

static void set_options(transfer_t *t, const char *url, struct curl_slist *headers, long ms)
{
    const sal_upstream_opts_t *o = &t->u->opts;

    curl_easy_setopt(t->curl, CURLOPT_URL, url);
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "salvage/" PACKAGE_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT, (long)o->connect_seconds);
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(t->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(t->curl, CURLOPT_LOW_SPEED_TIME, (long)o->stall_seconds);
    curl_easy_setopt(t->curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)o->max_file);
    curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
}

static fetch_outcome_t of_status(fetch_t *f, long status)
{
    snprintf(f->reason, sizeof(f->reason), "status %ld", status);
    if (status == 404 || status == 410) {
        return FETCH_MISSING;
    }
    if (status == 429 || status >= 500) {
        return FETCH_BUSY;
    }
    return status >= 400 ? FETCH_REFUSED : FETCH_UNUSABLE;
}

static fetch_outcome_t of_error(transfer_t *t, CURLcode code)
{
    apr_cpystrn(t->f->reason, curl_easy_strerror(code), sizeof(t->f->reason));
    switch (code) {
    case CURLE_FILESIZE_EXCEEDED:
        return FETCH_UNUSABLE;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return FETCH_DEAD;
    default:
        return FETCH_BROKEN;
    }
}

/* One request; *next is where a redirect leads. */
static fetch_outcome_t request(transfer_t *t, const char *url, const char **next, apr_pool_t *p)
{
    struct curl_slist *headers = make_headers(t, url, p);
    long ms = (long)apr_time_as_msec(t->f->deadline - apr_time_now());
    fetch_outcome_t outcome;
    char *to = NULL;
    CURLcode code;
    long status;

    *next = NULL;
    t->dropped = 0;
    set_options(t, url, headers, ms > 0 ? ms : 1);
    code = curl_easy_perform(t->curl);
    curl_slist_free_all(headers);
    status = status_of(t->curl);
    curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &to);
    if (t->failed != FETCH_OK) {
        outcome = t->failed;
    } else if (status / 100 == 3 && to) {
        *next = apr_pstrdup(p, to);
        outcome = FETCH_REDIRECT;
    } else if (status >= 300 && t->dropped > 0) {
        outcome = of_status(t->f, status); /* whatever became of the error's text */
    } else if (code != CURLE_OK) {
        outcome = of_error(t, code);
    } else if (status / 100 != 2) {
        outcome = of_status(t->f, status);
    } else {
        outcome = t->f->fd < 0 || finish(t) ? FETCH_OK : t->failed;
    }
    return outcome;
}

/* May a redirect be followed? Never from TLS to none, never to something that is no web server. */
static bool may_follow(const char *from, const char *to)
{
    bool tls = !strncasecmp(from, "https://", 8);

    return !strncasecmp(to, "https://", 8) || (!tls && !strncasecmp(to, "http://", 7));
}

static fetch_outcome_t follow(transfer_t *t, apr_pool_t *p)
{
    const char *url = t->f->url, *next;

    for (int hop = 0; hop <= UPSTREAM_MAX_REDIRECTS; hop++) {
        fetch_outcome_t outcome = request(t, url, &next, p);

        if (outcome != FETCH_REDIRECT) {
            return outcome;
        }
        t->f->location = next;
        if (!t->f->follow) {
            return outcome;
        }
        if (!may_follow(url, next)) {
            apr_cpystrn(t->f->reason, "a redirect to where none is followed", UPSTREAM_REASON);
            return FETCH_UNUSABLE;
        }
        url = next;
    }
    apr_cpystrn(t->f->reason, "too many redirects", UPSTREAM_REASON);
    return FETCH_UNUSABLE;
}

fetch_outcome_t upstream_fetch(sal_upstream_t *u, fetch_t *f, apr_pool_t *p)
{
    transfer_t t = { .u = u, .f = f, .curl = take_handle(u) };
    fetch_outcome_t outcome;

    f->location = NULL;
    f->retry_after = 0;
    f->size = 0;
    f->reason[0] = '\0';
    if (!t.curl) {
        apr_cpystrn(f->reason, "out of memory", sizeof(f->reason));
        return FETCH_BROKEN;
    }
    outcome = follow(&t, p);
    if (t.z_open) {
        inflateEnd(&t.z);
    }
    ZSTD_freeDStream(t.zstd);
    free(t.out);
    give_handle(u, t.curl);
    return outcome;
}
