/*
 * The only file of the room that knows libcurl.
 */
#include "triage/http.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <curl/curl.h>

enum { CONNECT_SECONDS = 10, REDIRECTS = 3 };

typedef struct body_t {
    char *data;
    size_t n, max;
    bool full;
} body_t;

static size_t take(char *data, size_t one, size_t n, void *baton)
{
    body_t *b = baton;
    char *grown;

    n *= one;
    if (n > b->max - b->n) {
        b->full = true;
        return 0;
    }
    grown = realloc(b->data, b->n + n + 1);
    if (!grown) {
        return 0;
    }
    b->data = grown;
    memcpy(b->data + b->n, data, n);
    b->n += n;
    b->data[b->n] = '\0';
    return n;
}

static const char *shown(const char *url, apr_pool_t *p)
{
    return apr_pstrmemdup(p, url, strcspn(url, "?#"));
}

static apr_status_t verdict(CURLcode code, long status, const body_t *b, const char *url,
                            apr_pool_t *p, sal_error_t *err)
{
    url = shown(url, p);
    if (b->full) {
        return sal_fail(err, SAL_E_TOOBIG, "%s: the answer is longer than %lu bytes", url,
                        (unsigned long)b->max);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return sal_fail(err, APR_TIMEUP, "%s: no answer in time", url);
    }
    if (code != CURLE_OK) {
        return sal_fail(err, APR_EGENERAL, "%s: %s", url, curl_easy_strerror(code));
    }
    if (status != 200) {
        return sal_fail(err, status == 404 || status == 410 ? APR_ENOENT : APR_EGENERAL,
                        "%s: status %ld", url, status);
    }
    return APR_SUCCESS;
}

static void prepare(CURL *curl, const http_get_t *get, struct curl_slist *headers, body_t *b)
{
    curl_easy_setopt(curl, CURLOPT_URL, get->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    /* a header of ours would go along to whatever host a redirect names */
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, get->header ? 0L : (long)REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "salvage");
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)get->seconds);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, b);
}

apr_status_t http_get(char **body, size_t *len, const http_get_t *get, apr_pool_t *p,
                      sal_error_t *err)
{
    body_t b = { .max = get->max };
    struct curl_slist *headers = get->header ? curl_slist_append(NULL, get->header) : NULL;
    CURL *curl = curl_easy_init();
    long status = 0;
    CURLcode code;
    apr_status_t rv;

    if (!curl) {
        curl_slist_free_all(headers);
        return sal_fail(err, APR_ENOMEM, "no memory for a request");
    }
    prepare(curl, get, headers, &b);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    rv = verdict(code, status, &b, get->url, p, err);
    if (rv == APR_SUCCESS) {
        *body = b.n ? apr_pstrmemdup(p, b.data, b.n) : apr_pstrdup(p, "");
        *len = b.n;
    }
    free(b.data);
    return rv;
}

apr_status_t http_blame(const char *url, apr_status_t rv, const sal_error_t *why, apr_pool_t *p,
                        sal_error_t *err)
{
    return sal_fail(err, rv, "%s: %s", shown(url, p), why->message);
}

const char *http_query(const char *url, const char *name, const char *value, apr_pool_t *p)
{
    char *text = curl_easy_escape(NULL, value, (int)strlen(value));

    url = apr_pstrcat(p, url, strchr(url, '?') ? "&" : "?", name, "=", text ? text : "", NULL);
    curl_free(text);
    return url;
}
