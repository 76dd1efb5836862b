/*
 * The dumper: a child of a worker that turns a program and its debug file into the text of symbols,
 * in the same cage as a walker. It reads hostile files: whatever they do to it costs one job. The
 * outcome goes to a pipe as {"error": ..., "code": ...} or {"functions": ...}.
 */
#include "salvaged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "dumpsyms/dumpsyms.h"

/* Next to RESULT_FD, in place of the pipes of a walker. */
#define OUT_FD 4
#define DEBUG_FD 5
#define OUTPUT_MAX (UINT64_C(8) << 30)

static void answer(const char *text, size_t size)
{
    if (sal_fd_write_all(RESULT_FD, text, size) != APR_SUCCESS) {
        _exit(EXIT_FAILED);
    }
}

static void fail(apr_status_t code, const char *why) __attribute__((noreturn));
static void fail(apr_status_t code, const char *why)
{
    json_t *o = json_pack("{s:s, s:i}", "error", *why ? why : "no reason", "code", (int)code);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

    if (text) {
        answer(text, strlen(text));
    }
    _exit(EXIT_FAILED);
}

static int out_of_memory(int code)
{
    static const char text[] = "{\"error\":\"it needs more than dump-memory\",\"code\":12}";

    (void)code;
    answer(text, sizeof(text) - 1);
    _exit(EXIT_FAILED);
}

/* Only the log and what is handed over stay open; first out of each other's way, then in place. */
static void keep(int result, int out, int debug)
{
    int null = open("/dev/null", O_RDWR), r = fcntl(result, F_DUPFD, 16),
        o = fcntl(out, F_DUPFD, 16), d = debug < 0 ? -1 : fcntl(debug, F_DUPFD, 16);

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(r, RESULT_FD);
    dup2(o, OUT_FD);
    dup2(d < 0 ? null : d, DEBUG_FD);
    close_range(DEBUG_FD + 1, ~0U, 0);
}

static void dump(const dump_files_t *files, apr_pool_t *p)
{
    const char *debug =
        files->debug_fd >= 0 ? "/proc/self/fd/5" : files->debug; /* inflated, without a name */
    sal_dumpsyms_opts_t opts = { .debug_path = files->program ? debug : NULL,
                                 .name = files->name,
                                 .no_search = true,
                                 .threads = 1,
                                 .max_output = OUTPUT_MAX };
    sal_dumpsyms_info_t info = { 0 };
    sal_error_t err = { .message = "" };
    FILE *out = fdopen(OUT_FD, "w");
    char text[200];
    apr_status_t rv;
    int n;

    if (!out) {
        fail(errno, "no memory for the output");
    }
    rv = sal_dumpsyms_write(out, &info, files->program ? files->program : debug, &opts, p, &err);
    if (rv != APR_SUCCESS) {
        fail(rv, err.message);
    }
    if (fflush(out) || ferror(out)) {
        fail(errno, "the symbols cannot be written: no room, or over the limit");
    }
    n = snprintf(text, sizeof(text), "{\"functions\":%u,\"publics\":%u,\"lines\":%u,\"cfi\":%u}",
                 info.functions, info.publics, info.lines, info.cfi);
    answer(text, (size_t)n);
}

void dumper_main(const settings_t *s, void *job, const int fds[3])
{
    const dump_files_t *files = job;
    apr_pool_t *p;

    keep(fds[0], files->out_fd, files->debug_fd);
    unsetenv("DEBUGINFOD_URLS");
    if (!sandbox_limits(s->dump_memory, s->dump_timeout + 5)) {
        fail(errno, "the dumper's limits cannot be set");
    }
    if (!sandbox_system_calls()) {
        fail(errno, "the dumper's system call filter cannot be set");
    }
    test_hook("dumper", NULL);
    apr_pool_create_ex(&p, NULL, out_of_memory, NULL);
    dump(files, p);
    _exit(EXIT_DONE);
}
