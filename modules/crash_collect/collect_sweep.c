/*
 * What has to be done now and then where no daemon does it: directories of tomorrow, the sweep of
 * pending/, the daily full sweep. One child of all, by mod_watchdog; lib/crash knows how.
 */
#include "collect_private.h"
#include "collect_sweep.h"

#include <http_main.h>
#include <mpm_common.h>
#include "common/watchdog.h"
#include "db/watch.h"

APLOG_USE_MODULE(crash_collect);

#define WATCHDOG "_salvage_crashes_"
#define EVERY 30 /* seconds */
#define MIN_AGE 30
#define STATEMENT 60     /* seconds that one may take */
#define SOMEBODY_ELSE 75 /* a sweep younger than this is a daemon's at work */

/* When this process swept last. Only the watchdog's thread sees it. */
static apr_time_t mine;

/* A child that ends does not wait for a server that hangs. */
static sal_db_desk_t sweeping = SAL_DB_DESK;

/* salvage.conf may be shared by several servers: only the first of them counts. */
static int is_first(server_rec *all, server_rec *s)
{
    for (; all != s; all = all->next) {
        if (collect_server(all)->site == collect_server(s)->site) {
            return 0;
        }
    }
    return 1;
}

static int others_sweep(sal_crash_store_t *store)
{
    apr_time_t last = sal_pending_swept(store);

    /* The time of the file has whole seconds. */
    return last > mine + apr_time_from_sec(1) &&
           apr_time_now() - last < apr_time_from_sec(SOMEBODY_ELSE);
}

/* A connection of its own, and only if there is something to write. */
static apr_status_t sweep(collect_site_t *site, const char *database, apr_pool_t *p,
                          sal_error_t *err)
{
    int waiting, oldest, queued = 0, bad = 0, found = 0;
    sal_db_line_t *line;
    sal_db_t *db;
    apr_status_t rv = sal_pending_count(&waiting, &oldest, site->store, 1, err);

    if (rv != APR_SUCCESS || (!waiting && !sal_crash_sweep_due(site->store))) {
        return rv;
    }
    line = sal_db_line_make(sal_db_conninfo(database, "salvage-sweep", STATEMENT, p), p);
    if (!sal_db_desk_take(&sweeping, line)) {
        return APR_SUCCESS;
    }
    rv = sal_db_line_get(&db, line, err);
    if (rv == APR_SUCCESS) {
        rv = sal_pending_sweep(&queued, &bad, site->store, MIN_AGE, db, p, err);
        mine = apr_time_now();
    }
    if (rv == APR_SUCCESS) {
        rv = sal_crash_sweep_daily(&found, site->store, db, p, err);
    }
    if (!sal_db_desk_take(&sweeping, NULL)) {
        rv = APR_SUCCESS; /* cut off by the end of this child: another one sweeps */
    }
    if (queued + found > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, ap_server_conf,
                     "SAL1031: %d stored crashes that were not queued are now", queued + found);
    }
    return rv;
}

static void look_after(server_rec *s, apr_pool_t *p)
{
    collect_site_t *site = collect_server(s)->site;
    const char *database = sal_conf_get(site->conf, "database", NULL);
    sal_error_t err = { .message = "" };
    apr_status_t rv = sal_crash_days_ahead(site->store, apr_time_now(), &err);

    if (rv == APR_SUCCESS && database && !others_sweep(site->store)) {
        rv = sweep(site, database, p, &err);
    }
    if (rv != APR_SUCCESS && !site->sweep_failed) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "SAL1030: %s; crashes are accepted and wait",
                     err.message);
    }
    site->sweep_failed = rv != APR_SUCCESS;
}

static void look_after_all(void *all, apr_pool_t *p)
{
    for (server_rec *s = all; s; s = s->next) {
        collect_site_t *site = collect_server(s)->site;

        if (site && site->store && is_first(all, s)) {
            apr_pool_t *own;

            apr_pool_create(&own, p);
            look_after(s, own);
            apr_pool_destroy(own);
        }
    }
}

void collect_sweep_start(server_rec *s, apr_pool_t *p)
{
    apr_status_t rv = web_watchdog(WATCHDOG, EVERY, true, look_after_all, s, p);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, rv, s,
                     "SAL1032: without mod_watchdog only a daemon sweeps the crash store");
    }
}

static void end_sweep(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    (void)graceful;
    sal_db_desk_close(&sweeping);
}

void collect_sweep_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_child_stopping(end_sweep, NULL, NULL, APR_HOOK_MIDDLE);
}
