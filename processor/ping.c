/*
 * Crash pings in the daemon: a worker leases some, a child in a walker's cage signs them, the
 * worker stores what came of it. The child writes a line of JSON a ping, so that one that kills it
 * costs itself alone: the next child goes on behind it.
 */
#include "salvaged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "ping/ping_sign.h"

#define BATCH 32
#define LEASE 900 /* seconds; no new child is started in its last third */

/* ---- the child ---- */

/* What a child is to sign. */
typedef struct ping_job_t {
    const sal_ping_job_t *jobs;
    int n;
} ping_job_t;

static int out_of_memory(int code)
{
    (void)code;
    _exit(EXIT_FAILED);
}

static void put(json_t *to, const char *key, const char *text)
{
    if (text) {
        json_object_set_new(to, key, json_string(text));
    }
}

static void sign_one(const settings_t *s, const sal_ping_job_t *job, apr_pool_t *p)
{
    sal_ping_signed_t sig;
    sal_error_t err;
    json_t *body, *out = json_object();
    char *line;

    if (sal_json_parse(&body, job->body, strlen(job->body), p, &err) != APR_SUCCESS) {
        put(out, "note", "its body cannot be read");
    } else {
        test_hook("ping", body);
        sal_ping_sign(&sig, body, job->os, s->supplier, s->siglists, p);
        put(out, "signature", sig.signature);
        put(out, "proto_signature", sig.proto_signature);
        put(out, "stack", sal_json_text(sig.stack, p));
        put(out, "note", sig.note);
    }
    line = json_dumps(out, JSON_COMPACT);
    json_decref(out);
    if (!line || sal_fd_write_all(RESULT_FD, line, strlen(line)) != APR_SUCCESS ||
        sal_fd_write_all(RESULT_FD, "\n", 1) != APR_SUCCESS) {
        _exit(EXIT_FAILED);
    }
    free(line);
}

static void signer_main(const settings_t *s, void *job, const int fds[3])
{
    const ping_job_t *batch = job;
    apr_pool_t *p;

    child_keep_only(fds, 3);
    if (!sandbox_limits(s->walk_memory, s->walk_timeout + 5) || !sandbox_system_calls()) {
        _exit(EXIT_FAILED);
    }
    apr_pool_create_ex(&p, NULL, out_of_memory, NULL);
    for (int i = 0; i < batch->n; i++) {
        sign_one(s, &batch->jobs[i], p);
        apr_pool_clear(p);
    }
    _exit(EXIT_DONE);
}

/* ---- the worker ---- */

static const char *text_of(const json_t *v, const char *key, apr_pool_t *p)
{
    const char *s = sal_json_str(v, key);

    return s ? apr_pstrdup(p, s) : NULL;
}

/* One line of a child; it may have been taken over and write anything. */
static void read_result(sal_ping_result_t *out, const char *line, size_t size, apr_pool_t *p)
{
    json_t *v = json_loadb(line, size, 0, NULL);

    *out = (sal_ping_result_t){ text_of(v, "signature", p), text_of(v, "proto_signature", p),
                                text_of(v, "stack", p), text_of(v, "note", p) };
    if (!out->signature && !out->note) {
        out->note = "the signer's output is no result";
    }
    json_decref(v);
}

/* How many lines of results there are, at most n. */
static int read_results(sal_ping_result_t *out, int n, const child_end_t *end, apr_pool_t *p)
{
    const char *at = end->out, *stop = end->out + end->size;
    int done = 0;

    while (done < n && at < stop) {
        const char *eol = memchr(at, '\n', (size_t)(stop - at));

        if (!eol) {
            break;
        }
        read_result(&out[done++], at, (size_t)(eol - at), p);
        at = eol + 1;
    }
    return done;
}

static const char *death(const child_end_t *end, apr_pool_t *p)
{
    if (end->timed_out) {
        return "signing took too long";
    }
    if (end->too_big) {
        return "the signer's output is over its limit";
    }
    return end->exit_code < 0 ? apr_psprintf(p, "the signer died of signal %d", -end->exit_code)
                              : "the signer ran out of memory";
}

/*
 * Signs jobs from *done on in one child. What ended the child fails the ping it was at, unless
 * time ran out over those before it.
 */
static apr_status_t sign_some(int *done, const sal_ping_job_t *jobs, sal_ping_result_t *results,
                              int n, const walk_t *watch, apr_pool_t *p, sal_error_t *err)
{
    ping_job_t job = { jobs + *done, n - *done };
    child_end_t end;
    int got;
    apr_status_t rv = child_run(&end, watch, signer_main, NULL, &job, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    got = read_results(results + *done, n - *done, &end, p);
    *done += got;
    if (end.stopped == APR_SUCCESS && *done < n && !(end.timed_out && got > 0)) {
        results[*done] = (sal_ping_result_t){ .note = death(&end, p) };
        sal_log(SAL_LOG_WARNING, 5090, "crash ping %s: %s", jobs[*done].document_id,
                results[*done].note);
        ++*done;
    }
    free(end.out);
    return end.stopped;
}

apr_status_t ping_batch_run(bool *any, const settings_t *s, const walk_t *watch, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err)
{
    apr_time_t start = apr_time_now();
    sal_ping_result_t *results;
    sal_ping_job_t *jobs;
    int n, seen, done = 0, stored = 0;
    apr_status_t rv = sal_ping_claim(&jobs, &n, &seen, BATCH, LEASE, s->ping_rules, db, p, err),
                 ended;

    *any = rv == APR_SUCCESS && seen > 0;
    if (rv != APR_SUCCESS || n == 0) {
        return rv;
    }
    results = apr_pcalloc(p, sizeof(*results) * (apr_size_t)n);
    while (rv == APR_SUCCESS && done < n &&
           apr_time_now() - start < apr_time_from_sec(LEASE * 2 / 3)) {
        rv = sign_some(&done, jobs, results, n, watch, p, err);
    }
    ended = sal_ping_complete(&stored, jobs, results, done, db, p, err);
    if (ended == APR_SUCCESS && done < n) {
        ended = sal_ping_return(jobs + done, n - done, db, p, err);
    }
    if (ended == APR_SUCCESS) {
        sal_log(SAL_LOG_INFO, 5091, "%d crash pings signed in %d ms", stored,
                (int)apr_time_as_msec(apr_time_now() - start));
    }
    return ended != APR_SUCCESS ? ended : rv == APR_EINTR ? APR_SUCCESS : rv;
}
