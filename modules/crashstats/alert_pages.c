/*
 * Alerts: the list, the form that makes one, one with its history, and what changes them.
 */
#include "crashstats/search.h"

#include <apr_strings.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "common/person.h"
#include "db/token.h"
#include "jobs/alerts.h"
#include "render/format.h"
#include "triage/saved.h"

enum { FORM_MAX = 65536 };

typedef struct work_t {
    crashstats_req_t *q;
    int64_t id;
    const char *action, *search_key;
    sal_alert_t make, *list;
    sal_saved_t *saved;
    sal_alert_event_t *events;
    const char **hooks;
    int n, n_saved, n_events;
} work_t;

/* Administrators see and stop everybody's. */
static int64_t whose(const crashstats_req_t *q)
{
    return q->who.permissions & SAL_PERM_ADMIN ? 0 : q->who.user_id;
}

static apr_status_t read_all(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;
    apr_status_t rv = sal_alert_list(&w->list, &w->n, whose(w->q), w->id, db, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_saved_list(&w->saved, &w->n_saved, w->q->who.user_id, db, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_alert_hooks(&w->hooks, db, p, err);
    }
    if (rv == APR_SUCCESS && w->id && w->n) {
        rv = sal_alert_events(&w->events, &w->n_events, w->id, db, p, err);
    }
    return rv;
}

/* ---- showing ---- */

static void put_time(json_t *obj, const char *key, apr_time_t t, apr_pool_t *p)
{
    if (t) {
        json_object_set_new(obj, key,
                            json_pack("{s:s, s:s}", "text", sal_format_time(t, 1, p), "iso",
                                      sal_format_datetime(t, p)));
    }
}

static json_t *alert_json(crashstats_req_t *q, const sal_alert_t *a)
{
    apr_pool_t *p = q->r->pool;
    json_t *one = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:b}", "id",
                            (json_int_t)a->id, "name", a->name, "condition", sal_alert_words(a, p),
                            "kind", sal_alert_kind_name(a->kind), "search_name", a->search_name,
                            "search_key", a->search_key, "target", a->target, "mail",
                            a->way == SAL_ALERT_MAIL, "paused", a->paused, "quiet",
                            sal_alert_span_words(a->quiet, p), "mine", a->owner == q->who.user_id);

    json_object_set_new(one, "owner", json_string(a->owner_name));
    if (a->valued) {
        json_object_set_new(one, "value", json_string(apr_psprintf(p, "%.4g", a->value)));
    }
    if (a->valued && a->kind == SAL_ALERT_SPIKE) {
        json_object_set_new(one, "usual", json_string(apr_psprintf(p, "%.4g", a->usual)));
    }
    if (a->error) {
        json_object_set_new(one, "error", json_string(a->error));
    }
    put_time(one, "looked", a->looked, p);
    put_time(one, "last_alarm", a->last_alarm, p);
    put_time(one, "created", a->created, p);
    return one;
}

static json_t *event_json(const sal_alert_event_t *e, apr_pool_t *p)
{
    static const char *const states[] = { "waits", "handed over", "failed" };
    json_t *doc = json_loads(e->body, 0, NULL), *value = json_object_get(doc, "value");
    char *text = doc ? json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_t *one = json_pack("{s:I, s:b, s:s, s:s, s:b, s:s}", "id", (json_int_t)e->id, "test",
                            e->test, "target", e->target, "state", states[e->state % 3], "failed",
                            e->state == 2, "body", text ? text : "");

    put_time(one, "at", e->at, p);
    json_object_set_new(one, "value",
                        json_string(apr_psprintf(p, "%.4g", json_number_value(value))));
    if (e->error) {
        json_object_set_new(one, "error", json_string(e->error));
    }
    free(text);
    json_decref(doc);
    return one;
}

static json_t *choices(const char *const (*list)[2], int n, const char *chosen)
{
    json_t *out = json_array();

    for (int i = 0; i < n; i++) {
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:b}", "value", list[i][0], "text", list[i][1],
                                        "chosen", chosen && strcmp(chosen, list[i][0]) == 0));
    }
    return out;
}

static const char *const kinds[][2] = { { "count", "so many crashes within the time" },
                                        { "nth", "every N-th crash" },
                                        { "rate", "so many crashes an hour" },
                                        { "new", "a new signature" },
                                        { "spike", "so many times what is usual" } };
static const char *const units[][2] = { { "60", "minutes" },
                                        { "3600", "hours" },
                                        { "86400", "days" } };

static json_t *targets(const work_t *w, const char *chosen)
{
    json_t *out = json_array();

    for (int i = 0; w->hooks[i]; i++) {
        json_array_append_new(out, json_pack("{s:s, s:b}", "name", w->hooks[i], "chosen",
                                             chosen && strcmp(chosen, w->hooks[i]) == 0));
    }
    return out;
}

/* What was typed before, or what most people want. */
static const char *typed(apr_table_t *form, const char *name, const char *usual)
{
    const char *value = form ? web_param(form, name) : NULL;

    return value ? value : usual;
}

static json_t *form_json(const work_t *w, apr_table_t *form)
{
    crashstats_req_t *q = w->q;
    json_t *searches = json_array(), *hooks = targets(w, typed(form, "hook", NULL));
    const char *asked = web_param(q->query, "search");
    const char *key = typed(form, "search", asked ? asked : "");
    bool mails = *sal_conf_get(q->conf->shared, "alert-mail-command", "") == '/';

    for (int i = 0; i < w->n_saved; i++) {
        if (w->saved[i].owner == q->who.user_id) {
            json_array_append_new(searches, json_pack("{s:s, s:s, s:b}", "key", w->saved[i].key,
                                                      "name", w->saved[i].name, "chosen",
                                                      strcmp(w->saved[i].key, key) == 0));
        }
    }
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:b, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:o}",
                     "any_searches", json_array_size(searches) > 0, "searches", searches, "kinds",
                     choices(kinds, 5, typed(form, "kind", "count")), "span_units",
                     choices(units, 3, typed(form, "span_unit", "3600")), "hooks", hooks,
                     "any_hooks", json_array_size(hooks) > 0, "mails", mails, "name",
                     typed(form, "name", ""), "threshold", typed(form, "threshold", "10"),
                     "minimum", typed(form, "minimum", "10"), "span", typed(form, "span", "24"),
                     "quiet", typed(form, "quiet", "24"), "mail",
                     typed(form, "mail", strchr(q->who.user, '@') ? q->who.user : ""),
                     "quiet_units", choices(units, 3, typed(form, "quiet_unit", "3600")));
}

static int show_list(crashstats_req_t *q, int status, const char *problem, apr_table_t *form)
{
    work_t w = { .q = q };
    sal_error_t err = { 0 };
    json_t *data, *list = json_array();
    const char *csrf;

    if (web_with_db(q->r, read_all, &w, &err) != APR_SUCCESS ||
        !(csrf = q->who.by_token ? "" : web_form_token(q->r, &q->who, &err))) {
        json_decref(list);
        return crashstats_sick(q, &err);
    }
    for (int i = 0; i < w.n; i++) {
        json_array_append_new(list, alert_json(q, &w.list[i]));
    }
    data =
        json_pack("{s:s, s:b, s:b, s:o, s:o, s:s}", "title", "Alerts", "plain_title", 1,
                  "any_alerts", w.n > 0, "alerts", list, "form", form_json(&w, form), "csrf", csrf);
    if (problem) {
        json_object_set_new(data, "problem", json_string(problem));
    }
    return crashstats_page(q, status, "alerts", "Search", data);
}

static int no_such(crashstats_req_t *q)
{
    return crashstats_message(q, HTTP_NOT_FOUND, "There is no such alert",
                              "It may be deleted, or belong to somebody else.");
}

static int show_one(crashstats_req_t *q, int64_t id)
{
    work_t w = { .q = q, .id = id };
    sal_error_t err = { 0 };
    json_t *data, *events;
    const char *csrf;

    if (web_with_db(q->r, read_all, &w, &err) != APR_SUCCESS ||
        !(csrf = q->who.by_token ? "" : web_form_token(q->r, &q->who, &err))) {
        return crashstats_sick(q, &err);
    }
    if (w.n == 0) {
        return no_such(q);
    }
    events = json_array();
    for (int i = 0; i < w.n_events; i++) {
        json_array_append_new(events, event_json(&w.events[i], q->r->pool));
    }
    data = json_pack("{s:s, s:b, s:o, s:o, s:b, s:s}", "title",
                     apr_pstrcat(q->r->pool, "Alert ", w.list->name, NULL), "plain_title", 1,
                     "alert", alert_json(q, w.list), "events", events, "any_events", w.n_events > 0,
                     "csrf", csrf);
    return crashstats_page(q, HTTP_OK, "alert", "Search", data);
}

/* "12/" of a path; 0 for anything else. */
static int64_t id_of(const char *rest, apr_pool_t *p)
{
    apr_size_t n = strspn(rest, "0123456789");
    int64_t id;

    return n && (!rest[n] || strcmp(rest + n, "/") == 0) &&
                   sal_parse_int(apr_pstrmemdup(p, rest, n), 1, INT64_MAX, &id)
               ? id
               : 0;
}

int crashstats_alerts(crashstats_req_t *q, const char *rest)
{
    int64_t id = id_of(rest, q->r->pool);
    int rc = crashstats_require(q, 0);

    if (rc != DECLINED) {
        return rc;
    }
    return !*rest ? show_list(q, HTTP_OK, NULL, NULL) : id ? show_one(q, id) : no_such(q);
}

/* ---- changes ---- */

/* "24" and "3600": seconds, or -1. */
static int seconds_of(apr_table_t *form, const char *number, const char *unit)
{
    int64_t n, one;

    return sal_parse_int(typed(form, number, ""), 0, 100000, &n) &&
                   sal_parse_int(typed(form, unit, ""), 60, 86400, &one) &&
                   n * one <= SAL_ALERT_SPAN_MAX
               ? (int)(n * one)
               : -1;
}

static apr_status_t read_make(work_t *w, apr_table_t *form, sal_error_t *err)
{
    apr_pool_t *p = w->q->r->pool;
    const char *threshold = typed(form, "threshold", ""), *way = typed(form, "way", "hook");
    char *end;
    int64_t minimum;

    w->search_key = typed(form, "search", "");
    w->make.name = crashstats_trimmed(web_param(form, "name"), p);
    w->make.threshold = strtod(threshold, &end);
    if (!sal_alert_kind(typed(form, "kind", ""), &w->make.kind)) {
        return sal_fail(err, SAL_E_MALFORMED, "There is no such kind of alert.");
    }
    if (end == threshold || *end) {
        return sal_fail(err, SAL_E_MALFORMED, "The threshold must be a number.");
    }
    if (!sal_parse_int(typed(form, "minimum", "10"), 1, 1000000000, &minimum)) {
        return sal_fail(err, SAL_E_MALFORMED, "The least number of crashes must be a number.");
    }
    w->make.minimum = (int)minimum;
    w->make.span = seconds_of(form, "span", "span_unit");
    w->make.quiet = seconds_of(form, "quiet", "quiet_unit");
    w->make.way = strcmp(way, "mail") == 0 ? SAL_ALERT_MAIL : SAL_ALERT_WEBHOOK;
    w->make.target =
        crashstats_trimmed(web_param(form, w->make.way == SAL_ALERT_MAIL ? "mail" : "hook"), p);
    if (w->make.way == SAL_ALERT_MAIL) {
        const char *fault = sal_alerts_mail_fault(w->q->conf->shared, w->make.target, p);

        return fault ? sal_fail(err, SAL_E_MALFORMED, "No mail can be sent: %s.", fault)
                     : APR_SUCCESS;
    }
    return APR_SUCCESS;
}

static apr_status_t make(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_alert_put(&w->id, &w->make, w->q->who.user_id, w->search_key, db, p, err);
}

static int make_one(crashstats_req_t *q, apr_table_t *form)
{
    work_t w = { .q = q };
    sal_error_t err = { 0 };
    apr_status_t rv = read_make(&w, form, &err);

    if (rv == APR_SUCCESS) {
        rv = web_with_db(q->r, make, &w, &err);
    }
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG || APR_STATUS_IS_ENOENT(rv)) {
        return show_list(q, HTTP_BAD_REQUEST, err.message, form);
    }
    return rv == APR_SUCCESS
               ? web_redirect(
                     q->r, HTTP_SEE_OTHER,
                     apr_psprintf(q->r->pool, "/alerts/%" APR_INT64_T_FMT "/", (apr_int64_t)w.id))
               : crashstats_sick(q, &err);
}

static apr_status_t act(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;
    int64_t owner = whose(w->q);
    const sal_alerts_t run = { .conf = w->q->conf->shared, .now = apr_time_now() };
    apr_status_t rv;

    if (strcmp(w->action, "delete") == 0) {
        return sal_alert_drop(owner, w->id, db, p, err);
    }
    if (strcmp(w->action, "test") != 0) {
        return sal_alert_pause(owner, w->id, strcmp(w->action, "pause") == 0, db, p, err);
    }
    rv = sal_alert_list(&w->list, &w->n, owner, w->id, db, p, err);
    if (rv == APR_SUCCESS && w->n == 0) {
        return sal_fail(err, APR_ENOENT, "There is no such alert.");
    }
    return rv == APR_SUCCESS ? sal_alerts_test(&run, w->list, db, p, err) : rv;
}

static int change_one(crashstats_req_t *q, apr_table_t *form, int64_t id)
{
    work_t w = { .q = q, .id = id, .action = typed(form, "action", "") };
    sal_error_t err = { 0 };
    bool drop = strcmp(w.action, "delete") == 0;
    apr_status_t rv;

    if (!drop && strcmp(w.action, "pause") && strcmp(w.action, "resume") &&
        strcmp(w.action, "test")) {
        return crashstats_message(q, HTTP_BAD_REQUEST, "There is no such action",
                                  "An alert can be paused, resumed, tested and deleted.");
    }
    rv = web_with_db(q->r, act, &w, &err);
    if (APR_STATUS_IS_ENOENT(rv)) {
        return no_such(q);
    }
    if (rv == SAL_E_DENIED || rv == SAL_E_MALFORMED || rv == SAL_E_BUSY || rv == APR_TIMEUP) {
        return crashstats_message(q, HTTP_BAD_REQUEST, "The alert cannot look", err.message);
    }
    if (rv != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    return web_redirect(
        q->r, HTTP_SEE_OTHER,
        drop ? "/alerts/"
             : apr_psprintf(q->r->pool, "/alerts/%" APR_INT64_T_FMT "/", (apr_int64_t)id));
}

int crashstats_alert_change(crashstats_req_t *q, const char *rest)
{
    apr_table_t *form = web_form(q->r, FORM_MAX);
    int64_t id = id_of(rest, q->r->pool);
    int rc;

    if (!crashstats_may_change(q, form, &rc)) {
        return rc;
    }
    return !*rest ? make_one(q, form) : id ? change_one(q, form, id) : no_such(q);
}
