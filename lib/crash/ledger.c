/*
 * The ledger: a ring under a lock that is never held over a call that can wait.
 */
#include "crash/ledger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"

#define RING 4096
#define BATCH 500

struct sal_ledger_t {
    pthread_mutex_t lock;
    int first, used;
    sal_ledger_row_t ring[RING];
    sal_ledger_row_t batch[BATCH]; /* the writer's */
};

static apr_status_t free_ledger(void *data)
{
    sal_ledger_t *ledger = data;

    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
    return APR_SUCCESS;
}

apr_status_t sal_ledger_make(sal_ledger_t **out, apr_pool_t *p, sal_error_t *err)
{
    sal_ledger_t *ledger = calloc(1, sizeof(*ledger));

    if (!ledger) {
        return sal_fail(err, APR_ENOMEM, "no memory for the intake ledger");
    }
    pthread_mutex_init(&ledger->lock, NULL);
    apr_pool_cleanup_register(p, ledger, free_ledger, apr_pool_cleanup_null);
    *out = ledger;
    return APR_SUCCESS;
}

/* Names and ids only: whatever else came in by some way does not get further. */
static void tidy(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || (unsigned char)*text > '~') {
            *text = '_';
        }
    }
}

bool sal_ledger_add(sal_ledger_t *ledger, const sal_ledger_row_t *row)
{
    bool room;

    pthread_mutex_lock(&ledger->lock);
    room = ledger->used < RING;
    if (room) {
        sal_ledger_row_t *to = &ledger->ring[(ledger->first + ledger->used++) % RING];

        *to = *row;
        tidy(to->outcome);
        tidy(to->reason);
        tidy(to->agent);
        tidy(to->crash_id);
    }
    pthread_mutex_unlock(&ledger->lock);
    return room;
}

int sal_ledger_waiting(sal_ledger_t *ledger)
{
    int n;

    pthread_mutex_lock(&ledger->lock);
    n = ledger->used;
    pthread_mutex_unlock(&ledger->lock);
    return n;
}

int sal_ledger_drop(sal_ledger_t *ledger)
{
    int n;

    pthread_mutex_lock(&ledger->lock);
    n = ledger->used;
    ledger->first = ledger->used = 0;
    pthread_mutex_unlock(&ledger->lock);
    return n;
}

static int take_batch(sal_ledger_t *ledger)
{
    int n;

    pthread_mutex_lock(&ledger->lock);
    n = ledger->used < BATCH ? ledger->used : BATCH;
    for (int i = 0; i < n; i++) {
        ledger->batch[i] = ledger->ring[(ledger->first + i) % RING];
    }
    ledger->first = (ledger->first + n) % RING;
    ledger->used -= n;
    pthread_mutex_unlock(&ledger->lock);
    return n;
}

static apr_status_t insert(const sal_ledger_row_t *rows, int n, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    enum { RECEIVED, OUTCOME, REASON, AGENT, ID, TEXTS };
    const char **texts[TEXTS];
    int64_t *status = apr_palloc(p, (apr_size_t)n * sizeof(*status));
    int64_t *size = apr_palloc(p, (apr_size_t)n * sizeof(*size));

    for (int t = 0; t < TEXTS; t++) {
        texts[t] = apr_palloc(p, (apr_size_t)n * sizeof(char *));
    }
    for (int i = 0; i < n; i++) {
        texts[RECEIVED][i] = sal_time_iso(rows[i].received, p);
        texts[OUTCOME][i] = rows[i].outcome;
        texts[REASON][i] = rows[i].reason;
        texts[AGENT][i] = rows[i].agent;
        texts[ID][i] = rows[i].crash_id;
        status[i] = rows[i].status;
        size[i] = rows[i].size;
    }
    return sal_db_exec(
        db, &sal_s_ledger_add, NULL, p, err, SAL_V_TEXTS(texts[RECEIVED], (apr_size_t)n),
        SAL_V_TEXTS(texts[OUTCOME], (apr_size_t)n), SAL_V_TEXTS(texts[REASON], (apr_size_t)n),
        SAL_V_INTS(status, (apr_size_t)n), SAL_V_INTS(size, (apr_size_t)n),
        SAL_V_TEXTS(texts[AGENT], (apr_size_t)n), SAL_V_TEXTS(texts[ID], (apr_size_t)n));
}

apr_status_t sal_ledger_write(int *written, int *dropped, sal_ledger_t *ledger, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    apr_pool_t *tmp;
    apr_status_t rv = APR_SUCCESS;
    int n;

    *written = *dropped = 0;
    apr_pool_create(&tmp, p);
    while (rv == APR_SUCCESS && (n = take_batch(ledger)) > 0) {
        rv = insert(ledger->batch, n, db, tmp, err);
        *(rv == APR_SUCCESS ? written : dropped) += n;
        apr_pool_clear(tmp);
    }
    apr_pool_destroy(tmp);
    return rv;
}

apr_status_t sal_ledger_expire(bool *more, int days, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_ledger_expire, &rows, p, err, SAL_V_INT(days));

    *more = rv == APR_SUCCESS && sal_rows_affected(rows) >= 10000;
    return rv;
}

/* ---- reading ---- */

static apr_status_t query(sal_rows_t **rows, const sal_stmt_t *stmt,
                          const sal_ledger_filter_t *filter, sal_db_t *db, apr_pool_t *p,
                          sal_error_t *err)
{
    const char *id = filter->crash_id;

    id = id && !strncmp(id, "bp-", 3) ? id + 3 : id;
    return sal_db_exec(db, stmt, rows, p, err, SAL_V_TEXT(id), SAL_V_TEXT(filter->outcome),
                       SAL_V_BOOL(filter->refused), SAL_V_INT(filter->since),
                       SAL_V_INT(filter->limit));
}

apr_status_t sal_ledger_list(sal_rows_t **rows, const sal_ledger_filter_t *filter, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    return query(rows, &sal_s_ledger_list, filter, db, p, err);
}

apr_status_t sal_ledger_sums(sal_rows_t **rows, const sal_ledger_filter_t *filter, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    return query(rows, &sal_s_ledger_sums, filter, db, p, err);
}
