/*
 * One archive over the wire, attempts and pauses, the progress bar. A tus upload that was begun is
 * noted below $XDG_CACHE_HOME/salvage, so that also the next run of the command goes on with it.
 */
#include "upload_send.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_base64.h>
#include <apr_strings.h>
#include <apr_time.h>
#include <curl/curl.h>
#include <jansson.h>

#include "base/file.h"
#include "base/text.h"
#include "cmd.h"

/* No limit on the whole: archives are large. One on silence, longer than the server needs. */
enum { ATTEMPTS = 5, REPLY_MAX = 4 << 20, BAR = 30, SILENT_SECONDS = 900 };

static const curl_off_t tus_min = 4 << 20; /* smaller archives are sent at once */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- progress ---- */

static void draw(upload_request_t *req, curl_off_t more)
{
    static apr_time_t drawn;
    apr_time_t now = apr_time_now();
    int full;

    pthread_mutex_lock(&lock);
    req->sent += (apr_uint64_t)more;
    if (req->on_terminal && req->total && now - drawn > apr_time_from_msec(200)) {
        drawn = now;
        full = (int)(req->sent < req->total ? BAR * req->sent / req->total : BAR);
        fprintf(stderr, "\r[%.*s%*s] %.1f of %.1f MB ", full, "##############################",
                BAR - full, "", (double)req->sent / 1e6, (double)req->total / 1e6);
        fflush(stderr);
    }
    pthread_mutex_unlock(&lock);
}

void upload_progress_clear(upload_request_t *req)
{
    if (req->on_terminal) {
        fprintf(stderr, "\r%*s\r", BAR + 40, "");
        fflush(stderr);
    }
}

typedef struct {
    upload_request_t *req;
    curl_off_t counted;
} progress_t;

static int on_progress(void *v, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    progress_t *p = v;

    (void)dt;
    (void)dn;
    (void)ut;
    if (un > p->counted) {
        draw(p->req, un - p->counted);
        p->counted = un;
    }
    return 0;
}

/* ---- requests ---- */

static size_t take_header(char *data, size_t size, size_t n, void *baton)
{
    upload_reply_t *reply = baton;
    char line[600];
    int64_t v;
    char *value;

    size *= n;
    apr_cpystrn(line, data, size + 1 < sizeof(line) ? size + 1 : sizeof(line));
    line[strcspn(line, "\r\n")] = '\0';
    value = strchr(line, ':');
    if (!value) {
        return size;
    }
    *value++ = '\0';
    value += strspn(value, " ");
    if (!strcasecmp(line, "Location")) {
        apr_cpystrn(reply->location, value, sizeof(reply->location));
    } else if (sal_parse_int(value, 0, INT64_MAX, &v)) {
        if (!strcasecmp(line, "Upload-Offset")) {
            reply->offset = v;
        } else if (!strcasecmp(line, "Salvage-Upload")) {
            reply->id = (long)v;
        } else if (!strcasecmp(line, "Salvage-Files")) {
            reply->files = (long)v;
        } else if (!strcasecmp(line, "Salvage-Skipped")) {
            reply->skipped = (long)v;
        }
    }
    return size;
}

static void forget(upload_reply_t *reply)
{
    tool_reply_clear(&reply->body);
    *reply = (upload_reply_t){ .body.most = REPLY_MAX, .offset = -1 };
}

static struct curl_slist *token_header(const upload_request_t *req, apr_pool_t *p)
{
    struct curl_slist *h =
        curl_slist_append(NULL, apr_pstrcat(p, "Auth-Token: ", req->token, NULL));

    return curl_slist_append(h, "Expect:");
}

/* What all requests have in common; runs it and fills reply. */
static CURLcode perform(CURL *curl, upload_request_t *req, const char *url,
                        struct curl_slist *headers, progress_t *progress, upload_reply_t *reply)
{
    curl_off_t retry_after = 0;
    CURLcode rc;

    tool_request(curl, url, "salvage-upload-symbols", SILENT_SECONDS, &reply->body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
    if (progress) {
        progress->req = req;
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, progress);
    }
    rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK) {
        reply->retry_after = retry_after > 0 && retry_after < 3600 ? (long)retry_after : 0;
    }
    return rc;
}

/* ---- API v1 ---- */

static void add_field(curl_mime *form, const char *name, const char *value)
{
    curl_mimepart *part;

    if (value) {
        part = curl_mime_addpart(form);
        curl_mime_name(part, name);
        curl_mime_data(part, value, CURL_ZERO_TERMINATED);
    }
}

static CURLcode send_form(upload_request_t *req, const char *path, const char *name,
                          upload_reply_t *reply, apr_pool_t *p)
{
    struct curl_slist *headers = token_header(req, p);
    CURL *curl = curl_easy_init();
    curl_mime *form = curl_mime_init(curl);
    curl_mimepart *part = curl_mime_addpart(form);
    progress_t progress = { 0 };
    CURLcode rc;

    forget(reply);
    curl_mime_name(part, name);
    rc = curl_mime_filedata(part, path);
    curl_mime_filename(part, name);
    add_field(form, "try", req->is_try ? "1" : NULL);
    add_field(form, "product", req->product);
    add_field(form, "version", req->version);
    curl_easy_setopt(curl, CURLOPT_MIMEPOST, form);
    if (rc == CURLE_OK) {
        rc = perform(curl, req, apr_pstrcat(p, req->server, "/upload/", NULL), headers, &progress,
                     reply);
    }
    curl_mime_free(form);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return rc;
}

/* ---- tus ---- */

typedef struct {
    const char *url;  /* of the upload, once it is created */
    const char *note; /* file that remembers it for the next run, or NULL */
    const char *metadata;
    curl_off_t size;
} tus_t;

static const char *pair(const char *key, const char *value, const char *more, apr_pool_t *p)
{
    int n = (int)strlen(value);
    char *text = apr_palloc(p, (apr_size_t)apr_base64_encode_len(n));

    apr_base64_encode(text, value, n);
    return apr_pstrcat(p, more, *more ? "," : "", key, " ", text, NULL);
}

static const char *metadata(const upload_request_t *req, const char *name, apr_pool_t *p)
{
    const char *text = pair("filename", name, "", p);

    text = req->is_try ? pair("try", "1", text, p) : text;
    text = req->product ? pair("product", req->product, text, p) : text;
    return req->version ? pair("version", req->version, text, p) : text;
}

static CURLcode tus_request(upload_request_t *req, const char *method, const char *url,
                            const char *const *more, FILE *body, curl_off_t size,
                            upload_reply_t *reply, apr_pool_t *p)
{
    struct curl_slist *headers = curl_slist_append(token_header(req, p), "Tus-Resumable: 1.0.0");
    CURL *curl = curl_easy_init();
    progress_t progress = { 0 };
    CURLcode rc;

    forget(reply);
    for (; *more; more++) {
        headers = curl_slist_append(headers, *more);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (!strcmp(method, "HEAD") || !strcmp(method, "OPTIONS")) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (body) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READDATA, body);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, size);
    } else {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    rc = perform(curl, req, url, headers, body ? &progress : NULL, reply);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return rc;
}

static CURLcode tus_create(upload_request_t *req, tus_t *t, upload_reply_t *reply, apr_pool_t *p)
{
    const char *headers[] = { apr_psprintf(p, "Upload-Length: %" CURL_FORMAT_CURL_OFF_T, t->size),
                              apr_pstrcat(p, "Upload-Metadata: ", t->metadata, NULL), NULL };
    CURLcode rc = tus_request(req, "POST", apr_pstrcat(p, req->server, "/upload/tus/", NULL),
                              headers, NULL, 0, reply, p);

    if (rc == CURLE_OK && reply->status == 201 && *reply->location) {
        t->url = apr_pstrdup(p, reply->location);
        if (t->note) {
            sal_file_publish(t->note, t->url, strlen(t->url), 0600, p, NULL);
        }
    }
    return rc;
}

/* Where to go on; begins anew if the server does not know the upload any more. */
static CURLcode tus_offset(upload_request_t *req, tus_t *t, curl_off_t *offset,
                           upload_reply_t *reply, apr_pool_t *p)
{
    static const char *const none[] = { NULL };
    CURLcode rc;

    *offset = 0;
    if (t->url) {
        rc = tus_request(req, "HEAD", t->url, none, NULL, 0, reply, p);
        if (rc == CURLE_OK && reply->status == 200 && reply->offset >= 0 &&
            reply->offset <= t->size) {
            *offset = (curl_off_t)reply->offset;
            return rc;
        }
        if (rc != CURLE_OK || (reply->status != 404 && reply->status != 410)) {
            return rc;
        }
        t->url = NULL;
    }
    return tus_create(req, t, reply, p);
}

static CURLcode send_tus(upload_request_t *req, tus_t *t, const char *path, upload_reply_t *reply,
                         apr_pool_t *p)
{
    const char *headers[] = { "Content-Type: application/offset+octet-stream", NULL,
                              apr_pstrcat(p, "Upload-Metadata: ", t->metadata, NULL), NULL };
    curl_off_t offset;
    CURLcode rc = tus_offset(req, t, &offset, reply, p);
    FILE *f;

    if (rc != CURLE_OK || reply->status >= 400) {
        return rc;
    }
    f = fopen(path, "rb");
    if (!f || fseeko(f, offset, SEEK_SET)) {
        rc = CURLE_READ_ERROR;
    } else {
        headers[1] = apr_psprintf(p, "Upload-Offset: %" CURL_FORMAT_CURL_OFF_T, offset);
        rc = tus_request(req, "PATCH", t->url, headers, f, t->size - offset, reply, p);
    }
    if (f) {
        fclose(f);
    }
    return rc;
}

/* The note of an archive: the same file, for the same server, by the same token. */
static const char *note_path(const upload_request_t *req, const char *path, const struct stat *st,
                             apr_pool_t *p)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *text;
    unsigned char digest[32];
    char hex[65];

    if (!cache || !*cache) {
        cache = home && *home ? apr_pstrcat(p, home, "/.cache", NULL) : NULL;
    }
    if (!cache) {
        return NULL;
    }
    cache = apr_pstrcat(p, cache, "/salvage", NULL);
    if (sal_dir_make(cache, 0700, 0, p, NULL) != APR_SUCCESS) {
        return NULL;
    }
    text = apr_psprintf(
        p, "%s\n%s\n%s\n%d\n%" APR_INT64_T_FMT "\n%" APR_INT64_T_FMT "\n%" APR_INT64_T_FMT,
        req->server, req->token, path, req->is_try, (apr_int64_t)st->st_ino,
        (apr_int64_t)st->st_size, (apr_int64_t)st->st_mtime);
    sal_sha256(text, strlen(text), digest);
    sal_hex(hex, digest, 16);
    return apr_pstrcat(p, cache, "/upload-", hex, NULL);
}

static void open_tus(tus_t *t, const upload_request_t *req, const char *path, const char *name,
                     const struct stat *st, apr_pool_t *p)
{
    apr_size_t size;
    char *url;

    *t = (tus_t){ .size = (curl_off_t)st->st_size, .metadata = metadata(req, name, p) };
    t->note = note_path(req, path, st, p);
    if (t->note && sal_file_read(&url, &size, t->note, 500, p, NULL) == APR_SUCCESS &&
        !strncmp(url, req->server, strlen(req->server))) {
        t->url = url;
    }
}

/* ---- attempts ---- */

/* What the server said went wrong, for people. */
static const char *reason(const upload_reply_t *reply, apr_pool_t *p)
{
    json_t *doc = reply->body.data ? json_loads(reply->body.data, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(doc, "error"));

    text = text ? apr_psprintf(p, "%ld: %s", reply->status, text)
                : apr_psprintf(p, "HTTP status %ld", reply->status);
    json_decref(doc);
    return text;
}

static int worth_repeating(CURLcode rc, const upload_reply_t *reply)
{
    if (rc == CURLE_OK) { /* 409, 423: the connection before is not quite over */
        return reply->status == 429 || reply->status >= 500 || reply->status == 409 ||
               reply->status == 423;
    }
    return rc != CURLE_URL_MALFORMAT && rc != CURLE_UNSUPPORTED_PROTOCOL &&
           rc != CURLE_READ_ERROR && rc != CURLE_PEER_FAILED_VERIFICATION;
}

/* Twice as long each time, no longer than five minutes unless asked for. */
static void pause_before(const upload_request_t *req, int attempt, const upload_reply_t *reply)
{
    int64_t wait = req->delay << (attempt - 1);

    wait = wait > 300 && req->delay < 300 ? 300 : wait;
    sleep((unsigned)(reply->retry_after > wait ? reply->retry_after : wait));
}

int upload_send(upload_request_t *req, const char *path, const char *name, upload_reply_t *reply,
                apr_pool_t *p)
{
    const char *why = "no memory";
    struct stat st;
    tus_t tus = { 0 };
    int use_tus, stalled = 0;

    if (stat(path, &st)) {
        return cmd_fail("cannot read %s", path);
    }
    use_tus = req->has_tus && st.st_size >= tus_min;
    if (use_tus) {
        open_tus(&tus, req, path, name, &st, p);
    }
    for (int attempt = 1; stalled < ATTEMPTS; attempt++) {
        apr_uint64_t before = req->sent;
        CURLcode rc =
            use_tus ? send_tus(req, &tus, path, reply, p) : send_form(req, path, name, reply, p);

        if (rc == CURLE_OK && reply->status == (use_tus ? 204 : 201)) {
            if (use_tus && tus.note) {
                unlink(tus.note);
            }
            return CMD_OK;
        }
        why = rc == CURLE_OK ? reason(reply, p) : curl_easy_strerror(rc);
        /* With tus an attempt that got on was not in vain, so it does not count. */
        stalled = use_tus && req->sent > before + (1 << 20) ? 1 : stalled + 1;
        if (stalled == ATTEMPTS || !worth_repeating(rc, reply)) {
            break;
        }
        upload_progress_clear(req);
        fprintf(stderr, "salvage upload-symbols: attempt %d of %d failed: %s\n", attempt, ATTEMPTS,
                why);
        pause_before(req, stalled, reply);
    }
    upload_progress_clear(req);
    return cmd_fail("%s was not accepted by %s: %s", name, req->server, why);
}

void upload_prepare(upload_request_t *req, apr_pool_t *p)
{
    static const char *const none[] = { NULL };
    upload_reply_t reply = { .body.most = REPLY_MAX, .offset = -1 };
    CURLcode rc = tus_request(req, "OPTIONS", apr_pstrcat(p, req->server, "/upload/tus/", NULL),
                              none, NULL, 0, &reply, p);

    req->has_tus = rc == CURLE_OK && reply.status == 204;
    req->on_terminal = isatty(STDERR_FILENO);
    tool_reply_clear(&reply.body);
}
