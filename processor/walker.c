/*
 * The walker: a child of a worker that walks one dump and writes the outcome to a pipe, as
 * {"us": ..., "doc": ...} or {"error": "NAME - reason"}. Whatever the dump does to it, it costs one
 * crash report. It never returns into the worker's code and runs none of its cleanups.
 */
#include "salvaged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "analysis/stackwalk.h"
#include "base/file.h"

typedef struct writer_t {
    size_t n;
    char buf[65536];
} writer_t;

static int flush(writer_t *w)
{
    apr_status_t rv = sal_fd_write_all(RESULT_FD, w->buf, w->n);

    w->n = 0;
    return rv == APR_SUCCESS ? 0 : -1;
}

/* jansson writes a few bytes at a time. */
static int put(const char *data, size_t size, void *baton)
{
    writer_t *w = baton;

    while (size > 0) {
        size_t n = size < sizeof(w->buf) - w->n ? size : sizeof(w->buf) - w->n;

        memcpy(w->buf + w->n, data, n);
        w->n += n;
        data += n;
        size -= n;
        if (w->n == sizeof(w->buf) && flush(w) != 0) {
            return -1;
        }
    }
    return 0;
}

static void write_result(const json_t *result)
{
    static writer_t writer;

    if (json_dump_callback(result, put, &writer, JSON_COMPACT) != 0 || flush(&writer) != 0) {
        _exit(EXIT_FAILED);
    }
    close(RESULT_FD); /* before the memory goes, which takes as long as to read the result */
}

/* An allocation that the limit refused ends the walk with a reason instead of a fault. */
static int out_of_memory(int code)
{
    static const char text[] = "{\"error\":\"MemoryReadFailure - the walker ran out of memory\"}";

    (void)code;
    (void)!write(RESULT_FD, text, sizeof(text) - 1);
    _exit(EXIT_FAILED);
}

static void fail(const char *what)
{
    json_t *result = json_pack("{s:s+}", "error", "UnknownError - ", what);

    write_result(result);
    _exit(EXIT_FAILED);
}

/*
 * Of the worker's descriptors only the pipes and the log stay: no socket to the database, none to
 * anything. They may lie where they are to go, so all are moved out of the way first.
 */
void child_keep_only(const int fds[3])
{
    int null = open("/dev/null", O_RDWR);
    int away[3];

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    for (int i = 0; i < 3; i++) {
        away[i] = fcntl(fds[i] < 0 ? null : fds[i], F_DUPFD, ANSWER_FD + 1);
    }
    for (int i = 0; i < 3; i++) {
        dup2(away[i], RESULT_FD + i);
    }
    close_range(ANSWER_FD + 1, ~0U, 0);
}

void walker_main(const settings_t *s, sal_span_t dump, const json_t *raw, const int fds[3])
{
    sal_stackwalk_opts_t opts = { .supplier = s->supplier, .extra = raw };
    sal_error_t err = { .message = "" };
    json_t *doc = NULL, *result;
    apr_time_t start;
    apr_pool_t *p;

    test_hook("uncaged", raw);
    child_keep_only(fds);
    if (!sandbox_limits(s->walk_memory, s->walk_timeout + 5)) {
        fail("the walker's limits cannot be set");
    }
    if (!sandbox_system_calls()) {
        fail("the walker's system call filter cannot be set");
    }
    test_hook("walker", raw);
    apr_pool_create_ex(&p, NULL, out_of_memory, NULL);
    start = apr_time_now();
    if (sal_stackwalk_bytes(&doc, dump, &opts, p, &err) != APR_SUCCESS) {
        result = json_object();
        json_object_set_new(result, "error",
                            json_string(*err.message ? err.message : "UnknownError - no reason"));
        write_result(result);
        _exit(EXIT_FAILED);
    }
    result = json_object();
    json_object_set_new(result, "us", json_integer(apr_time_now() - start));
    json_object_set_new(result, "doc", doc);
    write_result(result);
    _exit(EXIT_DONE);
}
