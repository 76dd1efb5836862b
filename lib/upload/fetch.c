/*
 * Upload by download. Redirects are followed by hand, so that none leads where the first URL might
 * not have led; texts and statuses are Tecken's (docs/symbols.md, "Upload by download").
 */
#include "upload/fetch.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <apr_strings.h>
#include <apr_time.h>
#include <curl/curl.h>

#include "upload/zip.h"

enum { REDIRECTS_MAX = 5, RETRIES = 5, URL_MAX = 2000 };
enum { HEAD_SECONDS = 5, CONNECT_SECONDS = 5, SILENCE_SECONDS = 300 };

#define USER_AGENT "tecken-requests/1.0"

/* ---- what may be fetched ---- */

static bool is_public_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        int bits;
    } closed[] = { { 0x00000000, 8 },  { 0x0a000000, 8 },  { 0x64400000, 10 }, { 0x7f000000, 8 },
                   { 0xa9fe0000, 16 }, { 0xac100000, 12 }, { 0xc0000000, 24 }, { 0xc0000200, 24 },
                   { 0xc0a80000, 16 }, { 0xc6120000, 15 }, { 0xc6336400, 24 }, { 0xcb007100, 24 },
                   { 0xe0000000, 4 },  { 0xf0000000, 4 } };

    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        if ((a ^ closed[i].net) >> (32 - closed[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_public_v6(const unsigned char *a)
{
    static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    static const unsigned char nat64[12] = { 0, 0x64, 0xff, 0x9b };

    if (!memcmp(a, mapped, 12) || !memcmp(a, nat64, 12)) {
        return is_public_v4((uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 |
                            a[15]);
    }
    if (a[0] == 0x20 && a[1] == 0x02) { /* 6to4 carries an address */
        return is_public_v4((uint32_t)a[2] << 24 | (uint32_t)a[3] << 16 | (uint32_t)a[4] << 8 |
                            a[5]);
    }
    /* Global unicast is 2000::/3, without the documentation's and Teredo's. */
    return (a[0] & 0xe0) == 0x20 && !(a[0] == 0x20 && a[1] == 0x01 && (a[2] & 0xfe) == 0) &&
           !(a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8);
}

bool sal_fetch_is_public(const void *sa)
{
    const struct sockaddr *any = sa;

    if (any->sa_family == AF_INET) {
        return is_public_v4(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
    }
    return any->sa_family == AF_INET6 &&
           is_public_v6(((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr);
}

static apr_status_t refuse(sal_fetch_t *f, int status, sal_error_t *err, const char *text)
{
    f->status = status;
    return sal_fail(err, SAL_E_MALFORMED, "%s", text);
}

static bool is_listed(const sal_fetch_opts_t *o, const char *host)
{
    for (int i = 0; i < o->n_domains; i++) {
        if (!strcasecmp(o->domains[i], host)) {
            return true;
        }
    }
    return o->any_domain;
}

static apr_status_t not_allowed(sal_fetch_t *f, const char *host, sal_error_t *err)
{
    return refuse(f, 400, err,
                  apr_psprintf(f->pool, "Not an allowed domain (%s) to download from.",
                               sal_upload_repr(host, f->pool)));
}

/* Resolves the host and pins the connection to one of its addresses, if all of them will do. */
static apr_status_t pin_address(sal_fetch_t *f, const char *host, const char *port,
                                sal_error_t *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
    char text[INET6_ADDRSTRLEN] = "";
    bool open = true, v6 = strchr(host, ':') != NULL;
    const char *bare = v6 ? apr_pstrmemdup(f->pool, host + 1, strlen(host) - 2) : host;

    if (getaddrinfo(bare, port, &hints, &list)) {
        return refuse(f, 500, err,
                      apr_pstrcat(f->pool, "ConnectionError trying to open ", f->url, NULL));
    }
    for (a = list; a; a = a->ai_next) {
        open = open && (f->opts.any_address || sal_fetch_is_public(a->ai_addr));
        if (!*text || a->ai_family == AF_INET) {
            getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
        }
    }
    freeaddrinfo(list);
    if (!open || !*text) {
        return not_allowed(f, host, err);
    }
    f->pin = apr_psprintf(f->pool, strchr(text, ':') ? "%s:%s:[%s]" : "%s:%s:%s", host, port, text);
    return APR_SUCCESS;
}

static const char *url_part(CURLU *u, CURLUPart part, unsigned flags, apr_pool_t *p)
{
    char *text = NULL;
    const char *copy = NULL;

    if (curl_url_get(u, part, &text, flags) == CURLUE_OK) {
        copy = apr_pstrdup(p, text);
    }
    curl_free(text);
    return copy;
}

/* One URL of the way. */
static apr_status_t check_url(sal_fetch_t *f, CURLU *u, sal_error_t *err)
{
    const char *scheme = url_part(u, CURLUPART_SCHEME, 0, f->pool);
    const char *host = url_part(u, CURLUPART_HOST, 0, f->pool);
    const char *port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, f->pool);

    if (!scheme || !host || !*host || !port || url_part(u, CURLUPART_USER, 0, f->pool)) {
        return refuse(f, 400, err, "Enter a valid URL.");
    }
    if (strcmp(scheme, "https") && !(f->opts.any_domain && !strcmp(scheme, "http"))) {
        return refuse(f, 400, err, "Insecure URL");
    }
    return is_listed(&f->opts, host) ? pin_address(f, host, port, err) : not_allowed(f, host, err);
}

apr_status_t sal_fetch_begin(sal_fetch_t *f, const char *url, const sal_fetch_opts_t *opts,
                             apr_pool_t *p, sal_error_t *err)
{
    CURLU *u = curl_url();
    const char *path;
    apr_status_t rv;

    *f = (sal_fetch_t){ .opts = *opts, .url = url, .last = url, .pool = p };
    f->trail = apr_array_make(p, 4, sizeof(const char *));
    APR_ARRAY_PUSH(f->trail, const char *) = NULL;
    apr_array_pop(f->trail);
    if (!u || strlen(url) > URL_MAX || url[strcspn(url, " \t\r\n")] ||
        curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK) {
        curl_url_cleanup(u);
        return refuse(f, 400, err, "Enter a valid URL.");
    }
    rv = check_url(f, u, err);
    path = url_part(u, CURLUPART_PATH, CURLU_URLDECODE, p);
    path = path ? path : "";
    f->name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    curl_url_cleanup(u);
    if (rv == APR_SUCCESS && (rv = sal_upload_name_check(f->name, p, err)) != APR_SUCCESS) {
        f->status = 400;
    }
    return rv;
}

/* ---- asking ---- */

typedef struct {
    sal_fetch_t *f;
    sal_fetch_sink_fn sink;
    void *baton;
    sal_error_t *err;
    apr_status_t rv; /* of the sink */
    uint64_t total;
    CURL *curl;
} transfer_t;

static size_t take_body(char *data, size_t one, size_t n, void *v)
{
    transfer_t *t = v;
    long status = 0;

    (void)one;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!t->sink || status != 200) {
        return t->sink ? n : 0;
    }
    t->total += n;
    t->rv = t->total > t->f->opts.max ? sal_fail(t->err, SAL_E_TOOBIG, "Archive too large")
                                      : t->sink(t->baton, data, n, t->err);
    return t->rv == APR_SUCCESS ? n : 0;
}

static CURLcode perform(transfer_t *t, bool head, long *status, const char **location)
{
    struct curl_slist *pin = curl_slist_append(NULL, t->f->pin);
    CURL *c = curl_easy_init();
    char *to = NULL;
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    t->curl = c;
    if (c && pin) {
        curl_easy_setopt(c, CURLOPT_URL, t->f->last);
        curl_easy_setopt(c, CURLOPT_RESOLVE, pin);
        curl_easy_setopt(c, CURLOPT_PROXY, "");
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(c, CURLOPT_NOBODY, head ? 1L : 0L);
        curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
        curl_easy_setopt(c, CURLOPT_TIMEOUT, head ? (long)HEAD_SECONDS : 0L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_SECONDS);
        curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 262144L);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
        if (t->f->opts.ca) {
            curl_easy_setopt(c, CURLOPT_CAINFO, t->f->opts.ca);
        }
        rc = curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
        curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &to);
        *location = to ? apr_pstrdup(t->f->pool, to) : NULL;
    }
    curl_easy_cleanup(c);
    curl_slist_free_all(pin);
    return rc;
}

/* 429 and 500 are asked again, five times, with growing pauses; so are connections that fail. */
static apr_status_t ask(sal_fetch_t *f, long *status, const char **location, sal_error_t *err)
{
    transfer_t t = { .f = f };
    CURLcode rc = CURLE_OK;

    for (int i = 0; i <= RETRIES; i++) {
        if (i > 1) {
            apr_sleep(APR_USEC_PER_SEC / 5 << (i - 1));
        }
        *status = 0;
        rc = perform(&t, true, status, location);
        if (rc == CURLE_OK && *status != 429 && *status != 500) {
            return APR_SUCCESS;
        }
    }
    return refuse(f, 500, err,
                  apr_pstrcat(f->pool,
                              rc == CURLE_OK ? "RetryError trying to open "
                                             : "ConnectionError trying to open ",
                              f->last, NULL));
}

static apr_status_t follow(sal_fetch_t *f, const char *location, sal_error_t *err)
{
    CURLU *u = curl_url();
    apr_status_t rv;

    if (!u || strlen(location) > URL_MAX ||
        curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK) {
        curl_url_cleanup(u);
        return refuse(f, 400, err, "Enter a valid URL.");
    }
    rv = check_url(f, u, err);
    curl_url_cleanup(u);
    f->last = location;
    APR_ARRAY_PUSH(f->trail, const char *) = location;
    APR_ARRAY_PUSH(f->trail, const char *) = NULL;
    apr_array_pop(f->trail);
    return rv;
}

apr_status_t sal_fetch_find(sal_fetch_t *f, sal_error_t *err)
{
    for (int hops = 0;; hops++) {
        const char *location = NULL;
        long status = 0;
        apr_status_t rv = ask(f, &status, &location, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (status >= 500) {
            return refuse(f, 500, err, apr_psprintf(f->pool, "%s errored (%ld)", f->last, status));
        }
        if (status >= 400) {
            return refuse(f, 400, err,
                          apr_psprintf(f->pool, "%s can't be found (%ld)", f->last, status));
        }
        if (status < 300 || !location) {
            return APR_SUCCESS;
        }
        if (hops == REDIRECTS_MAX) {
            return refuse(f, 400, err,
                          apr_pstrcat(f->pool, "Too many redirects trying to open ", f->url, NULL));
        }
        if ((rv = follow(f, location, err)) != APR_SUCCESS) {
            return rv;
        }
    }
}

apr_status_t sal_fetch_get(sal_fetch_t *f, sal_fetch_sink_fn sink, void *baton, sal_error_t *err)
{
    transfer_t t = { .f = f, .sink = sink, .baton = baton, .err = err };
    const char *location = NULL;
    long status = 0;
    CURLcode rc = perform(&t, false, &status, &location);

    if (t.rv != APR_SUCCESS) {
        f->status = 0;
        return t.rv;
    }
    if (rc != CURLE_OK) {
        return refuse(f, 500, err,
                      apr_pstrcat(f->pool, "ConnectionError trying to open ", f->last, NULL));
    }
    return status == 200 ? APR_SUCCESS
                         : refuse(f, 400, err,
                                  apr_pstrcat(f->pool, "non-200 status code when retrieving ",
                                              f->last, NULL));
}
