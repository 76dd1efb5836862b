/*
 * One pass: a claimed job is run through the pipeline and ended. Whatever the crash does to its
 * worker, the lease runs out and another one takes the job (docs/queue.md).
 *
 * A result waits a moment for others: they are stored by one transaction and made durable together,
 * while the next dump is walked. If that fails, for whatever reason, each is stored by itself.
 */
#include "worker.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "board.h"
#include "jobs/complete.h"
#include "triage/versions.h"

#define HOLD_MS 50  /* that a result waits for others once a walk has begun */
#define HOLD_MANY 4 /* so many do not wait */
#define FAREWELL 5  /* seconds that a stopping worker waits for a database that is away */

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

/* Nothing speaks against it so far. What has failed or was lost is dealt with apart from others. */
static bool is_fresh(const sal_job_t *job)
{
    return job->attempts == 1 && job->lost == 0;
}

static apr_status_t run_pipeline(worker_t *w, finished_t *f, sal_db_t *db, sal_error_t *err)
{
    const settings_t *s = w->settings;
    apr_pool_t *p = f->pool;
    /* what was lost or failed before is walked apart from all others */
    kept_t *kept = is_fresh(w->job) ? &w->kept : NULL;
    walk_t walk = { s, worker_tick, w, w->signals, &w->fetcher, s->walk_timeout, kept };
    sal_crash_reader_t *reader;
    apr_time_t start = board_now();
    sal_process_opts_t opts;
    json_t *previous;
    apr_status_t rv;

    if (!sal_process_ruleset(w->job->ruleset)) {
        return sal_fail(err, APR_EINVAL, "no ruleset: %s", w->job->ruleset);
    }
    if ((rv = sal_job_former(&previous, w->job, s->store, db, p, err))) {
        return rv;
    }
    f->first_pass = previous == NULL;
    settings_process_opts(&opts, s);
    sal_version_wire(&opts, db_of, w, p);
    opts.metric = board_metric;
    if (previous && sal_process_stored_only(w->job->ruleset)) {
        board_phase("read", &start);
        rv = sal_process_stored(&f->doc, w->job->ruleset, previous, &opts, p, err);
        board_phase("rules", &start);
        return rv;
    }
    rv = sal_crash_open(&reader, s->store, w->job->crash_id, p, err);
    if (APR_STATUS_IS_ENOENT(rv)) {
        return sal_fail(err, rv, "raw crash not found");
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    board_phase("read", &start);
    test_hook_crash("worker", w->job->crash_id, reader);
    opts.walk = walk_in_child;
    opts.walk_baton = &walk;
    opts.safe_mode = w->job->safe_mode;
    /* of a crash that never was processed there is nothing to do a part of */
    rv = sal_process_crash(&f->doc, reader, previous ? w->job->ruleset : "default", previous, &opts,
                           p, err);
    board_phase("rules", &start); /* the walks among them */
    return rv;
}

static outcome_t process(worker_t *w, finished_t *f, sal_error_t *err)
{
    sal_db_t *db = link_get(&w->link, w->pool);
    apr_status_t rv =
        db ? run_pipeline(w, f, db, err) : sal_fail(err, SAL_E_NODB, "no database connection");

    if (rv == SAL_E_NODB) {
        return PASS_RETURN; /* that the database went away costs the crash no attempt */
    }
    return rv == SAL_E_DB ? PASS_RETRY : outcome_of(rv);
}

static apr_time_t step_since;

/* A step of storing the result is behind us. Those of a group go through each step together. */
static void step_done(const char *step, void *baton)
{
    const sal_job_t *job = baton;

    (void)job;
    board_phase(step, &step_since);
    test_hook_step(step, job->crash_id, job->attempts);
}

/* Writes the document, if that is not done. */
static apr_status_t write_result(worker_t *w, finished_t *f, sal_db_t *db, sal_error_t *err)
{
    sal_ending_t *ending;
    apr_status_t rv;

    if (f->ending) {
        return APR_SUCCESS;
    }
    rv = sal_job_write(&ending, f->job, f->doc, &f->steps, w->settings->store, db, f->pool, err);
    f->ending = rv == APR_SUCCESS ? ending : NULL;
    f->at = apr_time_now();
    return rv;
}

/* The statement that ends the pass. */
static apr_status_t end_pass(worker_t *w, finished_t *f, outcome_t outcome, const char *reason,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_process_opts_t opts;
    apr_status_t rv;

    switch (outcome) {
    case PASS_DONE:
        rv = write_result(w, f, db, err);
        return rv == APR_SUCCESS ? sal_job_store(f->ending, w->settings->store, db, p, err) : rv;
    case PASS_BURY:
        settings_process_opts(&opts, w->settings);
        return sal_job_bury(f->job, reason, &opts, w->settings->store, db, p, err);
    case PASS_RETURN:
        return sal_queue_return(f->job, db, p, err);
    case PASS_RETRY:
        return sal_queue_retry(f->job, reason, db, p, err);
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
static apr_status_t end_job(worker_t *w, finished_t *f, outcome_t outcome, const char *reason,
                            sal_error_t *err)
{
    apr_time_t began = apr_time_now();
    apr_status_t rv = SAL_E_NODB;

    step_since = board_now();
    for (bool first = true; first || (rv == SAL_E_NODB && may_wait(w, began)); first = false) {
        sal_db_t *db = link_get(&w->link, w->pool);
        apr_pool_t *p;

        if (!db) {
            worker_pause_link(w);
            continue;
        }
        apr_pool_create(&p, w->pool);
        rv = end_pass(w, f, outcome, reason, db, p, err);
        apr_pool_destroy(p);
        if (rv == SAL_E_NODB) {
            link_failed(&w->link, err);
            worker_pause_link(w);
        }
    }
    if (rv == SAL_E_DB && outcome == PASS_DONE) {
        /* our document was refused: the reason is for the reader, the job comes back later */
        return end_job(w, f, PASS_RETRY, apr_pstrdup(f->pool, err->message), err);
    }
    return rv;
}

/* What became of the job, and how long its crash had waited for it. */
static void count_end(const finished_t *f, outcome_t outcome, apr_status_t rv)
{
    static const char *const outcomes[] = { "outcome:done", "outcome:fenced", "outcome:returned",
                                            "outcome:retried", "outcome:dead" };
    const char *submitted = sal_json_str(f->doc, "submitted_timestamp");
    char label[32];
    apr_time_t t;

    board_count("job.end",
                rv == APR_SUCCESS    ? outcomes[outcome]
                : rv == SAL_E_FENCED ? outcomes[PASS_LOST]
                                     : "outcome:not_stored",
                1);
    if (rv != APR_SUCCESS || outcome != PASS_DONE) {
        return;
    }
    apr_snprintf(label, sizeof(label), f->job->attempts > 5 ? "attempts:more" : "attempts:%d",
                 f->job->attempts);
    board_count("job.attempts", label, 1);
    board_count("save_processed_crash", "", 1);
    if (f->first_pass && !strcmp(f->job->ruleset, "default") && submitted &&
        sal_time_parse(submitted, &t)) {
        board_ingested(apr_time_now() - t);
    }
}

static void log_end(const finished_t *f, outcome_t outcome, apr_status_t rv, const sal_error_t *err,
                    const char *reason)
{
    const char *id = f->job->crash_id;

    if (rv == SAL_E_FENCED) {
        sal_log(SAL_LOG_WARNING, 5021, "%s: the lease was lost, the result is discarded", id);
    } else if (rv != APR_SUCCESS) {
        sal_log(SAL_LOG_ERROR, 5022, "%s: the end of the job could not be stored: %s", id,
                err->message);
    } else if (outcome == PASS_DONE) {
        sal_log(SAL_LOG_INFO, 5020, "%s: processed in %d ms", id, (int)apr_time_as_msec(f->took));
    } else if (outcome == PASS_BURY) {
        sal_log(SAL_LOG_WARNING, 5023, "%s: given up: %s", id, reason);
    } else if (outcome == PASS_RETRY) {
        sal_log(SAL_LOG_WARNING, 5024, "%s: attempt %d failed, will be tried again: %s", id,
                f->job->attempts, reason);
    } else {
        sal_log(SAL_LOG_NOTICE, 5025, "%s: returned to the queue: %s", id,
                *reason ? reason : "shutdown");
    }
}

/* What the crash tells its client. A hint that is lost is no loss: nothing is tried again. */
static void note_hint(worker_t *w, const finished_t *f)
{
    sal_db_t *db = link_get(&w->link, w->pool);
    const char *kind = NULL;
    sal_error_t err;
    apr_status_t rv;

    if (!w->settings->hints.on || !db) {
        return;
    }
    rv = sal_hint_note(&kind, f->job->crash_id, f->doc, &w->settings->hints, db, f->pool, &err);
    if (rv == SAL_E_NODB) {
        link_failed(&w->link, &err);
    } else if (rv != APR_SUCCESS) {
        sal_log(SAL_LOG_WARNING, 5095, "%s: no hint could be noted: %s", f->job->crash_id,
                err.message);
    } else if (kind) {
        sal_log(SAL_LOG_INFO, 5096, "%s: a hint for its client: %s", f->job->crash_id, kind);
    }
}

/* The end of a job, told; all of it goes. */
static void over(worker_t *w, finished_t *f, outcome_t outcome, apr_status_t rv,
                 const sal_error_t *err, const char *reason)
{
    log_end(f, outcome, rv, err, reason);
    count_end(f, outcome, rv);
    if (rv == APR_SUCCESS && outcome == PASS_DONE) {
        note_hint(w, f);
    }
    board_timing("job", "", f->took);
    board_job_ended(f->job->id);
    json_decref(f->doc);
    apr_pool_destroy(f->pool);
}

static bool store_together(worker_t *w, finished_t *const *f, int n)
{
    sal_db_t *db = link_get(&w->link, w->pool);
    sal_ending_t *endings[GROUP_MAX];
    sal_error_t err = { .message = "" };
    apr_status_t rv;
    apr_pool_t *p;

    if (!db) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        endings[i] = f[i]->ending;
    }
    apr_pool_create(&p, w->pool);
    step_since = board_now();
    rv = sal_job_store_all(endings, n, w->settings->store, db, p, &err);
    apr_pool_destroy(p);
    if (rv == SAL_E_NODB) {
        link_failed(&w->link, &err);
    }
    return rv == APR_SUCCESS;
}

void pass_store(worker_t *w)
{
    finished_t *f[GROUP_MAX];
    int n = w->n_finished;
    bool stored;

    if (n == 0) {
        return;
    }
    memcpy(f, w->finished, sizeof(f));
    w->n_finished = 0;
    stored = n > 1 && store_together(w, f, n);
    for (int i = 0; i < n; i++) {
        sal_error_t err = { .message = "" };
        apr_status_t rv = stored ? APR_SUCCESS : end_job(w, f[i], PASS_DONE, "", &err);

        over(w, f[i], PASS_DONE, rv, &err, "");
    }
    board_busy(w->job != NULL);
    board_flush();
}

bool pass_store_due(const worker_t *w)
{
    return w->n_finished >= HOLD_MANY ||
           (w->n_finished > 0 && apr_time_now() - w->finished[0]->at > apr_time_from_msec(HOLD_MS));
}

/* True if it waits to be stored with others now. */
static bool hold(worker_t *w, finished_t *f)
{
    sal_db_t *db = is_fresh(f->job) && !w->stopping ? link_get(&w->link, w->pool) : NULL;
    sal_error_t err;

    step_since = board_now();
    if (!db || write_result(w, f, db, &err) != APR_SUCCESS) {
        return false; /* the end of the job will find out why */
    }
    w->finished[w->n_finished++] = f;
    if (w->n_finished == GROUP_MAX) {
        pass_store(w);
    }
    return true;
}

static finished_t *begin(const sal_job_t *job, apr_pool_t *p)
{
    finished_t *f = apr_pcalloc(p, sizeof(*f));

    f->pool = p;
    f->job = apr_pmemdup(p, job, sizeof(*job));
    f->job->crash_id = apr_pstrdup(p, job->crash_id);
    f->job->ruleset = apr_pstrdup(p, job->ruleset);
    f->job->former = apr_pstrdup(p, job->former);
    f->steps = (sal_job_steps_t){ step_done, f->job };
    return f;
}

void pass_run(worker_t *w, const sal_job_t *job, apr_pool_t *p)
{
    finished_t *f = begin(job, p);
    sal_error_t err = { .message = "" };
    apr_time_t start = apr_time_now(), clock = board_now();
    outcome_t outcome;
    const char *reason;

    board_busy(true);
    board_job_begun(f->job->id);
    w->job = f->job;
    w->job_began = start;
    w->renew_at = start + worker_renew_interval(w->settings);
    outcome = process(w, f, &err);
    f->took = board_now() - clock;
    reason = apr_pstrdup(p, err.message);
    if (outcome != PASS_DONE || !hold(w, f)) {
        apr_status_t rv = end_job(w, f, outcome, reason, &err);

        over(w, f, outcome, rv, &err, reason);
    }
    w->job = NULL;
    board_busy(w->n_finished > 0);
    board_flush();
}
