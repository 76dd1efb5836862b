/*
 * Pings under lease. Claims wait for one another (they are short), so that counts of strata are
 * exact and nobody deadlocks; results are stored under the fence of the lease.
 */
#include "ping/ping_store.h"

#include <apr_strings.h>

typedef struct claim_t {
    int max, lease;
    const apr_array_header_t *rules;
    sal_ping_job_t *jobs;
    int n, seen;
} claim_t;

/* Columns of ping_waiting. */
enum { W_ID, W_RECEIVED, W_STATE, W_ATTEMPTS, W_OS, W_CHANNEL, W_PROCESS, W_ACTOR };

/* Counts a new ping and draws it or not. */
static apr_status_t draw(bool *taken, const claim_t *c, const sal_rows_t *rows, int i, sal_db_t *db,
                         apr_pool_t *p, sal_error_t *err)
{
    const char *os = sal_rows_text(rows, i, W_OS), *channel = sal_rows_text(rows, i, W_CHANNEL);
    const char *process = sal_rows_text(rows, i, W_PROCESS),
               *actor = sal_rows_text(rows, i, W_ACTOR);
    int64_t target = sal_ping_target(c->rules, os, channel, process, actor), so_far, before;
    sal_rows_t *counts;
    apr_status_t rv = sal_db_exec(db, &sal_s_ping_count, &counts, p, err,
                                  SAL_V_TEXT(sal_rows_text(rows, i, W_RECEIVED)), SAL_V_TEXT(os),
                                  SAL_V_TEXT(channel), SAL_V_TEXT(process), SAL_V_TEXT(actor));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    so_far = sal_rows_int(counts, 0, 0);
    before = sal_rows_int(counts, 0, 2);
    *taken = sal_ping_in_sample(sal_rows_text(rows, i, W_ID), target,
                                so_far > before ? so_far : before, sal_rows_int(counts, 0, 1));
    return *taken ? sal_db_exec(db, &sal_s_ping_count_taken, NULL, p, err,
                                SAL_V_TEXT(sal_rows_text(rows, i, W_RECEIVED)), SAL_V_TEXT(os),
                                SAL_V_TEXT(channel), SAL_V_TEXT(process), SAL_V_TEXT(actor))
                  : APR_SUCCESS;
}

static apr_status_t lease_rows(claim_t *c, const char **ids, const char **times, int n,
                               sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_ping_lease, &rows, p, err, SAL_V_TEXTS(ids, (apr_size_t)n),
                    SAL_V_TEXTS(times, (apr_size_t)n), SAL_V_INT(c->lease));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    c->n = sal_rows_count(rows);
    c->jobs = apr_pcalloc(p, sizeof(*c->jobs) * (apr_size_t)(c->n + 1));
    for (int i = 0; i < c->n; i++) {
        c->jobs[i] = (sal_ping_job_t){ .document_id = sal_rows_text(rows, i, 0),
                                       .received = sal_rows_text(rows, i, 1),
                                       .attempts = (int)sal_rows_int(rows, i, 2),
                                       .os = sal_rows_text(rows, i, 3),
                                       .body = sal_rows_text(rows, i, 4) };
    }
    return APR_SUCCESS;
}

static apr_status_t claim_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    claim_t *c = baton;
    const char **ids, **times, **left, **left_times;
    int n = 0, out = 0;
    sal_rows_t *rows;
    apr_status_t rv;

    c->n = c->seen = 0;
    if ((rv = sal_db_run(db, &sal_s_ping_lock, NULL, 0, NULL, p, err)) != APR_SUCCESS ||
        (rv = sal_db_exec(db, &sal_s_ping_give_up, NULL, p, err, SAL_V_INT(SAL_PING_ATTEMPTS))) !=
            APR_SUCCESS ||
        (rv = sal_db_exec(db, &sal_s_ping_waiting, &rows, p, err, SAL_V_INT(c->max))) !=
            APR_SUCCESS) {
        return rv;
    }
    c->seen = sal_rows_count(rows);
    ids = apr_palloc(p, sizeof(*ids) * 4 * (apr_size_t)(c->seen + 1));
    times = ids + c->seen;
    left = times + c->seen;
    left_times = left + c->seen;
    for (int i = 0; i < c->seen; i++) {
        bool taken = true;

        if (sal_rows_int(rows, i, W_STATE) == 0 &&
            (rv = draw(&taken, c, rows, i, db, p, err)) != APR_SUCCESS) {
            return rv;
        }
        (taken ? ids : left)[taken ? n : out] = sal_rows_text(rows, i, W_ID);
        (taken ? times : left_times)[taken ? n++ : out++] = sal_rows_text(rows, i, W_RECEIVED);
    }
    if (out > 0) {
        rv = sal_db_exec(db, &sal_s_ping_leave, NULL, p, err, SAL_V_TEXTS(left, (apr_size_t)out),
                         SAL_V_TEXTS(left_times, (apr_size_t)out));
    }
    return rv == APR_SUCCESS && n > 0 ? lease_rows(c, ids, times, n, db, p, err) : rv;
}

apr_status_t sal_ping_claim(sal_ping_job_t **out, int *n, int *seen, int max, int lease,
                            const apr_array_header_t *rules, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    claim_t c = { .max = max, .lease = lease, .rules = rules };
    apr_status_t rv = sal_db_txn(db, claim_txn, &c, p, err);

    *out = c.jobs;
    *n = rv == APR_SUCCESS ? c.n : 0;
    *seen = c.seen;
    return rv;
}

apr_status_t sal_ping_complete(int *stored, const sal_ping_job_t *jobs,
                               const sal_ping_result_t *results, int n, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    apr_size_t count = (apr_size_t)n;
    const char **texts = apr_palloc(p, sizeof(*texts) * 6 * (count + 1));
    int64_t *fences = apr_palloc(p, sizeof(*fences) * (count + 1));
    sal_rows_t *rows;
    apr_status_t rv;

    for (apr_size_t i = 0; i < count; i++) {
        texts[i] = jobs[i].document_id;
        texts[count + i] = jobs[i].received;
        texts[2 * count + i] = results[i].signature;
        texts[3 * count + i] = results[i].proto_signature;
        texts[4 * count + i] = results[i].stack;
        texts[5 * count + i] = results[i].note;
        fences[i] = jobs[i].attempts;
    }
    rv = sal_db_exec(
        db, &sal_s_ping_complete, &rows, p, err, SAL_V_TEXTS(texts, count),
        SAL_V_TEXTS(texts + count, count), SAL_V_INTS(fences, count),
        SAL_V_TEXTS_NULLS(texts + 2 * count, count), SAL_V_TEXTS_NULLS(texts + 3 * count, count),
        SAL_V_TEXTS_NULLS(texts + 4 * count, count), SAL_V_TEXTS_NULLS(texts + 5 * count, count));
    *stored = rv == APR_SUCCESS ? (int)sal_rows_int(rows, 0, 0) : 0;
    return rv;
}

apr_status_t sal_ping_return(const sal_ping_job_t *jobs, int n, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    apr_size_t count = (apr_size_t)n;
    const char **texts = apr_palloc(p, sizeof(*texts) * 2 * (count + 1));
    int64_t *fences = apr_palloc(p, sizeof(*fences) * (count + 1));

    for (apr_size_t i = 0; i < count; i++) {
        texts[i] = jobs[i].document_id;
        texts[count + i] = jobs[i].received;
        fences[i] = jobs[i].attempts;
    }
    return sal_db_exec(db, &sal_s_ping_return, NULL, p, err, SAL_V_TEXTS(texts, count),
                       SAL_V_TEXTS(texts + count, count), SAL_V_INTS(fences, count));
}
