/*
 * Rebuilding, folder by folder. One transaction a crash: either all of its rows are there or none,
 * wherever it was interrupted.
 */
#include "reprocess/rebuild.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "crash/stored.h"
#include "reprocess/missing.h"
#include "search/index.h"
#include "triage/signatures.h"

#define BATCH 500

typedef struct work_t {
    const sal_rebuild_t *opts;
    sal_crash_store_t *store;
    sal_db_t *db;
    sal_rebuilt_t *sum;
    sal_error_t *err;
} work_t;

/* ---- a crash that has a document ---- */

typedef struct row_t {
    const sal_stored_t *crash;
    sal_pending_row_t raw;
    bool has_raw;
    const json_t *doc;
    const char *key;
    sal_search_row_t *search;
    bool put;
} row_t;

/* "processed/DAY/xx/ID.JOB.FENCE.json.zst" */
static void job_of(int64_t *job, int64_t *fence, const char *key, apr_pool_t *p)
{
    char *at = apr_pstrdup(p, strrchr(key, '/') + 1), *end;

    *job = *fence = 0;
    at = strchr(at, '.') + 1;
    if ((end = strchr(at, '.')) != NULL) {
        *end++ = '\0';
        sal_parse_int(at, 0, INT64_MAX, job);
        at = end;
    }
    if ((end = strchr(at, '.')) != NULL) {
        *end = '\0';
        sal_parse_int(at, 0, INT64_MAX, fence);
    }
}

static apr_status_t put_document(row_t *r, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *signature = sal_json_str(r->doc, "signature");
    const char *completed = sal_json_str(r->doc, "completed_datetime");
    int64_t job, fence;
    apr_time_t when;
    sal_rows_t *rows;
    apr_status_t rv;

    job_of(&job, &fence, r->key, p);
    if (!completed || !sal_time_parse(completed, &when)) {
        when = apr_time_now();
    }
    rv = sal_db_exec(db, &sal_s_rebuild_document, &rows, p, err, SAL_V_TEXT(r->crash->id),
                     SAL_V_INT(sal_stored_passes(r->doc)), SAL_V_INT(fence), SAL_V_INT(job),
                     SAL_V_TEXT(r->key),
                     SAL_V_BOOL(json_is_true(json_object_get(r->doc, "success"))),
                     SAL_V_TEXT(signature ? signature : ""), SAL_V_TIME(when));
    r->put = rv == APR_SUCCESS && sal_rows_affected(rows) > 0;
    return rv;
}

static apr_status_t row_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    row_t *r = baton;
    apr_status_t rv = APR_SUCCESS;

    if (r->has_raw) {
        rv = sal_db_exec(db, &sal_s_rebuild_raw, NULL, p, err, SAL_V_TEXT(r->crash->id),
                         SAL_V_TIME(r->raw.submitted));
    }
    if (rv == APR_SUCCESS) {
        rv = put_document(r, db, p, err);
    }
    if (rv != APR_SUCCESS || !r->put) {
        return rv;
    }
    if ((rv = sal_db_exec(db, &sal_s_rebuild_unqueue, NULL, p, err, SAL_V_TEXT(r->crash->id))) ==
            APR_SUCCESS &&
        (rv = sal_search_store(r->search, db, p, err)) == APR_SUCCESS &&
        (rv = sal_triage_seen(r->doc, db, p, err)) == APR_SUCCESS) {
        rv = sal_reprocess_note(db, r->crash->id, r->doc, p, err);
    }
    return rv;
}

static void complain(work_t *w, const char *id)
{
    w->sum->damaged++;
    sal_log(SAL_LOG_WARNING, 9200, "rebuild: crash %s: %s", id, w->err->message);
}

/* Errors of the database end the rebuild; those of one crash do not. */
static bool is_fatal(apr_status_t rv)
{
    return rv == SAL_E_NODB || rv == SAL_E_DB || rv == SAL_E_SICK;
}

static apr_status_t restore(work_t *w, row_t *r, apr_pool_t *p)
{
    apr_status_t rv = sal_search_prepare(&r->search, r->doc, w->db, p, w->err);

    if (rv == APR_SUCCESS) {
        rv = sal_db_txn(w->db, row_txn, r, p, w->err);
    }
    if (rv == APR_SUCCESS && r->put) {
        w->sum->documents++;
    }
    if (rv != APR_SUCCESS && !is_fatal(rv)) {
        complain(w, r->crash->id);
        return APR_SUCCESS;
    }
    return rv;
}

/* ---- crashes of a folder ---- */

/* Rows that are there need no look into the store: a second run is quick. */
static apr_status_t leave_known(apr_array_header_t *crashes, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    sal_stored_t *all = (sal_stored_t *)crashes->elts;
    const char **ids = apr_palloc(p, ((apr_size_t)crashes->nelts + 1) * sizeof(*ids));
    const char **keys = apr_palloc(p, ((apr_size_t)crashes->nelts + 1) * sizeof(*keys));
    sal_rows_t *rows;
    apr_status_t rv;
    int kept = 0;

    for (int i = 0; i < crashes->nelts; i++) {
        ids[i] = all[i].id;
        keys[i] = all[i].docs[0];
    }
    rv = sal_db_exec(db, &sal_s_rebuild_known, &rows, p, err,
                     SAL_V_TEXTS(ids, (apr_size_t)crashes->nelts),
                     SAL_V_TEXTS_NULLS(keys, (apr_size_t)crashes->nelts));
    for (int i = 0, at = 0; rv == APR_SUCCESS && i < crashes->nelts; i++) {
        if (at < sal_rows_count(rows) && !strcmp(sal_rows_text(rows, at, 0), all[i].id)) {
            at++;
        } else {
            all[kept++] = all[i];
        }
    }
    crashes->nelts = rv == APR_SUCCESS ? kept : crashes->nelts;
    return rv;
}

/* The crash's part: its rows now, or its place in the batch that is queued. */
static apr_status_t one_crash(work_t *w, const sal_stored_t *crash, sal_pending_row_t *batch,
                              int *n, apr_pool_t *p)
{
    row_t r = { .crash = crash };
    int damaged = 0;
    apr_status_t rv = APR_ENOENT;

    if (crash->docs[0]) {
        rv = sal_stored_document((json_t **)&r.doc, &r.key, &damaged, crash, w->store, p, w->err);
        if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
            return rv;
        }
        if (damaged) {
            sal_log(SAL_LOG_WARNING, 9201, "rebuild: crash %s: %d of its documents are damaged",
                    crash->id, damaged);
            w->sum->damaged += damaged;
        }
    }
    if (crash->container) {
        r.has_raw = sal_pending_row(&r.raw, crash->id, w->store, p, w->err) == APR_SUCCESS;
        if (!r.has_raw) {
            complain(w, crash->id);
        }
    }
    if (rv == APR_SUCCESS) {
        return restore(w, &r, p);
    }
    if (r.has_raw) {
        batch[(*n)++] = r.raw;
    }
    return APR_SUCCESS;
}

static apr_status_t queue_batch(work_t *w, const sal_pending_row_t *batch, int *n, apr_pool_t *p)
{
    int refused = 0;
    apr_status_t rv = *n ? sal_pending_insert(w->store, batch, *n, true, &refused, w->db, p, w->err)
                         : APR_SUCCESS;

    w->sum->queued += *n - refused;
    w->sum->damaged += refused;
    *n = 0;
    return rv;
}

static apr_status_t go_through(work_t *w, const apr_array_header_t *crashes, apr_pool_t *p)
{
    sal_pending_row_t *batch = apr_palloc(p, BATCH * sizeof(*batch));
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *tmp;
    int n = 0;

    apr_pool_create(&tmp, p);
    for (int i = 0; i < crashes->nelts && rv == APR_SUCCESS; i++) {
        rv = one_crash(w, &APR_ARRAY_IDX(crashes, i, sal_stored_t), batch, &n, tmp);
        apr_pool_clear(tmp);
        if (rv == APR_SUCCESS && n == BATCH) {
            rv = queue_batch(w, batch, &n, tmp);
            apr_pool_clear(tmp);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = queue_batch(w, batch, &n, tmp);
    }
    apr_pool_destroy(tmp);
    return rv;
}

/* New jobs are numbered behind those that named documents, so that names stay unique. */
static apr_status_t number_jobs(const apr_array_header_t *crashes, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    int64_t last = 0;

    for (int i = 0; i < crashes->nelts; i++) {
        int64_t job = APR_ARRAY_IDX(crashes, i, sal_stored_t).last_job;

        last = job > last ? job : last;
    }
    return last ? sal_db_exec(db, &sal_s_rebuild_number, NULL, p, err, SAL_V_INT(last))
                : APR_SUCCESS;
}

static apr_status_t do_part(work_t *w, const char *part, apr_pool_t *p)
{
    apr_array_header_t *crashes;
    int64_t all;
    apr_status_t rv = sal_stored_part(&crashes, w->store, part, p, w->err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    all = crashes->nelts;
    if (all && (rv = number_jobs(crashes, w->db, p, w->err)) == APR_SUCCESS &&
        (rv = leave_known(crashes, w->db, p, w->err)) == APR_SUCCESS) {
        rv = go_through(w, crashes, p);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(w->db, &sal_s_rebuild_part_done, NULL, p, w->err, SAL_V_TEXT(part),
                         SAL_V_INT(all));
    }
    w->sum->crashes += all;
    w->sum->folders++;
    return rv;
}

/* ---- who does which folder ---- */

/* wait: until whoever has it is through. *mine: it is to be done, and locked by us. */
static apr_status_t take_part(bool *mine, bool *busy, const char *part, bool wait, work_t *w,
                              apr_pool_t *p)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(w->db, wait ? &sal_s_rebuild_wait : &sal_s_rebuild_take, &rows, p,
                                  w->err, SAL_V_TEXT(part));

    *mine = *busy = false;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *busy = !wait && !sal_rows_bool(rows, 0, 0);
    if (*busy) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(w->db, &sal_s_rebuild_is_done, &rows, p, w->err, SAL_V_TEXT(part));
    *mine = rv == APR_SUCCESS && sal_rows_count(rows) == 0;
    return rv == APR_SUCCESS && !*mine
               ? sal_db_exec(w->db, &sal_s_rebuild_leave, NULL, p, w->err, SAL_V_TEXT(part))
               : rv;
}

static apr_status_t try_part(bool *busy, const char *part, bool wait, work_t *w, apr_pool_t *p)
{
    bool mine;
    apr_status_t rv = take_part(&mine, busy, part, wait, w, p);

    if (rv != APR_SUCCESS || !mine) {
        return rv;
    }
    rv = do_part(w, part, p);
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(w->db, &sal_s_rebuild_leave, NULL, p, w->err, SAL_V_TEXT(part));
    }
    if (rv == APR_SUCCESS && w->opts->progress) {
        w->opts->progress(w->sum, w->opts->baton);
    }
    return rv;
}

/* Once without waiting for others, then for what others had in hand: they may have died. */
static apr_status_t all_parts(work_t *w, const apr_array_header_t *days, bool wait, bool *left,
                              apr_pool_t *parent)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *p;

    *left = false;
    apr_pool_create(&p, parent);
    for (int d = 0; d < days->nelts; d++) {
        for (int xx = 0; xx < 256 && rv == APR_SUCCESS; xx++) {
            bool busy = false;

            rv = try_part(&busy,
                          apr_psprintf(p, "%s/%02x", APR_ARRAY_IDX(days, d, const char *), xx),
                          wait, w, p);
            *left = *left || busy;
            apr_pool_clear(p);
        }
    }
    apr_pool_destroy(p);
    return rv;
}

static apr_status_t choose_days(apr_array_header_t **days, work_t *w, apr_pool_t *p)
{
    const char *from = w->opts->from, *to = w->opts->to;
    apr_array_header_t *all;
    apr_status_t rv = sal_stored_days(&all, w->store, p, w->err);

    *days = apr_array_make(p, 16, sizeof(const char *));
    for (int i = 0; rv == APR_SUCCESS && i < all->nelts; i++) {
        const char *day = APR_ARRAY_IDX(all, i, const char *);

        if ((!from || strcmp(day, from) >= 0) && (!to || strcmp(day, to) <= 0)) {
            APR_ARRAY_PUSH(*days, const char *) = day;
        }
    }
    w->sum->of = (int64_t)(*days)->nelts * 256;
    return rv;
}

/*
 * Everybody who rebuilds holds a lock together with the others. Whoever is alone may start from the
 * beginning: asked to, or because the rebuild before came to its end.
 */
static apr_status_t begin(work_t *w, apr_pool_t *p)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_run_text(w->db, "SET synchronous_commit = off", NULL, 0, NULL, p, w->err);
    bool alone;

    if (rv != APR_SUCCESS ||
        (rv = sal_db_run(w->db, &sal_s_rebuild_alone, NULL, 0, &rows, p, w->err)) != APR_SUCCESS) {
        return rv;
    }
    alone = sal_rows_bool(rows, 0, 0);
    if (alone) {
        rv = sal_db_exec(w->db, &sal_s_rebuild_clear, NULL, p, w->err, SAL_V_BOOL(0));
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_run(w->db, &sal_s_rebuild_join, NULL, 0, NULL, p, w->err);
    }
    return rv == APR_SUCCESS && alone
               ? sal_db_run(w->db, &sal_s_rebuild_not_alone, NULL, 0, NULL, p, w->err)
               : rv;
}

apr_status_t sal_rebuild(sal_rebuilt_t *sum, const sal_rebuild_t *opts, sal_crash_store_t *store,
                         sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    work_t w = { opts, store, db, sum, err };
    apr_array_header_t *days;
    bool left;
    apr_status_t rv;

    memset(sum, 0, sizeof(*sum));
    if ((rv = begin(&w, p)) != APR_SUCCESS || (rv = choose_days(&days, &w, p)) != APR_SUCCESS ||
        (rv = all_parts(&w, days, false, &left, p)) != APR_SUCCESS) {
        return rv;
    }
    if (left && (rv = all_parts(&w, days, true, &left, p)) != APR_SUCCESS) {
        return rv;
    }
    return sal_db_run(db, &sal_s_rebuild_end, NULL, 0, NULL, p, err);
}

apr_status_t sal_rebuild_forget(sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_rebuild_alone, NULL, 0, &rows, p, err);

    if (rv == APR_SUCCESS && !sal_rows_bool(rows, 0, 0)) {
        return sal_fail(err, SAL_E_BUSY, "somebody rebuilds this database now");
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_rebuild_clear, NULL, p, err, SAL_V_BOOL(1));
    }
    return rv == APR_SUCCESS ? sal_db_run(db, &sal_s_rebuild_not_alone, NULL, 0, NULL, p, err) : rv;
}
