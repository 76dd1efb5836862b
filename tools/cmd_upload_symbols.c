/*
 * salvage upload-symbols: packs symbol files into archives and sends them, several at a time.
 * Repeating it is cheap and safe: the server skips what it has. How an archive is sent is
 * upload_send.c's.
 */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>
#include <curl/curl.h>
#include <jansson.h>
#include <zip.h>

#include "base/text.h"
#include "symbol_files.h"
#include "upload_send.h"

#define USAGE                                                                                      \
    "upload-symbols --server URL --token TOKEN [--try] [--jobs N] [--product NAME] "               \
    "[--version VERSION] [--retry-delay TIME] PATH..."
#define DEFAULT_DELAY 10

enum { FILES_MAX = 5000, JOBS_DEFAULT = 3, JOBS_MAX = 16 };

/* Of one archive, unpacked: what a connection that breaks has to send again at most. */
static const apr_uint64_t bytes_max = UINT64_C(2) << 30;

/* An archive to be sent: one that is there, or files to be packed. */
typedef struct {
    const char *path, *name;
    const symbol_file_t *files;
    int n;
} job_t;

typedef struct {
    upload_request_t req;
    apr_array_header_t *jobs; /* of job_t */
    int next, failed, threads;
    const char *dir; /* where archives are packed */
    apr_thread_mutex_t *lock;
} work_t;

static const apr_getopt_option_t options[] = {
    { "server", 's', 1, "where Salvage or Tecken listens, e.g. https://crash.example.com" },
    { "token", 't', 1, "API token with the right to upload; or $SALVAGE_UPLOAD_TOKEN" },
    { "try", 'T', 0, "send as try symbols" },
    { "jobs", 'j', 1, "archives that are sent at the same time, 1..16 (default 3)" },
    { "product", 'p', 1, "product of files that do not name theirs" },
    { "version", 'V', 1, "version of files that do not name theirs" },
    { "retry-delay", 'd', 1, "pause before a new attempt, e.g. 30s (default 10s)" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

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

/* One archive's lines; the caller holds the lock. */
static int report(const char *path, const upload_reply_t *reply)
{
    json_t *doc = json_loads(tool_reply_text(&reply->body), 0, NULL);
    const json_t *upload = json_object_get(doc, "upload");
    const json_t *skipped = json_object_get(upload, "skipped_keys");
    zip_t *zip = skipped ? zip_open(path, ZIP_RDONLY, NULL) : NULL;
    long counts[2] = { reply->files - reply->skipped, reply->skipped };

    if (skipped) {
        counts[0] = counts[1] = 0;
    }
    for (zip_int64_t i = 0; zip && i < zip_get_num_entries(zip, 0); i++) {
        report_name(zip_get_name(zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW), skipped, counts);
    }
    if (zip) {
        zip_discard(zip);
    }
    printf("upload %" JSON_INTEGER_FORMAT ": %ld stored, %ld skipped (the server has the same)\n",
           upload ? json_integer_value(json_object_get(upload, "id")) : (json_int_t)reply->id,
           counts[0], counts[1]);
    fflush(stdout);
    json_decref(doc);
    return upload || reply->id ? CMD_OK : cmd_fail("the server's answer is not that of an upload");
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

/* Packs if need be, sends, reports. */
static int run_job(work_t *w, const job_t *job, int number, apr_pool_t *p)
{
    const char *path = job->path;
    upload_reply_t reply = { 0 };
    int rc = CMD_OK;

    if (!path) {
        path = apr_psprintf(p, "%s/symbols-%d.zip", w->dir, number);
        rc = pack(path, job->files, job->n);
    }
    if (rc == CMD_OK) {
        rc = upload_send(&w->req, path, job->name, &reply, p);
    }
    apr_thread_mutex_lock(w->lock);
    if (rc == CMD_OK) {
        upload_progress_clear(&w->req);
        rc = report(path, &reply);
    }
    apr_thread_mutex_unlock(w->lock);
    if (!job->path) {
        unlink(path);
    }
    tool_reply_clear(&reply.body);
    return rc;
}

/* The first failure lets the others end what they do, and nobody begins anew. */
static void *APR_THREAD_FUNC work(apr_thread_t *thread, void *v)
{
    work_t *w = v;
    apr_pool_t *p;

    (void)thread;
    apr_pool_create(&p, NULL);
    for (;;) {
        int number = -1;

        apr_thread_mutex_lock(w->lock);
        if (!w->failed && w->next < w->jobs->nelts) {
            number = w->next++;
        }
        apr_thread_mutex_unlock(w->lock);
        if (number < 0) {
            break;
        }
        if (run_job(w, &APR_ARRAY_IDX(w->jobs, number, job_t), number, p) != CMD_OK) {
            apr_thread_mutex_lock(w->lock);
            w->failed = 1;
            apr_thread_mutex_unlock(w->lock);
        }
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

static int run_jobs(work_t *w, apr_pool_t *p)
{
    int n = w->jobs->nelts < w->threads ? w->jobs->nelts : w->threads, started = 0;
    apr_thread_t *threads[JOBS_MAX];

    for (int i = 0; i < n - 1; i++) {
        started += apr_thread_create(&threads[started], NULL, work, w, p) == APR_SUCCESS;
    }
    work(NULL, w);
    for (int i = 0; i < started; i++) {
        apr_status_t rv;

        apr_thread_join(&rv, threads[i]);
    }
    upload_progress_clear(&w->req);
    return w->failed ? CMD_FAILED : CMD_OK;
}

static void add_jobs(work_t *w, const symbol_files_t *set)
{
    const symbol_file_t *all = (const symbol_file_t *)set->files->elts;
    struct stat st;

    for (int i = 0, n; i < set->files->nelts; i += n) {
        job_t *job = apr_array_push(w->jobs);

        n = take(all + i, set->files->nelts - i);
        *job = (job_t){ NULL, "symbols.zip", all + i, n };
        for (int k = 0; k < n; k++) {
            w->req.total += all[i + k].size;
        }
    }
    for (int i = 0; i < set->archives->nelts; i++) {
        const char *path = APR_ARRAY_IDX(set->archives, i, const char *);

        APR_ARRAY_PUSH(w->jobs, job_t) = (job_t){ path, sal_basename(path), NULL, 0 };
        w->req.total += stat(path, &st) ? 0 : (apr_uint64_t)st.st_size;
    }
}

static int upload_all(work_t *w, const symbol_files_t *set, apr_pool_t *p)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = apr_pstrcat(p, tmp && *tmp ? tmp : "/tmp", "/salvage-upload-XXXXXX", NULL);
    int rc;

    w->jobs = apr_array_make(p, 8, sizeof(job_t));
    add_jobs(w, set);
    if (set->files->nelts && !mkdtemp(dir)) {
        return cmd_fail("cannot make a folder for the archives in %s", tmp && *tmp ? tmp : "/tmp");
    }
    w->dir = dir;
    if (apr_thread_mutex_create(&w->lock, APR_THREAD_MUTEX_UNNESTED, p) != APR_SUCCESS) {
        return cmd_fail("no mutex to be had");
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    upload_prepare(&w->req, p);
    rc = run_jobs(w, p);
    if (set->files->nelts) {
        rmdir(dir);
    }
    if (set->passed_over) {
        fprintf(stderr, "salvage upload-symbols: %d files are no symbols and were left out\n",
                set->passed_over);
    }
    return rc;
}

/* ---- the command line ---- */

static int take_option(work_t *w, int c, const char *value)
{
    upload_request_t *req = &w->req;
    int64_t n;

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
    case 'j':
        if (!sal_parse_int(value, 1, JOBS_MAX, &n)) {
            return cmd_usage(USAGE, "--jobs \"%s\" is no number from 1 to 16", value);
        }
        w->threads = (int)n;
        break;
    case 'p':
        req->product = value;
        break;
    case 'V':
        req->version = value;
        break;
    default:
        break;
    }
    return CMD_OK;
}

static int check_request(upload_request_t *req)
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
    work_t w = { .req = { .delay = DEFAULT_DELAY, .pool = p }, .threads = JOBS_DEFAULT };
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
        if ((rc = take_option(&w, c, value)) != CMD_OK) {
            return rc;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if ((rc = check_request(&w.req)) != CMD_OK) {
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
    return upload_all(&w, set, p);
}
