/*
 * One crash report: headers, body, decision, commit, reply, each a call. Nothing of its contents
 * is logged.
 */
#include "collect_report.h"

#include <stdatomic.h>
#include <apr_strings.h>
#include "crash/crash_id.h"

APLOG_USE_MODULE(crash_collect);

#define RETRY_BUSY 60
#define RETRY_FULL 300

/* Reports being taken in by this child. */
static atomic_int in_flight;

collect_report_t *collect_report(request_rec *r)
{
    return ap_get_module_config(r->request_config, &crash_collect_module);
}

int collect_refuse_store(collect_report_t *q, apr_status_t rv)
{
    collect_count(COLLECT_SAVE_DROPPED, NULL);
    if (collect_log_may(q->r, "SAL1004")) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL1004: report not stored: %s",
                      q->err.message);
    }
    if (APR_STATUS_IS_ENOSPC(rv) || rv == EDQUOT) {
        return collect_busy(q->r, "store_full", RETRY_FULL);
    }
    if (rv == EROFS || rv == SAL_E_SICK) {
        return collect_busy(q->r, "store_sick", RETRY_BUSY);
    }
    return collect_failed(q->r);
}

/* ---- decision ---- */

static const char *query_param(void *baton, const char *name)
{
    return web_param(baton, name);
}

static int map_dialect(collect_report_t *q, int *rc)
{
    if (q->sentry && !collect_map_sentry(q, rc)) {
        return 0;
    }
    sal_annotations_map_dialect(sal_intake_annotations(q->intake), query_param, web_query(q->r));
    return 1;
}

void collect_note_verdict(collect_report_t *q)
{
    apr_table_setn(q->r->notes, "crash-rule", q->verdict.rule);
    apr_table_setn(q->r->notes, "CRASH_RULE", q->verdict.rule);
    apr_table_setn(q->r->notes, "crash-throttle", sal_throttle_name(q->verdict.result));
    collect_count(COLLECT_THROTTLE, sal_throttle_name(q->verdict.result));
    collect_count(COLLECT_THROTTLE_RULE, q->verdict.rule);
}

/* ---- commit ---- */

static const char *make_id(collect_report_t *q)
{
    char *id = apr_palloc(q->r->pool, SAL_CRASH_ID_LEN + 1);
    const char *proposed;

    if (q->verdict.result == SAL_THROTTLE_REJECT || q->verdict.result == SAL_THROTTLE_FAKEACCEPT) {
        sal_crash_id_make(id, q->now, (int)q->verdict.result);
        return id;
    }
    proposed = sal_intake_id(q->intake, &q->err);
    if (!proposed) {
        return NULL;
    }
    memcpy(id, proposed, SAL_CRASH_ID_LEN + 1);
    id[29] = (char)('0' + q->verdict.result);
    return id;
}

static int store(collect_report_t *q)
{
    sal_raw_meta_t meta = { 0 };
    apr_time_t begun;
    apr_status_t rv;

    meta.client = collect_hint_client(q);
    sal_annotations_remove(sal_intake_annotations(q->intake), collect_removed(q->dir));
    meta.compressed = q->gzip;
    meta.payload_size = q->wire_size;
    meta.user_agent = apr_table_get(q->r->headers_in, "User-Agent");
    meta.throttle_rule = q->verdict.rule;
    meta.address = collect_kept_address(q);
    meta.overwrite = q->overwrite;
    begun = apr_time_now();
    rv = sal_intake_commit(q->intake, q->id, &meta, &q->err);
    collect_observe(COLLECT_SAVE_TIME, NULL, apr_time_now() - begun);
    if (rv != APR_SUCCESS && rv != SAL_E_EXISTS) {
        return collect_refuse_store(q, rv);
    }
    collect_count(COLLECT_SAVED, NULL);
    if (q->site->rows) {
        sal_row_thread_add(q->site->rows, q->id, q->now);
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r, "SAL1010: %s: matched by %s; returned %s%s",
                  q->id, q->verdict.rule, sal_throttle_name(q->verdict.result),
                  rv == SAL_E_EXISTS ? "; stored before" : "");
    collect_hint_lines(q, meta.client);
    return collect_accept(q);
}

static int answer(collect_report_t *q)
{
    apr_table_setn(q->r->notes, "crash-id", q->id);
    collect_dialect_lines(q);
    switch (q->verdict.result) {
    case SAL_THROTTLE_REJECT:
        return collect_discard(q);
    case SAL_THROTTLE_FAKEACCEPT:
        return collect_accept(q);
    default:
        return store(q);
    }
}

/* An unauthorised uuid is told even where a rule would have rejected the report. */
static int decide(collect_report_t *q)
{
    int rc;

    if (!map_dialect(q, &rc)) {
        return rc;
    }
    if (!collect_admit_product(q, &rc)) {
        return rc;
    }
    collect_throttle(q);
    if (!collect_read_uuid(q, &rc)) {
        return rc;
    }
    collect_note_verdict(q);
    if (!q->id && !(q->id = make_id(q))) {
        return collect_refuse_store(q, q->err.code);
    }
    collect_throttle_tell(q);
    return answer(q);
}

/* ---- the steps ---- */

/* Refusals that cost the client no upload: not the database, which only makes rows late. */
static int admit(collect_report_t *q, int *rc)
{
    apr_status_t rv;

    if (!q->site || !q->site->store) {
        if (collect_log_may(q->r, "SAL1005")) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r,
                          "SAL1005: no crash store in this child; %s",
                          q->site ? "its start-up message says why" : "SalvageConfig is missing");
        }
        *rc = collect_busy(q->r, "no_store", RETRY_BUSY);
        return 0;
    }
    rv = sal_crash_store_admit(q->site->store, &q->err);
    if (rv != APR_SUCCESS) {
        *rc = APR_STATUS_IS_ENOSPC(rv)
                  ? collect_busy(q->r, "store_full", RETRY_FULL)
                  : collect_busy(q->r, rv == SAL_E_SICK ? "store_sick" : "store_slow", RETRY_BUSY);
        return 0;
    }
    return 1;
}

static int take_in(collect_report_t *q)
{
    int rc, running = atomic_fetch_add(&in_flight, 1);

    collect_gauge_add(COLLECT_IN_FLIGHT, 1);
    if (running >= collect_max_in_flight(collect_server(q->r->server))) {
        if (collect_log_may(q->r, "SAL1012")) {
            ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r,
                          "SAL1012: report sent away: %d are being taken in", running);
        }
        rc = collect_busy(q->r, "in_flight", RETRY_BUSY);
    } else if (collect_read_body(q, &rc)) {
        apr_time_t begun = apr_time_now();

        collect_count_report(q);
        rc = decide(q);
        collect_observe(COLLECT_HANDLING_TIME, NULL, apr_time_now() - begun);
    }
    collect_gauge_add(COLLECT_IN_FLIGHT, -1);
    atomic_fetch_sub(&in_flight, 1);
    return rc;
}

int collect_take_report(collect_report_t *q)
{
    int rc;

    ap_set_module_config(q->r->request_config, &crash_collect_module, q);
    q->now = apr_time_now();
    q->site = collect_server(q->r->server)->site;
    q->lines = "";
    if (!collect_admit_client(q, &rc) || !collect_read_headers(q, &rc) || !admit(q, &rc)) {
        return rc;
    }
    return take_in(q);
}

void collect_add_line(collect_report_t *q, const char *name, const char *value)
{
    q->lines = apr_pstrcat(q->r->pool, q->lines, name, "=", value, "\n", NULL);
}

/* ---- the handler ---- */

/* Below the location only the location itself is ours: crash pings have further segments. */
static int is_our_path(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *location = core->d;
    apr_size_t len = location ? strlen(location) : 0;

    if (!len || strncmp(r->uri, location, len)) {
        return 1; /* a <LocationMatch>, or no section at all: the operator's choice */
    }
    return !r->uri[len] || !strcmp(r->uri + len, "/") || location[len - 1] == '/';
}

/* What of the path is below the location, without the '/' before it. */
static const char *below(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    return r->uri + strlen(core->d) + 1;
}

int collect_handler(request_rec *r)
{
    collect_report_t *q;

    if (!r->handler || strcmp(r->handler, "crash-collect")) {
        return DECLINED;
    }
    if (!is_our_path(r)) {
        return collect_ping_handler(r, below(r));
    }
    if (r->method_number != M_POST) {
        return collect_method(r, r->method_number == M_OPTIONS ? "POST" : "POST, OPTIONS");
    }
    q = apr_pcalloc(r->pool, sizeof(*q));
    q->r = r;
    q->dir = collect_dir(r);
    return collect_take_report(q);
}
