/*
 * A worker: claims one job at a time, runs the pipeline, stores the result. One thread; while a
 * walker runs, the worker watches it, renews the lease and listens to signals.
 *
 * Whatever a crash does to a worker, its lease runs out and another one takes the job; after the
 * second loss the walker is skipped, after the third the job is dead (docs/queue.md).
 */
#include "salvaged.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "jobs/complete.h"
#include "triage/versions.h"

#define PINGS_WAIT 30 /* seconds */
#define FAREWELL 5    /* seconds */
#define FAREWELL_PAUSE_MS 500
#define POLL_MS 7000  /* between looks at the queue if nobody notifies us */
#define DUE_MIN_MS 20 /* a job that just became due may still be held back by another one */

typedef struct worker_t {
    const settings_t *settings;
    apr_pool_t *pool;
    link_t link;
    const char *name; /* host:pid, in crash_job.worker */
    int signals;
    int listening; /* backend pid that we LISTEN on */
    bool stopping;
    apr_time_t deadline;                /* when a running job is given back after all */
    apr_time_t asked;                   /* when we were told to stop */
    const sal_job_t *job;               /* the one we hold */
    const sal_symbol_job_t *symbol_job; /* or this one */
    bool makes_symbols;
    apr_time_t pings_at; /* when pings were looked for last */
    apr_time_t renew_at;
    fetcher_t fetcher; /* of symbols of servers */
} worker_t;

/* ---- signals and waiting ---- */

static void take_signals(worker_t *w)
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
    take_signals(w);
}

static void pause_link(worker_t *w)
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

static apr_interval_time_t renew_interval(const settings_t *s)
{
    return apr_time_from_sec(s->lease / 3 > 30 ? 30 : s->lease / 3);
}

/* A database that is away does not stop a walk: the fence decides in the end. */
static walk_tick_t tick(void *baton, apr_status_t *why)
{
    worker_t *w = baton;
    apr_time_t now = apr_time_now();

    take_signals(w);
    if (w->stopping && now >= w->deadline) {
        *why = APR_EINTR;
        return WALK_STOP;
    }
    if (now >= w->renew_at) {
        apr_status_t rv = renew(w);

        w->renew_at =
            now + (rv == APR_SUCCESS ? renew_interval(w->settings) : apr_time_from_sec(5));
        if (rv == SAL_E_FENCED) {
            *why = rv;
            return WALK_STOP;
        }
    }
    return WALK_GO_ON;
}

/* ---- one job ---- */

/* What became of a pass. Errors of the crash bury it, all others give it back. */
typedef enum { PASS_DONE, PASS_LOST, PASS_RETURN, PASS_RETRY, PASS_BURY } outcome_t;

static outcome_t outcome_of(apr_status_t rv)
{
    if (rv == APR_SUCCESS) {
        return PASS_DONE;
    }
    if (rv == SAL_E_FENCED) {
        return PASS_LOST;
    }
    if (rv == APR_EINTR) {
        return PASS_RETURN;
    }
    return rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG || rv == APR_EINVAL ||
                   APR_STATUS_IS_ENOENT(rv)
               ? PASS_BURY
               : PASS_RETRY;
}

static sal_db_t *db_of(void *baton)
{
    worker_t *w = baton;

    return link_get(&w->link, w->pool);
}

static apr_status_t run_pipeline(worker_t *w, json_t **doc, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    const settings_t *s = w->settings;
    walk_t walk = { s, tick, w, w->signals, &w->fetcher, s->walk_timeout };
    sal_crash_reader_t *reader;
    sal_process_opts_t opts;
    json_t *previous;
    apr_status_t rv;

    if (!sal_process_ruleset(w->job->ruleset)) {
        return sal_fail(err, APR_EINVAL, "no ruleset: %s", w->job->ruleset);
    }
    if ((rv = sal_job_previous(&previous, w->job->crash_id, s->store, db, p, err))) {
        return rv;
    }
    settings_process_opts(&opts, s);
    sal_version_wire(&opts, db_of, w, p);
    if (previous && sal_process_stored_only(w->job->ruleset)) {
        return sal_process_stored(doc, w->job->ruleset, previous, &opts, p, err);
    }
    rv = sal_crash_open(&reader, s->store, w->job->crash_id, p, err);
    if (APR_STATUS_IS_ENOENT(rv)) {
        return sal_fail(err, rv, "raw crash not found");
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    test_hook_crash("worker", reader);
    opts.walk = walk_in_child;
    opts.walk_baton = &walk;
    opts.safe_mode = w->job->safe_mode;
    /* of a crash that never was processed there is nothing to do a part of */
    return sal_process_crash(doc, reader, previous ? w->job->ruleset : "default", previous, &opts,
                             p, err);
}

static outcome_t process(worker_t *w, json_t **doc, apr_pool_t *p, sal_error_t *err)
{
    sal_db_t *db = link_get(&w->link, w->pool);
    apr_status_t rv;

    rv =
        db ? run_pipeline(w, doc, db, p, err) : sal_fail(err, SAL_E_NODB, "no database connection");
    if (rv == SAL_E_NODB) {
        return PASS_RETURN; /* that the database went away costs the crash no attempt */
    }
    return rv == SAL_E_DB ? PASS_RETRY : outcome_of(rv);
}

/* The statement that ends the pass. */
static apr_status_t end_pass(worker_t *w, outcome_t outcome, json_t *doc, const char *reason,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_process_opts_t opts;

    switch (outcome) {
    case PASS_DONE:
        return sal_job_complete(w->job, doc, w->settings->store, db, p, err);
    case PASS_BURY:
        settings_process_opts(&opts, w->settings);
        return sal_job_bury(w->job, reason, &opts, w->settings->store, db, p, err);
    case PASS_RETURN:
        return sal_queue_return(w->job, db, p, err);
    case PASS_RETRY:
        return sal_queue_retry(w->job, reason, db, p, err);
    default:
        return SAL_E_FENCED;
    }
}

/* For a database that is away since `began`. */
static bool may_wait(const worker_t *w, apr_time_t began)
{
    apr_time_t now = apr_time_now(), from = w->asked > began ? w->asked : began;

    return now < began + apr_time_from_sec(2 * w->settings->lease) &&
           (!w->stopping || now < from + apr_time_from_sec(FAREWELL));
}

/*
 * Ends the pass however long the database is away, as long as there is hope that the lease is
 * ours: past its end the sweeper gives the job to somebody else, and the fence keeps us out. Who is
 * told to stop does not wait long for a database: the crash is processed again then.
 */
static apr_status_t end_job(worker_t *w, outcome_t outcome, json_t *doc, apr_pool_t *job_pool,
                            sal_error_t *err)
{
    apr_time_t began = apr_time_now();
    const char *reason = apr_pstrdup(job_pool, err->message);
    apr_status_t rv = SAL_E_NODB;

    for (bool first = true; first || (rv == SAL_E_NODB && may_wait(w, began)); first = false) {
        sal_db_t *db = link_get(&w->link, w->pool);
        apr_pool_t *p;

        if (!db) {
            pause_link(w);
            continue;
        }
        apr_pool_create(&p, w->pool);
        rv = end_pass(w, outcome, doc, reason, db, p, err);
        apr_pool_destroy(p);
        if (rv == SAL_E_NODB) {
            link_failed(&w->link, err);
            pause_link(w);
        }
    }
    if (rv == SAL_E_DB && outcome == PASS_DONE) {
        /* our document was refused: the reason is for the reader, the job comes back later */
        return end_job(w, PASS_RETRY, NULL, job_pool, err);
    }
    return rv;
}

static void log_end(const worker_t *w, outcome_t outcome, apr_status_t rv, const sal_error_t *err,
                    const char *reason, apr_interval_time_t took)
{
    const char *id = w->job->crash_id;

    if (rv == SAL_E_FENCED) {
        sal_log(SAL_LOG_WARNING, 5021, "%s: the lease was lost, the result is discarded", id);
    } else if (rv != APR_SUCCESS) {
        sal_log(SAL_LOG_ERROR, 5022, "%s: the end of the job could not be stored: %s", id,
                err->message);
    } else if (outcome == PASS_DONE) {
        sal_log(SAL_LOG_INFO, 5020, "%s: processed in %d ms", id, (int)apr_time_as_msec(took));
    } else if (outcome == PASS_BURY) {
        sal_log(SAL_LOG_WARNING, 5023, "%s: given up: %s", id, reason);
    } else if (outcome == PASS_RETRY) {
        sal_log(SAL_LOG_WARNING, 5024, "%s: attempt %d failed, will be tried again: %s", id,
                w->job->attempts, reason);
    } else {
        sal_log(SAL_LOG_NOTICE, 5025, "%s: returned to the queue: %s", id,
                *reason ? reason : "shutdown");
    }
}

/* What the crash tells its client. A hint that is lost is no loss: nothing is tried again. */
static void note_hint(worker_t *w, const json_t *doc, apr_pool_t *p)
{
    sal_db_t *db = link_get(&w->link, w->pool);
    const char *kind = NULL;
    sal_error_t err;
    apr_status_t rv;

    if (!w->settings->hints.on || !db) {
        return;
    }
    rv = sal_hint_note(&kind, w->job->crash_id, doc, &w->settings->hints, db, p, &err);
    if (rv == SAL_E_NODB) {
        link_failed(&w->link, &err);
    } else if (rv != APR_SUCCESS) {
        sal_log(SAL_LOG_WARNING, 5095, "%s: no hint could be noted: %s", w->job->crash_id,
                err.message);
    } else if (kind) {
        sal_log(SAL_LOG_INFO, 5096, "%s: a hint for its client: %s", w->job->crash_id, kind);
    }
}

static void run_job(worker_t *w, const sal_job_t *job, apr_pool_t *p)
{
    sal_error_t err = { .message = "" };
    apr_time_t start = apr_time_now();
    json_t *doc = NULL;
    outcome_t outcome;
    const char *reason;
    apr_status_t rv;

    w->job = job;
    w->renew_at = start + renew_interval(w->settings);
    outcome = process(w, &doc, p, &err);
    reason = apr_pstrdup(p, err.message);
    rv = end_job(w, outcome, doc, p, &err);
    log_end(w, outcome, rv, &err, reason, apr_time_now() - start);
    if (rv == APR_SUCCESS && outcome == PASS_DONE) {
        note_hint(w, doc, p);
    }
    json_decref(doc);
    w->job = NULL;
}

/* ---- raw symbol files ---- */

/*
 * Claims and runs one; false if there was none. Only when no crash waits; and as a dump may take
 * minutes, the first of several workers leaves it to the others.
 */
static bool try_symbols(worker_t *w, sal_db_t *db)
{
    const settings_t *s = w->settings;
    walk_t watch = { s, tick, w, w->signals, NULL, s->dump_timeout };
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
        w->symbol_job = &job;
        w->renew_at = apr_time_now() + renew_interval(s);
        rv = dump_job_run(s, &job, &watch, db, p, &err);
        w->symbol_job = NULL;
        malloc_trim(0);
    }
    if (rv != APR_SUCCESS && rv != SAL_E_FENCED) {
        link_failed(&w->link, &err);
        pause_link(w);
    }
    apr_pool_destroy(p);
    return found || rv != APR_SUCCESS;
}

/* ---- crash pings ---- */

/* Leases and signs some; false if there were none. Their leases are long: none is renewed. */
static bool try_pings(worker_t *w, sal_db_t *db)
{
    const settings_t *s = w->settings;
    walk_t watch = { s, tick, w, w->signals, &w->fetcher, s->walk_timeout };
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
        pause_link(w);
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

/* Claims and runs one job; false if there was none. */
static bool try_job(worker_t *w, sal_db_t *db)
{
    sal_error_t err;
    sal_job_t *jobs;
    apr_pool_t *p;
    apr_status_t rv;
    int n = 0;

    apr_pool_create(&p, w->pool);
    rv = listen_again(w, db, p, &err);
    if (rv == APR_SUCCESS) {
        rv = sal_queue_claim(&jobs, &n, 1, w->name, w->settings->lease, db, p, &err);
    }
    if (rv != APR_SUCCESS) {
        link_failed(&w->link, &err);
        pause_link(w);
    } else {
        link_worked(&w->link);
    }
    take_signals(w);
    if (rv == APR_SUCCESS && n > 0 && !strcmp(jobs[0].ruleset, SAL_QUEUE_TEST)) {
        (void)sal_queue_done(&jobs[0], db, p, NULL); /* that it was taken is the answer */
    } else if (rv == APR_SUCCESS && n > 0 && w->stopping) {
        (void)sal_queue_return(&jobs[0], db, p, NULL); /* else its lease runs out */
    } else if (rv == APR_SUCCESS && n > 0) {
        run_job(w, &jobs[0], p);
    }
    apr_pool_destroy(p);
    if (n > 0) {
        malloc_trim(0);
    }
    return n > 0 || rv != APR_SUCCESS;
}

int worker_run(const settings_t *s, int number)
{
    worker_t w = { .settings = s, .link.conninfo = s->conninfo };

    w.makes_symbols = number > 1 || s->workers == 1;
    apr_pool_create(&w.pool, NULL);
    w.name = apr_psprintf(w.pool, "%s:%ld", s->host, (long)getpid());
    w.signals = signals_open();
    while (take_signals(&w), !w.stopping) {
        sal_db_t *db;

        try_late_pings(&w);
        db = link_get(&w.link, w.pool);
        if (!db && s->once) {
            return EXIT_FAILED;
        }
        if (!db) {
            pause_link(&w);
        } else if (!try_job(&w, db) && !try_others(&w)) {
            if (s->once) {
                break;
            }
            if ((db = link_get(&w.link, w.pool)) != NULL) {
                wait_for_work(&w, db);
            }
        } else if (s->once && w.link.failures > 3) {
            return EXIT_FAILED;
        }
    }
    apr_pool_destroy(w.pool);
    return EXIT_DONE;
}
