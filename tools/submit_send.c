/*
 * Sends a crash report, once or many times over several connections. Thread rule: each job has a
 * sender_t of its own; the body is read by position, the rest is atomic or not written.
 */
#include "submit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <curl/curl.h>

#include "base/text.h"
#include "cmd.h"
#include "reply.h"

enum { REPLY_MAX = 65536, SILENT_SECONDS = 120 };

typedef struct load_t {
    const submit_t *submit;
    const char *url;
    struct curl_slist *headers;
    int body_fd;
    curl_off_t body_size;
    atomic_int left;
    int accepted, failed;
    pthread_mutex_t lock; /* guards the two above, and the order of lines */
} load_t;

typedef struct sender_t {
    load_t *load;
    CURL *curl;
    curl_off_t sent;
    long status;
    char crash_id[64];
    tool_reply_t reply;
} sender_t;

/* ---- callbacks ---- */

/* Where the reply names another id than the crash's, a header names that. */
static size_t take_header(char *data, size_t size, size_t n, void *baton)
{
    static const char name[] = "X-Crash-Id: ";
    sender_t *s = baton;

    n *= size;
    if (n > sizeof(name) - 1 && !strncasecmp(data, name, sizeof(name) - 1)) {
        snprintf(s->crash_id, sizeof(s->crash_id), "%.*s",
                 (int)strcspn(data + sizeof(name) - 1, "\r\n"), data + sizeof(name) - 1);
    }
    return n;
}

static size_t give_body(char *to, size_t size, size_t n, void *baton)
{
    sender_t *s = baton;
    ssize_t got = pread(s->load->body_fd, to, size * n, s->sent);

    if (got < 0) {
        return CURL_READFUNC_ABORT;
    }
    s->sent += got;
    return (size_t)got;
}

static int seek_body(void *baton, curl_off_t offset, int origin)
{
    ((sender_t *)baton)->sent = offset;
    return origin == SEEK_SET ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
}

/* ---- one request ---- */

static const char *submit_url(const submit_t *s)
{
    const char *host = strstr(s->server, "://"), *path, *url = s->server;
    const char *product = submit_value(s, "ProductName"), *version = submit_value(s, "Version");

    path = strchr(host ? host + 3 : s->server, '/');
    if (!path || !path[1]) {
        url = path ? apr_pstrmemdup(s->pool, s->server, (apr_size_t)(path - s->server)) : s->server;
        url = apr_pstrcat(s->pool, url, s->dialect->path, NULL);
    }
    if (s->dialect->names == NAME_SENTRY) {
        return apr_pstrcat(s->pool, url, strchr(url, '?') ? "&" : "?",
                           "sentry_client=", s->dialect->agent, NULL);
    }
    if (!s->dialect->query) {
        return url;
    }
    return apr_pstrcat(s->pool, url, strchr(url, '?') ? "&" : "?",
                       "product=", submit_escape(product ? product : "", s->pool),
                       "&version=", submit_escape(version ? version : "", s->pool),
                       "&guid=", s->guid, NULL);
}

static struct curl_slist *make_headers(const submit_t *s)
{
    struct curl_slist *h = curl_slist_append(NULL, "Expect:");

    h = curl_slist_append(h, s->shape == SUBMIT_ENVELOPE
                                 ? "Content-Type: application/x-sentry-envelope"
                                 : apr_pstrcat(s->pool,
                                               "Content-Type: multipart/form-data; "
                                               "boundary=",
                                               s->boundary, NULL));
    if (s->gzip) {
        h = curl_slist_append(h, "Content-Encoding: gzip");
    }
    if (s->chunked) {
        h = curl_slist_append(h, "Transfer-Encoding: chunked");
    }
    if (s->token) {
        h = curl_slist_append(h, apr_pstrcat(s->pool, "Authorization: Bearer ", s->token, NULL));
    }
    return h;
}

static CURL *make_handle(sender_t *s)
{
    const load_t *l = s->load;
    CURL *curl = curl_easy_init();

    tool_request(curl, l->url, l->submit->dialect->agent, SILENT_SECONDS, &s->reply);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(curl, CURLOPT_READDATA, s);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_body);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, s);
    if (!l->submit->chunked) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, l->body_size);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, l->headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, s);
    return curl;
}

/* True if the reply is a bare id, as Google's collector sends it. */
static bool is_bare_id(const char *text, size_t len)
{
    if (len != 36) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!strchr(i == 8 || i == 13 || i == 18 || i == 23 ? "-" : "0123456789abcdef", text[i])) {
            return false;
        }
    }
    return true;
}

/* Prints the CrashID line; everything else is a failure, and said. */
static int judge(const sender_t *s)
{
    const char *text = tool_reply_text(&s->reply);
    size_t first = strcspn(text, "\r\n");

    if (s->status == 200 && s->crash_id[0]) {
        printf("CrashID=%s\n", s->crash_id);
        return CMD_OK;
    }
    if (s->status == 200 && !strncmp(text, "CrashID=", 8)) {
        printf("%.*s\n", (int)first, text);
        return CMD_OK;
    }
    if (s->status == 200 && is_bare_id(text, first)) {
        printf("CrashID=bp-%.*s\n", (int)first, text);
        return CMD_OK;
    }
    if (s->status == 503) {
        return cmd_fail("the collector takes no reports now (503); try again later");
    }
    return cmd_fail("the collector answered %ld %.*s", s->status, (int)(first < 200 ? first : 200),
                    text);
}

static void post(sender_t *s)
{
    load_t *l = s->load;
    CURLcode code;
    int rc;

    s->sent = 0;
    s->status = 0;
    s->crash_id[0] = '\0';
    tool_reply_clear(&s->reply);
    code = curl_easy_perform(s->curl);
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &s->status);
    pthread_mutex_lock(&l->lock);
    rc = code == CURLE_OK ? judge(s) : cmd_fail("%s: %s", l->url, curl_easy_strerror(code));
    *(rc == CMD_OK ? &l->accepted : &l->failed) += 1;
    pthread_mutex_unlock(&l->lock);
}

/* ---- all of them ---- */

static void *run_job(void *baton)
{
    load_t *l = baton;
    sender_t *s = calloc(1, sizeof(*s));

    if (!s) {
        return NULL;
    }
    s->load = l;
    s->reply = (tool_reply_t){ .most = REPLY_MAX, .cut = 1 };
    s->curl = make_handle(s);
    while (atomic_fetch_sub(&l->left, 1) > 0) {
        post(s);
    }
    curl_easy_cleanup(s->curl);
    tool_reply_clear(&s->reply);
    free(s);
    return NULL;
}

static int run_jobs(load_t *l, int jobs)
{
    pthread_t *threads = calloc((size_t)jobs, sizeof(*threads));
    int started = 0;

    while (threads && started < jobs && pthread_create(&threads[started], NULL, run_job, l) == 0) {
        started++;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    free(threads);
    return started ? CMD_OK : cmd_fail("no thread could be started");
}

int submit_send(const submit_t *s, FILE *body)
{
    load_t l = { .submit = s, .body_fd = fileno(body), .lock = PTHREAD_MUTEX_INITIALIZER };
    struct stat st;
    int rc = CMD_OK;

    if (fstat(l.body_fd, &st) != 0) {
        return cmd_fail("the body's temporary file is gone");
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    l.body_size = st.st_size;
    l.url = submit_url(s);
    l.headers = make_headers(s);
    atomic_store(&l.left, s->count);
    if (s->jobs == 1) {
        run_job(&l);
    } else {
        rc = run_jobs(&l, s->jobs);
    }
    curl_slist_free_all(l.headers);
    curl_global_cleanup();
    if (rc == CMD_OK && s->count > 1) {
        fprintf(stderr, "%d accepted, %d failed\n", l.accepted, l.failed);
    }
    return rc == CMD_OK && l.accepted == s->count ? CMD_OK : CMD_FAILED;
}
