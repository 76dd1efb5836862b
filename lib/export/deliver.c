/*
 * Parcels that are one POST: a report for another collector, the body of a web hook.
 */
#include "export/export_private.h"

#include <string.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "base/log.h"
#include "base/text.h"
#include "export/stage.h"

#define RETRY_FIRST 5

static const char *metric(const dest_t *d, const char *stage, const char *hook)
{
    return d->row.kind == SAL_EXPORT_STAGE ? stage : hook;
}

static apr_status_t refuse(dest_t *d, const sal_parcel_t *parcel, const char *subject,
                           const char *why, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_log(SAL_LOG_WARNING, 9261, "%s is not sent to %s: %s", subject, d->row.name, why);
    export_count(d, metric(d, "submitter.refused", "webhook.refused"), 1);
    return sal_parcel_failed(parcel, why, db, p, err);
}

static apr_status_t later(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel,
                          const char *subject, const char *why, sal_db_t *db, apr_pool_t *p,
                          sal_error_t *err)
{
    if (parcel->attempts >= e->attempts) {
        return refuse(d, parcel, subject,
                      apr_psprintf(p, "given up after %d attempts: %.300s", parcel->attempts, why),
                      db, p, err);
    }
    export_count(d, metric(d, "submitter.retry", "webhook.retry"), 1);
    return sal_parcel_retry(parcel, why, sal_parcel_pause(parcel->attempts, RETRY_FIRST), db, p,
                            err);
}

/* ---- the answer ---- */

/* What a collector said to a report that it did not refuse; a note for the reader or NULL. */
static const char *note_of(dest_t *d, const char *crash_id, const char *text, apr_pool_t *p)
{
    const char *id = !strncmp(text, "CrashID=", 8) ? text + 8 : NULL;

    if (!strncmp(text, "Discarded=", 10)) {
        export_count(d, "submitter.discarded", 1);
        return apr_psprintf(p, "%.*s", (int)strcspn(text, " "), text);
    }
    export_count(d, "submitter.sent", 1);
    id = id && !strncmp(id, "bp-", 3) ? id + 3 : id;
    if (id && strncmp(id, crash_id, strlen(crash_id))) {
        sal_log(SAL_LOG_WARNING, 9262, "%s: %s knows it under another id: %.60s", crash_id,
                d->row.name, id);
        return apr_psprintf(p, "another id: %.60s", id);
    }
    return NULL;
}

static apr_status_t settle(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel,
                           const char *subject, sal_post_outcome_t outcome,
                           const sal_post_answer_t *answer, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    const char *note = NULL;

    switch (outcome) {
    case SAL_POST_DONE:
        export_works(d);
        if (d->row.kind == SAL_EXPORT_STAGE) {
            note = note_of(d, subject, answer->text, p);
        } else {
            export_count(d, "webhook.sent", 1);
        }
        return sal_parcel_sent(parcel, note, db, p, err);
    case SAL_POST_REFUSED:
        export_works(d);
        return refuse(d, parcel, subject, answer->why, db, p, err);
    case SAL_POST_STOPPED:
        return sal_parcel_return(parcel, db, p, err);
    case SAL_POST_AWAY:
        export_leave_alone(d);
        export_count(d, metric(d, "submitter.unknown_submit_error", "webhook.error"), 1);
        return later(e, d, parcel, subject, answer->why, db, p, err);
    default:
        return later(e, d, parcel, subject, answer->why, db, p, err);
    }
}

/* ---- what is sent ---- */

static apr_status_t send_report(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel,
                                const char *crash_id, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_stage_report_t report;
    sal_post_answer_t answer;
    sal_post_outcome_t outcome;
    const char *headers[5] = { "Content-Type: multipart/form-data; boundary=" SAL_STAGE_BOUNDARY };
    sal_post_t post = { .url = d->url,
                        .headers = headers,
                        .timeout = e->timeout,
                        .stopping = e->stopping,
                        .baton = e->baton };
    apr_time_t start = apr_time_now();
    apr_status_t rv =
        sal_stage_report(&report, crash_id, d->strip, e->raw_fields, e->crashes, p, err);
    int n = 1;

    export_count(d, "submitter.accept", parcel->attempts == 1);
    if (APR_STATUS_IS_ENOENT(rv)) {
        sal_log(SAL_LOG_WARNING, 9263, "%s cannot be sent to %s: it is not in the store", crash_id,
                d->row.name);
        export_count(d, "submitter.missing", 1);
        return sal_parcel_sent(parcel, "not in the store", db, p, err);
    }
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG) {
        return refuse(d, parcel, crash_id, err->message, db, p, err);
    }
    if (rv != APR_SUCCESS) {
        export_leave_alone(d);
        return later(e, d, parcel, crash_id, err->message, db, p, err);
    }
    if (report.gzip) {
        headers[n++] = "Content-Encoding: gzip";
    }
    if (d->token) {
        headers[n++] = apr_pstrcat(p, "Authorization: Bearer ", d->token, NULL);
    }
    post.agent = report.agent;
    post.body = report.body;
    post.size = report.size;
    outcome = sal_post(&answer, e->poster, &post);
    export_count(d, "submitter.process_ms", apr_time_as_msec(apr_time_now() - start));
    return settle(e, d, parcel, crash_id, outcome, &answer, db, p, err);
}

static const char *sign(const char *secret, const char *body, apr_pool_t *p)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned len = 0;

    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body, strlen(body), mac,
         &len);
    sal_hex(hex, mac, len);
    return apr_pstrcat(p, "X-Salvage-Signature: sha256=", hex, NULL);
}

static apr_status_t send_hook(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel,
                              const sal_parcel_row_t *row, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *body = row->body ? row->body : "null";
    const char *headers[4] = { "Content-Type: application/json",
                               apr_psprintf(p, "X-Salvage-Delivery: %" APR_INT64_T_FMT, row->id) };
    sal_post_answer_t answer;
    sal_post_t post = { .url = d->url,
                        .agent = "salvage",
                        .headers = headers,
                        .data = body,
                        .size = strlen(body),
                        .timeout = e->timeout,
                        .stopping = e->stopping,
                        .baton = e->baton };
    sal_post_outcome_t outcome;

    if (d->secret) {
        headers[2] = sign(d->secret, body, p);
    }
    outcome = sal_post(&answer, e->poster, &post);
    return settle(e, d, parcel, row->subject, outcome, &answer, db, p, err);
}

apr_status_t export_deliver(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err)
{
    sal_parcel_row_t *rows;
    apr_status_t rv;
    int n;

    if (!e->poster) {
        e->poster = sal_poster_make(e->pool);
    }
    if ((rv = sal_parcel_rows(&rows, &n, parcel, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (n == 0) { /* somebody deleted it by hand */
        return sal_parcel_sent(parcel, NULL, db, p, err);
    }
    return d->row.kind == SAL_EXPORT_STAGE ? send_report(e, d, parcel, rows[0].subject, db, p, err)
                                           : send_hook(e, d, parcel, &rows[0], db, p, err);
}
