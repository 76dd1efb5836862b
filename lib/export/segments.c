/*
 * Telemetry: a parcel of crashes becomes files of lines, one for each day of the crashes and for
 * first and later states, or an object a crash.
 *
 * The files of a parcel are named after it, and a parcel keeps its rows until it has arrived. So
 * whoever is killed here leaves whole files or none, and whoever takes the parcel over writes the
 * same files again: no line is torn, none stands twice.
 */
#include "export/export_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "crash/crash_id.h"

#define LEASE 300
#define ROOT "v1/crash_report/"
#define WATERMARK_KEY "v1/watermark.json"
#define RETRY_FIRST 5
#define RENEW_SECONDS 30

/* One crash of a parcel that is to be written. */
typedef struct state_t {
    const sal_parcel_row_t *row;
    char day[9];
    bool first;      /* the destination has seen nothing of it */
    const char *why; /* it cannot be exported; NULL: all is well */
} state_t;

typedef struct work_t {
    sal_exporter_t *e;
    dest_t *d;
    const sal_parcel_t *parcel;
    sal_db_t *db;
    state_t *state;
    int n;
    int exported, later, dropped;
    apr_time_t renewed;
    apr_pool_t *p;
} work_t;

/* ---- what is to be written ---- */

static int by_file(const void *a, const void *b)
{
    const state_t *x = a, *y = b;
    int c = strcmp(x->day, y->day);

    c = c ? c : (int)y->first - (int)x->first;
    return c ? c : strcmp(x->row->subject, y->row->subject);
}

/* Rows come ordered by crash: of several one is enough, they show the same document. */
static void choose(work_t *w, const sal_parcel_row_t *rows, int n)
{
    int gone = 0, seen = 0;

    w->state = apr_pcalloc(w->p, sizeof(*w->state) * (apr_size_t)(n + 1));
    for (int i = 0; i < n; i++) {
        state_t *s = &w->state[w->n];
        bool again = rows[i].pass == 0;

        while (i + 1 < n && !strcmp(rows[i].subject, rows[i + 1].subject)) {
            i++;
            again = again || rows[i].pass == 0;
        }
        if (!rows[i].blob || !sal_crash_id_valid(rows[i].subject)) {
            gone++;
        } else if (rows[i].seen_pass >= rows[i].doc_pass && !again) {
            seen++;
        } else {
            *s = (state_t){ .row = &rows[i], .first = rows[i].seen_pass == 0 };
            sal_crash_id_day(s->day, rows[i].subject);
            w->n++;
        }
    }
    qsort(w->state, (size_t)w->n, sizeof(*w->state), by_file);
    export_count(w->d, "processor.telemetry.gone", gone);
    export_count(w->d, "processor.telemetry.seen", seen);
}

/* The document may have been replaced since the rows were read: then the new one's key is known. */
static apr_status_t read_document(json_t **doc, const work_t *w, state_t *s, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_parcel_row_t *row = (sal_parcel_row_t *)s->row;
    sal_rows_t *rows;
    apr_status_t rv = sal_processed_get(doc, w->e->crashes, row->blob, p, err);

    if (!APR_STATUS_IS_ENOENT(rv)) {
        return rv;
    }
    rv = sal_db_exec(w->db, &sal_s_process_get, &rows, p, err, SAL_V_TEXT(row->subject));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "the crash is gone");
    }
    row->blob = apr_pstrdup(w->p, sal_rows_text(rows, 0, 0));
    row->doc_pass = (int)sal_rows_int(rows, 0, 1);
    return sal_processed_get(doc, w->e->crashes, row->blob, p, err);
}

/* What fails here fails again: it is the crash's fault, not the destination's. */
static bool is_final(apr_status_t rv)
{
    return APR_STATUS_IS_ENOENT(rv) || rv == SAL_E_MALFORMED || rv == APR_EINVAL;
}

/* The export of a crash, owned by p; NULL with s->why set: it has none. */
static apr_status_t reduce(json_t **out, work_t *w, state_t *s, apr_pool_t *p, sal_error_t *err)
{
    json_t *doc = NULL;
    apr_status_t rv = read_document(&doc, w, s, p, err);
    int dropped = 0;

    *out = NULL;
    if (rv != APR_SUCCESS) {
        s->why = is_final(rv) ? apr_pstrdup(w->p, err->message) : NULL;
        return s->why ? APR_SUCCESS : rv;
    }
    *out = sal_telemetry_reduce(w->e->telemetry, w->e->fields, doc, &dropped);
    if (!*out) {
        s->why = "the document has no crash id";
        return APR_SUCCESS;
    }
    w->dropped += dropped;
    sal_json_own(*out, p);
    return APR_SUCCESS;
}

/* ---- writing ---- */

static apr_status_t renew(work_t *w, sal_error_t *err)
{
    apr_time_t now = apr_time_now();

    if (export_stops(w->e)) {
        return sal_fail(err, APR_EINTR, "the process ends");
    }
    if (now - w->renewed < apr_time_from_sec(RENEW_SECONDS)) {
        return APR_SUCCESS;
    }
    w->renewed = now;
    return sal_parcel_renew(w->parcel, LEASE, w->db, w->p, err);
}

static const char *state_name(const state_t *s)
{
    return s->first ? "first" : "later";
}

static apr_status_t put_object(work_t *w, const state_t *s, const json_t *doc, apr_pool_t *p,
                               sal_error_t *err)
{
    const char *text = sal_json_text(doc, p);
    const char *headers[] = { apr_psprintf(p, "x-amz-meta-pass: %d", s->row->doc_pass),
                              apr_psprintf(p, "x-amz-meta-state: %s", state_name(s)), NULL };

    return target_put(w->e, w->d, apr_pstrcat(p, ROOT, s->day, "/", s->row->subject, NULL), text,
                      strlen(text), "application/json", headers, p, err);
}

/* A line tells in addition which state of the crash it is. */
static apr_status_t put_line(target_file_t *file, const state_t *s, json_t *doc, apr_pool_t *p,
                             sal_error_t *err)
{
    const char *text;

    json_object_set_new(doc, "export_pass", json_integer(s->row->doc_pass));
    json_object_set_new(doc, "export_state", json_string(state_name(s)));
    text = apr_pstrcat(p, sal_json_text(doc, p), "\n", NULL);
    return target_write(file, text, strlen(text), err);
}

static apr_status_t write_one(work_t *w, state_t *s, target_file_t *file, apr_pool_t *p,
                              sal_error_t *err)
{
    json_t *doc;
    apr_status_t rv = renew(w, err);

    if (rv == APR_SUCCESS) {
        rv = reduce(&doc, w, s, p, err);
    }
    if (rv != APR_SUCCESS || s->why) {
        return rv;
    }
    if (w->d->forms & FORM_OBJECTS) {
        rv = put_object(w, s, doc, p, err);
    }
    if (rv == APR_SUCCESS && file) {
        rv = put_line(file, s, doc, p, err);
    }
    if (rv == APR_SUCCESS) {
        w->exported++;
        w->later += !s->first;
    }
    return rv;
}

/* The states from i on that share a file; *end is behind them. */
static apr_status_t write_file(work_t *w, int i, int *end, apr_pool_t *p, sal_error_t *err)
{
    const state_t *head = &w->state[i];
    target_file_t *file = NULL;
    apr_pool_t *one;
    apr_status_t rv = APR_SUCCESS;
    int before = w->exported;

    if (w->d->forms & FORM_LINES) {
        rv = target_begin(&file, w->e, w->d, p, err);
    }
    apr_pool_create(&one, p);
    for (; i < w->n && rv == APR_SUCCESS && !strcmp(w->state[i].day, head->day) &&
           w->state[i].first == head->first;
         i++) {
        apr_pool_clear(one);
        rv = write_one(w, &w->state[i], file, one, err);
    }
    apr_pool_destroy(one);
    *end = i;
    if (rv != APR_SUCCESS || !file || w->exported == before) {
        return rv;
    }
    return target_commit(file,
                         apr_psprintf(p, ROOT "%s/%012" APR_INT64_T_FMT ".%s.ndjson", head->day,
                                      w->parcel->id, state_name(head)),
                         "application/x-ndjson", NULL, err);
}

static apr_status_t write_all(work_t *w, sal_error_t *err)
{
    apr_pool_t *p;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&p, w->p);
    for (int i = 0; i < w->n && rv == APR_SUCCESS;) {
        apr_pool_clear(p);
        rv = write_file(w, i, &i, p, err);
    }
    apr_pool_destroy(p);
    return rv;
}

/* ---- the end ---- */

static apr_status_t settle(work_t *w, sal_error_t *err)
{
    apr_size_t n = (apr_size_t)w->n + 1;
    const char **ids = apr_palloc(w->p, sizeof(*ids) * n);
    const char **why = apr_palloc(w->p, sizeof(*why) * n);
    int64_t *passes = apr_palloc(w->p, sizeof(*passes) * n);
    apr_int64_t *failed = apr_palloc(w->p, sizeof(*failed) * n);
    sal_parcel_seen_t seen = { ids, passes, 0, failed, why, 0 };

    for (int i = 0; i < w->n; i++) {
        const state_t *s = &w->state[i];

        if (s->why) {
            failed[seen.n_failed] = s->row->id;
            why[seen.n_failed++] = s->why;
        } else {
            ids[seen.n] = s->row->subject;
            passes[seen.n++] = s->row->doc_pass;
        }
    }
    export_count(w->d, "processor.telemetry.failed", seen.n_failed);
    return sal_parcel_seen(w->parcel, &seen, w->db, w->p, err);
}

static bool is_database(apr_status_t rv)
{
    return rv == SAL_E_NODB || rv == SAL_E_DB || rv == SAL_E_FENCED;
}

/* The destination takes nothing now. What was to go there waits for as long as that lasts. */
static apr_status_t give_up(work_t *w, apr_status_t rv, sal_error_t *err)
{
    sal_error_t why = *err;

    if (rv == APR_EINTR) {
        return sal_parcel_return(w->parcel, w->db, w->p, err);
    }
    sal_log(SAL_LOG_WARNING, 9260, "telemetry to %s failed, it is tried again: %s", w->d->row.name,
            why.message);
    export_leave_alone(w->d);
    export_count(w->d, "processor.telemetry.retry", 1);
    return sal_parcel_retry(w->parcel, why.message,
                            sal_parcel_pause(w->parcel->attempts, RETRY_FIRST), w->db, w->p, err);
}

apr_status_t export_segments(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    work_t w = { .e = e, .d = d, .parcel = parcel, .db = db, .p = p };
    sal_parcel_row_t *rows;
    apr_status_t rv;
    int n;

    w.renewed = apr_time_now();
    if ((rv = sal_parcel_rows(&rows, &n, parcel, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    choose(&w, rows, n);
    rv = export_put_schema(e, d, p, err);
    if (rv == APR_SUCCESS) {
        rv = write_all(&w, err);
    }
    if (rv != APR_SUCCESS) {
        return is_database(rv) ? rv : give_up(&w, rv, err);
    }
    export_works(d);
    rv = settle(&w, err);
    if (rv == APR_SUCCESS) {
        export_count(d, "processor.telemetry.exported", w.exported);
        export_count(d, "processor.telemetry.later", w.later);
        export_count(d, "processor.telemetry.dropped_members", w.dropped);
    }
    return rv;
}

/* ---- what stands beside the crashes ---- */

apr_status_t export_put_schema(sal_exporter_t *e, dest_t *d, apr_pool_t *p, sal_error_t *err)
{
    json_t *schema;
    const char *text;
    apr_status_t rv;

    if (d->schema_there) {
        return APR_SUCCESS;
    }
    schema = sal_json_own(sal_telemetry_schema(e->telemetry, e->fields), p);
    text = sal_json_text(schema, p);
    rv = target_put(e, d, SAL_TELEMETRY_SCHEMA_KEY, text, strlen(text), "application/json", NULL, p,
                    err);
    d->schema_there = rv == APR_SUCCESS;
    return rv;
}

apr_status_t export_put_watermark(sal_exporter_t *e, dest_t *d, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    apr_time_t now = apr_time_now(), until;
    const char *text;
    apr_status_t rv;

    if (d->marked && now - d->marked < apr_time_from_sec(e->interval > 60 ? e->interval : 60)) {
        return APR_SUCCESS;
    }
    if ((rv = sal_outbox_watermark(&until, d->row.name, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    d->marked = now;
    text = apr_psprintf(p, "{\"exported_until\":\"%s\",\"target_version\":%d}\n",
                        sal_time_iso(until, p), SAL_TELEMETRY_VERSION);
    if (target_put(e, d, WATERMARK_KEY, text, strlen(text), "application/json", NULL, p, err) !=
        APR_SUCCESS) {
        export_leave_alone(d); /* the next parcel will tell why */
    }
    return APR_SUCCESS;
}
