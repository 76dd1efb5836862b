/*
 * The queue as text or JSON. Both say the same; times are UTC.
 */
#include "queue_show.h"

#include <stdio.h>
#include <jansson.h>

#include "base/json.h"
#include "base/text.h"

static void print_json(json_t *value, apr_pool_t *p)
{
    puts(sal_json_text(sal_json_own(value, p), p));
}

static json_t *time_json(apr_time_t t, apr_pool_t *p)
{
    return t ? json_string(sal_time_iso(t, p)) : json_null();
}

static json_t *text_json(const char *s)
{
    return *s ? json_string(s) : json_null();
}

/* ---- counts ---- */

static json_t *lane_json(const sal_lane_stats_t *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ready", (json_int_t)s->ready,
                     "waiting", (json_int_t)s->waiting, "leased", (json_int_t)s->leased, "dead",
                     (json_int_t)s->dead, "deferred", (json_int_t)s->deferred,
                     "oldest_ready_seconds", (json_int_t)s->oldest_ready_seconds,
                     "oldest_leased_seconds", (json_int_t)s->oldest_leased_seconds);
}

static json_t *lanes_json(const sal_queue_stats_t *s, const sal_queue_pause_t *pauses,
                          apr_pool_t *p)
{
    json_t *lanes = json_object();

    for (int i = 0; i < 3; i++) {
        json_t *lane = lane_json(&s->lane[i]);

        if (pauses) {
            json_object_set_new(lane, "paused", json_boolean(pauses[i].paused));
        }
        if (pauses && pauses[i].paused) {
            json_object_set_new(lane, "paused_since", time_json(pauses[i].since, p));
            json_object_set_new(lane, "paused_reason", text_json(pauses[i].reason));
        }
        json_object_set_new(lanes, sal_lane_name((sal_lane_t)i), lane);
    }
    return lanes;
}

static json_t *stats_json(const sal_queue_stats_t *s, const sal_queue_pause_t *pauses,
                          apr_pool_t *p)
{
    json_t *all = lane_json(&s->all);

    json_object_set_new(all, "lanes", lanes_json(s, pauses, p));
    return all;
}

apr_status_t queue_show_stats(bool json, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_queue_stats_t s;
    apr_status_t rv = sal_queue_stats(&s, db, p, err);

    if (rv == APR_SUCCESS && json) {
        print_json(stats_json(&s, NULL, p), p);
    } else if (rv == APR_SUCCESS) {
        for (int i = 0; i < 3; i++) {
            printf("%s %lld\n", sal_lane_name((sal_lane_t)i), (long long)s.lane[i].ready);
        }
        printf("leased %lld\ndead %lld\ndeferred %lld\noldest-ready-seconds %lld\n",
               (long long)s.all.leased, (long long)s.all.dead, (long long)s.all.deferred,
               (long long)s.all.oldest_ready_seconds);
    }
    return rv;
}

/* ---- jobs ---- */

static json_t *row_json(const sal_queue_row_t *r, sal_queue_state_t state, apr_pool_t *p)
{
    static const char *const at[] = { "due", "leased_at", "died", "due" };
    json_t *row =
        json_pack("{s:I, s:s, s:s, s:s, s:i, s:i, s:I}", "id", (json_int_t)r->id, "crash_id",
                  r->crash_id, "ruleset", r->ruleset, "lane", sal_lane_name(r->lane), "attempts",
                  r->attempts, "lost", r->lost, "age_seconds", (json_int_t)r->age);

    json_object_set_new(row, "enqueued", time_json(r->enqueued, p));
    json_object_set_new(row, at[state], time_json(r->at, p));
    json_object_set_new(row, "request", r->request_id ? json_integer(r->request_id) : json_null());
    if (state == SAL_QUEUE_LEASED) {
        json_object_set_new(row, "worker", text_json(r->worker));
        json_object_set_new(row, "lease_until", time_json(r->lease_until, p));
    }
    json_object_set_new(row, "reason", text_json(r->reason));
    return row;
}

static json_t *rows_json(const sal_queue_row_t *rows, int n, sal_queue_state_t state, apr_pool_t *p)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++) {
        json_array_append_new(list, row_json(&rows[i], state, p));
    }
    return list;
}

static void print_rows(const sal_queue_row_t *rows, int n, sal_queue_state_t state, apr_pool_t *p)
{
    static const char *const heads[] = {
        "crash\truleset\tlane\tdue\tattempts\tlost\treason",
        "crash\truleset\tlane\tworker\tseconds\tlease-until\tattempts\tlost",
        "crash\truleset\tdied\tattempts\tlost\treason",
        "crash\truleset\tlane\tqueued",
    };

    puts(heads[state]);
    for (int i = 0; i < n; i++) {
        const sal_queue_row_t *r = &rows[i];
        const char *lane = sal_lane_name(r->lane);

        printf("%s\t%s\t", r->crash_id, r->ruleset);
        if (state == SAL_QUEUE_LEASED) {
            printf("%s\t%s\t%lld\t%s\t%d\t%d\n", lane, r->worker, (long long)r->age,
                   sal_time_iso(r->lease_until, p), r->attempts, r->lost);
        } else if (state == SAL_QUEUE_DEAD) {
            printf("%s\t%d\t%d\t%s\n", sal_time_iso(r->at, p), r->attempts, r->lost, r->reason);
        } else if (state == SAL_QUEUE_READY) {
            printf("%s\t%s\t%d\t%d\t%s\n", lane, sal_time_iso(r->at, p), r->attempts, r->lost,
                   r->reason);
        } else {
            printf("%s\t%s\n", lane, sal_time_iso(r->enqueued, p));
        }
    }
}

apr_status_t queue_show_list(sal_queue_state_t state, int max, bool json, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    sal_queue_row_t *rows;
    int n;
    apr_status_t rv = sal_queue_list(&rows, &n, state, max, db, p, err);

    if (rv == APR_SUCCESS && json) {
        print_json(rows_json(rows, n, state, p), p);
    } else if (rv == APR_SUCCESS) {
        print_rows(rows, n, state, p);
    }
    return rv;
}

/* ---- everything ---- */

static void print_lanes(const sal_queue_stats_t *s, const sal_queue_pause_t *pauses, apr_pool_t *p)
{
    puts("lane\tready\twaiting\tleased\tdead\tdeferred\toldest-ready\toldest-leased\tpaused");
    for (int i = 0; i < 3; i++) {
        const sal_lane_stats_t *l = &s->lane[i];

        printf("%s\t%lld\t%lld\t%lld\t%lld\t%lld\t%lld s\t%lld s\t", sal_lane_name((sal_lane_t)i),
               (long long)l->ready, (long long)l->waiting, (long long)l->leased, (long long)l->dead,
               (long long)l->deferred, (long long)l->oldest_ready_seconds,
               (long long)l->oldest_leased_seconds);
        if (pauses[i].paused) {
            printf("since %s %s\n", sal_time_iso(pauses[i].since, p), pauses[i].reason);
        } else {
            puts("no");
        }
    }
}

apr_status_t queue_show_all(int max, bool json, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_queue_pause_t pauses[3];
    sal_queue_row_t *leased, *dead;
    sal_queue_stats_t s;
    int n_leased, n_dead;
    apr_status_t rv;

    if ((rv = sal_queue_stats(&s, db, p, err)) != APR_SUCCESS ||
        (rv = sal_queue_pauses(pauses, db, p, err)) != APR_SUCCESS ||
        (rv = sal_queue_list(&leased, &n_leased, SAL_QUEUE_LEASED, max, db, p, err)) ||
        (rv = sal_queue_list(&dead, &n_dead, SAL_QUEUE_DEAD, max, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (json) {
        json_t *all = stats_json(&s, pauses, p);

        json_object_set_new(all, "leases", rows_json(leased, n_leased, SAL_QUEUE_LEASED, p));
        json_object_set_new(all, "dead_jobs", rows_json(dead, n_dead, SAL_QUEUE_DEAD, p));
        print_json(all, p);
        return APR_SUCCESS;
    }
    print_lanes(&s, pauses, p);
    if (n_leased) {
        puts("");
        print_rows(leased, n_leased, SAL_QUEUE_LEASED, p);
    }
    if (n_dead) {
        puts("");
        print_rows(dead, n_dead, SAL_QUEUE_DEAD, p);
    }
    return APR_SUCCESS;
}
