/*
 * salvage submit: sends a crash report as crash reporters do, for tests and for scripts. Prints
 * the line that names the crash.
 */
#include "cmd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <curl/curl.h>
#include <jansson.h>
#include <zlib.h>

#include "base/text.h"

#define USAGE                                                                                      \
    "submit --server URL [--annotation NAME=VALUE]... [--dump [NAME=]FILE]..."                     \
    " [--gzip] [--chunked] [--json] [--token TOKEN]"
#define REPLY_MAX 65536
#define MAIN_DUMP "upload_file_minidump"

typedef struct pair_t {
    const char *name, *value;
} pair_t;

typedef struct request_t {
    const char *server, *token;
    apr_array_header_t *annotations, *dumps; /* of pair_t */
    int gzip, chunked, json;
    char boundary[64];
} request_t;

typedef struct reply_t {
    long status;
    size_t size;
    char text[REPLY_MAX + 1];
} reply_t;

static const apr_getopt_option_t options[] = {
    { "server", 's', 1, "collector, e.g. https://crash.example.com; /submit is added" },
    { "annotation", 'a', 1, "NAME=VALUE; may be repeated" },
    { "dump", 'd', 1, "FILE or NAME=FILE; may be repeated" },
    { "gzip", 'z', 0, "compress the body" },
    { "chunked", 'k', 0, "send without Content-Length, as Crashpad does" },
    { "json", 'j', 0, "annotations as one JSON part, as Firefox does" },
    { "token", 't', 1, "bearer token, for an annotation uuid of your own" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- the body, in a temporary file ---- */

static void put_disposition(FILE *f, const request_t *req, const char *name, const char *filename)
{
    fprintf(f, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", req->boundary, name);
    if (filename) {
        fprintf(f, "; filename=\"%s\"", filename);
    }
    fputs("\r\n", f);
}

static void put_annotations(FILE *f, const request_t *req)
{
    for (int i = 0; i < req->annotations->nelts; i++) {
        const pair_t *a = &APR_ARRAY_IDX(req->annotations, i, pair_t);

        put_disposition(f, req, a->name, NULL);
        fprintf(f, "\r\n%s\r\n", a->value);
    }
}

static void put_json(FILE *f, const request_t *req)
{
    json_t *extra = json_object();

    for (int i = 0; i < req->annotations->nelts; i++) {
        const pair_t *a = &APR_ARRAY_IDX(req->annotations, i, pair_t);

        json_object_set_new(extra, a->name, json_string(a->value));
    }
    put_disposition(f, req, "extra", "extra.json");
    fputs("Content-Type: application/json\r\n\r\n", f);
    json_dumpf(extra, f, 0);
    fputs("\r\n", f);
    json_decref(extra);
}

static int put_dump(FILE *f, const request_t *req, const pair_t *dump)
{
    char piece[65536];
    size_t n;
    FILE *in = fopen(dump->value, "rb");

    if (!in) {
        return cmd_fail("%s: %s", dump->value, strerror(errno));
    }
    put_disposition(f, req, dump->name, "crash.dmp");
    fputs("Content-Type: application/octet-stream\r\n\r\n", f);
    while ((n = fread(piece, 1, sizeof(piece), in)) > 0) {
        fwrite(piece, 1, n, f);
    }
    fputs("\r\n", f);
    n = (size_t)ferror(in);
    fclose(in);
    return n ? cmd_fail("%s: cannot be read", dump->value) : CMD_OK;
}

/* gzip of a whole file; NULL if there is no room for it. */
static FILE *compress_file(FILE *in)
{
    char piece[65536], packed[65536];
    FILE *out = tmpfile();
    z_stream z = { 0 };
    int flush;

    if (!out || deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return NULL;
    }
    do {
        z.avail_in = (uInt)fread(piece, 1, sizeof(piece), in);
        z.next_in = (Bytef *)piece;
        flush = feof(in) ? Z_FINISH : Z_NO_FLUSH;
        do {
            z.next_out = (Bytef *)packed;
            z.avail_out = sizeof(packed);
            deflate(&z, flush);
            fwrite(packed, 1, sizeof(packed) - z.avail_out, out);
        } while (z.avail_out == 0);
    } while (flush != Z_FINISH);
    deflateEnd(&z);
    return out;
}

static FILE *make_body(const request_t *req)
{
    FILE *f = tmpfile(), *packed;

    if (!f) {
        cmd_fail("no temporary file: %s", strerror(errno));
        return NULL;
    }
    (req->json ? put_json : put_annotations)(f, req);
    for (int i = 0; i < req->dumps->nelts; i++) {
        if (put_dump(f, req, &APR_ARRAY_IDX(req->dumps, i, pair_t)) != CMD_OK) {
            return NULL;
        }
    }
    fprintf(f, "--%s--\r\n", req->boundary);
    if (req->gzip) {
        rewind(f);
        packed = compress_file(f);
        fclose(f);
        f = packed;
    }
    if (!f || fflush(f) != 0 || ferror(f)) {
        cmd_fail("no room for the body in the temporary directory");
        return NULL;
    }
    return f;
}

/* ---- the wire ---- */

static size_t take_reply(char *data, size_t size, size_t n, void *baton)
{
    reply_t *reply = baton;

    n *= size;
    if (n <= REPLY_MAX - reply->size) {
        memcpy(reply->text + reply->size, data, n);
        reply->size += n;
        reply->text[reply->size] = '\0';
    }
    return n;
}

static size_t give_body(char *to, size_t size, size_t n, void *baton)
{
    return fread(to, 1, size * n, baton);
}

/* A server without a path means its default one. */
static const char *submit_url(const char *server, apr_pool_t *p)
{
    const char *host = strstr(server, "://");
    const char *path = strchr(host ? host + 3 : server, '/');

    if (path && path[1]) {
        return server;
    }
    return apr_pstrcat(p, path ? apr_pstrmemdup(p, server, (apr_size_t)(path - server)) : server,
                       "/submit", NULL);
}

static struct curl_slist *make_headers(const request_t *req, apr_pool_t *p)
{
    struct curl_slist *h = curl_slist_append(NULL, "Expect:");

    h = curl_slist_append(
        h, apr_psprintf(p, "Content-Type: multipart/form-data; boundary=%s", req->boundary));
    if (req->gzip) {
        h = curl_slist_append(h, "Content-Encoding: gzip");
    }
    if (req->chunked) {
        h = curl_slist_append(h, "Transfer-Encoding: chunked");
    }
    if (req->token) {
        h = curl_slist_append(h, apr_pstrcat(p, "Authorization: Bearer ", req->token, NULL));
    }
    return h;
}

static int post(const request_t *req, FILE *body, reply_t *reply, apr_pool_t *p)
{
    const char *url = submit_url(req->server, p);
    struct curl_slist *headers = make_headers(req, p);
    CURL *curl = curl_easy_init();
    CURLcode code;
    long size;

    fseek(body, 0, SEEK_END);
    size = ftell(body);
    rewind(body);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(curl, CURLOPT_READDATA, body);
    if (!req->chunked) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "salvage-submit");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 120L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return code == CURLE_OK ? CMD_OK : cmd_fail("%s: %s", url, curl_easy_strerror(code));
}

/* Prints the CrashID line; everything else is a failure, and said. */
static int judge(const reply_t *reply)
{
    size_t first = strcspn(reply->text, "\r\n");

    if (reply->status == 200 && !strncmp(reply->text, "CrashID=", 8)) {
        printf("%.*s\n", (int)first, reply->text);
        return CMD_OK;
    }
    if (reply->status == 503) {
        return cmd_fail("the collector takes no reports now (503); try again later");
    }
    return cmd_fail("the collector answered %ld %.*s", reply->status,
                    (int)(first < 200 ? first : 200), reply->text);
}

static int submit(request_t *req, apr_pool_t *p)
{
    unsigned char random[16];
    reply_t *reply = apr_pcalloc(p, sizeof(*reply));
    char hex[33];
    FILE *body;
    int rc;

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        return cmd_fail("no random numbers");
    }
    sal_hex(hex, random, sizeof(random));
    snprintf(req->boundary, sizeof(req->boundary), "------------------%s", hex);
    body = make_body(req);
    if (!body) {
        return CMD_FAILED;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = post(req, body, reply, p);
    fclose(body);
    curl_global_cleanup();
    return rc == CMD_OK ? judge(reply) : rc;
}

/* ---- arguments ---- */

/* A name goes into a header: no quotes, no line breaks. */
static int name_ok(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == '"' || s[i] == '\\') {
            return 0;
        }
    }
    return len > 0;
}

static int add_annotation(request_t *req, const char *arg, apr_pool_t *p)
{
    const char *eq = strchr(arg, '=');
    pair_t *a;

    if (!eq || !name_ok(arg, (size_t)(eq - arg)) || !sal_utf8_valid(arg, strlen(arg))) {
        return cmd_usage(USAGE, "--annotation \"%s\" is not NAME=VALUE", arg);
    }
    a = apr_array_push(req->annotations);
    *a = (pair_t){ apr_pstrmemdup(p, arg, (apr_size_t)(eq - arg)), eq + 1 };
    return CMD_OK;
}

/* NAME=FILE if what stands before the = looks like a dump's name, else FILE. */
static void add_dump(request_t *req, const char *arg, apr_pool_t *p)
{
    const char *s = arg;
    pair_t *d = apr_array_push(req->dumps);

    while (isalnum((unsigned char)*s) || *s == '_') {
        s++;
    }
    if (*s == '=' && s > arg) {
        *d = (pair_t){ apr_pstrmemdup(p, arg, (apr_size_t)(s - arg)), s + 1 };
    } else {
        *d = (pair_t){ MAIN_DUMP, arg };
    }
}

int cmd_submit(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .annotations = apr_array_make(p, 8, sizeof(pair_t)),
                      .dumps = apr_array_make(p, 2, sizeof(pair_t)) };
    const char *value;
    apr_status_t rv;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        switch (c) {
        case 's':
            req.server = value;
            break;
        case 'd':
            add_dump(&req, value, p);
            break;
        case 'z':
            req.gzip = 1;
            break;
        case 'k':
            req.chunked = 1;
            break;
        case 'j':
            req.json = 1;
            break;
        case 't':
            req.token = value;
            break;
        case 'h':
            printf("usage: salvage %s\n", USAGE);
            return CMD_OK;
        case 'a':
            if (add_annotation(&req, value, p) != CMD_OK) {
                return CMD_USAGE;
            }
            break;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (!req.server || os->ind < argc) {
        return cmd_usage(USAGE, req.server ? "\"%s\" is not an option" : "--server is missing",
                         req.server ? os->argv[os->ind] : "");
    }
    if (req.annotations->nelts == 0) {
        return cmd_usage(USAGE, "a report needs at least one --annotation");
    }
    return submit(&req, p);
}
