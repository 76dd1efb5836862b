/*
 * One pass: a claimed job is run through the pipeline and ended. Whatever the crash does to its
 * worker, the lease runs out and another one takes the job (docs/queue.md).
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

#define FAREWELL 5 /* seconds that a stopping worker waits for a database that is away */

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
    /* what was lost or failed before is walked apart from all others */
    kept_t *kept = w->job->attempts == 1 && w->job->lost == 0 ? &w->kept : NULL;
    walk_t walk = { s, worker_tick, w, w->signals, &w->fetcher, s->walk_timeout, kept };
    sal_crash_reader_t *reader;
    apr_time_t start = apr_time_now();
    sal_process_opts_t opts;
    json_t *previous;
    apr_status_t rv;

    if (!sal_process_ruleset(w->job->ruleset)) {
        return sal_fail(err, APR_EINVAL, "no ruleset: %s", w->job->ruleset);
    }
    if ((rv = sal_job_previous(&previous, w->job->crash_id, s->store, db, p, err))) {
        return rv;
    }
    w->first_pass = previous == NULL;
    settings_process_opts(&opts, s);
    sal_version_wire(&opts, db_of, w, p);
    opts.metric = board_metric;
    if (previous && sal_process_stored_only(w->job->ruleset)) {
        board_phase("read", &start);
        rv = sal_process_stored(doc, w->job->ruleset, previous, &opts, p, err);
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
    test_hook_crash("worker", reader);
    opts.walk = walk_in_child;
    opts.walk_baton = &walk;
    opts.safe_mode = w->job->safe_mode;
    /* of a crash that never was processed there is nothing to do a part of */
    rv = sal_process_crash(doc, reader, previous ? w->job->ruleset : "default", previous, &opts, p,
                           err);
    board_phase("rules", &start); /* the walks among them */
    return rv;
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

typedef struct storing_t {
    const worker_t *w;
    apr_time_t since; /* of the step that runs */
} storing_t;

/* A step of storing the result is behind us. */
static void step_done(const char *step, void *baton)
{
    storing_t *s = baton;

    board_phase(step, &s->since);
    test_hook_step(step, s->w->job->attempts);
}

/* The statement that ends the pass. */
static apr_status_t end_pass(worker_t *w, outcome_t outcome, json_t *doc, const char *reason,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    storing_t storing = { w, apr_time_now() };
    const sal_job_steps_t steps = { step_done, &storing };
    sal_process_opts_t opts;

    switch (outcome) {
    case PASS_DONE:
        return sal_job_complete_steps(w->job, doc, &steps, w->settings->store, db, p, err);
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
            worker_pause_link(w);
            continue;
        }
        apr_pool_create(&p, w->pool);
        rv = end_pass(w, outcome, doc, reason, db, p, err);
        apr_pool_destroy(p);
        if (rv == SAL_E_NODB) {
            link_failed(&w->link, err);
            worker_pause_link(w);
        }
    }
    if (rv == SAL_E_DB && outcome == PASS_DONE) {
        /* our document was refused: the reason is for the reader, the job comes back later */
        return end_job(w, PASS_RETRY, NULL, job_pool, err);
    }
    return rv;
}

/* What became of the job, and how long its crash had waited for it. */
static void count_end(const worker_t *w, outcome_t outcome, apr_status_t rv, const json_t *doc)
{
    static const char *const outcomes[] = { "outcome:done", "outcome:fenced", "outcome:returned",
                                            "outcome:retried", "outcome:dead" };
    const char *submitted = sal_json_str(doc, "submitted_timestamp");
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
    apr_snprintf(label, sizeof(label), w->job->attempts > 5 ? "attempts:more" : "attempts:%d",
                 w->job->attempts);
    board_count("job.attempts", label, 1);
    board_count("save_processed_crash", "", 1);
    if (w->first_pass && !strcmp(w->job->ruleset, "default") && submitted &&
        sal_time_parse(submitted, &t)) {
        board_ingested(apr_time_now() - t);
    }
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

void pass_run(worker_t *w, const sal_job_t *job, apr_pool_t *p)
{
    sal_error_t err = { .message = "" };
    apr_time_t start = apr_time_now();
    json_t *doc = NULL;
    outcome_t outcome;
    const char *reason;
    apr_status_t rv;

    board_busy(true);
    w->job = job;
    w->first_pass = false;
    w->renew_at = start + worker_renew_interval(w->settings);
    outcome = process(w, &doc, p, &err);
    reason = apr_pstrdup(p, err.message);
    rv = end_job(w, outcome, doc, p, &err);
    log_end(w, outcome, rv, &err, reason, apr_time_now() - start);
    count_end(w, outcome, rv, doc);
    if (rv == APR_SUCCESS && outcome == PASS_DONE) {
        note_hint(w, doc, p);
    }
    json_decref(doc);
    w->job = NULL;
    board_timing("job", "", apr_time_now() - start);
    board_busy(false);
    board_flush();
}
