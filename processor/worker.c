/*
 * A worker: claims jobs, runs the pipeline, stores results. One thread; while a walker runs, the
 * worker watches it, stores what is finished, renews the lease and listens to signals. As long as
 * jobs are quick it claims several at once; what turns out to be slow is not waited for.
 *
 * Whatever a crash does to a worker, its lease runs out and another one takes the job; after the
 * second loss the walker is skipped, after the third the job is dead (docs/queue.md).
 */
#include "worker.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"
#include "board.h"

#define PINGS_WAIT 30 /* seconds */
#define FAREWELL_PAUSE_MS 500
#define POLL_MS 7000   /* between looks at the queue if nobody notifies us */
#define TRIM_JOBS 50   /* after so many jobs, or before waiting, free memory goes back */
#define BATCH_US 40000 /* what the jobs of a claim shall take together */
#define SLOW_US 500000 /* a job that takes longer makes nobody wait behind it */
#define DUE_MIN_MS 20  /* a job that just became due may still be held back by another one */

/* ---- signals and waiting ---- */

void worker_take_signals(worker_t *w)
{
    for (int n; (n = signals_take(w->signals)) != 0;) {
        if ((n == SIGTERM || n == SIGINT) && !w->stopping) {
            w->stopping = true;
            w->deadline = apr_time_now() + apr_time_from_sec(w->settings->drain);
            w->asked = apr_time_now();
        }
    }
}

/* Until a signal, a notification (fd of the database, -1 for none), or the time is up. */
static void wait_for(worker_t *w, int fd, int ms)
{
    struct pollfd fds[2] = { { w->signals, POLLIN, 0 }, { fd, POLLIN, 0 } };

    poll(fds, fd < 0 ? 1 : 2, ms);
    worker_take_signals(w);
}

void worker_pause_link(worker_t *w)
{
    int ms = link_pause_ms(&w->link);

    wait_for(w, -1, w->stopping && ms > FAREWELL_PAUSE_MS ? FAREWELL_PAUSE_MS : ms);
}

/* After a reset the session is a new one, which listens to nothing. */
static apr_status_t listen_again(worker_t *w, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (w->listening != PQbackendPID(sal_db_conn(db))) {
        rv = sal_db_run_text(db, "LISTEN crash_job", NULL, 0, NULL, p, err);
        w->listening = rv == APR_SUCCESS ? PQbackendPID(sal_db_conn(db)) : 0;
    }
    return rv;
}

/* Drops the notifications that have come: what they say is found by claiming. */
static bool drain_notifications(PGconn *conn)
{
    PGnotify *note;
    bool any = false;

    if (!PQconsumeInput(conn)) {
        return true; /* broken: claiming will find out */
    }
    while ((note = PQnotifies(conn)) != NULL) {
        PQfreemem(note);
        any = true;
    }
    return any;
}

/* Until we look again: a job that waits for its next try becomes due without a notification. */
static int look_again_ms(worker_t *w, sal_db_t *db)
{
    apr_pool_t *p;
    int ms = -1;

    apr_pool_create(&p, w->pool);
    (void)sal_queue_next_due(&ms, db, p, NULL); /* if that fails, so will the claim */
    apr_pool_destroy(p);
    return ms < 0 || ms > POLL_MS ? POLL_MS : ms < DUE_MIN_MS ? DUE_MIN_MS : ms;
}

static void wait_for_work(worker_t *w, sal_db_t *db)
{
    PGconn *conn = sal_db_conn(db);

    if (!drain_notifications(conn)) {
        wait_for(w, PQsocket(conn), look_again_ms(w, db));
        drain_notifications(conn);
    }
}

/* ---- while a walker runs ---- */

static apr_status_t renew(worker_t *w)
{
    sal_error_t err;
    sal_db_t *db = link_get(&w->link, w->pool);
    apr_pool_t *p;
    apr_status_t rv;

    if (!db) {
        return SAL_E_NODB;
    }
    apr_pool_create(&p, w->pool);
    rv = w->symbol_job ? sal_symbol_job_renew(w->symbol_job, w->settings->lease, db, p, &err)
                       : sal_queue_renew(w->job, w->settings->lease, db, p, &err);
    if (rv == APR_SUCCESS) {
        link_worked(&w->link);
    } else if (rv != SAL_E_FENCED) {
        link_failed(&w->link, &err);
    }
    apr_pool_destroy(p);
    return rv;
}

apr_interval_time_t worker_renew_interval(const settings_t *s)
{
    return apr_time_from_sec(s->lease / 3 > 30 ? 30 : s->lease / 3);
}

/* What was claimed and not begun is for others. */
static void give_back_rest(worker_t *w)
{
    sal_db_t *db;

    for (; w->batch_at < w->batch_n; w->batch_at++) {
        if ((db = link_get(&w->link, w->pool)) != NULL) {
            (void)sal_queue_return(&w->batch[w->batch_at], db, w->batch_pool, NULL);
        } /* else its lease runs out */
    }
}

/* A database that is away does not stop a walk: the fence decides in the end. */
walk_tick_t worker_tick(void *baton, apr_status_t *why)
{
    worker_t *w = baton;
    apr_time_t now = apr_time_now();

    worker_take_signals(w);
    if (pass_store_due(w)) {
        pass_store(w);
        board_aside(apr_time_now() - now);
    }
    if (w->job && (w->stopping || now - w->job_began > SLOW_US)) {
        give_back_rest(w);
    }
    if (w->stopping && now >= w->deadline) {
        *why = APR_EINTR;
        return WALK_STOP;
    }
    if (now >= w->renew_at) {
        apr_status_t rv = renew(w);

        w->renew_at =
            now + (rv == APR_SUCCESS ? worker_renew_interval(w->settings) : apr_time_from_sec(5));
        if (rv == SAL_E_FENCED) {
            *why = rv;
            return WALK_STOP;
        }
    }
    return WALK_GO_ON;
}

/* ---- raw symbol files ---- */

/*
 * Claims and runs one; false if there was none. Only when no crash waits; and as a dump may take
 * minutes, the first of several workers leaves it to the others.
 */
static bool try_symbols(worker_t *w, sal_db_t *db)
{
    const settings_t *s = w->settings;
    walk_t watch = { s, worker_tick, w, w->signals, NULL, s->dump_timeout, NULL };
    sal_error_t err = { .message = "" };
    sal_symbol_job_t job;
    apr_pool_t *p;
    apr_status_t rv;
    bool found = false;

    if (!s->symbols || !w->makes_symbols) {
        return false;
    }
    apr_pool_create(&p, w->pool);
    rv = sal_symbol_job_claim(&job, &found, w->name, s->lease, db, p, &err);
    if (rv == APR_SUCCESS && found) {
        board_busy(true);
        w->symbol_job = &job;
        w->renew_at = apr_time_now() + worker_renew_interval(s);
        rv = dump_job_run(s, &job, &watch, db, p, &err);
        w->symbol_job = NULL;
        board_busy(false);
        malloc_trim(0);
    }
    if (rv != APR_SUCCESS && rv != SAL_E_FENCED) {
        link_failed(&w->link, &err);
        worker_pause_link(w);
    }
    apr_pool_destroy(p);
    return found || rv != APR_SUCCESS;
}

/* ---- crash pings ---- */

/* Leases and signs some; false if there were none. Their leases are long: none is renewed. */
static bool try_pings(worker_t *w, sal_db_t *db)
{
    const settings_t *s = w->settings;
    walk_t watch = { s, worker_tick, w, w->signals, &w->fetcher, s->walk_timeout, NULL };
    sal_error_t err = { .message = "" };
    apr_pool_t *p;
    apr_status_t rv;
    bool any = false;

    apr_pool_create(&p, w->pool);
    w->renew_at = APR_INT64_MAX;
    rv = ping_batch_run(&any, s, &watch, db, p, &err);
    w->pings_at = apr_time_now();
    if (rv != APR_SUCCESS) {
        link_failed(&w->link, &err);
        worker_pause_link(w);
    }
    apr_pool_destroy(p);
    if (any) {
        malloc_trim(0);
    }
    return any || rv != APR_SUCCESS;
}

/* Crashes go first, but pings are not to wait for ever. */
static void try_late_pings(worker_t *w)
{
    sal_db_t *db = link_get(&w->link, w->pool);

    if (db && apr_time_now() - w->pings_at > apr_time_from_sec(PINGS_WAIT)) {
        try_pings(w, db);
    }
}

/* What is done while no crash waits; false if there was nothing. */
static bool try_others(worker_t *w)
{
    sal_db_t *db = link_get(&w->link, w->pool);

    if (db && try_pings(w, db)) {
        return true;
    }
    db = link_get(&w->link, w->pool);
    return db && try_symbols(w, db);
}

/* ---- the loop ---- */

/* Crashes that end from now on get rows for the destinations of this configuration. */
static apr_status_t register_exports(worker_t *w, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv =
        w->registered ? APR_SUCCESS : sal_exporter_register(w->settings->exporter, db, p, err);

    w->registered = rv == APR_SUCCESS;
    return rv;
}

/* Memory of large crashes goes back; not after each job, or the next one has to fault it in again.
 */
static void trim(worker_t *w)
{
    if (w->untrimmed > 0) {
        malloc_trim(0);
    }
    w->untrimmed = 0;
}

/* Several at once as long as they are quick; a worker begins with one. */
static void set_pace(worker_t *w, apr_interval_time_t took)
{
    apr_interval_time_t most;

    w->pace = w->pace ? (3 * w->pace + took) / 4 : took;
    most = BATCH_US / (w->pace + 1);
    if (most > 2 * w->claim_most) {
        most = 2 * w->claim_most;
    }
    w->claim_most = test_hook_batch() || most > GROUP_MAX ? GROUP_MAX : most < 1 ? 1 : (int)most;
}

/* Claims some; none if the lanes are empty. False with err. */
static bool claim(worker_t *w, sal_db_t *db, sal_error_t *err)
{
    apr_status_t rv;

    apr_pool_clear(w->batch_pool);
    w->batch_at = w->batch_n = 0;
    rv = listen_again(w, db, w->batch_pool, err);
    rv = rv == APR_SUCCESS ? register_exports(w, db, w->batch_pool, err) : rv;
    if (rv == APR_SUCCESS) {
        rv = sal_queue_claim(&w->batch, &w->batch_n, w->claim_most, w->name, w->settings->lease, db,
                             w->batch_pool, err);
    }
    return rv == APR_SUCCESS;
}

/* Runs the next job of the batch. */
static void run_next(worker_t *w)
{
    const sal_job_t *job = &w->batch[w->batch_at++];
    apr_time_t start = apr_time_now();
    sal_db_t *db;
    apr_pool_t *p;

    apr_pool_create(&p, w->pool);
    if (!strcmp(job->ruleset, SAL_QUEUE_TEST)) {
        if ((db = link_get(&w->link, w->pool)) != NULL) {
            (void)sal_queue_done(job, db, p, NULL); /* that it was taken is the answer */
        }
        apr_pool_destroy(p);
    } else {
        pass_run(w, job, p);
    }
    set_pace(w, apr_time_now() - start);
    start = board_now();
    if (++w->untrimmed >= TRIM_JOBS) {
        trim(w);
    }
    board_phase("clean", &start);
}

/* Runs a job; claims some before if need be. False if there was none. */
static bool try_job(worker_t *w, sal_db_t *db)
{
    apr_time_t start = board_now();
    sal_error_t err;

    if (w->batch_at == w->batch_n) {
        if (!claim(w, db, &err)) {
            link_failed(&w->link, &err);
            pass_store(w);
            worker_pause_link(w);
            return true;
        }
        link_worked(&w->link);
        if (w->batch_n > 0) {
            board_phase("claim", &start);
        }
    }
    worker_take_signals(w);
    if (w->batch_at == w->batch_n || w->stopping) {
        return false;
    }
    run_next(w);
    return true;
}

/* No crash waits: results need not wait for others. False if there was nothing to do at all. */
static bool try_rest(worker_t *w)
{
    if (w->n_finished > 0) {
        pass_store(w);
        return true; /* meanwhile one may have come */
    }
    return !w->stopping && try_others(w);
}

const char *worker_name(const settings_t *s, pid_t pid, apr_pool_t *p)
{
    return apr_psprintf(p, "%s:%ld", s->host, (long)pid);
}

int worker_run(const settings_t *s, int number)
{
    worker_t w = { .settings = s, .link.conninfo = s->conninfo, .claim_most = 1 };

    w.makes_symbols = number > 1 || s->workers == 1;
    apr_pool_create(&w.pool, NULL);
    apr_pool_create(&w.batch_pool, w.pool);
    w.name = worker_name(s, getpid(), w.pool);
    w.signals = signals_open();
    while (worker_take_signals(&w), !w.stopping) {
        sal_db_t *db;

        try_late_pings(&w);
        db = link_get(&w.link, w.pool);
        if (!db && s->once) {
            return EXIT_FAILED;
        }
        if (!db) {
            worker_pause_link(&w);
        } else if (!try_job(&w, db) && !try_rest(&w)) {
            if (s->once) {
                break;
            }
            trim(&w);
            kept_end(&w.kept);
            if ((db = link_get(&w.link, w.pool)) != NULL) {
                wait_for_work(&w, db);
            }
        } else if (s->once && w.link.failures > 3) {
            return EXIT_FAILED;
        }
    }
    pass_store(&w);
    give_back_rest(&w);
    kept_end(&w.kept);
    apr_pool_destroy(w.pool);
    return EXIT_DONE;
}
