/*
 * The housekeeper: what has to be done now and then, by one process a daemon. Everything it does
 * may be done by several daemons at once.
 */
#include "salvaged.h"

#include <poll.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"
#include "board.h"
#include "jobs/complete.h"
#include "reprocess/missing.h"

#define SWEEP_SECONDS 30
#define PENDING_AGE 30
#define LONG_TRANSACTION 600 /* seconds */
#define LONG_SECONDS 300     /* between looks at them */
#define REPROCESS_SECONDS 2
#define ABANDONED_SECONDS 1
#define LOOK_SECONDS 10 /* for jobs that are due */

typedef struct keeper_t {
    const settings_t *settings;
    apr_pool_t *pool;
    link_t link;
    int signals;
    bool stopping;
    crons_t crons;
} keeper_t;

/* A chore: what it is for is its function. */
typedef struct chore_t {
    apr_status_t (*run)(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err);
    int every; /* seconds */
    apr_time_t next;
} chore_t;

/*
 * The report page of a crash whose job has died shall say so. Whoever let it die may have died too
 * before it could write the stub, or was a person with `salvage queue kill`.
 */
static apr_status_t write_stubs(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_process_opts_t opts;
    sal_error_t why;
    sal_rows_t *dead;
    apr_status_t rv = sal_queue_untold(&dead, db, p, err);

    settings_process_opts(&opts, k->settings);
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(dead); i++) {
        const char *id = sal_rows_text(dead, i, 0);

        if (sal_job_stub(NULL, id, sal_rows_text(dead, i, 1), &opts, k->settings->store, db, p,
                         &why) != APR_SUCCESS) {
            sal_log(SAL_LOG_WARNING, 5031, "%s: no stub document could be stored: %s", id,
                    why.message);
        }
    }
    return rv;
}

static apr_status_t expire_leases(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int n = 0, died = 0;
    apr_status_t rv = sal_queue_expire(&n, &died, db, p, err);

    if (rv == APR_SUCCESS && n > 0) {
        sal_log(SAL_LOG_WARNING, 5032, "%d leases had run out", n);
        board_count("lease.lost", "", n);
    }
    if (rv == APR_SUCCESS && died > 0) {
        sal_log(SAL_LOG_ERROR, 5030, "%d crashes are given up: each has killed three workers",
                died);
    }
    return rv == APR_SUCCESS ? write_stubs(k, db, p, err) : rv;
}

static apr_status_t return_abandoned(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return abandoned_return(k->settings, db, p, err);
}

static apr_status_t sweep_pending(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int queued = 0, bad = 0;
    apr_status_t rv = sal_pending_sweep(&queued, &bad, k->settings->store,
                                        k->settings->once ? 0 : PENDING_AGE, db, p, err);

    if (queued > 0) {
        sal_log(SAL_LOG_NOTICE, 5033, "%d stored crashes that were not queued are now", queued);
    }
    if (bad > 0) {
        sal_log(SAL_LOG_ERROR, 5034, "%d damaged crash containers were moved to bad/", bad);
    }
    return rv;
}

/* A transaction that is forgotten somewhere makes each claim slower than the one before. */
static apr_status_t watch_transactions(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *who;
    int64_t seconds;
    apr_status_t rv = sal_queue_oldest_transaction(&seconds, &who, db, p, err);

    (void)k;
    if (rv == APR_SUCCESS && seconds > LONG_TRANSACTION) {
        sal_log(SAL_LOG_WARNING, 5037,
                "a transaction of %s has been open for %d min; the queue cannot be vacuumed", who,
                (int)(seconds / 60));
    }
    return rv;
}

/* Crashes that lack symbols which have come become a request; open requests move on. */
static apr_status_t reprocess(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int64_t id, chosen, lacking, queued;
    sal_reprocess_limits_t limits;
    apr_status_t rv;

    sal_reprocess_limits(&limits, k->settings->conf);
    rv = sal_reprocess_arrivals(&id, &chosen, &lacking, &limits, db, p, err);
    if (rv == APR_SUCCESS && id) {
        sal_log(SAL_LOG_NOTICE, 5100,
                "missing symbols have come: request %lld has %lld of %lld crashes processed again",
                (long long)id, (long long)chosen, (long long)lacking);
    }
    return rv == APR_SUCCESS ? sal_reprocess_step(&queued, REPROCESS_SECONDS, db, p, err) : rv;
}

static apr_status_t look_for_jobs(keeper_t *k, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int started;

    return crons_look(&k->crons, &started, db, p, err);
}

/* True: there is a place, and a job that waits for one. */
static bool reap_jobs(keeper_t *k)
{
    apr_pool_t *p;
    bool any;

    apr_pool_create(&p, k->pool);
    any = crons_reap(&k->crons, k->link.db, p);
    apr_pool_destroy(p);
    return any && k->crons.more;
}

static void stop_jobs(keeper_t *k)
{
    apr_pool_t *p;

    apr_pool_create(&p, k->pool);
    crons_stop(&k->crons, k->link.db, p);
    apr_pool_destroy(p);
}

static void take_signals(keeper_t *k)
{
    for (int n; (n = signals_take(k->signals)) != 0;) {
        k->stopping = k->stopping || n == SIGTERM || n == SIGINT;
    }
}

static void wait_ms(keeper_t *k, int ms)
{
    struct pollfd fd = { k->signals, POLLIN, 0 };

    poll(&fd, 1, ms);
    take_signals(k);
}

static bool run_chore(keeper_t *k, chore_t *chore)
{
    sal_db_t *db = link_get(&k->link, k->pool);
    sal_error_t err = { .message = "" };
    apr_pool_t *p;
    apr_status_t rv;

    if (!db) {
        return false;
    }
    apr_pool_create(&p, k->pool);
    rv = chore->run(k, db, p, &err);
    if (rv == SAL_E_NODB) {
        link_failed(&k->link, &err);
    } else if (rv != APR_SUCCESS) {
        sal_log(SAL_LOG_ERROR, 5035, "housekeeping failed, next try in %d s: %s",
                chore->every < SWEEP_SECONDS ? chore->every : SWEEP_SECONDS, err.message);
    } else {
        link_worked(&k->link);
    }
    apr_pool_destroy(p);
    chore->next =
        apr_time_now() + apr_time_from_sec(rv == APR_SUCCESS || chore->every < SWEEP_SECONDS
                                               ? chore->every
                                               : SWEEP_SECONDS);
    return rv == APR_SUCCESS;
}

static void first_round(chore_t *chores, int n)
{
    for (int i = 0; i < n; i++) {
        chores[i].next = 0;
    }
}

/* The chores that are due; when the next one is. */
static bool run_chores(keeper_t *k, chore_t *chores, int n, apr_time_t *next)
{
    apr_time_t now = apr_time_now();
    bool good = true;

    *next = now + apr_time_from_sec(SWEEP_SECONDS);
    for (int i = 0; i < n && good && !k->stopping; i++) {
        if (chores[i].next <= now) {
            good = run_chore(k, &chores[i]) || k->link.db;
        }
        *next = chores[i].next < *next ? chores[i].next : *next;
    }
    return good;
}

/* --once: every job that is due runs to its end before workers look at the queue. */
static void run_jobs_once(keeper_t *k)
{
    sal_db_t *db = link_get(&k->link, k->pool);
    sal_error_t err;
    int started = 1;
    apr_pool_t *p;

    apr_pool_create(&p, k->pool);
    while (db && !k->stopping && (started || crons_busy(&k->crons))) {
        if (crons_look(&k->crons, &started, db, p, &err) != APR_SUCCESS) {
            break;
        }
        wait_ms(k, 1000);
        crons_reap(&k->crons, db, p);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
}

int housekeeper_run(const settings_t *s)
{
    keeper_t k = { .settings = s, .link.conninfo = s->conninfo, .crons.settings = s };
    /* a short lease wants to be looked at as often */
    int expiry = s->lease < SWEEP_SECONDS ? s->lease : SWEEP_SECONDS;
    chore_t chores[] = {
        { return_abandoned, ABANDONED_SECONDS, 0 }, { expire_leases, expiry, 0 },
        { sweep_pending, SWEEP_SECONDS, 0 },        { reprocess, REPROCESS_SECONDS, 0 },
        { watch_transactions, LONG_SECONDS, 0 },    { look_for_jobs, LOOK_SECONDS, 0 }
    };
    int n = (int)(sizeof(chores) / sizeof(chores[0]));
    chore_t *jobs = &chores[n - 1];

    apr_pool_create(&k.pool, NULL);
    k.signals = signals_open();
    first_round(chores, n);
    while (take_signals(&k), !k.stopping) {
        apr_time_t next, now;
        bool good = run_chores(&k, chores, n, &next);

        if (s->once) {
            run_jobs_once(&k);
            break;
        }
        now = apr_time_now();
        wait_ms(&k, good ? (int)apr_time_as_msec(next > now ? next - now : 0) + 10
                         : link_pause_ms(&k.link));
        if (reap_jobs(&k)) {
            jobs->next = 0;
        }
    }
    stop_jobs(&k);
    apr_pool_destroy(k.pool);
    return s->once && k.link.failures ? EXIT_FAILED : EXIT_DONE;
}
