/*
 * What becomes of a POST, for the ledger and the metrics: seen once, when its request is over.
 */
#include "collect_report.h"

#include <pthread.h>
#include <stdlib.h>
#include <apr_strings.h>
#include "base/log.h"
#include "crash/agent.h"
#include "crash/ledger.h"
#include "db/watch.h"
#include "base/thread.h"

APLOG_USE_MODULE(crash_collect);

#define TICK apr_time_from_sec(1)
#define AWAY apr_time_from_sec(10) /* from one attempt to connect to the next */
#define EXPIRE apr_time_from_sec(3600)
#define DAYS_DEFAULT 30

struct collect_keeper_t {
    collect_site_t *site;
    sal_ledger_t *ledger; /* NULL: not wanted */
    int days;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stopping, idle;
    sal_db_line_t *line; /* NULL: no ledger */

    /* the thread's own */
    apr_pool_t *pool, *tmp;
    apr_time_t not_before, expired;
    bool complained;
};

/* ---- counting ---- */

void collect_count_refusal(const char *reason)
{
    if (!strcmp(reason, "unauthorized_uuid")) {
        collect_count(COLLECT_UNAUTHORIZED, NULL);
    } else {
        collect_count(COLLECT_MALFORMED, !strncmp(reason, "malformed_", 10) ? reason + 10 : reason);
    }
}

void collect_count_inflating(collect_report_t *q, int good)
{
    apr_interval_time_t time;
    apr_uint64_t size;

    if (sal_intake_inflated(q->intake, &size, &time)) {
        good = good || sal_intake_fault(q->intake) != SAL_FAULT_BAD_GZIP;
        collect_count(COLLECT_GZIPPED, NULL);
        collect_observe(COLLECT_GZIP_TIME, good ? "success" : "fail", time);
    }
}

void collect_count_report(collect_report_t *q)
{
    apr_uint64_t size = (apr_uint64_t)q->wire_size;
    apr_interval_time_t time;
    int gzip = sal_intake_inflated(q->intake, &size, &time);

    collect_count(COLLECT_INCOMING, NULL);
    collect_observe(COLLECT_CRASH_SIZE, gzip ? "compressed" : "uncompressed", (apr_int64_t)size);
}

/* ---- a request is over ---- */

/* The reason without its kind, and the kind: "malformed_no_boundary", "unauthorized_uuid". */
static void name_refusal(sal_ledger_row_t *row, const char *discarded)
{
    const char *rest = strchr(discarded, '_');

    if (!rest) { /* "late" */
        apr_cpystrn(row->outcome, discarded, sizeof(row->outcome));
        return;
    }
    apr_snprintf(row->outcome, sizeof(row->outcome), "%.*s", (int)(rest - discarded), discarded);
    apr_cpystrn(row->reason, rest + 1, sizeof(row->reason));
}

static void name_verdict(sal_ledger_row_t *row, const collect_report_t *q)
{
    static const char *const outcomes[] = { [SAL_THROTTLE_ACCEPT] = "accepted",
                                            [SAL_THROTTLE_DEFER] = "deferred",
                                            [SAL_THROTTLE_REJECT] = "rejected",
                                            [SAL_THROTTLE_FAKEACCEPT] = "faked" };

    apr_cpystrn(row->outcome, outcomes[q->verdict.result], sizeof(row->outcome));
    apr_cpystrn(row->reason, q->verdict.rule, sizeof(row->reason));
    if (q->id && q->verdict.result != SAL_THROTTLE_REJECT) {
        apr_cpystrn(row->crash_id, q->id, sizeof(row->crash_id));
    }
}

static void set_agent(sal_ledger_row_t *row, const request_rec *r)
{
    apr_cpystrn(row->agent, sal_agent_family(apr_table_get(r->headers_in, "User-Agent")),
                sizeof(row->agent));
}

static void describe(sal_ledger_row_t *row, const collect_report_t *q)
{
    const request_rec *r = q->r;
    const char *discarded = apr_table_get(r->notes, "crash-discarded");
    const char *busy = apr_table_get(r->notes, "crash-busy");

    row->received = q->now ? q->now : r->request_time;
    row->status = r->status;
    row->size = q->wire_size;
    set_agent(row, r);
    if (discarded) {
        name_refusal(row, discarded);
    } else if (busy) {
        apr_cpystrn(row->outcome, "busy", sizeof(row->outcome));
        apr_cpystrn(row->reason, busy, sizeof(row->reason));
    } else if (r->status == HTTP_OK && q->verdict.rule) {
        name_verdict(row, q);
    } else {
        apr_cpystrn(row->outcome, r->status == 500 ? "failed" : "lost", sizeof(row->outcome));
    }
}

/* Before mod_log_config writes its line: the notes under the names that the manual gives. */
static int name_notes(request_rec *r)
{
    static const char *const names[][2] = { { "crash-id", "CRASH_ID" },
                                            { "crash-rule", "CRASH_RULE" } };

    for (int i = 0; i < 2; i++) {
        const char *value = apr_table_get(r->notes, names[i][0]);

        if (value) {
            apr_table_setn(r->notes, names[i][1], value);
        }
    }
    return DECLINED;
}

static bool keeps_ledger(const collect_site_t *site)
{
    return site && site->keeper && site->keeper->ledger;
}

static void add_row(collect_site_t *site, const sal_ledger_row_t *row)
{
    if (!sal_ledger_add(site->keeper->ledger, row)) {
        collect_count(COLLECT_LEDGER_ROWS, "dropped");
    }
}

static int end_request(request_rec *first)
{
    request_rec *r = first;
    collect_report_t *q;
    sal_ledger_row_t row = { 0 };

    while (r->next) {
        r = r->next; /* an ErrorDocument's */
    }
    q = collect_report(first);
    if (!q) {
        return DECLINED;
    }
    collect_observe(COLLECT_ON_POST_TIME, NULL, apr_time_now() - first->request_time);
    if (keeps_ledger(q->site)) {
        describe(&row, q);
        row.status = r->status;
        add_row(q->site, &row);
    }
    return DECLINED;
}

void collect_ledger_ping(request_rec *r, int status, const char *outcome, const char *reason,
                         const char *document_id, apr_off_t size)
{
    collect_site_t *site = collect_server(r->server)->site;
    sal_ledger_row_t row = { .received = r->request_time, .status = status, .size = size };

    if (!keeps_ledger(site) || r->method_number != M_POST) {
        return;
    }
    apr_cpystrn(row.outcome, outcome, sizeof(row.outcome));
    apr_cpystrn(row.reason, reason, sizeof(row.reason));
    set_agent(&row, r);
    apr_cpystrn(row.crash_id, document_id ? document_id : "", sizeof(row.crash_id));
    add_row(site, &row);
}

/* ---- the thread ---- */

/* The database is away: said once. The ring keeps what it can until the next attempt. */
static void complain(collect_keeper_t *k, apr_status_t rv, const sal_error_t *err)
{
    if (rv != APR_SUCCESS && !k->complained) {
        sal_log(SAL_LOG_NOTICE, 1025, "ledger rows cannot be written: %s", err->message);
    } else if (rv == APR_SUCCESS && k->complained) {
        sal_log(SAL_LOG_NOTICE, 1026, "ledger rows are written again");
    }
    k->complained = rv != APR_SUCCESS;
}

static void expire(collect_keeper_t *k, sal_db_t *db)
{
    bool more;

    /* One batch a tick while there is more to remove. */
    if (sal_ledger_expire(&more, k->days, db, k->tmp, NULL) != APR_SUCCESS || !more) {
        k->expired = apr_time_now();
    }
    apr_pool_clear(k->tmp);
}

static void write_ledger(collect_keeper_t *k)
{
    apr_time_t now = apr_time_now();
    int written = 0, dropped = 0;
    sal_error_t err;
    sal_db_t *db;
    apr_status_t rv;

    if (now < k->not_before || (!sal_ledger_waiting(k->ledger) && now - k->expired < EXPIRE)) {
        return;
    }
    rv = sal_db_line_get(&db, k->line, &err);
    if (rv == APR_SUCCESS) {
        rv = sal_ledger_write(&written, &dropped, k->ledger, db, k->tmp, &err);
    }
    collect_count_n(COLLECT_LEDGER_ROWS, "written", (apr_uint64_t)written);
    collect_count_n(COLLECT_LEDGER_ROWS, "dropped", (apr_uint64_t)dropped);
    complain(k, rv, &err);
    apr_pool_clear(k->tmp);
    if (rv != APR_SUCCESS) {
        k->not_before = apr_time_now() + AWAY;
        sal_db_line_close(k->line);
    } else if (now - k->expired >= EXPIRE) {
        expire(k, db);
    }
}

/* False: the end has come. */
static bool wait_tick(collect_keeper_t *k)
{
    apr_time_t until = apr_time_now() + TICK;
    struct timespec ts = { (time_t)apr_time_sec(until), (long)apr_time_usec(until) * 1000 };
    bool go;

    pthread_mutex_lock(&k->lock);
    while (!k->stopping && pthread_cond_timedwait(&k->wake, &k->lock, &ts) == 0) {
    }
    go = !k->stopping;
    pthread_mutex_unlock(&k->lock);
    return go;
}

static void tick(collect_keeper_t *k)
{
    collect_metrics_tick(k->site);
    if (k->ledger) {
        write_ledger(k);
        collect_gauge_set(COLLECT_LEDGER_WAITING, sal_ledger_waiting(k->ledger));
    }
}

static void *run(void *data)
{
    collect_keeper_t *k = data;

    while (wait_tick(k)) {
        tick(k);
    }
    if (k->ledger) {
        k->not_before = k->complained ? k->not_before : 0;
        write_ledger(k);
        collect_count_n(COLLECT_LEDGER_ROWS, "dropped", (apr_uint64_t)sal_ledger_drop(k->ledger));
    }
    pthread_mutex_lock(&k->lock);
    k->idle = true;
    pthread_cond_broadcast(&k->wake);
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- start and stop ---- */

/*
 * Two seconds are given to the last rows; then the connection is cut, so that a database that has
 * stopped does not keep the child.
 */
static apr_status_t stop(void *data)
{
    collect_keeper_t *k = data;
    apr_time_t until = apr_time_now() + apr_time_from_sec(2);
    struct timespec ts = { (time_t)apr_time_sec(until), (long)apr_time_usec(until) * 1000 };

    if (!k->running) {
        return APR_SUCCESS;
    }
    pthread_mutex_lock(&k->lock);
    k->stopping = true;
    pthread_cond_broadcast(&k->wake);
    while (!k->idle && pthread_cond_timedwait(&k->wake, &k->lock, &ts) == 0) {
    }
    pthread_mutex_unlock(&k->lock);
    if (k->line) {
        sal_db_line_cut(k->line);
    }
    pthread_join(k->thread, NULL);
    k->running = false;
    return APR_SUCCESS;
}

/* After the row thread has ended: what it wrote last is counted too. */
static apr_status_t destroy(void *data)
{
    collect_keeper_t *k = data;

    collect_metrics_tick(k->site);
    k->site->keeper = NULL;
    apr_pool_destroy(k->pool);
    pthread_cond_destroy(&k->wake);
    pthread_mutex_destroy(&k->lock);
    return APR_SUCCESS;
}

static void configure(collect_keeper_t *k, server_rec *s, apr_pool_t *pchild)
{
    const collect_ledger_server_t *c = &collect_server(s)->ledger;
    const char *database = sal_conf_get(k->site->conf, "database", NULL);
    sal_error_t err;

    k->days = c->days ? (int)c->days : DAYS_DEFAULT;
    if (c->on != 1 || !database) {
        return;
    }
    k->line = sal_db_line_make(sal_db_conninfo(database, "salvage-ledger", 5, k->pool), k->pool);
    /* Children expire at times of their own. */
    k->expired = apr_time_now() - EXPIRE + apr_time_from_sec(getpid() % 600);
    if (sal_ledger_make(&k->ledger, pchild, &err) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "SAL1027: no intake ledger: %s", err.message);
    }
}

void collect_keeper_start(collect_site_t *site, server_rec *s, apr_pool_t *pchild)
{
    collect_keeper_t *k = apr_pcalloc(pchild, sizeof(*k));
    int code;

    k->site = site;
    site->keeper = NULL;
    if (!(k->pool = web_own_pool())) {
        return;
    }
    apr_pool_create(&k->tmp, k->pool);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->wake, NULL);
    configure(k, s, pchild);
    site->keeper = k;
    apr_pool_cleanup_register(pchild, k, destroy, apr_pool_cleanup_null);
    code = sal_thread_start(&k->thread, run, k);
    if (code) {
        ap_log_error(APLOG_MARK, APLOG_ERR, APR_FROM_OS_ERROR(code), s,
                     "SAL1028: no thread for metrics and ledger");
        return;
    }
    k->running = true;
    apr_pool_pre_cleanup_register(pchild, k, stop);
}

void collect_ledger_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_log_transaction(name_notes, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(end_request, NULL, NULL, APR_HOOK_MIDDLE);
}

/* ---- configuration ---- */

void collect_ledger_merge(collect_ledger_server_t *out, const collect_ledger_server_t *base,
                          const collect_ledger_server_t *add)
{
    out->on = add->on ? add->on : base->on;
    out->days = add->days ? add->days : base->days;
}

const char *collect_set_ledger(cmd_parms *cmd, void *unused, int on)
{
    (void)unused;
    collect_server(cmd->server)->ledger.on = on ? 1 : -1;
    return NULL;
}

const char *collect_set_ledger_days(cmd_parms *cmd, void *unused, const char *arg)
{
    apr_int64_t seconds = 0;
    const char *wrong = web_arg_duration(cmd, arg, 86400, INT64_C(86400) * 3650, &seconds);

    (void)unused;
    collect_server(cmd->server)->ledger.days = seconds / 86400;
    return wrong;
}
