/*
 * The supervisor: starts the housekeeper and the workers, starts anew what dies, ends all in order.
 * It holds no connection and reads no crash, so nothing a crash contains can reach it.
 */
#include "salvaged.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"
#include "board.h"

#define QUICK_DEATH 5 /* a process that lived shorter than this many seconds... */
#define PAUSE_MAX 30  /* ...is started again after 1, 2, 4 ... seconds */
#define KILL_AFTER 15 /* seconds past the drain time */
#define STUCK_MS 1000 /* after which a process without a job must have ended */
#define EXPORTER_MS                                                                                \
    400 /* more for the exporter: what it sends looks once a second whether to end */
#define FAREWELL_MS 1000
#define STOP_POLL_MS 100 /* between looks at who is left */
#define ONCE_DEATHS 100  /* of workers, after which --once gives up */

typedef struct slot_t {
    int number;                   /* of the board */
    pid_t pid;                    /* 0: not running */
    apr_time_t started, start_at; /* start_at 0: never again */
    int quick;                    /* deaths in a row shortly after the start */
    bool asked;                   /* we have asked it to end */
    bool cut_short;               /* and killed it, which costs nothing */
} slot_t;

typedef struct supervisor_t {
    const char *conf_path;
    int workers_option;
    settings_t *settings;
    apr_pool_t *pool;
    slot_t slot[SLOTS];
    int slots;
    int signals;
    bool stopping, failed;
    int deaths;
    apr_time_t kill_at;  /* whoever is left then */
    apr_time_t stuck_at; /* whoever has no job then */
} supervisor_t;

/* ---- children ---- */

static int run_slot(const settings_t *s, int number)
{
    board_slot(number);
    return number == SLOT_HOUSEKEEPER ? housekeeper_run(s)
           : number == SLOT_METRICS   ? metrics_run(s)
           : number == SLOT_EXPORTER  ? exporter_run(s)
                                      : worker_run(s, number);
}

/* By this name the sessions of a process that died are found (abandoned.c). */
static void name_sessions(const settings_t *s)
{
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    setenv("PGAPPNAME", apr_pstrcat(p, "salvaged ", worker_name(s, getpid(), p), NULL), 1);
    apr_pool_destroy(p);
}

static void start_slot(supervisor_t *sv, slot_t *slot)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        int code = EXIT_FAILED;

        close(sv->signals);
        name_sessions(sv->settings);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == parent) {
            code = run_slot(sv->settings, slot->number);
        }
        _exit(code);
    }
    slot->started = apr_time_now();
    slot->asked = slot->cut_short = false;
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

    if (sv->stopping || (sv->settings->once && clean) ||
        (slot->number == SLOT_EXPORTER && !exporter_wanted(sv->settings))) {
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
    return slot->number == SLOT_HOUSEKEEPER ? "housekeeper"
           : slot->number == SLOT_METRICS   ? "metrics"
           : slot->number == SLOT_EXPORTER  ? "exporter"
                                            : "worker";
}

static void slot_ended(supervisor_t *sv, slot_t *slot, int status)
{
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DONE;

    if (WIFSIGNALED(status) && sv->stopping && WTERMSIG(status) == SIGKILL) {
        sal_log(slot->cut_short ? SAL_LOG_NOTICE : SAL_LOG_WARNING, 5047,
                "%s %ld did not end by itself", slot_name(slot), (long)slot->pid);
    } else if (WIFSIGNALED(status)) {
        sal_log(SAL_LOG_ERROR, 5041,
                "%s %ld was killed by signal %d; its job goes to another "
                "worker when the lease has run out",
                slot_name(slot), (long)slot->pid, WTERMSIG(status));
    } else if (!clean) {
        sal_log(SAL_LOG_ERROR, 5042, "%s %ld ended with code %d", slot_name(slot), (long)slot->pid,
                WEXITSTATUS(status));
    }
    board_clear(slot->number, slot->pid, !clean && slot->number <= WORKERS_MAX);
    slot->pid = 0;
    board_count("process.end",
                clean                 ? "how:asked"
                : WIFSIGNALED(status) ? "how:signal"
                                      : "how:failed",
                1);
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

/*
 * Who has no job and has not ended yet waits for a database that does not answer, or is in the
 * middle of a chore. To kill it costs nothing that a lease or the next run of a chore would not
 * mend; periodic jobs die with the housekeeper.
 */
static void kill_stuck(supervisor_t *sv)
{
    apr_time_t now = apr_time_now();

    for (int i = 0; i < sv->slots; i++) {
        slot_t *slot = &sv->slot[i];
        bool sends = slot->number == SLOT_EXPORTER;

        if (slot->pid && !slot->cut_short && !board_is_busy(slot->number) &&
            now >= sv->stuck_at + apr_time_from_msec(sends ? EXPORTER_MS : 0)) {
            slot->cut_short = true;
            kill(slot->pid, SIGKILL);
        }
    }
}

static void add_slot(supervisor_t *sv, int number)
{
    sv->slot[sv->slots++] = (slot_t){ .number = number, .start_at = 1 };
}

/* An exporter, if there is something to send and none yet. */
static void want_exporter(supervisor_t *sv)
{
    for (int i = 0; i < sv->slots; i++) {
        slot_t *slot = &sv->slot[i];

        if (slot->number == SLOT_EXPORTER) {
            slot->start_at = slot->pid || slot->start_at ? slot->start_at : 1;
            return;
        }
    }
    add_slot(sv, SLOT_EXPORTER);
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
        if (exporter_wanted(fresh)) {
            want_exporter(sv);
        }
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
    sv->stuck_at = apr_time_now() + apr_time_from_msec(STUCK_MS);
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

        poll(&fd, 1, sv->stopping ? STOP_POLL_MS : ms);
        take_signals(sv);
        reap(sv);
        if (sv->stopping && sv->kill_at && apr_time_now() >= sv->kill_at) {
            signal_all(sv, SIGKILL);
        }
        if (sv->stopping && sv->stuck_at && apr_time_now() >= sv->stuck_at) {
            kill_stuck(sv);
        }
    }
}

/*
 * Nobody is left who would give back what the killed had not begun. A database that does not answer
 * does not hold up the end.
 */
static void farewell(supervisor_t *sv)
{
    board_dead_t dead;
    apr_time_t until = apr_time_now() + apr_time_from_msec(FAREWELL_MS);
    pid_t pid;

    if (!board_dead(&dead, 0)) {
        return;
    }
    pid = fork();
    if (pid == 0) {
        close(sv->signals);
        signals_default();
        _exit(abandoned_run(sv->settings));
    }
    while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0) {
        if (apr_time_now() >= until) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            return;
        }
        apr_sleep(apr_time_from_msec(10));
    }
}

int supervisor_run(const char *conf_path, int workers, settings_t *s)
{
    supervisor_t sv = { .conf_path = conf_path, .workers_option = workers, .settings = s };
    sal_error_t err;

    apr_pool_create(&sv.pool, NULL);
    sv.signals = signals_open();
    if (!board_make(s, &err)) {
        sal_log(SAL_LOG_ERROR, 5004, "metrics cannot be kept: %s", err.message);
        return EXIT_FAILED;
    }
    sal_log(SAL_LOG_NOTICE, 5001, "salvaged starts with %d workers", s->workers);
    add_slot(&sv, 0);
    if (s->once) {
        loop(&sv); /* what the sweep queues is there before the workers look */
        sv.slots = 0;
    }
    for (int i = 1; i <= s->workers; i++) {
        add_slot(&sv, i);
    }
    if (!s->once && (s->metrics_host || sal_conf_get(s->conf, "metrics-statsd", NULL))) {
        add_slot(&sv, SLOT_METRICS);
    }
    if (!s->once && exporter_wanted(s)) {
        want_exporter(&sv);
    }
    service_notify("READY=1");
    if (!sv.failed) {
        loop(&sv);
    }
    if (s->once && !sv.failed && !sv.stopping && exporter_wanted(s)) {
        sv.slots = 0;
        want_exporter(&sv); /* what the workers have left in the outbox */
        loop(&sv);
    }
    farewell(&sv);
    sal_log(SAL_LOG_NOTICE, 5002, "salvaged ends");
    return sv.failed ? EXIT_FAILED : EXIT_DONE;
}
