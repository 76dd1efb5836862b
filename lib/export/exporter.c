/*
 * Turns over the destinations: each gets some parcels, one that fails is left alone for a while, so
 * that none waits for another.
 */
#include "export/export_private.h"

#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"
#include "process/tables.h"

#define TURN_PARCELS 20
#define TURN_SECONDS 10
#define LEASE 300
#define LEASE_POST 900
#define ALONE_MOST 60
#define ADOPT_SECONDS 60

/* ---- making ---- */

apr_status_t sal_exporter_make(sal_exporter_t **out, const sal_conf_t *conf,
                               sal_crash_store_t *crashes, apr_pool_t *p, sal_error_t *err)
{
    sal_exporter_t *e = apr_pcalloc(p, sizeof(*e));
    char host[128] = "localhost";
    sal_process_data_t *data;
    apr_status_t rv;

    gethostname(host, sizeof(host) - 1);
    e->pool = p;
    e->crashes = crashes;
    e->dests = apr_array_make(p, 4, sizeof(dest_t));
    e->telemetry = sal_telemetry_builtin(p);
    e->who = apr_pstrdup(p, host);
    rv = sal_process_data_read(&data, conf, p, err);
    if (rv == APR_SUCCESS) {
        e->fields = data->processed;
        e->raw_fields = data->raw;
        rv = export_read_conf(e, conf, err);
    }
    *out = rv == APR_SUCCESS ? e : NULL;
    return rv;
}

static dest_t *dest_of(const sal_exporter_t *e, int i)
{
    return &APR_ARRAY_IDX(e->dests, i, dest_t);
}

static bool is_of(const dest_t *d, int kinds)
{
    return (kinds >> d->row.kind & 1) != 0;
}

int sal_exporter_count(const sal_exporter_t *e, int kinds)
{
    int n = 0;

    for (int i = 0; i < e->dests->nelts; i++) {
        n += is_of(dest_of(e, i), kinds);
    }
    return n;
}

const char *sal_exporter_name(const sal_exporter_t *e, int kinds, int i)
{
    for (int k = 0; k < e->dests->nelts; k++) {
        if (is_of(dest_of(e, k), kinds) && i-- == 0) {
            return dest_of(e, k)->row.name;
        }
    }
    return NULL;
}

apr_status_t sal_exporter_register(const sal_exporter_t *e, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err)
{
    int n = e->dests->nelts;
    sal_outbox_dest_t *rows = apr_palloc(p, sizeof(*rows) * (apr_size_t)(n + 1));

    for (int i = 0; i < n; i++) {
        rows[i] = dest_of(e, i)->row;
    }
    return sal_outbox_register(rows, n, db, p, err);
}

void sal_exporter_stops_if(sal_exporter_t *e, bool (*stopping)(void *), void *baton)
{
    e->stopping = stopping;
    e->baton = baton;
}

void sal_exporter_hurry(sal_exporter_t *e)
{
    e->hurry = true;
}

bool sal_exporter_troubled(const sal_exporter_t *e, int kinds)
{
    for (int i = 0; i < e->dests->nelts; i++) {
        if (is_of(dest_of(e, i), kinds) && dest_of(e, i)->failures) {
            return true;
        }
    }
    return false;
}

/* ---- for the other files ---- */

bool export_stops(const sal_exporter_t *e)
{
    return e->stopping && e->stopping(e->baton);
}

void export_count(dest_t *d, const char *metric, apr_int64_t n)
{
    for (int i = 0; i < COUNTERS && n; i++) {
        counter_t *c = &d->count[i];

        if (!c->metric || !strcmp(c->metric, metric)) {
            c->metric = metric;
            c->n += n;
            return;
        }
    }
}

void export_leave_alone(dest_t *d)
{
    int seconds = 1;

    d->failures++;
    for (int i = 1; i < d->failures && seconds < ALONE_MOST; i++) {
        seconds *= 2;
    }
    d->again_at = apr_time_now() + apr_time_from_sec(seconds < ALONE_MOST ? seconds : ALONE_MOST);
}

void export_works(dest_t *d)
{
    if (d->failures) {
        sal_log(SAL_LOG_NOTICE, 9264, "%s works again", d->row.name);
    }
    d->failures = 0;
    d->again_at = 0;
}

/* ---- turns ---- */

/* What was counted; lost with the process if it dies before. */
static apr_status_t flush_counts(dest_t *d, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < COUNTERS && d->count[i].metric && rv == APR_SUCCESS; i++) {
        rv = sal_outbox_count(d->count[i].metric, d->row.name, d->count[i].n, db, p, err);
        d->count[i].n = rv == APR_SUCCESS ? 0 : d->count[i].n;
    }
    return rv;
}

static apr_status_t one_parcel(bool *found, int *sent, sal_exporter_t *e, dest_t *d, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    bool telemetry = d->row.kind == SAL_EXPORT_TELEMETRY;
    sal_parcel_claim_t claim = { .kind = d->row.kind,
                                 .destination = d->row.name,
                                 .most = telemetry ? e->batch : 1,
                                 .patience = telemetry && !e->hurry ? e->interval : 0,
                                 .lease = telemetry ? LEASE : LEASE_POST,
                                 .who = apr_psprintf(p, "%s:%ld", e->who, (long)getpid()) };
    sal_parcel_t parcel;
    apr_status_t rv = sal_parcel_claim(&parcel, found, &claim, db, p, err);

    if (rv != APR_SUCCESS || !*found) {
        return rv;
    }
    rv = telemetry ? export_segments(e, d, &parcel, db, p, err)
                   : export_deliver(e, d, &parcel, db, p, err);
    if (rv == SAL_E_FENCED) { /* too slow: another one sends it again, to the same effect */
        sal_log(SAL_LOG_WARNING, 9265, "%s: the lease of a parcel was lost", d->row.name);
        return APR_SUCCESS;
    }
    *sent += rv == APR_SUCCESS ? parcel.size : 0;
    return rv;
}

static apr_status_t turn_of(int *sent, sal_exporter_t *e, dest_t *d, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(TURN_SECONDS);
    apr_status_t rv = APR_SUCCESS, flushed;
    apr_pool_t *one;
    bool found = true;

    apr_pool_create(&one, p);
    for (int n = 0; n < TURN_PARCELS && found && rv == APR_SUCCESS && !export_stops(e) &&
                    d->again_at <= apr_time_now() && apr_time_now() < end;
         n++) {
        apr_pool_clear(one);
        rv = one_parcel(&found, sent, e, d, db, one, err);
    }
    if (rv == APR_SUCCESS && d->row.kind == SAL_EXPORT_TELEMETRY && !d->failures &&
        !export_stops(e)) {
        rv = export_put_watermark(e, d, db, one, err);
    }
    flushed = rv == APR_SUCCESS ? flush_counts(d, db, one, err) : rv;
    apr_pool_destroy(one);
    return flushed;
}

/* Crashes that no job ends yet, for destinations that want them all the same. */
static apr_status_t adopt(sal_exporter_t *e, int kinds, sal_db_t *db, apr_pool_t *p,
                          sal_error_t *err)
{
    apr_time_t now = apr_time_now();
    bool wanted = false;

    for (int i = 0; i < e->dests->nelts; i++) {
        wanted = wanted || (is_of(dest_of(e, i), kinds) && dest_of(e, i)->row.deferred);
    }
    if (!wanted || now - e->adopted < apr_time_from_sec(e->hurry ? 0 : ADOPT_SECONDS)) {
        return APR_SUCCESS;
    }
    e->adopted = now;
    return sal_outbox_adopt(NULL, db, p, err);
}

apr_status_t sal_exporter_turn(int *sent, sal_exporter_t *e, int kinds, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    int unused = 0;
    apr_status_t rv;

    sent = sent ? sent : &unused;
    *sent = 0;
    rv = adopt(e, kinds, db, p, err);
    for (int i = 0; i < e->dests->nelts && rv == APR_SUCCESS && !export_stops(e); i++) {
        dest_t *d = dest_of(e, i);

        if (is_of(d, kinds) && d->again_at <= apr_time_now()) {
            rv = turn_of(sent, e, d, db, p, err);
        }
    }
    return rv;
}
