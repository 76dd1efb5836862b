/*
 * The watch over the table of products. Its lock guards the pointer to the list of now and the
 * counts of who reads which; it is never held over a call that can wait. Each list has a pool of
 * its own, which goes when the list is old and its last reader has ended.
 */
#include "crash/products.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/thread.h"
#include "db/watch.h"

typedef struct held_t {
    sal_products_t products;
    apr_pool_t *pool;
    int readers; /* the watch itself is one while this is the list of now */
} held_t;

struct sal_product_watch_t {
    apr_pool_t *pool;
    sal_db_line_t *line; /* cut by whoever ends the thread */
    int seconds;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stopping, complained;
    held_t *now;
};

typedef struct loan_t {
    sal_product_watch_t *watch;
    held_t *held;
} loan_t;

/* A root pool with an allocator of its own: pools of the host may not be used from the thread. */
static apr_pool_t *own_pool(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    if (apr_pool_create_unmanaged_ex(&pool, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    return pool;
}

static void give_back(sal_product_watch_t *w, held_t *held)
{
    bool last;

    pthread_mutex_lock(&w->lock);
    last = --held->readers == 0;
    pthread_mutex_unlock(&w->lock);
    if (last) {
        apr_pool_destroy(held->pool);
    }
}

static apr_status_t end_loan(void *data)
{
    loan_t *loan = data;

    give_back(loan->watch, loan->held);
    return APR_SUCCESS;
}

const sal_products_t *sal_product_watch_list(sal_product_watch_t *w, apr_pool_t *p)
{
    loan_t *loan = apr_palloc(p, sizeof(*loan));

    loan->watch = w;
    pthread_mutex_lock(&w->lock);
    loan->held = w->now;
    loan->held->readers++;
    pthread_mutex_unlock(&w->lock);
    apr_pool_cleanup_register(p, loan, end_loan, apr_pool_cleanup_null);
    return &loan->held->products;
}

/* ---- asking the database ---- */

static held_t *make_held(void)
{
    apr_pool_t *pool = own_pool();
    held_t *held = pool ? apr_pcalloc(pool, sizeof(*held)) : NULL;

    if (held) {
        held->pool = pool;
        held->readers = 1;
    }
    return held;
}

/* A connection for this question alone: they are minutes apart. */
static apr_status_t ask(held_t *into, sal_db_line_t *line, sal_error_t *err)
{
    sal_db_t *db;
    apr_status_t rv = sal_db_line_get(&db, line, err);

    if (rv == APR_SUCCESS) {
        rv = sal_products_load(&into->products, db, into->pool, err);
    }
    sal_db_line_close(line);
    return rv;
}

/* Says once that the list is old, and once that it is not any more. */
static void report(sal_product_watch_t *w, apr_status_t rv, const sal_error_t *err)
{
    if (rv != APR_SUCCESS && !w->complained) {
        sal_log(SAL_LOG_WARNING, 9631, "products cannot be read (%s); the last list stays",
                err->message);
    } else if (rv == APR_SUCCESS && w->complained) {
        sal_log(SAL_LOG_NOTICE, 9632, "products are read again");
    }
    w->complained = rv != APR_SUCCESS;
}

static void refresh(sal_product_watch_t *w)
{
    held_t *fresh = make_held(), *old = fresh;
    sal_error_t err = { 0 };
    apr_status_t rv = fresh ? ask(fresh, w->line, &err) : APR_ENOMEM;

    report(w, rv, &err);
    if (rv == APR_SUCCESS) {
        pthread_mutex_lock(&w->lock);
        old = w->now;
        w->now = fresh;
        pthread_mutex_unlock(&w->lock);
    }
    if (old) {
        give_back(w, old);
    }
}

/* ---- the thread ---- */

/* False when it is time to end. */
static bool wait_for_turn(sal_product_watch_t *w)
{
    struct timespec until;
    bool go;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += w->seconds;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping && pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0) {
    }
    go = !w->stopping;
    pthread_mutex_unlock(&w->lock);
    return go;
}

static void *run(void *data)
{
    do {
        refresh(data);
    } while (wait_for_turn(data));
    return NULL;
}

static apr_status_t stop(void *data)
{
    sal_product_watch_t *w = data;
    struct timespec until;

    if (w->running) {
        pthread_mutex_lock(&w->lock);
        w->stopping = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        if (pthread_timedjoin_np(w->thread, NULL, &until) != 0) {
            sal_db_line_cut(w->line);
            pthread_join(w->thread, NULL);
        }
        w->running = false;
    }
    return APR_SUCCESS;
}

static apr_status_t free_watch(void *data)
{
    sal_product_watch_t *w = data;

    give_back(w, w->now);
    apr_pool_destroy(w->pool);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return APR_SUCCESS;
}

apr_status_t sal_product_watch_start(sal_product_watch_t **out, const char *conninfo, int seconds,
                                     apr_pool_t *p, sal_error_t *err)
{
    sal_product_watch_t *w = calloc(1, sizeof(*w));
    apr_status_t rv;

    if (!w || !(w->pool = own_pool()) || !(w->now = make_held())) {
        if (w && w->pool) {
            apr_pool_destroy(w->pool);
        }
        free(w);
        return sal_fail(err, APR_ENOMEM, "no memory for the list of products");
    }
    w->line = sal_db_line_make(sal_db_conninfo(conninfo, "salvage-products", 5, w->pool), w->pool);
    w->seconds = seconds;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    apr_pool_cleanup_register(p, w, free_watch, apr_pool_cleanup_null);
    rv = sal_thread_start(&w->thread, run, w);
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "the thread that reads products");
    }
    w->running = true;
    apr_pool_pre_cleanup_register(p, w, stop);
    *out = w;
    return APR_SUCCESS;
}
