/*
 * The supervisor: starts the housekeeper and the workers, starts anew what dies, ends all in order.
 * It holds no connection and reads no crash, so nothing a crash contains can reach it.
 */
#include "salvaged.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"

#define QUICK_DEATH 5   /* a process that lived shorter than this many seconds... */
#define PAUSE_MAX 30    /* ...is started again after 1, 2, 4 ... seconds */
#define KILL_AFTER 15   /* seconds past the drain time */
#define ONCE_DEATHS 100 /* of workers, after which --once gives up */

typedef struct slot_t {
    int number;                   /* 0: the housekeeper */
    pid_t pid;                    /* 0: not running */
    apr_time_t started, start_at; /* start_at 0: never again */
    int quick;                    /* deaths in a row shortly after the start */
    bool asked;                   /* we have asked it to end */
} slot_t;

typedef struct supervisor_t {
    const char *conf_path;
    int workers_option;
    settings_t *settings;
    apr_pool_t *pool;
    slot_t slot[257];
    int slots;
    int signals;
    bool stopping, failed;
    int deaths;
    apr_time_t kill_at;
} supervisor_t;

/* ---- children ---- */

static void start_slot(supervisor_t *sv, slot_t *slot)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        int code = EXIT_FAILED;

        close(sv->signals);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == parent) {
            code = slot->number ? worker_run(sv->settings, slot->number)
                                : housekeeper_run(sv->settings);
        }
        _exit(code);
    }
    slot->started = apr_time_now();
    slot->asked = false;
    if (pid < 0) {
        sal_log(SAL_LOG_ERROR, 5040, "cannot fork: %s", strerror(errno));
        slot->start_at = slot->started + apr_time_from_sec(PAUSE_MAX);
        return;
    }
    slot->pid = pid;
}

/* When a process that has ended is to be started again. */
static void plan_start(supervisor_t *sv, slot_t *slot, bool clean)
{
    apr_time_t now = apr_time_now();
    int pause = 1;

    if (sv->stopping || (sv->settings->once && clean)) {
        slot->start_at = 0;
        return;
    }
    if (clean || slot->asked) {
        slot->start_at = now;
        return;
    }
    slot->quick = now - slot->started < apr_time_from_sec(QUICK_DEATH) ? slot->quick + 1 : 0;
    for (int i = 1; i < slot->quick && pause < PAUSE_MAX; i++) {
        pause *= 2;
    }
    slot->start_at =
        now + (slot->quick ? apr_time_from_sec(pause < PAUSE_MAX ? pause : PAUSE_MAX) : 0);
}

static const char *slot_name(const slot_t *slot)
{
    return slot->number ? "worker" : "housekeeper";
}

static void slot_ended(supervisor_t *sv, slot_t *slot, int status)
{
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DONE;

    if (WIFSIGNALED(status)) {
        sal_log(SAL_LOG_ERROR, 5041,
                "%s %ld was killed by signal %d; its job goes to another "
                "worker when the lease has run out",
                slot_name(slot), (long)slot->pid, WTERMSIG(status));
    } else if (!clean) {
        sal_log(SAL_LOG_ERROR, 5042, "%s %ld ended with code %d", slot_name(slot), (long)slot->pid,
                WEXITSTATUS(status));
    }
    slot->pid = 0;
    if (!clean && sv->settings->once) {
        sv->deaths++;
        sv->failed = sv->failed || !WIFSIGNALED(status) || sv->deaths > ONCE_DEATHS;
        sv->stopping = sv->stopping || sv->failed;
    }
    plan_start(sv, slot, clean);
}

static void reap(supervisor_t *sv)
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (int i = 0; i < sv->slots; i++) {
            if (sv->slot[i].pid == pid) {
                slot_ended(sv, &sv->slot[i], status);
            }
        }
    }
}

static void signal_all(supervisor_t *sv, int number)
{
    for (int i = 0; i < sv->slots; i++) {
        if (sv->slot[i].pid) {
            sv->slot[i].asked = true;
            kill(sv->slot[i].pid, number);
        }
    }
}

/* ---- what signals ask for ---- */

/* New settings, then each process ends its job and is started again with them. */
static void reload(supervisor_t *sv)
{
    sal_error_t err;
    settings_t *fresh, *old = sv->settings;

    service_notify("RELOADING=1");
    if (settings_read(&fresh, sv->conf_path, sv->workers_option, sv->pool, &err) != APR_SUCCESS) {
        sal_log(SAL_LOG_ERROR, 5043, "the new configuration is not used: %s", err.message);
    } else {
        fresh->workers = old->workers; /* their number changes with a restart only */
        fresh->once = old->once;
        sv->settings = fresh;
        apr_pool_destroy(old->pool);
        signal_all(sv, SIGTERM);
        sal_log(SAL_LOG_NOTICE, 5044, "configuration and signature lists are read anew");
    }
    service_notify("READY=1");
}

static void stop(supervisor_t *sv)
{
    if (!sv->stopping) {
        sal_log(SAL_LOG_NOTICE, 5045, "stopping: running jobs get %d s", sv->settings->drain);
        service_notify("STOPPING=1");
    }
    sv->stopping = true;
    sv->kill_at = apr_time_now() + apr_time_from_sec(sv->settings->drain + KILL_AFTER);
    signal_all(sv, SIGTERM);
}

static void take_signals(supervisor_t *sv)
{
    for (int n; (n = signals_take(sv->signals)) != 0;) {
        if (n == SIGTERM || n == SIGINT) {
            stop(sv);
        } else if (n == SIGHUP && !sv->stopping) {
            reload(sv);
        }
    }
}

/* ---- the loop ---- */

/* Starts what is due; milliseconds until the next start, -1 if nothing waits for one. */
static int start_due(supervisor_t *sv)
{
    apr_time_t now = apr_time_now(), next = 0;

    for (int i = 0; i < sv->slots; i++) {
        slot_t *slot = &sv->slot[i];

        if (slot->pid || !slot->start_at || sv->stopping) {
            continue;
        }
        if (slot->start_at <= now) {
            start_slot(sv, slot);
        }
        if (!slot->pid && (!next || slot->start_at < next)) {
            next = slot->start_at;
        }
    }
    return next ? (int)apr_time_as_msec(next > now ? next - now : 0) + 1 : -1;
}

static bool anything_left(const supervisor_t *sv)
{
    for (int i = 0; i < sv->slots; i++) {
        if (sv->slot[i].pid || (sv->slot[i].start_at && !sv->stopping)) {
            return true;
        }
    }
    return false;
}

static void loop(supervisor_t *sv)
{
    while (anything_left(sv)) {
        struct pollfd fd = { sv->signals, POLLIN, 0 };
        int ms = start_due(sv);

        poll(&fd, 1, sv->stopping ? 1000 : ms);
        take_signals(sv);
        reap(sv);
        if (sv->stopping && sv->kill_at && apr_time_now() >= sv->kill_at) {
            signal_all(sv, SIGKILL);
        }
    }
}

static void add_slot(supervisor_t *sv, int number)
{
    sv->slot[sv->slots++] = (slot_t){ .number = number, .start_at = 1 };
}

int supervisor_run(const char *conf_path, int workers, settings_t *s)
{
    supervisor_t sv = { .conf_path = conf_path, .workers_option = workers, .settings = s };

    apr_pool_create(&sv.pool, NULL);
    sv.signals = signals_open();
    sal_log(SAL_LOG_NOTICE, 5001, "salvaged starts with %d workers", s->workers);
    add_slot(&sv, 0);
    if (s->once) {
        loop(&sv); /* what the sweep queues is there before the workers look */
        sv.slots = 0;
    }
    for (int i = 1; i <= s->workers; i++) {
        add_slot(&sv, i);
    }
    service_notify("READY=1");
    if (!sv.failed) {
        loop(&sv);
    }
    sal_log(SAL_LOG_NOTICE, 5002, "salvaged ends");
    return sv.failed ? EXIT_FAILED : EXIT_DONE;
}
