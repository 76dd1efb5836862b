/*
 * The completing transaction and its relatives. Knows jobs, documents, rows; not how a document
 * came to be.
 */
#include "jobs/complete.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "crash/crash_id.h"
#include "export/outbox.h"
#include "reprocess/missing.h"
#include "search/index.h"
#include "triage/signatures.h"

typedef struct sal_ending_t {
    const sal_job_t *job;
    const char *crash_id;
    const json_t *doc;
    const char *blob; /* what we have written */
    sal_blob_writer_t *unsynced;
    apr_status_t durable; /* how it became so */
    const char *reason;   /* of a burial, else NULL */
    bool stub;            /* never replace a document */
    sal_search_row_t *row;
    sal_rows_t *former_rows;
    const char *former; /* blob of the pass before, NULL if there was none */
    int put;            /* 0: there was a document, the stub was not wanted */
    const sal_job_steps_t *steps;
} sal_ending_t;

typedef sal_ending_t ending_t;

/* Passes on what a step returned, and tells of it if it went well. */
static apr_status_t step(const ending_t *e, const char *name, apr_status_t rv)
{
    if (rv == APR_SUCCESS && e->steps) {
        e->steps->done(name, e->steps->baton);
    }
    return rv;
}

/* ---- inside the transaction ---- */

static apr_status_t put_document(ending_t *e, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *signature = sal_json_str(e->doc, "signature");
    apr_status_t rv =
        sal_db_exec(db, &sal_s_process_former, &e->former_rows, p, err, SAL_V_TEXT(e->crash_id));

    e->put = 1;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return sal_db_exec(db, &sal_s_process_put, NULL, p, err, SAL_V_TEXT(e->crash_id),
                       SAL_V_INT(e->job->id), SAL_V_INT(e->job->fence), SAL_V_TEXT(e->blob),
                       SAL_V_BOOL(json_is_true(json_object_get(e->doc, "success"))),
                       SAL_V_TEXT(signature ? signature : ""));
}

static apr_status_t put_stub(ending_t *e, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_process_stub, &rows, p, err, SAL_V_TEXT(e->crash_id),
                    SAL_V_INT(e->job ? e->job->id : 0), SAL_V_INT(e->job ? e->job->fence : 0),
                    SAL_V_TEXT(e->blob), SAL_V_TEXT(sal_json_str(e->doc, "signature")));

    e->put = rv == APR_SUCCESS && sal_rows_affected(rows) > 0;
    return rv;
}

static apr_status_t end_job(ending_t *e, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    if (!e->job) {
        return APR_SUCCESS;
    }
    return e->reason ? sal_queue_bury(e->job, e->reason, db, p, err)
                     : sal_queue_done(e->job, db, p, err);
}

/* What goes with the row of the document. */
static apr_status_t put_others(ending_t *e, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_search_store(e->row, db, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_triage_seen(e->doc, db, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_reprocess_note(db, e->crash_id, e->doc, p, err);
    }
    return rv == APR_SUCCESS ? sal_outbox_note(e->crash_id, !e->stub, db, p, err) : rv;
}

/* Once, however often the transaction is run; a disk that failed is not asked again. */
static apr_status_t make_durable(ending_t *e, sal_error_t *err)
{
    sal_blob_writer_t *w = e->unsynced;

    e->unsynced = NULL;
    if (w) {
        e->durable = sal_blob_sync(w, err);
        return e->durable;
    }
    return e->durable == APR_SUCCESS
               ? APR_SUCCESS
               : sal_fail_os(err, e->durable, "the document of crash %s", e->crash_id);
}

static void told(const ending_t *e)
{
    static const char *const done[] = { "row", "search", "signatures", "symbols", "outbox" };

    for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++) {
        step(e, done[i], APR_SUCCESS);
    }
}

static void note_former(ending_t *e, apr_pool_t *p)
{
    if (e->former_rows && sal_rows_count(e->former_rows)) {
        e->former = apr_pstrdup(p, sal_rows_text(e->former_rows, 0, 0));
    }
}

/* The disk and the server work at the same time. */
static apr_status_t put_together(ending_t *e, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv;

    if ((rv = sal_db_send(db, err)) != APR_SUCCESS ||
        (rv = step(e, "durable", make_durable(e, err))) != APR_SUCCESS ||
        (rv = sal_db_flush(db, err)) != APR_SUCCESS) {
        return rv;
    }
    note_former(e, p);
    told(e);
    return APR_SUCCESS;
}

static apr_status_t ending_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ending_t *e = baton;
    apr_status_t rv = step(e, "job", end_job(e, db, p, err)); /* whose lease is lost ends here */

    e->former = NULL;
    e->former_rows = NULL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (e->stub) {
        rv = put_stub(e, db, p, err); /* its answer decides */
        sal_db_defer(db);
    } else {
        sal_db_defer(db);
        rv = put_document(e, db, p, err);
    }
    if (rv != APR_SUCCESS || !e->put) {
        return rv;
    }
    rv = put_others(e, db, p, err);
    return rv == APR_SUCCESS ? put_together(e, db, p, err) : rv;
}

/* ---- around it ---- */

static void discard(sal_crash_store_t *store, const char *blob)
{
    sal_error_t err;

    if (blob && sal_processed_remove(store, blob, &err) != APR_SUCCESS &&
        !APR_STATUS_IS_ENOENT(err.code)) {
        sal_log(SAL_LOG_WARNING, 9183, "a document that is no longer used stays behind: %s",
                err.message);
    }
}

/* Does the row name our blob? Then a commit without an answer had gone through. */
static apr_status_t is_stored(bool *stored, const ending_t *e, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_process_get, &rows, p, err, SAL_V_TEXT(e->crash_id));

    *stored = rv == APR_SUCCESS && sal_rows_count(rows) &&
              strcmp(sal_rows_text(rows, 0, 0), e->blob) == 0;
    return rv;
}

/*
 * Runs the transaction. If the lease turns out to be lost, or a COMMIT had no answer, the row says
 * whether an earlier attempt of ours had won. As long as the row cannot be read nothing is known.
 */
static apr_status_t settle(ending_t *e, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    for (int tries = 0; tries < 3; tries++) {
        apr_status_t rv = sal_db_txn(db, ending_txn, e, p, err);
        bool unknown = rv == SAL_E_NODB && !strcmp(err->sqlstate, "08007");
        sal_error_t look;
        bool stored;

        if (!unknown && rv != SAL_E_FENCED) {
            return rv;
        }
        if (is_stored(&stored, e, db, p, &look) != APR_SUCCESS) {
            *err = look;
            return SAL_E_NODB;
        }
        if (stored || !unknown) {
            return stored ? APR_SUCCESS : rv;
        }
        /* The lost backend may still be at it: our next try waits for its lock, then looks. */
    }
    return SAL_E_NODB;
}

static void identify(json_t *doc, const char *crash_id, apr_pool_t *p)
{
    char day[9];

    json_object_set_new(doc, "crash_id", json_string(crash_id));
    json_object_set_new(doc, "uuid", json_string(crash_id));
    if (!sal_json_str(doc, "date_processed")) {
        sal_crash_id_day(day, crash_id);
        json_object_set_new(
            doc, "date_processed",
            json_string(apr_psprintf(p, "%.4s-%.2s-%.2sT00:00:00+00:00", day, day + 4, day + 6)));
    }
}

/* Writes the document and makes what the transaction will need. */
static apr_status_t prepare(ending_t *e, sal_crash_store_t *store, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    apr_status_t rv =
        sal_processed_begin(&e->unsynced, &e->blob, store, e->crash_id, e->job ? e->job->id : 0,
                            e->job ? e->job->fence : 0, e->doc, p, err);

    if (step(e, "document", rv) != APR_SUCCESS) {
        return rv;
    }
    return step(e, "terms", sal_search_prepare(&e->row, e->doc, db, p, err));
}

/* The documents that nobody names any more. */
static void clean_up(const ending_t *e, sal_crash_store_t *store)
{
    if (!e->put) {
        discard(store, e->blob);
    } else if (e->former && strcmp(e->former, e->blob)) {
        discard(store, e->former);
    }
    step(e, "former", APR_SUCCESS);
}

/*
 * A partition that was dropped although this process remembers it: nothing is remembered any more,
 * and the row is made anew.
 */
static bool partition_is_lost(apr_status_t rv, const sal_error_t *err)
{
    return rv == SAL_E_DB && !strcmp(err->sqlstate, "23514");
}

static apr_status_t store(ending_t *e, sal_crash_store_t *crashes, sal_db_t *db, apr_pool_t *p,
                          sal_error_t *err)
{
    apr_status_t rv = settle(e, db, p, err);

    if (partition_is_lost(rv, err)) {
        sal_search_forget_terms();
        rv = sal_search_prepare(&e->row, e->doc, db, p, err);
        rv = rv == APR_SUCCESS ? settle(e, db, p, err) : rv;
    }
    if (step(e, "commit", rv) == APR_SUCCESS) {
        clean_up(e, crashes);
    } else if (rv == SAL_E_FENCED) {
        discard(crashes, e->blob);
    }
    return rv;
}

static apr_status_t finish(ending_t *e, sal_crash_store_t *crashes, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    apr_status_t rv = prepare(e, crashes, db, p, err);

    return rv == APR_SUCCESS ? store(e, crashes, db, p, err) : rv;
}

/* ---- the result of a job ---- */

apr_status_t sal_job_write(sal_ending_t **out, const sal_job_t *job, json_t *doc,
                           const sal_job_steps_t *steps, sal_crash_store_t *crashes, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    ending_t *e = apr_pcalloc(p, sizeof(*e));

    *e = (ending_t){ .job = job, .crash_id = job->crash_id, .doc = doc, .put = 1, .steps = steps };
    identify(doc, job->crash_id, p);
    *out = e;
    return prepare(e, crashes, db, p, err);
}

apr_status_t sal_job_store(sal_ending_t *e, sal_crash_store_t *crashes, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    return store(e, crashes, db, p, err);
}

apr_status_t sal_job_complete_steps(const sal_job_t *job, json_t *doc, const sal_job_steps_t *steps,
                                    sal_crash_store_t *crashes, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err)
{
    sal_ending_t *e;
    apr_status_t rv = sal_job_write(&e, job, doc, steps, crashes, db, p, err);

    return rv == APR_SUCCESS ? sal_job_store(e, crashes, db, p, err) : rv;
}

apr_status_t sal_job_complete(const sal_job_t *job, json_t *doc, sal_crash_store_t *crashes,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_job_complete_steps(job, doc, NULL, crashes, db, p, err);
}

/* ---- results of several jobs ---- */

typedef struct group_t {
    sal_ending_t **e;
    int n;
} group_t;

/* All leases are ours, or nothing happens. */
static apr_status_t end_jobs(const group_t *g, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_job_t **jobs = apr_palloc(p, sizeof(*jobs) * (apr_size_t)g->n);
    apr_status_t rv;

    for (int i = 0; i < g->n; i++) {
        jobs[i] = g->e[i]->job;
        g->e[i]->former = NULL;
        g->e[i]->former_rows = NULL;
    }
    rv = sal_queue_done_all(jobs, g->n, db, p, err);
    for (int i = 0; i < g->n; i++) {
        step(g->e[i], "job", rv);
    }
    return rv;
}

static apr_status_t group_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    group_t *g = baton;
    apr_status_t rv = end_jobs(g, db, p, err);

    sal_db_defer(db);
    for (int i = 0; i < g->n && rv == APR_SUCCESS; i++) {
        rv = put_document(g->e[i], db, p, err);
        rv = rv == APR_SUCCESS ? put_others(g->e[i], db, p, err) : rv;
    }
    rv = rv == APR_SUCCESS ? sal_db_send(db, err) : rv;
    for (int i = 0; i < g->n && rv == APR_SUCCESS; i++) {
        rv = step(g->e[i], "durable", make_durable(g->e[i], err));
    }
    rv = rv == APR_SUCCESS ? sal_db_flush(db, err) : rv;
    for (int i = 0; i < g->n && rv == APR_SUCCESS; i++) {
        note_former(g->e[i], p);
        told(g->e[i]);
    }
    return rv;
}

/* Rows that transactions may share are touched in one order, whoever puts them together. */
static int by_signature(const void *a, const void *b)
{
    const char *x = sal_json_str((*(ending_t *const *)a)->doc, "signature");
    const char *y = sal_json_str((*(ending_t *const *)b)->doc, "signature");

    return strcmp(x ? x : "", y ? y : "");
}

apr_status_t sal_job_store_all(sal_ending_t **endings, int n, sal_crash_store_t *crashes,
                               sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    group_t g = { apr_pmemdup(p, endings, sizeof(*endings) * (apr_size_t)n), n };
    apr_status_t rv;

    qsort(g.e, (size_t)n, sizeof(*g.e), by_signature);
    rv = sal_db_txn(db, group_txn, &g, p, err);
    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        step(g.e[i], "commit", rv);
        clean_up(g.e[i], crashes);
    }
    return rv;
}

static apr_time_t submitted_of(const char *crash_id, sal_db_t *db, apr_pool_t *p)
{
    sal_rows_t *rows;

    return sal_db_exec(db, &sal_s_process_submitted, &rows, p, NULL, SAL_V_TEXT(crash_id)) ==
                       APR_SUCCESS &&
                   sal_rows_count(rows)
               ? sal_rows_time(rows, 0, 0)
               : 0;
}

apr_status_t sal_job_bury(const sal_job_t *job, const char *reason, const sal_process_opts_t *opts,
                          sal_crash_store_t *store, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    ending_t e = { .job = job, .crash_id = job->crash_id, .reason = reason, .stub = true };

    e.doc = sal_json_own(
        sal_process_stub(job->crash_id, reason, submitted_of(job->crash_id, db, p), opts, p), p);
    return finish(&e, store, db, p, err);
}

apr_status_t sal_job_stub(int *made, const char *crash_id, const char *reason,
                          const sal_process_opts_t *opts, sal_crash_store_t *store, sal_db_t *db,
                          apr_pool_t *p, sal_error_t *err)
{
    ending_t e = { .crash_id = crash_id, .reason = reason, .stub = true };
    apr_status_t rv;

    e.doc =
        sal_json_own(sal_process_stub(crash_id, reason, submitted_of(crash_id, db, p), opts, p), p);
    rv = finish(&e, store, db, p, err);
    if (made) {
        *made = rv == APR_SUCCESS && e.put;
    }
    return rv;
}

/* *doc is NULL if the blob has gone. */
static apr_status_t read_former(json_t **doc, const char *blob, sal_crash_store_t *crashes,
                                apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_processed_get(doc, crashes, blob, p, err);

    if (APR_STATUS_IS_ENOENT(rv) || rv == SAL_E_MALFORMED) {
        *doc = NULL;
        rv = APR_SUCCESS;
    }
    return rv;
}

apr_status_t sal_job_previous(json_t **doc, const char *crash_id, sal_crash_store_t *crashes,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_process_get, &rows, p, err, SAL_V_TEXT(crash_id));

    *doc = NULL;
    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv;
    }
    rv = read_former(doc, sal_rows_text(rows, 0, 0), crashes, p, err);
    if (rv == APR_SUCCESS && !*doc) {
        sal_log(SAL_LOG_WARNING, 9184,
                "crash %s: the document of its last pass cannot be read; "
                "it is processed as if new",
                crash_id);
    }
    return rv;
}

apr_status_t sal_job_former(json_t **doc, const sal_job_t *job, sal_crash_store_t *crashes,
                            sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    *doc = NULL;
    if (job->former && !*job->former) {
        return APR_SUCCESS;
    }
    if (job->former && read_former(doc, job->former, crashes, p, err) == APR_SUCCESS && *doc) {
        return APR_SUCCESS;
    }
    return sal_job_previous(doc, job->crash_id, crashes, db, p, err);
}
