/*
 * The row thread. Its lock guards the ring and the counters and is never held over a call that
 * can wait; the connection belongs to the thread alone.
 */
#include "crash/row_thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/thread.h"
#include "db/db.h"
#include "db/watch.h"

#define RING 10000
#define BATCH 500
#define NOTIFY_EVERY apr_time_from_sec(1)
/* What a statement that began in time may take beyond the end of the drain. */
#define GRACE apr_time_from_msec(200)
#define BACKOFF_MIN apr_time_from_sec(1)
#define BACKOFF_MAX apr_time_from_sec(30)

struct sal_row_thread_t {
    sal_crash_store_t *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stopping;
    apr_time_t drain_until;
    int first, used;
    sal_row_stats_t stats;
    apr_interval_time_t times[SAL_ROW_TIMES];
    unsigned batches; /* since they were asked for */
    sal_pending_row_t ring[RING];

    /* the thread's own */
    apr_pool_t *pool, *tmp;
    sal_db_line_t *line; /* cut by whoever ends the thread */
    apr_time_t notified, backoff;
    bool complained, notify_owed;
    sal_pending_row_t batch[BATCH];
};

/* ---- the ring ---- */

void sal_row_thread_add(sal_row_thread_t *t, const char *id, apr_time_t submitted)
{
    pthread_mutex_lock(&t->lock);
    if (t->used < RING && !t->stopping) {
        sal_pending_row_t *row = &t->ring[(t->first + t->used++) % RING];

        apr_cpystrn(row->id, id, sizeof(row->id));
        row->submitted = submitted;
        pthread_cond_signal(&t->wake);
    } else {
        t->stats.dropped++;
    }
    pthread_mutex_unlock(&t->lock);
}

void sal_row_thread_stats(sal_row_thread_t *t, sal_row_stats_t *out)
{
    pthread_mutex_lock(&t->lock);
    *out = t->stats;
    out->waiting = t->used;
    pthread_mutex_unlock(&t->lock);
}

int sal_row_thread_times(sal_row_thread_t *t, apr_interval_time_t out[SAL_ROW_TIMES])
{
    int n;

    pthread_mutex_lock(&t->lock);
    n = t->batches < SAL_ROW_TIMES ? (int)t->batches : SAL_ROW_TIMES;
    memcpy(out, t->times, (apr_size_t)n * sizeof(*out));
    t->batches = 0;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* Copies what waits, up to a batch; it is taken from the ring only once it is written. */
static int peek_batch(sal_row_thread_t *t)
{
    int n;

    pthread_mutex_lock(&t->lock);
    n = t->used < BATCH ? t->used : BATCH;
    for (int i = 0; i < n; i++) {
        t->batch[i] = t->ring[(t->first + i) % RING];
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

static void drop_batch(sal_row_thread_t *t, int n, int refused, apr_interval_time_t took)
{
    pthread_mutex_lock(&t->lock);
    t->times[t->batches++ % SAL_ROW_TIMES] = took;
    t->first = (t->first + n) % RING;
    t->used -= n;
    t->stats.written += n - refused;
    t->stats.refused += refused;
    t->stats.connected = true;
    pthread_mutex_unlock(&t->lock);
}

/* ---- the database ---- */

/* Says once that the database is away, and once that it is back. */
static void report(sal_row_thread_t *t, apr_status_t rv, const sal_error_t *err)
{
    if (rv != APR_SUCCESS && !t->complained) {
        sal_log(SAL_LOG_WARNING, 9621,
                "queue rows cannot be written (%s); crashes are accepted "
                "and wait in pending/",
                err->message);
    } else if (rv == APR_SUCCESS && t->complained) {
        sal_log(SAL_LOG_NOTICE, 9622, "queue rows are written again");
    }
    t->complained = rv != APR_SUCCESS;
}

static apr_status_t write_batch(sal_row_thread_t *t, int n)
{
    apr_time_t now = apr_time_now();
    bool notify = now - t->notified >= NOTIFY_EVERY;
    int refused = 0;
    sal_error_t err;
    sal_db_t *db;
    apr_status_t rv = sal_db_line_get(&db, t->line, &err);

    if (rv == APR_SUCCESS) {
        rv = sal_pending_insert(t->store, t->batch, n, notify, &refused, db, t->tmp, &err);
    }
    apr_pool_clear(t->tmp);
    report(t, rv, &err);
    if (rv != APR_SUCCESS) {
        sal_db_line_close(t->line);
        pthread_mutex_lock(&t->lock);
        t->stats.connected = false;
        t->stats.failures++;
        pthread_mutex_unlock(&t->lock);
        return rv;
    }
    if (notify) {
        t->notified = now;
    }
    t->notify_owed = !notify;
    drop_batch(t, n, refused, apr_time_now() - now);
    return APR_SUCCESS;
}

/* Rows written within a second of the last NOTIFY: wake the workers for them too, later. */
static void pay_notify(sal_row_thread_t *t)
{
    sal_db_t *db;

    if (sal_db_line_get(&db, t->line, NULL) == APR_SUCCESS &&
        sal_db_run(db, &sal_s_crash_notify, NULL, 0, NULL, t->tmp, NULL) != APR_SUCCESS) {
        sal_db_line_close(t->line);
    }
    apr_pool_clear(t->tmp);
    t->notified = apr_time_now();
    t->notify_owed = false;
}

/* ---- the thread ---- */

/* Waits on the condition until `until` (0: for ever). The lock is held. */
static void wait_until(sal_row_thread_t *t, apr_time_t until)
{
    struct timespec ts = { (time_t)apr_time_sec(until), (long)apr_time_usec(until) * 1000 };

    if (until) {
        pthread_cond_timedwait(&t->wake, &t->lock, &ts);
    } else {
        pthread_cond_wait(&t->wake, &t->lock);
    }
}

/* Waits for work. False: end. */
static bool wait_for_work(sal_row_thread_t *t, apr_time_t not_before)
{
    bool go;

    pthread_mutex_lock(&t->lock);
    for (;;) {
        apr_time_t now = apr_time_now(), due = not_before;

        if (t->stopping && (!t->used || now >= t->drain_until)) {
            go = false;
            break;
        }
        if (t->used && (now >= not_before || t->stopping)) {
            go = true;
            break;
        }
        if (t->notify_owed && !t->used) {
            due = t->notified + NOTIFY_EVERY;
            if (now >= due) {
                go = true;
                break;
            }
        } else if (!t->used) {
            due = 0;
        }
        wait_until(t, due);
    }
    pthread_mutex_unlock(&t->lock);
    return go;
}

static bool is_stopping(sal_row_thread_t *t)
{
    bool stopping;

    pthread_mutex_lock(&t->lock);
    stopping = t->stopping;
    pthread_mutex_unlock(&t->lock);
    return stopping;
}

static void *run(void *data)
{
    sal_row_thread_t *t = data;
    apr_time_t not_before = 0;

    while (wait_for_work(t, not_before)) {
        int n = peek_batch(t);

        if (n == 0) {
            pay_notify(t);
            continue;
        }
        if (write_batch(t, n) == APR_SUCCESS) {
            not_before = 0;
            t->backoff = 0;
            continue;
        }
        t->backoff = t->backoff ? t->backoff * 2 : BACKOFF_MIN;
        t->backoff = t->backoff > BACKOFF_MAX ? BACKOFF_MAX : t->backoff;
        not_before = apr_time_now() + t->backoff;
        if (is_stopping(t)) {
            break; /* no time for a second try: pending/ has them */
        }
    }
    if (t->notify_owed && apr_time_now() < t->drain_until) {
        pay_notify(t);
    }
    return NULL;
}

static bool joined_by(sal_row_thread_t *t, apr_time_t until)
{
    struct timespec ts = { (time_t)apr_time_sec(until), (long)apr_time_usec(until) * 1000 };

    return pthread_timedjoin_np(t->thread, NULL, &ts) == 0;
}

void sal_row_thread_stop(sal_row_thread_t *t, apr_interval_time_t drain)
{
    if (!t->running) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    t->drain_until = apr_time_now() + drain;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (!joined_by(t, t->drain_until + GRACE)) {
        sal_db_line_cut(t->line);
        pthread_join(t->thread, NULL);
    }
    t->running = false;
    apr_pool_destroy(t->pool);
}

static apr_status_t stop_at_exit(void *data)
{
    sal_row_thread_stop(data, apr_time_from_sec(2));
    return APR_SUCCESS;
}

static apr_status_t free_thread(void *data)
{
    sal_row_thread_t *t = data;

    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t);
    return APR_SUCCESS;
}

/* A root pool with an allocator of its own: pools of the host may not be used from here. */
static apr_status_t make_pools(sal_row_thread_t *t)
{
    apr_allocator_t *allocator;
    apr_status_t rv = apr_allocator_create(&allocator);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = apr_pool_create_unmanaged_ex(&t->pool, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, t->pool);
    apr_pool_create(&t->tmp, t->pool);
    return APR_SUCCESS;
}

apr_status_t sal_row_thread_start(sal_row_thread_t **out, const char *conninfo,
                                  sal_crash_store_t *store, apr_pool_t *p, sal_error_t *err)
{
    sal_row_thread_t *t = calloc(1, sizeof(*t));
    apr_status_t rv;

    if (!t) {
        return sal_fail(err, APR_ENOMEM, "no memory for the row thread");
    }
    t->store = store;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    apr_pool_cleanup_register(p, t, free_thread, apr_pool_cleanup_null);
    rv = make_pools(t);
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "row thread");
    }
    t->line = sal_db_line_make(sal_db_conninfo(conninfo, "salvage-rows", 5, t->pool), t->pool);
    rv = sal_thread_start(&t->thread, run, t);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(t->pool);
        return sal_fail_os(err, rv, "row thread");
    }
    t->running = true;
    apr_pool_pre_cleanup_register(p, t, stop_at_exit);
    *out = t;
    return APR_SUCCESS;
}
