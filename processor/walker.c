/*
 * The walker: a child of a worker that walks a dump and writes the outcome to a pipe, packed:
 * {"us": ..., "doc": ...} or {"error": "NAME - reason"}. Whatever the dump does to it, it costs one
 * crash report. It never returns into the worker's code and runs none of its cleanups. A kept
 * walker (kept.c) takes one dump after the other for as long as all goes well: what fails ends it.
 */
#include "salvaged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include "analysis/stackwalk.h"
#include "base/file.h"
#include "base/json_pack.h"

/* An allocation that the limit refused ends the walk with a reason instead of a fault. */
static int out_of_memory(int code)
{
    static const char text[] = "{\"error\":\"MemoryReadFailure - the walker ran out of memory\"}";

    (void)code;
    (void)!write(RESULT_FD, text, sizeof(text) - 1);
    _exit(EXIT_FAILED);
}

static void write_result(const json_t *result)
{
    unsigned char head[PACKED_HEAD] = { PACKED };
    apr_size_t size;
    uint64_t n;
    void *data;

    if (sal_json_pack(&data, &size, result) != APR_SUCCESS) {
        out_of_memory(APR_ENOMEM);
    }
    n = size;
    memcpy(head + 1, &n, sizeof(n));
    if (sal_fd_write_all(RESULT_FD, head, sizeof(head)) != APR_SUCCESS ||
        sal_fd_write_all(RESULT_FD, data, size) != APR_SUCCESS) {
        _exit(EXIT_FAILED);
    }
    free(data);
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
void child_keep_only(const int *fds, int n)
{
    int null = open("/dev/null", O_RDWR);
    int away[ROOM_FD - RESULT_FD + 1];

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    for (int i = 0; i < n; i++) {
        away[i] = fcntl(fds[i] < 0 ? null : fds[i], F_DUPFD, ROOM_FD + 1);
    }
    for (int i = 0; i < n; i++) {
        dup2(away[i], RESULT_FD + i);
    }
    close_range((unsigned)(RESULT_FD + n), ~0U, 0);
}

static void enter_cage(const settings_t *s)
{
    if (!sandbox_limits(s->walk_memory, s->walk_timeout + 5)) {
        fail("the walker's limits cannot be set");
    }
    if (!sandbox_system_calls()) {
        fail("the walker's system call filter cannot be set");
    }
}

/* Walks and tells; a dump that cannot be walked ends the walker. last: nothing comes after it. */
static void walk(const settings_t *s, sal_span_t dump, const json_t *raw, bool last, apr_pool_t *p)
{
    sal_stackwalk_opts_t opts = { .supplier = s->supplier, .extra = raw };
    sal_error_t err = { .message = "" };
    apr_time_t start = apr_time_now();
    json_t *doc = NULL, *result;

    test_hook("walker", raw);
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
    if (last) {
        close(RESULT_FD); /* the memory goes while the worker reads */
        _exit(EXIT_DONE);
    }
    json_decref(result);
}

void walker_main(const settings_t *s, sal_span_t dump, const json_t *raw, const int fds[3])
{
    apr_pool_t *p;

    test_hook("uncaged", raw);
    child_keep_only(fds, 3);
    enter_cage(s);
    apr_pool_create_ex(&p, NULL, out_of_memory, NULL);
    walk(s, dump, raw, true, p);
    _exit(EXIT_DONE);
}

/* The worker's next wish; false when it has closed its end. */
static bool next_request(kept_request_t *r)
{
    ssize_t n;

    do {
        n = read(REQUEST_FD, r, sizeof(*r)); /* it is written as one piece */
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*r);
}

void walker_stay(const settings_t *s, const int fds[5])
{
    kept_request_t r;
    apr_pool_t *p;

    child_keep_only(fds, 5);
    enter_cage(s);
    apr_pool_create_ex(&p, NULL, out_of_memory, NULL);
    while (next_request(&r)) {
        size_t size = (size_t)(r.dump + r.raw);
        unsigned char *room = mmap(NULL, size, PROT_READ, MAP_PRIVATE, ROOM_FD, 0);
        json_t *raw;

        if (room == MAP_FAILED) {
            fail("the dump cannot be mapped");
        }
        raw = json_loadb((const char *)room + r.dump, (size_t)r.raw, JSON_ALLOW_NUL, NULL);
        walk(s, (sal_span_t){ .data = room, .size = (size_t)r.dump }, raw, false, p);
        json_decref(raw);
        apr_pool_clear(p);
        munmap(room, size);
        if (s->supplier) {
            sal_supplier_recheck(s->supplier); /* each crash sees the symbols of its time */
        }
    }
    _exit(EXIT_DONE);
}
