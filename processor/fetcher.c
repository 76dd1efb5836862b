/*
 * Symbols of servers for walkers that have no sockets. A walker writes a question of names; the
 * worker looks whether it is one, and passes it on to the fetcher, a child of the worker that has
 * the network and nothing of the crash; the answer is a path in the cache, or why there is none.
 *
 * However slow servers are, a dump waits for them a bounded time. A download that takes longer goes
 * on without it: the next dump finds the file.
 */
#include "salvaged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <apr_general.h>
#include "base/file.h"
#include "base/log.h"
#include "upstream/upstream.h"

/* A walker that was taken over may ask for anything; a dump has not this many modules. */
#define QUESTIONS_MAX 10000

/* ---- the process ---- */

static void fetcher_main(const settings_t *s, int from, int to)
{
    sal_error_t err = { .message = "" };
    sal_upstream_t *u;
    apr_pool_t *p;

    dup2(from, STDIN_FILENO);
    dup2(to, STDOUT_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    if (sal_upstream_from_conf(&u, s->conf, NULL, p, &err) != APR_SUCCESS || !u) {
        sal_log(SAL_LOG_ERROR, 5060, "no symbols from servers: %s", err.message);
        _exit(EXIT_FAILED);
    }
    sal_upstream_serve(u, STDIN_FILENO, STDOUT_FILENO, p);
    _exit(EXIT_DONE);
}

static void fetcher_gone(fetcher_t *f)
{
    close(f->to);
    close(f->from);
    kill(f->pid, SIGKILL);
    while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR) {
        continue;
    }
    *f = (fetcher_t){ .pid = 0 };
}

static bool fetcher_start(fetcher_t *f, const settings_t *s, sal_error_t *err)
{
    int questions[2], answers[2];
    pid_t parent = getpid();

    if (pipe2(questions, O_CLOEXEC) != 0) {
        sal_fail_os(err, errno, "pipe for the fetcher");
        return false;
    }
    if (pipe2(answers, O_CLOEXEC) != 0) {
        sal_fail_os(err, errno, "pipe for the fetcher");
        close(questions[0]);
        close(questions[1]);
        return false;
    }
    f->pid = fork();
    if (f->pid == 0) {
        signals_default();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(EXIT_FAILED);
        }
        fetcher_main(s, questions[0], answers[1]);
    }
    close(questions[0]);
    close(answers[1]);
    f->to = questions[1];
    f->from = answers[0];
    f->owed = 0;
    f->have = 0;
    if (f->pid < 0) {
        sal_fail_os(err, errno, "cannot start the fetcher");
        close(f->to);
        close(f->from);
        f->pid = 0;
        return false;
    }
    return true;
}

bool fetcher_ask(fetcher_t *f, const settings_t *s, const char *line, size_t len, sal_error_t *err)
{
    if (!f->pid && !fetcher_start(f, s, err)) {
        return false;
    }
    /* One question a walker and few that were given up fit into a pipe: this does not block. */
    if (f->owed * (int)SAL_UPSTREAM_QUESTION_MAX > 8 * (int)SAL_UPSTREAM_QUESTION_MAX) {
        sal_fail(err, APR_TIMEUP, "downloads of earlier dumps are still under way");
        return false;
    }
    if (sal_fd_write_all(f->to, line, len) != APR_SUCCESS) {
        fetcher_gone(f);
        sal_fail(err, APR_EGENERAL, "the fetcher has ended");
        return false;
    }
    return true;
}

bool fetcher_answer(fetcher_t *f, size_t *len)
{
    ssize_t n = read(f->from, f->buf + f->have, sizeof(f->buf) - f->have);
    char *end;

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return false;
    }
    if (n <= 0) {
        fetcher_gone(f);
        return false;
    }
    f->have += (size_t)n;
    while ((end = memchr(f->buf, '\n', f->have)) != NULL) {
        *len = (size_t)(end + 1 - f->buf);
        if (f->owed == 0) {
            return true;
        }
        f->owed--;
        fetcher_taken(f, *len);
    }
    if (f->have == sizeof(f->buf)) {
        fetcher_gone(f);
    }
    return false;
}

void fetcher_taken(fetcher_t *f, size_t len)
{
    f->have -= len;
    memmove(f->buf, f->buf + len, f->have);
}

/* ---- between a walker and it ---- */

apr_time_t relay_waited(const relay_t *r)
{
    return r->waited + (r->asked ? apr_time_now() - r->asked : 0);
}

/* The walker reads one line a question; its pipe is empty, so this does not block. */
static void reply(relay_t *r, const char *line, size_t len)
{
    if (r->asked) {
        r->waited += apr_time_now() - r->asked;
        r->asked = 0;
    }
    if (sal_fd_write_all(r->to, line, len) != APR_SUCCESS) {
        close(r->from); /* it is dead, or does not read: nothing more is taken from it */
        r->from = -1;
    }
}

static void refuse(relay_t *r, const char *reason)
{
    char line[sizeof(((sal_error_t *)0)->message) + 40];
    int n = snprintf(line, sizeof(line), "fail\tdownload failed: %s\n", reason);

    reply(r, line, (size_t)n);
}

static void pass_on(relay_t *r, size_t len)
{
    sal_error_t err = { .message = "" };

    if (!sal_upstream_question_ok(r->buf, len - 1, false) || ++r->questions > QUESTIONS_MAX) {
        refuse(r, "not a question");
    } else if (r->waited >= apr_time_from_sec(r->settings->fetch_time)) {
        refuse(r, "the time for downloads is over");
    } else if (!fetcher_ask(r->fetcher, r->settings, r->buf, len, &err)) {
        refuse(r, err.message);
    } else {
        r->asked = apr_time_now();
    }
}

static void take_question(relay_t *r)
{
    ssize_t n = read(r->from, r->buf + r->have, sizeof(r->buf) - r->have);
    char *end;

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n <= 0 || r->asked) { /* gone, or speaks out of turn */
        close(r->from);
        r->from = -1;
        return;
    }
    r->have += (size_t)n;
    end = memchr(r->buf, '\n', r->have);
    if (end) {
        size_t len = (size_t)(end + 1 - r->buf);

        pass_on(r, len);
        r->have = 0; /* what follows a question came out of turn */
    } else if (r->have == sizeof(r->buf)) {
        close(r->from);
        r->from = -1;
    }
}

static void take_answer(relay_t *r)
{
    size_t len;

    if (fetcher_answer(r->fetcher, &len)) {
        reply(r, r->fetcher->buf, len);
        fetcher_taken(r->fetcher, len);
    } else if (!r->fetcher->pid) {
        refuse(r, "the fetcher has ended");
    }
}

void relay_turn(relay_t *r, bool question, bool answer)
{
    if (question && r->from >= 0) {
        take_question(r);
    }
    if (answer && r->asked && r->fetcher->pid) {
        take_answer(r);
    }
    if (r->asked && relay_waited(r) >= apr_time_from_sec(r->settings->fetch_time)) {
        r->fetcher->owed += r->fetcher->pid != 0;
        refuse(r, "the time for downloads is over");
    }
}

void relay_abandon(relay_t *r)
{
    if (r->asked && r->fetcher->pid) {
        r->fetcher->owed++;
    }
}

void relay_end(relay_t *r)
{
    relay_abandon(r);
    if (r->from >= 0) {
        close(r->from);
    }
    if (r->to >= 0) {
        close(r->to);
    }
}
