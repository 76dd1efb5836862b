/*
 * One POST.
 */
#include "export/post.h"

#include <string.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include "base/text.h"

#define TOTAL_TIMES 60 /* of the timeout: what a slow line may take in all */

struct sal_poster_t {
    CURL *curl;
};

typedef struct sending_t {
    const sal_post_t *post;
    sal_post_answer_t *answer;
    apr_uint64_t sent;
    size_t got;
} sending_t;

static apr_status_t close_poster(void *baton)
{
    curl_easy_cleanup(((sal_poster_t *)baton)->curl);
    return APR_SUCCESS;
}

sal_poster_t *sal_poster_make(apr_pool_t *p)
{
    sal_poster_t *poster = apr_pcalloc(p, sizeof(*poster));

    curl_global_init(CURL_GLOBAL_DEFAULT);
    poster->curl = curl_easy_init();
    apr_pool_cleanup_register(p, poster, close_poster, apr_pool_cleanup_null);
    return poster;
}

static size_t give(char *to, size_t one, size_t n, void *baton)
{
    sending_t *s = baton;
    apr_uint64_t left = s->post->size - s->sent;
    size_t size = one * n < left ? one * n : (size_t)left;

    if (s->post->body) {
        size = size ? fread(to, 1, size, s->post->body) : 0;
        if (size == 0 && left) {
            return CURL_READFUNC_ABORT;
        }
    } else {
        memcpy(to, (const char *)s->post->data + s->sent, size);
    }
    s->sent += size;
    return size;
}

static int again_from(void *baton, curl_off_t offset, int origin)
{
    sending_t *s = baton;

    if (origin != SEEK_SET || (s->post->body && fseeko(s->post->body, offset, SEEK_SET) != 0)) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    s->sent = (apr_uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t take(char *data, size_t one, size_t n, void *baton)
{
    sending_t *s = baton;
    size_t room = sizeof(s->answer->text) - 1 - s->got;
    size_t size = one * n < room ? one * n : room;

    memcpy(s->answer->text + s->got, data, size);
    s->got += size;
    s->answer->text[s->got] = '\0';
    return one * n; /* what goes on is of no interest */
}

static int progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const sal_post_t *post = ((sending_t *)baton)->post;

    (void)a, (void)b, (void)c, (void)d;
    return post->stopping && post->stopping(post->baton);
}

static void set_options(CURL *curl, sending_t *s, struct curl_slist *headers)
{
    const sal_post_t *post = s->post;

    curl_easy_setopt(curl, CURLOPT_URL, post->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, post->agent);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)post->timeout);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)post->timeout);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)post->timeout * TOTAL_TIMES);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->size);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(curl, CURLOPT_READDATA, s);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, again_from);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, s);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, s);
}

/* What strangers say, fit for a log and a terminal. */
static void clean(char *text, size_t room)
{
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    apr_cpystrn(text, sal_utf8_clean(text, strlen(text), p), room);
    sal_utf8_cut(text, room - 1);
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
    apr_pool_destroy(p);
}

static sal_post_outcome_t judge(sal_post_answer_t *a, CURLcode code)
{
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        apr_cpystrn(a->why, "the process ends", sizeof(a->why));
        return SAL_POST_STOPPED;
    }
    if (code != CURLE_OK && !a->status) {
        apr_snprintf(a->why, sizeof(a->why), "no answer: %s", curl_easy_strerror(code));
        return SAL_POST_AWAY;
    }
    if (a->status / 100 == 2) {
        return SAL_POST_DONE;
    }
    apr_snprintf(a->why, sizeof(a->why), "status %ld: %.300s", a->status, a->text);
    return a->status == 408 || a->status == 429 || a->status >= 500 ? SAL_POST_LATER
                                                                    : SAL_POST_REFUSED;
}

sal_post_outcome_t sal_post(sal_post_answer_t *answer, sal_poster_t *poster, const sal_post_t *post)
{
    sending_t s = { .post = post, .answer = answer };
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    CURLcode code;

    *answer = (sal_post_answer_t){ .status = 0 };
    for (const char *const *h = post->headers; h && *h; h++) {
        headers = curl_slist_append(headers, *h);
    }
    if (post->body) {
        rewind(post->body);
    }
    if (!poster->curl) {
        apr_cpystrn(answer->why, "out of memory", sizeof(answer->why));
        return SAL_POST_AWAY;
    }
    curl_easy_reset(poster->curl); /* connections and names stay */
    set_options(poster->curl, &s, headers);
    code = curl_easy_perform(poster->curl);
    curl_slist_free_all(headers);
    curl_easy_getinfo(poster->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    clean(answer->text, sizeof(answer->text));
    return judge(answer, code);
}
