/*
 * The worker's side of a walk: forks the walker, reads its result within a time and a size, keeps
 * the lease alive meanwhile (tick), and says how it ended.
 */
#include "salvaged.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <apr_strings.h>
#include "base/json.h"

#define OUTPUT_MAX ((size_t)64 << 20)
#define TICK_MS 1000
#define GRACE_MS 2000 /* from the end of the output to the end of the process */

typedef struct watch_t {
    const walk_t *walk;
    pid_t pid;
    int fd;
    relay_t relay;
    char *out; /* malloc'd: it may be large */
    size_t size, cap;
    bool timed_out, too_big;
    apr_status_t stopped; /* what the tick wants the walk to fail with */
} watch_t;

/* Pipes: the walker's result, its questions, the answers; six ends, -1 what there is not. */
typedef struct pipes_t {
    int ours[3], walkers[3];
} pipes_t;

static void close_all(const int fds[3])
{
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static apr_status_t open_pipes(pipes_t *pipes, bool questions, sal_error_t *err)
{
    *pipes = (pipes_t){ { -1, -1, -1 }, { -1, -1, -1 } };
    for (int i = 0; i < (questions ? 3 : 1); i++) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) != 0) {
            int code = errno;

            close_all(pipes->ours);
            close_all(pipes->walkers);
            return sal_fail_os(err, code, "pipe for the walker");
        }
        pipes->ours[i] = ends[i == 2];
        pipes->walkers[i] = ends[i != 2];
    }
    return APR_SUCCESS;
}

static apr_status_t start(watch_t *w, sal_span_t dump, const json_t *raw, sal_error_t *err)
{
    const settings_t *s = w->walk->settings;
    pid_t parent = getpid();
    pipes_t pipes;
    apr_status_t rv = open_pipes(&pipes, s->upstream && s->supplier && w->walk->fetcher, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    w->pid = fork();
    if (w->pid == 0) {
        signals_default();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(EXIT_FAILED);
        }
        walker_main(s, dump, raw, pipes.walkers);
    }
    close_all(pipes.walkers);
    w->fd = pipes.ours[0];
    w->relay = (relay_t){
        .settings = s, .fetcher = w->walk->fetcher, .from = pipes.ours[1], .to = pipes.ours[2]
    };
    if (w->pid < 0) {
        int code = errno;

        close_all(pipes.ours);
        return sal_fail_os(err, code, "cannot start the walker");
    }
    return APR_SUCCESS;
}

/* False at the end of the output or when there is too much of it. */
static bool take(watch_t *w)
{
    ssize_t n;

    if (w->size == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256 * 1024;
        char *more = cap <= 2 * OUTPUT_MAX ? realloc(w->out, cap) : NULL;

        if (!more) {
            w->too_big = true;
            return false;
        }
        w->out = more;
        w->cap = cap;
    }
    n = read(w->fd, w->out + w->size, w->cap - w->size);
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    w->size += (size_t)n;
    w->too_big = w->size > OUTPUT_MAX;
    return n > 0 && !w->too_big;
}

/* Waits until something happens, at most until then; what happened is acted upon. */
static bool turn(watch_t *w, apr_time_t *next, apr_interval_time_t most)
{
    enum { RESULT, WAKE, QUESTION, ANSWER, FDS };
    bool open = w->relay.asked != 0 && w->walk->fetcher->pid != 0;
    struct pollfd fds[FDS] = { { w->fd, POLLIN, 0 },
                               { w->walk->wake_fd, POLLIN, 0 },
                               { w->relay.from, POLLIN, 0 },
                               { open ? w->walk->fetcher->from : -1, POLLIN, 0 } };
    bool more = true;

    if (poll(fds, FDS, (int)apr_time_as_msec(most) + 1) > 0) {
        *next = fds[WAKE].revents ? 0 : *next;
        more = !fds[RESULT].revents || take(w);
    } else {
        fds[QUESTION].revents = fds[ANSWER].revents = 0;
    }
    relay_turn(&w->relay, fds[QUESTION].revents != 0, fds[ANSWER].revents != 0);
    return more;
}

/* Reads until the end, the time limit, or the tick's word. */
static void watch(watch_t *w)
{
    apr_time_t begun = apr_time_now();
    apr_interval_time_t limit = apr_time_from_sec(w->walk->settings->walk_timeout);
    apr_time_t next = 0;
    bool more = true;

    while (more) {
        apr_time_t now = apr_time_now();
        apr_interval_time_t left = begun + limit + relay_waited(&w->relay) - now;

        if (left <= 0) {
            w->timed_out = true;
            return;
        }
        if (now >= next) {
            if (w->walk->tick(w->walk->baton, &w->stopped) == WALK_STOP) {
                return;
            }
            next = now + apr_time_from_msec(TICK_MS);
        }
        more =
            turn(w, &next, left < apr_time_from_msec(TICK_MS) ? left : apr_time_from_msec(TICK_MS));
    }
}

/* A walker that has closed its output but does not end is killed. */
static int reap(watch_t *w, bool kill_now)
{
    int status = 0;

    for (int waited = 0; !kill_now && waited < GRACE_MS; waited += 5) {
        pid_t done = waitpid(w->pid, &status, WNOHANG);

        if (done == w->pid || (done < 0 && errno != EINTR)) {
            return status;
        }
        apr_sleep(apr_time_from_msec(waited < 50 ? 1 : 5));
    }
    kill(w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
        continue;
    }
    return status;
}

static void no_result(sal_walk_result_t *out, const char *error, apr_pool_t *p)
{
    out->exit_code = out->exit_code ? out->exit_code : 1;
    out->log = apr_pstrcat(p, "ERROR ", error, NULL);
}

/* The walker's JSON; a walker that was taken over may have written anything. */
static void read_result(sal_walk_result_t *out, const watch_t *w, apr_pool_t *p)
{
    json_t *result = json_loadb(w->out, w->size, JSON_ALLOW_NUL, NULL);
    const char *error = sal_json_str(result, "error");
    const char *status = NULL;

    if (error) {
        no_result(out, error, p);
    } else if (json_is_object(json_object_get(result, "doc")) && out->exit_code == 0) {
        out->doc = json_incref(json_object_get(result, "doc"));
        status = sal_json_str(out->doc, "status");
        out->status = status ? apr_pstrdup(p, status) : "OK";
    } else if (out->exit_code == 0) {
        no_result(out, "UnknownError - the walker's output is no result", p);
    }
    json_decref(result);
}

apr_status_t walk_in_child(sal_walk_result_t *out, sal_span_t dump, const json_t *raw, void *baton,
                           apr_pool_t *p, sal_error_t *err)
{
    watch_t w = { .walk = baton };
    apr_status_t rv = start(&w, dump, raw, err);
    int status;

    *out = (sal_walk_result_t){ .status = "unknown error", .log = "" };
    if (rv != APR_SUCCESS) {
        return rv;
    }
    watch(&w);
    relay_end(&w.relay);
    close(w.fd);
    status = reap(&w, w.timed_out || w.too_big || w.stopped != APR_SUCCESS);
    out->exit_code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    out->timed_out = w.timed_out;
    if (w.stopped != APR_SUCCESS) {
        rv = sal_fail(err, w.stopped, "the walk was stopped");
    } else if (w.too_big) {
        no_result(out, "UnknownError - the walker's output is over its limit", p);
    } else if (!w.timed_out) {
        read_result(out, &w, p);
    }
    free(w.out);
    return rv;
}
