/*
 * salvage upload-symbols: packs symbol files into archives and sends them to an upload API v1
 * (mod_symbols, Tecken). Repeating it is cheap and safe: the server skips what it has.
 */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <curl/curl.h>
#include <jansson.h>
#include <zip.h>

#include "base/text.h"
#include "symbol_files.h"

#define USAGE "upload-symbols --server URL --token TOKEN [--try] [--retry-delay TIME] PATH..."
#define DEFAULT_DELAY 10

enum { ATTEMPTS = 5, REPLY_MAX = 4 << 20, FILES_MAX = 5000 };

/* Of one archive, unpacked: what a connection that breaks has to send again at most. */
static const apr_uint64_t bytes_max = UINT64_C(2) << 30;

typedef struct {
    const char *server, *token;
    int is_try;
    int64_t delay; /* seconds between attempts */
    apr_pool_t *pool;
} request_t;

typedef struct {
    char *data; /* malloc'd, NUL-terminated */
    size_t size;
    long status;
    long retry_after;
} reply_t;

static const apr_getopt_option_t options[] = {
    { "server", 's', 1, "where Salvage or Tecken listens, e.g. https://crash.example.com" },
    { "token", 't', 1, "API token with the right to upload; or $SALVAGE_UPLOAD_TOKEN" },
    { "try", 'T', 0, "send as try symbols" },
    { "retry-delay", 'd', 1, "pause before a new attempt, e.g. 30s (default 10s)" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- one archive over the wire ---- */

static size_t take_reply(char *data, size_t size, size_t n, void *baton)
{
    reply_t *reply = baton;
    char *grown;

    size *= n;
    if (size > REPLY_MAX - reply->size) {
        return 0;
    }
    grown = realloc(reply->data, reply->size + size + 1);
    if (!grown) {
        return 0;
    }
    reply->data = grown;
    memcpy(grown + reply->size, data, size);
    reply->size += size;
    grown[reply->size] = '\0';
    return size;
}

static CURLcode perform(CURL *curl, const request_t *req, const char *path, const char *name,
                        reply_t *reply)
{
    struct curl_slist *headers =
        curl_slist_append(NULL, apr_pstrcat(req->pool, "Auth-Token: ", req->token, NULL));
    curl_mime *form = curl_mime_init(curl);
    curl_mimepart *part = curl_mime_addpart(form);
    curl_off_t retry_after = 0;
    CURLcode rc;

    curl_mime_name(part, name);
    curl_mime_filename(part, name);
    curl_mime_type(part, "application/zip");
    rc = curl_mime_filedata(part, path);
    curl_mime_filename(part, name);
    if (req->is_try) {
        part = curl_mime_addpart(form);
        curl_mime_name(part, "try");
        curl_mime_data(part, "1", CURL_ZERO_TERMINATED);
    }
    curl_easy_setopt(curl, CURLOPT_URL, apr_pstrcat(req->pool, req->server, "/upload/", NULL));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_MIMEPOST, form);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "salvage-upload-symbols");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
    /* No limit on the whole: archives are large. One on silence, longer than the server needs. */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 900L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (rc == CURLE_OK) {
        rc = curl_easy_perform(curl);
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK) {
        reply->retry_after = retry_after > 0 && retry_after < 3600 ? (long)retry_after : 0;
    }
    curl_mime_free(form);
    curl_slist_free_all(headers);
    return rc;
}

/* What the server said went wrong, for people. */
static const char *reason(const reply_t *reply, apr_pool_t *p)
{
    json_t *doc = reply->data ? json_loads(reply->data, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(doc, "error"));

    text = text ? apr_psprintf(p, "%ld: %s", reply->status, text)
                : apr_psprintf(p, "HTTP status %ld", reply->status);
    json_decref(doc);
    return text;
}

static int worth_repeating(CURLcode rc, const reply_t *reply)
{
    if (rc == CURLE_OK) {
        return reply->status == 429 || reply->status >= 500;
    }
    return rc != CURLE_URL_MALFORMAT && rc != CURLE_UNSUPPORTED_PROTOCOL &&
           rc != CURLE_READ_ERROR && rc != CURLE_PEER_FAILED_VERIFICATION;
}

/* CMD_OK with the answer of a 201 in *reply, or CMD_FAILED with the reason printed. */
static int send_archive(const request_t *req, const char *path, const char *name, reply_t *reply)
{
    CURL *curl = curl_easy_init();
    const char *why = "no memory";

    for (int attempt = 1; curl && attempt <= ATTEMPTS; attempt++) {
        CURLcode rc;

        free(reply->data);
        *reply = (reply_t){ 0 };
        rc = perform(curl, req, path, name, reply);
        if (rc == CURLE_OK && reply->status == 201) {
            curl_easy_cleanup(curl);
            return CMD_OK;
        }
        why = rc == CURLE_OK ? reason(reply, req->pool) : curl_easy_strerror(rc);
        if (attempt == ATTEMPTS || !worth_repeating(rc, reply)) {
            break;
        }
        fprintf(stderr, "salvage upload-symbols: attempt %d of %d failed: %s\n", attempt, ATTEMPTS,
                why);
        sleep((unsigned)(reply->retry_after > req->delay ? reply->retry_after : req->delay));
    }
    curl_easy_cleanup(curl);
    return cmd_fail("%s was not accepted by %s: %s", name, req->server, why);
}

/* ---- what became of the files ---- */

static int was_skipped(const json_t *skipped, const char *name)
{
    for (size_t i = 0; i < json_array_size(skipped); i++) {
        const char *key = json_string_value(json_array_get(skipped, i));

        if (key && !strcmp(key, name)) {
            return 1;
        }
    }
    return 0;
}

static void report_name(const char *name, const json_t *skipped, long *counts)
{
    size_t n = strlen(name);
    int skip = was_skipped(skipped, name);

    if (n == 0 || name[n - 1] == '/') {
        return;
    }
    counts[skip]++;
    printf("%s %s\n", skip ? "skipped" : "stored ", name);
}

static int report(const char *path, const reply_t *reply)
{
    json_t *doc = json_loads(reply->data ? reply->data : "", 0, NULL);
    const json_t *upload = json_object_get(doc, "upload");
    const json_t *skipped = json_object_get(upload, "skipped_keys");
    zip_t *zip = zip_open(path, ZIP_RDONLY, NULL);
    long counts[2] = { 0, 0 };

    for (zip_int64_t i = 0; zip && i < zip_get_num_entries(zip, 0); i++) {
        report_name(zip_get_name(zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW), skipped, counts);
    }
    if (zip) {
        zip_discard(zip);
    }
    printf("upload %" JSON_INTEGER_FORMAT ": %ld stored, %ld skipped (the server has the same)\n",
           json_integer_value(json_object_get(upload, "id")), counts[0], counts[1]);
    json_decref(doc);
    return upload ? CMD_OK : cmd_fail("the server's answer is not that of an upload");
}

static int upload_one(const request_t *req, const char *path, const char *name)
{
    reply_t reply = { 0 };
    int rc = send_archive(req, path, name, &reply);

    if (rc == CMD_OK) {
        rc = report(path, &reply);
    }
    free(reply.data);
    return rc;
}

/* ---- packing ---- */

static int pack_failed(zip_t *zip, const char *what)
{
    int rc = cmd_fail("cannot pack %s: %s", what, zip_strerror(zip));

    zip_discard(zip);
    return rc;
}

static int pack(const char *path, const symbol_file_t *files, int n)
{
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);

    if (!zip) {
        return cmd_fail("cannot write %s; is there room in $TMPDIR?", path);
    }
    for (int i = 0; i < n; i++) {
        zip_source_t *source = zip_source_file(zip, files[i].path, 0, -1);

        if (!source || zip_file_add(zip, files[i].key, source, ZIP_FL_ENC_UTF_8) < 0) {
            zip_source_free(source);
            return pack_failed(zip, files[i].path);
        }
    }
    return zip_close(zip) ? pack_failed(zip, path) : CMD_OK;
}

/* How many of the files go into the next archive. */
static int take(const symbol_file_t *files, int n)
{
    apr_uint64_t bytes = 0;
    int i = 0;

    while (i < n && i < FILES_MAX && (i == 0 || bytes + files[i].size <= bytes_max)) {
        bytes += files[i++].size;
    }
    return i;
}

static int upload_files(const request_t *req, const apr_array_header_t *files)
{
    const symbol_file_t *all = (const symbol_file_t *)files->elts;
    const char *tmp = getenv("TMPDIR");
    char *dir = apr_pstrcat(req->pool, tmp && *tmp ? tmp : "/tmp", "/salvage-upload-XXXXXX", NULL);
    const char *path;
    int rc = CMD_OK;

    if (!mkdtemp(dir)) {
        return cmd_fail("cannot make a folder for the archive in %s", tmp && *tmp ? tmp : "/tmp");
    }
    path = apr_pstrcat(req->pool, dir, "/symbols.zip", NULL);
    for (int i = 0, n; rc == CMD_OK && i < files->nelts; i += n) {
        n = take(all + i, files->nelts - i);
        rc = pack(path, all + i, n);
        if (rc == CMD_OK) {
            rc = upload_one(req, path, "symbols.zip");
        }
    }
    unlink(path);
    rmdir(dir);
    return rc;
}

static int upload_all(const request_t *req, const symbol_files_t *set)
{
    int rc = set->files->nelts ? upload_files(req, set->files) : CMD_OK;

    for (int i = 0; rc == CMD_OK && i < set->archives->nelts; i++) {
        const char *path = APR_ARRAY_IDX(set->archives, i, const char *);

        rc = upload_one(req, path, sal_basename(path));
    }
    if (set->passed_over) {
        fprintf(stderr, "salvage upload-symbols: %d files are no symbols and were left out\n",
                set->passed_over);
    }
    return rc;
}

/* ---- the command line ---- */

static int take_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case 's':
        req->server = value;
        break;
    case 't':
        req->token = value;
        break;
    case 'T':
        req->is_try = 1;
        break;
    case 'd':
        if (!sal_parse_duration(value, &req->delay) || req->delay < 0 || req->delay > 3600) {
            return cmd_usage(USAGE, "--retry-delay \"%s\" is not a time from 0s to 1h", value);
        }
        break;
    default:
        break;
    }
    return CMD_OK;
}

static int check_request(request_t *req)
{
    size_t n = req->server ? strlen(req->server) : 0;

    if (!req->token) {
        req->token = getenv("SALVAGE_UPLOAD_TOKEN");
    }
    if (!n || (strncmp(req->server, "http://", 7) && strncmp(req->server, "https://", 8))) {
        return cmd_usage(USAGE, "--server URL is needed, with http:// or https://");
    }
    if (!req->token || !*req->token || strpbrk(req->token, "\r\n")) {
        return cmd_usage(USAGE, "--token TOKEN is needed (`salvage token create` makes one)");
    }
    while (n && req->server[n - 1] == '/') {
        n--;
    }
    req->server = apr_pstrmemdup(req->pool, req->server, n);
    return CMD_OK;
}

int cmd_upload_symbols(int argc, const char **argv, apr_pool_t *p)
{
    request_t req = { .delay = DEFAULT_DELAY, .pool = p };
    symbol_files_t *set = symbol_files_make(p);
    apr_getopt_t *os = cmd_options(argc, argv, p);
    sal_error_t err = { 0 };
    const char *value;
    apr_status_t rv;
    int c, rc;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            printf("usage: salvage %s\n", USAGE);
            return CMD_OK;
        }
        if ((rc = take_option(&req, c, value)) != CMD_OK) {
            return rc;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if ((rc = check_request(&req)) != CMD_OK) {
        return rc;
    }
    if (os->ind >= argc) {
        return cmd_usage(USAGE, "name a directory, a .sym or a .zip");
    }
    for (int i = os->ind; i < argc; i++) {
        if (symbol_files_add(set, os->argv[i], p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    }
    if (!set->files->nelts && !set->archives->nelts) {
        return cmd_fail("no symbol files found; a .sym begins with a MODULE line");
    }
    return upload_all(&req, set);
}
