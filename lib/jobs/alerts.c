/*
 * Looking at alerts, deciding, telling.
 */
#include "jobs/alerts_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/text.h"
#include "export/outbox.h"

#define DAY APR_INT64_C(86400)
#define KNOWN_DAYS 200
#define LATE                                                                                       \
    apr_time_from_sec(30) /* a run that comes a little early does not wait for the next            \
                           */

enum { TOLD = 20 };

/* ---- the body ---- */

static const char *link_to(const look_t *l, const char *path, apr_pool_t *p)
{
    const char *base = sal_conf_get(l->run->conf, "public-url", "");
    apr_size_t len = strlen(base);

    return apr_pstrcat(p, apr_pstrndup(p, base, len && base[len - 1] == '/' ? len - 1 : len), path,
                       NULL);
}

const char *alerts_body(const look_t *l, int64_t event, bool test, apr_pool_t *p)
{
    const sal_alert_t *a = l->alert;
    const char *search = apr_pstrcat(p, "/search/saved/", a->search_key, "/", NULL);
    const char *page = apr_psprintf(p, "/alerts/%" APR_INT64_T_FMT "/", (apr_int64_t)a->id);
    json_t *doc = json_pack(
        "{s:s, s:i, s:I, s:b, s:s, s:{s:I, s:s, s:s, s:s, s:s}, s:{s:s, s:s}, s:f, s:f, s:{s:s, "
        "s:s, s:i}, s:O}",
        "type", "salvage.alert", "version", 1, "event", (json_int_t)event, "test", test, "time",
        sal_time_iso(l->to, p), "alert", "id", (json_int_t)a->id, "name", a->name, "kind",
        sal_alert_kind_name(a->kind), "condition", sal_alert_words(a, p), "link",
        link_to(l, page, p), "search", "name", a->search_name, "link", link_to(l, search, p),
        "value", l->value, "threshold", a->threshold, "span", "from", sal_time_iso(l->from, p),
        "to", sal_time_iso(l->to, p), "seconds", a->span, "signatures", l->top);
    char *text;
    const char *out;

    if (doc && a->kind == SAL_ALERT_SPIKE) {
        json_object_set_new(doc, "usual", json_real(l->usual));
    }
    text = doc ? json_dumps(doc, JSON_SORT_KEYS) : NULL;
    out = text ? apr_pstrdup(p, text) : "{}";
    free(text);
    json_decref(doc);
    return out;
}

/* ---- telling: inside the transaction that holds the alert ---- */

static apr_status_t tell(const look_t *l, bool test, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_alert_t *a = l->alert;
    bool hook = a->way == SAL_ALERT_WEBHOOK;
    const char *body, *subject, *problem = NULL;
    sal_rows_t *rows;
    int64_t event;
    int sent = 0;
    apr_status_t rv = sal_db_exec(db, &sal_s_alert_event_put, &rows, p, err, SAL_V_INT(a->id),
                                  SAL_V_TIME(l->run->now), SAL_V_BOOL(test), SAL_V_INT(a->way),
                                  SAL_V_TEXT(a->target), SAL_V_JSON("{}"), SAL_V_INT(hook ? 1 : 0));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    event = sal_rows_int(rows, 0, 0);
    body = alerts_body(l, event, test, p);
    if (hook) {
        subject = apr_psprintf(p, "alert-%" APR_INT64_T_FMT, (apr_int64_t)event);
        rv = sal_outbox_put(&sent, a->target, subject, 0, body, db, p, err);
        problem = sent ? NULL : "the web hook is not configured any more";
    }
    return rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_alert_event_body, NULL, p, err,
                                           SAL_V_INT(event), SAL_V_JSON(body),
                                           SAL_V_INT(problem ? 2
                                                     : hook  ? 1
                                                             : 0),
                                           SAL_V_TEXT(problem))
                             : rv;
}

/* ---- deciding ---- */

typedef struct decision_t {
    look_t *look;
    bool ready; /* as it is now, under the lock */
    int64_t counted, reached;
    apr_time_t mark;
    bool alarm;
} decision_t;

/* Signatures that are not known become the list of the body; they are known from now on. */
static apr_status_t decide_new(decision_t *d, bool quiet, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    look_t *l = d->look;
    apr_size_t n = (apr_size_t)l->n;
    sal_val_t known = SAL_V_TEXTS(l->signatures, n);
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_alert_unknown, &rows, p, err, SAL_V_INT(l->alert->id), known);
    int fresh = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;

    l->value = d->ready ? fresh : 0;
    d->alarm = d->ready && fresh > 0 && !quiet;
    if (rv != APR_SUCCESS || (d->ready && fresh > 0 && quiet)) {
        return rv; /* told when the quiet time is over */
    }
    if (d->alarm) {
        json_decref(l->top);
        l->top = json_array();
        for (int i = 0; i < fresh && i < TOLD; i++) {
            int64_t k = sal_rows_int(rows, i, 0) - 1;

            json_array_append_new(l->top, json_pack("{s:s, s:I}", "signature", l->signatures[k],
                                                    "count", (json_int_t)l->counts[k]));
        }
    }
    rv = sal_db_exec(db, &sal_s_alert_know, NULL, p, err, SAL_V_INT(l->alert->id), known,
                     SAL_V_TIME(l->to));
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_alert_forget, NULL, p, err, SAL_V_INT(l->alert->id),
                             SAL_V_TIME(l->to - apr_time_from_sec(KNOWN_DAYS * DAY)))
               : rv;
}

/* Whoever moved the mark in the meantime has looked at the same crashes: nothing is added then. */
static apr_status_t decide_nth(decision_t *d, bool quiet, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    look_t *l = d->look;
    int64_t step = (int64_t)l->alert->threshold, total = d->counted + l->mark_count;
    int64_t reached = total / step;

    if (d->mark != l->alert->mark) {
        return APR_SUCCESS;
    }
    l->value = (double)total;
    d->alarm = reached > d->reached && !quiet;
    return sal_db_exec(db, &sal_s_alert_counted, NULL, p, err, SAL_V_INT(l->alert->id),
                       SAL_V_TIME(l->mark), SAL_V_INT(d->counted + l->older_count),
                       SAL_V_INT(d->alarm ? reached : d->reached));
}

static apr_status_t decide(decision_t *d, bool quiet, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const look_t *l = d->look;

    switch (l->alert->kind) {
    case SAL_ALERT_NEW:
        return decide_new(d, quiet, db, p, err);
    case SAL_ALERT_NTH:
        return decide_nth(d, quiet, db, p, err);
    case SAL_ALERT_SPIKE:
        d->alarm = l->value >= l->alert->minimum && l->value > l->alert->threshold * l->usual;
        break;
    default:
        d->alarm = l->value >= l->alert->threshold;
    }
    d->alarm = d->alarm && !quiet;
    return APR_SUCCESS;
}

static apr_status_t settle(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    decision_t *d = baton;
    const look_t *l = d->look;
    sal_rows_t *rows;
    apr_time_t last;
    apr_status_t rv = sal_db_exec(db, &sal_s_alert_lock, &rows, p, err, SAL_V_INT(l->alert->id));

    d->alarm = false;
    if (rv != APR_SUCCESS || !sal_rows_count(rows) || sal_rows_bool(rows, 0, 0)) {
        return rv; /* deleted or paused since */
    }
    d->ready = sal_rows_bool(rows, 0, 1);
    last = sal_rows_time(rows, 0, 2);
    d->mark = sal_rows_time(rows, 0, 3);
    d->counted = sal_rows_int(rows, 0, 4);
    d->reached = sal_rows_int(rows, 0, 5);
    if (l->alert->kind == SAL_ALERT_NEW && d->ready != l->alert->ready) {
        return APR_SUCCESS; /* another run has just learnt what there is */
    }
    rv = decide(d, last && last + apr_time_from_sec(l->alert->quiet) - LATE > l->run->now, db, p,
                err);
    if (rv == APR_SUCCESS && d->alarm) {
        rv = tell(l, false, db, p, err);
        rv = rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_alert_alarmed, NULL, p, err,
                                             SAL_V_INT(l->alert->id), SAL_V_TIME(l->run->now))
                               : rv;
    }
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_alert_looked, NULL, p, err, SAL_V_INT(l->alert->id),
                             SAL_V_TIME(l->run->now), SAL_V_DOUBLE(l->value),
                             SAL_V_DOUBLE(l->usual), SAL_V_NULL(SAL_T_TEXT))
               : rv;
}

/* ---- a run ---- */

/* The body's signatures cost a question more: only where there may be something to tell. */
static bool may_tell(const look_t *l)
{
    const sal_alert_t *a = l->alert;

    return a->kind == SAL_ALERT_NTH ? floor(l->value / a->threshold) > (double)a->reached
           : a->kind == SAL_ALERT_SPIKE
               ? l->value >= a->minimum && l->value > a->threshold * l->usual
               : a->kind != SAL_ALERT_NEW && l->value >= a->threshold;
}

static apr_status_t look(bool *told, look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    decision_t d = { .look = l };
    apr_status_t rv;

    l->to = l->run->now;
    l->from = l->to - apr_time_from_sec(l->alert->span);
    rv = alerts_find(l, db, p, err);
    if (rv == APR_SUCCESS && may_tell(l)) {
        rv = alerts_top(l, db, p, err);
    }
    if (!l->top) {
        l->top = json_array();
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_txn(db, settle, &d, p, err);
    }
    json_decref(l->top);
    l->top = NULL;
    if (rv == APR_SUCCESS && d.alarm) {
        sal_log(SAL_LOG_INFO, 9301, "alert %" APR_INT64_T_FMT " of %s told its alarm",
                (apr_int64_t)l->alert->id, l->alert->owner_name);
        *told = true;
    }
    return rv;
}

/* Errors of the search belong to the alert; those of the database to the run. */
static apr_status_t look_at(sal_alerts_t *run, int64_t id, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    look_t l = { .run = run };
    sal_alert_t *alert;
    bool told = false;
    apr_status_t rv;
    int n;

    rv = sal_alert_list(&alert, &n, 0, id, db, p, err);
    if (rv != APR_SUCCESS || n == 0 || alert->paused) {
        return rv;
    }
    l.alert = alert;
    rv = look(&told, &l, db, p, err);
    run->looked++;
    run->told += told;
    if (rv == APR_SUCCESS || rv == SAL_E_NODB) {
        return rv;
    }
    run->failed++;
    return sal_db_exec(db, &sal_s_alert_looked, NULL, p, err, SAL_V_INT(id), SAL_V_TIME(run->now),
                       SAL_V_NULL(SAL_T_DOUBLE), SAL_V_NULL(SAL_T_DOUBLE),
                       SAL_V_TEXT(err->message));
}

apr_status_t sal_alerts_look(sal_alerts_t *run, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *due;
    apr_pool_t *each;
    apr_status_t rv = sal_db_run(db, &sal_s_alert_due, NULL, 0, &due, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&each, p);
    for (int i = 0; i < sal_rows_count(due) && rv == APR_SUCCESS; i++) {
        if (run->deadline && apr_time_now() >= run->deadline) {
            rv = sal_fail(err, APR_TIMEUP, "the time was up before all alerts were looked at");
            break;
        }
        rv = look_at(run, sal_rows_int(due, i, 0), db, each, err);
        apr_pool_clear(each);
    }
    apr_pool_destroy(each);
    return rv;
}

/* ---- a test ---- */

static apr_status_t tell_test(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return tell(baton, true, db, p, err);
}

apr_status_t sal_alerts_test(const sal_alerts_t *run, const sal_alert_t *alert, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    look_t l = { .run = run, .alert = alert, .to = run->now };
    apr_status_t rv;

    l.from = l.to - apr_time_from_sec(alert->span);
    rv = alerts_find(&l, db, p, err);
    if (rv == APR_SUCCESS) {
        rv = alerts_top(&l, db, p, err);
    }
    if (alert->kind == SAL_ALERT_NEW) {
        l.value = (double)l.n;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_txn(db, tell_test, &l, p, err);
    }
    json_decref(l.top);
    return rv;
}
