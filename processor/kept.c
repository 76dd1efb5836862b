/*
 * The kept walker: a child in the cage that walks one small dump after the other, for a fork and
 * the page faults behind it cost more than most walks.
 *
 * What a dump does to it must not reach the next crash. So it is ended by whatever is not a good
 * document (a fault, a time-out, a dump that cannot be read), after WALKS_MAX dumps and when the
 * worker has nothing to do; and a result that is not good, of a walker that had walked others
 * before, is thrown away and the dump walked in a child of its own. Dumps of jobs that were tried
 * before never come here (docs/processor.md).
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/json.h"

#define DUMP_MAX ((size_t)4 << 20) /* the copy of a larger one costs more than a fork */
#define WALKS_MAX 200
#define RESULT_PIPE (1 << 20)

/* ---- its life ---- */

void kept_end(kept_t *kept)
{
    if (!kept->pid) {
        return;
    }
    kill(kept->pid, SIGKILL);
    while (waitpid(kept->pid, NULL, 0) < 0 && errno == EINTR) {
        continue;
    }
    child_close(kept->fds);
    close(kept->room);
    *kept = (kept_t){ 0 };
}

static bool make(kept_t *kept, const walk_t *walk)
{
    const settings_t *s = walk->settings;
    sal_error_t err;
    pipes_t pipes;
    int room = memfd_create("dump", MFD_CLOEXEC);
    pid_t pid;

    if (room < 0 ||
        child_pipes(&pipes, s->upstream && s->supplier && walk->fetcher != NULL, true, &err)) {
        close(room);
        return false;
    }
    if ((pid = child_fork(&err)) == 0) {
        const int fds[] = { pipes.childs[0], pipes.childs[1], pipes.childs[2], pipes.childs[3],
                            room };

        walker_stay(s, fds);
    }
    child_close(pipes.childs);
    if (pid < 0) {
        child_close(pipes.ours);
        close(room);
        return false;
    }
    (void)fcntl(pipes.ours[0], F_SETPIPE_SZ, RESULT_PIPE); /* fewer turns; it works without */
    *kept = (kept_t){ .pid = pid, .room = room };
    memcpy(kept->fds, pipes.ours, sizeof(kept->fds));
    return true;
}

/* ---- one dump ---- */

/* Of a raw crash a walk looks at these only (docs/stackwalk.md "Annotations"). */
static char *needed_of(const json_t *raw)
{
    static const char *const keys[] = {
        "ModuleSignatureInfo",
        "CPUMicrocodeVersion",
#ifdef SAL_TEST_HOOKS
        "SalvageTestHook",
#endif
    };
    json_t *out = json_object();
    char *text;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_t *v = json_object_get(raw, keys[i]);

        if (v) {
            json_object_set(out, keys[i], v);
        }
    }
    text = json_dumps(out, JSON_COMPACT);
    json_decref(out);
    return text;
}

static bool put(int fd, off_t at, const void *data, size_t size)
{
    const char *from = data;

    while (size > 0) {
        ssize_t n = pwrite(fd, from, size, at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        from += n;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* Only pwrite touches the room here: a walker that was taken over may cut it short at any time. */
static bool ask(kept_t *kept, sal_span_t dump, const json_t *raw)
{
    char *text = needed_of(raw);
    kept_request_t r = { dump.size, text ? strlen(text) : 0 };
    bool done = text && ftruncate(kept->room, (off_t)(r.dump + r.raw)) == 0 &&
                put(kept->room, 0, dump.data, dump.size) &&
                put(kept->room, (off_t)r.dump, text, (size_t)r.raw) &&
                sal_fd_write_all(kept->fds[3], &r, sizeof(r)) == APR_SUCCESS;

    free(text);
    kept->walks++;
    return done;
}

/* As child_run ends one: how it ended is in the result. */
static void end_failed(kept_t *kept, watch_t *w)
{
    child_close(kept->fds);
    close(kept->room);
    child_reap(w, child_failed(w->end));
    *kept = (kept_t){ 0 };
}

bool kept_walk(child_end_t *out, const walk_t *walk, sal_span_t dump, const json_t *raw,
               child_output_fn read, bool (*good)(const void *job), void *job)
{
    kept_t *kept = walk->kept;
    watch_t w = { .walk = walk, .end = out, .framed = true };
    bool alone, fine;

    memset(out, 0, sizeof(*out));
    if (!kept || dump.size > DUMP_MAX || test_hook_alone(raw)) {
        return false;
    }
    if (kept->walks >= WALKS_MAX) {
        kept_end(kept);
    }
    if (!kept->pid && !make(kept, walk)) {
        return false;
    }
    alone = kept->walks == 0;
    if (!ask(kept, dump, raw)) {
        kept_end(kept);
        return false;
    }
    w.pid = kept->pid;
    w.fd = kept->fds[0];
    w.relay = (relay_t){
        .settings = walk->settings,
        .fetcher = walk->fetcher,
        .from = kept->fds[1],
        .to = kept->fds[2],
    };
    child_watch(&w);
    if (!child_failed(out)) {
        read(out, job);
    }
    /* a question that is open, or was out of turn, is no way to end */
    fine = out->whole && !child_failed(out) && !w.relay.asked && w.relay.from == kept->fds[1] &&
           good(job);
    if (fine) {
        return true;
    }
    relay_abandon(&w.relay);
    kept->fds[1] = w.relay.from; /* closed if it was out of turn */
    end_failed(kept, &w);
    return alone || out->stopped != APR_SUCCESS;
}
