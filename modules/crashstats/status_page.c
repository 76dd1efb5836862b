/*
 * /status/: the queue and periodic jobs; what was given up, errors and the history of jobs are
 * shown to staff only, since they may name files and hosts. /monitoring/cron/: whether jobs are
 * well, for monitors.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "db/token.h"
#include "jobs/cron.h"
#include "queue/queue.h"
#include "render/format.h"

enum { HISTORY = 50, DEAD = 20, STALE_SECONDS = 7200 };

typedef struct look_t {
    sal_cron_env_t env;
    const char *job;    /* the history of this one; NULL: of all */
    bool failed, staff; /* staff: with errors, which may name files and hosts */
    sal_queue_stats_t stats;
    sal_queue_pause_t pauses[3];
    sal_queue_row_t *dead;
    sal_cron_state_t *states;
    sal_cron_log_t *log;
    int ndead, nstates, nlog;
    apr_time_t now;
} look_t;

static apr_status_t look_at_jobs(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    look_t *l = baton;

    return sal_cron_states(&l->states, &l->nstates, &l->now, &l->env, db, p, err);
}

static apr_status_t look_at_all(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    look_t *l = baton;
    apr_status_t rv = look_at_jobs(db, baton, p, err);

    rv = rv == APR_SUCCESS ? sal_queue_stats(&l->stats, db, p, err) : rv;
    rv = rv == APR_SUCCESS ? sal_queue_pauses(l->pauses, db, p, err) : rv;
    rv = rv == APR_SUCCESS ? sal_queue_list(&l->dead, &l->ndead, SAL_QUEUE_DEAD, DEAD, db, p, err)
                           : rv;
    return rv == APR_SUCCESS
               ? sal_cron_log(&l->log, &l->nlog, l->job, l->failed, HISTORY, db, p, err)
               : rv;
}

/* ---- views ---- */

static json_t *when(apr_time_t t, apr_pool_t *p)
{
    return t ? json_pack("{s:s, s:s}", "iso", sal_format_datetime(t, p), "text",
                         sal_format_time(t, 0, p))
             : json_null();
}

static const char *seconds(double n, apr_pool_t *p)
{
    return n < 60 ? apr_psprintf(p, "%.1f s", n) : sal_format_duration((apr_int64_t)n, p);
}

static json_t *lane_view(const look_t *l, sal_lane_t lane, apr_pool_t *p)
{
    const sal_lane_stats_t *s = &l->stats.lane[lane];

    return json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s}", "name", sal_lane_name(lane),
                     "paused", l->pauses[lane].paused, "why", l->pauses[lane].reason, "ready",
                     sal_format_count(s->ready, p), "leased", sal_format_count(s->leased, p),
                     "dead", sal_format_count(s->dead, p), "deferred",
                     sal_format_count(s->deferred, p), "oldest",
                     s->ready ? sal_format_duration(s->oldest_ready_seconds, p) : "");
}

static json_t *dead_view(const sal_queue_row_t *d, apr_pool_t *p)
{
    return json_pack("{s:s, s:o, s:i, s:s}", "crash", d->crash_id, "died", when(d->at, p),
                     "attempts", d->attempts, "reason", d->reason);
}

static const char *plan_text(const sal_cron_plan_t *plan, apr_pool_t *p)
{
    const char *every = sal_format_duration(plan->every, p);

    return plan->minute < 0
               ? every
               : apr_psprintf(p, "%s at %02d:%02d", every, plan->minute / 60, plan->minute % 60);
}

/* The colour of a job's dot; "" is good. */
static const char *health(const sal_cron_state_t *s)
{
    return s->error_count > 0 ? "bad" : !s->plan.enabled || !s->usable ? "off" : "";
}

static const char *mode(const sal_cron_state_t *s)
{
    return s->running        ? "running"
           : !s->usable      ? "not configured"
           : s->plan.enabled ? ""
                             : "switched off";
}

static json_t *job_view(const sal_cron_state_t *s, bool staff, apr_pool_t *p)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:i, s:b, s:s, s:s}", "name",
                     s->app_name, "purpose", s->job->purpose, "health", health(s), "mode", mode(s),
                     "plan", plan_text(&s->plan, p), "next",
                     s->plan.enabled && s->usable ? when(s->next_run, p) : json_null(), "last",
                     when(s->last_success, p), "took",
                     s->last_run ? seconds(s->last_duration, p) : "", "errors", s->error_count,
                     "failing", s->error_count > 0, "error", staff ? s->last_error : "", "runner",
                     staff ? s->runner : "");
}

static json_t *log_view(const sal_cron_log_t *e, apr_pool_t *p)
{
    return json_pack("{s:s, s:o, s:b, s:s, s:s, s:s, s:s}", "job", e->app_name, "at",
                     when(e->at, p), "good", e->success, "took", seconds(e->duration, p), "done",
                     e->done ? sal_format_count(e->done, p) : "", "text",
                     e->success ? e->note : apr_pstrcat(p, e->kind, ": ", e->error, NULL), "runner",
                     e->runner);
}

static json_t *status_view(const look_t *l, apr_pool_t *p)
{
    json_t *lanes = json_array(), *dead = json_array(), *jobs = json_array(), *log = json_array();
    int failing = 0;

    for (int i = 0; i < 3; i++) {
        json_array_append_new(lanes, lane_view(l, (sal_lane_t)i, p));
    }
    for (int i = 0; i < l->ndead && l->staff; i++) {
        json_array_append_new(dead, dead_view(&l->dead[i], p));
    }
    for (int i = 0; i < l->nstates; i++) {
        failing += l->states[i].error_count > 0;
        json_array_append_new(jobs, job_view(&l->states[i], l->staff, p));
    }
    for (int i = 0; i < l->nlog && l->staff; i++) {
        json_array_append_new(log, log_view(&l->log[i], p));
    }
    return json_pack("{s:s, s:b, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:b, s:s, "
                     "s:b, s:b, s:b}",
                     "title", "Queue and jobs", "plain_title", 1, "now", when(l->now, p), "ready",
                     sal_format_count(l->stats.all.ready, p), "leased",
                     sal_format_count(l->stats.all.leased, p), "dead_count",
                     sal_format_count(l->stats.all.dead, p), "oldest",
                     sal_format_duration(l->stats.all.oldest_ready_seconds, p), "failing",
                     apr_psprintf(p, "%d", failing), "lanes", lanes, "dead", dead, "any_dead",
                     l->ndead > 0 && l->staff, "jobs", jobs, "log", log, "any_log", l->nlog > 0,
                     "of", l->job ? l->job : "", "one", l->job != NULL, "any_failing", failing > 0,
                     "show_log", l->staff);
}

static void prepare(look_t *l, crashstats_req_t *q)
{
    l->env = (sal_cron_env_t){ .conf = q->conf->shared,
                               .crashes = q->conf->store,
                               .host = q->r->server->server_hostname };
    l->job = crashstats_trimmed(apr_table_get(q->query, "job"), q->r->pool);
    l->job = *l->job ? l->job : NULL;
    l->failed = apr_table_get(q->query, "failed") != NULL;
}

int crashstats_status(crashstats_req_t *q, const char *rest)
{
    look_t l = { .now = 0 };
    sal_error_t err;

    (void)rest;
    prepare(&l, q);
    if (web_with_db(q->r, look_at_all, &l, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    l.staff = (q->who.permissions & (SAL_PERM_STAFF | SAL_PERM_ADMIN)) != 0;
    apr_table_setn(q->r->headers_out, "Cache-Control", "no-store");
    return crashstats_page(q, HTTP_OK, "status", "Queue", status_view(&l, q->r->pool));
}

/* ---- monitors ---- */

static json_t *verdict(const look_t *l, apr_pool_t *p)
{
    json_t *doc = json_object(), *broken = json_array();
    apr_time_t last = 0;

    for (int i = 0; i < l->nstates; i++) {
        last = l->states[i].last_run > last ? l->states[i].last_run : last;
        if (l->states[i].error_count > 0) {
            json_array_append_new(broken, json_string(l->states[i].app_name));
        }
    }
    json_object_set_new(doc, "status", json_string("ALLGOOD"));
    if (last < l->now - apr_time_from_sec(STALE_SECONDS)) {
        json_object_set_new(doc, "status", json_string("Stale"));
        if (last) {
            json_object_set_new(doc, "last_run", json_string(sal_format_datetime(last, p)));
        }
    }
    if (json_array_size(broken) > 0) {
        json_object_set_new(doc, "status", json_string("Broken"));
        json_object_set(doc, "broken", broken);
    }
    json_decref(broken);
    return doc;
}

int crashstats_monitoring_cron(crashstats_req_t *q, const char *rest)
{
    look_t l = { .now = 0 };
    sal_error_t err;

    (void)rest;
    prepare(&l, q);
    if (web_with_db(q->r, look_at_jobs, &l, &err) != APR_SUCCESS) {
        return crashstats_api_failed(q, SAL_E_NODB, &err);
    }
    apr_table_setn(q->r->headers_out, "Cache-Control", "no-store");
    return crashstats_api_reply(q, HTTP_OK, verdict(&l, q->r->pool));
}
