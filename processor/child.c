/*
 * A child process in a cage, watched by its worker: forked, its output read within a time and a
 * size, its questions relayed, the lease kept alive meanwhile (tick), its end told. Knows nothing
 * of what it does.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <apr_strings.h>
#include "base/json.h"

#define OUTPUT_MAX ((size_t)64 << 20)
#define TICK_MS 1000
#define GRACE_MS 2000 /* from the end of the output to the end of the process */

void child_close(const int fds[CHILD_PIPES])
{
    for (int i = 0; i < CHILD_PIPES; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

apr_status_t child_pipes(pipes_t *pipes, bool questions, bool requests, sal_error_t *err)
{
    const bool wanted[CHILD_PIPES] = { true, questions, questions, requests };
    const bool inward[CHILD_PIPES] = { false, false, true, true };

    *pipes = (pipes_t){ { -1, -1, -1, -1 }, { -1, -1, -1, -1 } };
    for (int i = 0; i < CHILD_PIPES; i++) {
        int ends[2];

        if (wanted[i] && pipe2(ends, O_CLOEXEC) != 0) {
            int code = errno;

            child_close(pipes->ours);
            child_close(pipes->childs);
            return sal_fail_os(err, code, "pipe for a child");
        }
        if (wanted[i]) {
            pipes->ours[i] = ends[inward[i]];
            pipes->childs[i] = ends[!inward[i]];
        }
    }
    return APR_SUCCESS;
}

pid_t child_fork(sal_error_t *err)
{
    pid_t parent = getpid(), pid;

    (void)sandbox_prepare(); /* if it cannot be had, the child will say so */
    pid = fork();
    if (pid == 0) {
        signals_default();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(EXIT_FAILED);
        }
    } else if (pid < 0) {
        sal_fail_os(err, errno, "cannot start a child");
    }
    return pid;
}

static apr_status_t start(watch_t *w, child_main_fn run, void *job, sal_error_t *err)
{
    const settings_t *s = w->walk->settings;
    pipes_t pipes;
    apr_status_t rv =
        child_pipes(&pipes, s->upstream && s->supplier && w->walk->fetcher != NULL, false, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    w->pid = child_fork(err);
    if (w->pid == 0) {
        run(s, job, pipes.childs);
        _exit(EXIT_FAILED);
    }
    child_close(pipes.childs);
    if (w->pid < 0) {
        child_close(pipes.ours);
        return APR_EGENERAL;
    }
    w->fd = pipes.ours[0];
    w->relay = (relay_t){
        .settings = s, .fetcher = w->walk->fetcher, .from = pipes.ours[1], .to = pipes.ours[2]
    };
    return APR_SUCCESS;
}

/* A packed result says how long it is; a text ends with its writer. */
static bool is_whole(const child_end_t *end)
{
    uint64_t size;

    if (end->size < PACKED_HEAD || end->out[0] != PACKED) {
        return false;
    }
    memcpy(&size, end->out + 1, sizeof(size));
    return size == end->size - PACKED_HEAD;
}

/* False at the end of the output or when there is too much of it. */
static bool take(watch_t *w)
{
    ssize_t n;

    if (w->end->size == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256 * 1024;
        char *more = cap <= 2 * OUTPUT_MAX ? realloc(w->end->out, cap) : NULL;

        if (!more) {
            w->end->too_big = true;
            return false;
        }
        w->end->out = more;
        w->cap = cap;
    }
    n = read(w->fd, w->end->out + w->end->size, w->cap - w->end->size);
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    w->end->size += (size_t)n;
    w->end->too_big = w->end->size > OUTPUT_MAX;
    w->end->whole = n > 0 && w->framed && is_whole(w->end);
    return n > 0 && !w->end->too_big && !w->end->whole;
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

void child_watch(watch_t *w)
{
    apr_time_t begun = apr_time_now();
    apr_interval_time_t limit = apr_time_from_sec(w->walk->timeout);
    apr_time_t next = 0;
    bool more = true;

    while (more) {
        apr_time_t now = apr_time_now();
        apr_interval_time_t left = begun + limit + relay_waited(&w->relay) - now;

        if (left <= 0) {
            w->end->timed_out = true;
            return;
        }
        if (now >= next) {
            if (w->walk->tick(w->walk->baton, &w->end->stopped) == WALK_STOP) {
                return;
            }
            next = now + apr_time_from_msec(TICK_MS);
        }
        more =
            turn(w, &next, left < apr_time_from_msec(TICK_MS) ? left : apr_time_from_msec(TICK_MS));
    }
}

/* Until the child has ended, at most so long. False: it has not. */
static bool await_end(pid_t pid, int ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { fd, POLLIN, 0 };
    bool ended;

    for (int waited = 0; fd < 0 && waited < ms; waited += 5) { /* not allowed here: look at times */
        siginfo_t info = { 0 };

        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid) {
            return true;
        }
        apr_sleep(apr_time_from_msec(waited < 50 ? 1 : 5));
    }
    if (fd < 0) {
        return false;
    }
    ended = poll(&p, 1, ms) > 0;
    close(fd);
    return ended;
}

void child_reap(watch_t *w, bool kill_now)
{
    int status = 0;

    if (kill_now || !await_end(w->pid, GRACE_MS)) {
        kill(w->pid, SIGKILL);
    }
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
        continue;
    }
    w->end->exit_code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

bool child_failed(const child_end_t *end)
{
    return end->timed_out || end->too_big || end->stopped != APR_SUCCESS;
}

apr_status_t child_run(child_end_t *out, const walk_t *walk, child_main_fn run,
                       child_output_fn read, void *job, sal_error_t *err)
{
    watch_t w = { .walk = walk, .end = out };
    apr_status_t rv;

    memset(out, 0, sizeof(*out));
    if ((rv = start(&w, run, job, err)) != APR_SUCCESS) {
        return rv;
    }
    child_watch(&w);
    relay_end(&w.relay);
    close(w.fd);
    if (read && !child_failed(out)) {
        read(out, job);
    }
    child_reap(&w, child_failed(out));
    return APR_SUCCESS;
}
