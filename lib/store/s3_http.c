/*
 * One call to an S3 server: signed, bounded, tried again. The only file of the room that knows
 * libcurl. libcurl signs every header that we set, in the form in which we set it; so none is set
 * that is not sent, and paths and queries are given in the canonical form.
 */
#include "config.h"
#include "store/s3_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <apr_date.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/text.h"

#define PAUSE_MS 200
#define PAUSE_MAX_MS 5000
#define SLICE_MS 100
#define BUFFER (256L << 10)

/* ---- texts ---- */

const char *s3_encode(const char *text, bool slash, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) * 3 + 1), *to = out;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c < 128 && isalnum(c)) || strchr("-_.~", c) || (slash && c == '/')) {
            *to++ = (char)c;
        } else {
            to += apr_snprintf(to, 4, "%%%02X", c);
        }
    }
    *to = '\0';
    return out;
}

/* The character that an entity at s stands for; returns what is behind it, NULL if it is none. */
static const char *entity(const char *s, const char *end, char **to)
{
    static const struct {
        const char *name;
        char is;
    } known[] = {
        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' }
    };
    long code;
    char *stop;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t n = strlen(known[i].name);

        if ((size_t)(end - s) >= n && !strncmp(s, known[i].name, n)) {
            *(*to)++ = known[i].is;
            return s + n;
        }
    }
    if (end - s < 4 || s[1] != '#') {
        return NULL;
    }
    code = s[2] == 'x' ? strtol(s + 3, &stop, 16) : strtol(s + 2, &stop, 10);
    if (stop >= end || *stop != ';' || code < 1 || code > 0x10ffff) {
        return NULL;
    }
    *to = sal_utf8_put(*to, (unsigned)code);
    return stop + 1;
}

const char *s3_xml(const char **at, const char *end, const char *name, apr_pool_t *p)
{
    const char *open = apr_pstrcat(p, "<", name, ">", NULL);
    const char *close = apr_pstrcat(p, "</", name, ">", NULL);
    const char *from = strstr(*at, open), *to;
    char *out, *put;

    if (!from || from >= end || !(to = strstr(from, close)) || to >= end) {
        return NULL;
    }
    from += strlen(open);
    put = out = apr_palloc(p, (apr_size_t)(to - from) + 1);
    *at = to + strlen(close);
    while (from < to) {
        const char *next = *from == '&' ? entity(from, to, &put) : NULL;

        if (next) {
            from = next;
        } else {
            *put++ = *from++;
        }
    }
    *put = '\0';
    return out;
}

/* ---- callbacks ---- */

static size_t take_body(char *data, size_t one, size_t n, void *baton)
{
    s3_call_t *c = baton;
    size_t size = one * n;
    long status = 0;
    apr_size_t most;
    char *grown;

    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    most = status / 100 == 2 ? c->most : S3_ERROR_MAX;
    if (size > most - c->got) {
        c->too_big = status / 100 == 2;
        return c->too_big ? 0 : n; /* the rest of an error's text is of no use */
    }
    grown = realloc(c->reply, c->got + size + 1);
    if (!grown) {
        return 0;
    }
    c->reply = grown;
    memcpy(grown + c->got, data, size);
    c->got += size;
    grown[c->got] = '\0';
    return n;
}

static bool header_value(char *out, size_t room, const char *line, size_t size, const char *name)
{
    size_t n = strlen(name);

    if (size <= n + 1 || strncasecmp(line, name, n) || line[n] != ':') {
        return false;
    }
    for (line += n + 1, size -= n + 1; size && isspace((unsigned char)*line); line++, size--) {
    }
    while (size && isspace((unsigned char)line[size - 1])) {
        size--;
    }
    if (size >= room) {
        return false;
    }
    memcpy(out, line, size);
    out[size] = '\0';
    return true;
}

static size_t take_header(char *data, size_t one, size_t n, void *baton)
{
    s3_call_t *c = baton;
    size_t size = one * n;
    char text[64];
    int64_t number;

    if (header_value(text, sizeof(text), data, size, "content-length") &&
        sal_parse_int(text, 0, INT64_MAX, &number)) {
        c->info.size = (apr_uint64_t)number;
    } else if (header_value(text, sizeof(text), data, size, "last-modified")) {
        c->info.changed = apr_date_parse_http(text);
    } else if (!header_value(c->info.etag, sizeof(c->info.etag), data, size, "etag")) {
        header_value(c->info.sha256, sizeof(c->info.sha256), data, size, "x-amz-meta-sha256");
    }
    return n;
}

static size_t give_body(char *to, size_t one, size_t n, void *baton)
{
    s3_call_t *c = baton;
    apr_uint64_t left = c->size - c->sent;
    size_t size = one * n < left ? one * n : (size_t)left;
    ssize_t got = (ssize_t)size;

    if (c->data) {
        memcpy(to, (const char *)c->data + c->sent, size);
    } else if (size) {
        got = pread(c->fd, to, size, (off_t)c->sent);
        if (got <= 0) { /* it has become shorter */
            return CURL_READFUNC_ABORT;
        }
    }
    c->sent += (apr_uint64_t)got;
    return (size_t)got;
}

static int seek_body(void *baton, curl_off_t offset, int origin)
{
    s3_call_t *c = baton;

    if (origin != SEEK_SET || offset < 0 || (apr_uint64_t)offset > c->size) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    c->sent = (apr_uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool stops(const sal_s3_t *s3)
{
    return s3->stopping && s3->stopping(s3->stop_baton);
}

static int progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return stops(((s3_call_t *)baton)->s3);
}

/* ---- one try ---- */

static CURL *take_handle(sal_s3_t *s3)
{
    CURL *curl = NULL;

    pthread_mutex_lock(&s3->lock);
    if (s3->n_idle > 0) {
        curl = s3->idle[--s3->n_idle];
    }
    pthread_mutex_unlock(&s3->lock);
    if (curl) {
        curl_easy_reset(curl); /* connections and names stay */
    }
    return curl ? curl : curl_easy_init();
}

static void give_handle(sal_s3_t *s3, CURL *curl)
{
    pthread_mutex_lock(&s3->lock);
    if (s3->n_idle < S3_IDLE) {
        s3->idle[s3->n_idle++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&s3->lock);
    if (curl) {
        curl_easy_cleanup(curl);
    }
}

static struct curl_slist *make_headers(const s3_call_t *c)
{
    char line[200];
    struct curl_slist *h;

    apr_snprintf(line, sizeof(line), "x-amz-content-sha256: %s",
                 c->sha256 ? c->sha256 : "UNSIGNED-PAYLOAD");
    h = curl_slist_append(NULL, line);
    if (c->sha256) {
        apr_snprintf(line, sizeof(line), "x-amz-meta-sha256: %s", c->sha256);
        h = curl_slist_append(h, line);
    }
    if (c->content_type) {
        apr_snprintf(line, sizeof(line), "Content-Type: %s", c->content_type);
        h = curl_slist_append(h, line);
    }
    for (const char *const *more = c->headers; more && *more; more++) {
        h = curl_slist_append(h, *more);
    }
    return h;
}

static void set_method(s3_call_t *c)
{
    if (!strcmp(c->method, "PUT")) {
        curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->size);
        curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(c->curl, CURLOPT_READDATA, c);
        curl_easy_setopt(c->curl, CURLOPT_SEEKFUNCTION, seek_body);
        curl_easy_setopt(c->curl, CURLOPT_SEEKDATA, c);
        curl_easy_setopt(c->curl, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER);
    } else if (!strcmp(c->method, "HEAD")) {
        curl_easy_setopt(c->curl, CURLOPT_NOBODY, 1L);
    } else if (strcmp(c->method, "GET")) {
        curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, c->method);
    }
}

static void set_options(s3_call_t *c, const char *url, struct curl_slist *headers, long ms)
{
    const sal_s3_opts_t *o = &c->s3->opts;

    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_AWS_SIGV4, c->s3->sigv4);
    curl_easy_setopt(c->curl, CURLOPT_USERNAME, o->key);
    curl_easy_setopt(c->curl, CURLOPT_PASSWORD, o->secret);
    curl_easy_setopt(c->curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "salvage/" PACKAGE_VERSION);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)o->connect_seconds);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)o->stall_seconds);
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    set_method(c);
}

static CURLcode try_once(s3_call_t *c, const char *url, apr_time_t deadline)
{
    struct curl_slist *headers = make_headers(c);
    long ms = (long)apr_time_as_msec(deadline - apr_time_now());
    CURLcode code;

    c->status = 0;
    c->got = 0;
    c->sent = 0;
    c->too_big = false;
    c->info = (sal_s3_info_t){ .size = 0 };
    if (c->reply) {
        *c->reply = '\0';
    }
    set_options(c, url, headers, ms > 0 ? ms : 1);
    code = curl_easy_perform(c->curl);
    curl_slist_free_all(headers);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
    return code;
}

/* ---- all tries ---- */

static bool try_again(const s3_call_t *c, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return c->status == 429 || c->status >= 500;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

/* False if the time is over, or the process is to end. */
static bool pause_before(const sal_s3_t *s3, int tried, apr_time_t deadline)
{
    unsigned char noise = 0;
    int ms = PAUSE_MS;

    for (int i = 1; i < tried && ms < PAUSE_MAX_MS; i++) {
        ms *= 2;
    }
    apr_generate_random_bytes(&noise, 1);
    ms = ms / 2 + ms * noise / 255;
    for (; ms > 0 && !stops(s3); ms -= SLICE_MS) {
        apr_sleep(SLICE_MS * 1000);
    }
    return !stops(s3) && apr_time_now() < deadline;
}

static apr_status_t of_status(const s3_call_t *c, const char *what, apr_pool_t *p, sal_error_t *err)
{
    const char *at = c->reply ? c->reply : "", *end = at + (c->reply ? c->got : 0);
    const char *code = s3_xml(&at, end, "Code", p);

    code = code ? sal_utf8_clean(code, strnlen(code, 60), p) : "no reason";
    if (c->status == 404) {
        return sal_fail(err, APR_ENOENT, "%s: not there (%s)", what, code);
    }
    if (c->status == 401 || c->status == 403) {
        return sal_fail(err, SAL_E_DENIED, "%s: the server refuses us: %ld %s", what, c->status,
                        code);
    }
    return sal_fail(err, c->status == 429 || c->status >= 500 ? APR_EGENERAL : APR_EINVAL,
                    "%s: the server answered %ld %s", what, c->status, code);
}

static apr_status_t of_curl(const s3_call_t *c, CURLcode code, const char *what, sal_error_t *err)
{
    if (c->too_big) {
        return sal_fail(err, SAL_E_TOOBIG, "%s: larger than %" APR_SIZE_T_FMT " bytes", what,
                        c->most);
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return sal_fail(err, APR_EINTR, "%s: given up, the process ends", what);
    }
    return sal_fail(err,
                    code == CURLE_OPERATION_TIMEDOUT ? APR_TIMEUP
                    : code == CURLE_COULDNT_CONNECT  ? APR_ECONNREFUSED
                                                     : APR_EGENERAL,
                    "%s: %s", what, curl_easy_strerror(code));
}

apr_status_t s3_perform(s3_call_t *c, const char *what, sal_error_t *err)
{
    sal_s3_t *s3 = c->s3;
    apr_time_t deadline = apr_time_now() + apr_time_from_sec(s3->opts.total_seconds);
    apr_pool_t *p;
    const char *url;
    CURLcode code;
    apr_status_t rv = APR_SUCCESS;
    int tried = 0;

    apr_pool_create(&p, NULL);
    url = apr_pstrcat(p, s3->base, c->path, c->query ? "?" : "", c->query ? c->query : "", NULL);
    do {
        c->curl = take_handle(s3);
        if (!c->curl) {
            code = CURLE_OUT_OF_MEMORY;
            break;
        }
        code = try_once(c, url, deadline);
        give_handle(s3, c->curl);
    } while (try_again(c, code) && ++tried < s3->opts.tries && pause_before(s3, tried, deadline));
    if (code != CURLE_OK) {
        rv = of_curl(c, code, what, err);
    } else if (c->status / 100 != 2) {
        rv = of_status(c, what, p, err);
    }
    apr_pool_destroy(p);
    return rv;
}
