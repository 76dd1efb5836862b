/*
 * Documents of a report, read and reduced: the one place where pages of reports get them from.
 */
#include "crashstats/report.h"

#include <apr_strings.h>

#include "base/json.h"
#include "render/format.h"
#include "search/lookup.h"

/* Rendering never sees a document that was not reduced, nor one that could not be. */
static apr_status_t reduce(crashstats_docs_t *out, crashstats_req_t *q, json_t *raw,
                           sal_error_t *err)
{
    const sal_process_data_t *data = q->conf->data;
    apr_pool_t *p = q->r->pool;
    const char *key;
    json_t *value;
    apr_status_t rv;

    if (q->pii) {
        out->processed = out->whole;
        out->locked = sal_json_own(crashstats_raw_protected(q, raw), p);
        out->annotations = sal_json_own(json_copy(raw), p);
        json_object_foreach(out->locked, key, value)
        {
            json_object_del(out->annotations, key);
        }
        return APR_SUCCESS;
    }
    rv = sal_fields_reduce(&out->processed, data->processed, out->whole, err);
    if (rv == APR_SUCCESS) {
        (void)sal_json_own(out->processed, p);
        rv = sal_fields_reduce(&out->annotations, data->raw, raw, err);
    }
    if (rv == APR_SUCCESS) {
        (void)sal_json_own(out->annotations, p);
    }
    return rv;
}

apr_status_t crashstats_docs_read(crashstats_docs_t *out, crashstats_req_t *q, const char *id,
                                  const char *blob, sal_error_t *err)
{
    apr_pool_t *p = q->r->pool;
    json_t *raw = sal_json_own(json_object(), p);
    sal_crash_reader_t *reader = NULL;
    apr_status_t rv;

    *out = (crashstats_docs_t){ .id = id };
    rv = sal_processed_get(&out->whole, q->conf->store, blob, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = sal_crash_open(&reader, q->conf->store, id, p, err);
    if (rv == APR_SUCCESS) {
        rv = sal_crash_raw(&raw, reader, err);
        out->dumps = sal_crash_dump_names(reader);
    } else if (APR_STATUS_IS_ENOENT(rv)) {
        rv = APR_SUCCESS; /* raw data is kept for a shorter time */
    }
    return rv == APR_SUCCESS ? reduce(out, q, raw, err) : rv;
}

void crashstats_note_access(crashstats_req_t *q, const char *id)
{
    if (q->pii) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r, "SAL4007: protected data of %s shown to %s",
                      id, q->who.user ? q->who.user : "a token");
    }
}

int crashstats_broken(crashstats_req_t *q, const char *id, const sal_error_t *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL4006: crash %s: %s", id, err->message);
    return crashstats_message(q, HTTP_INTERNAL_SERVER_ERROR, "This report is broken in some way",
                              "What is stored of it cannot be read; the server's log says more.");
}

int crashstats_no_report(crashstats_req_t *q, const char *id)
{
    json_t *data =
        json_pack("{s:s, s:b, s:s, s:s}", "title", "Not found", "plain_title", 1, "id", id, "day",
                  apr_psprintf(q->r->pool, "20%.2s-%.2s-%.2s", id + 30, id + 32, id + 34));

    return crashstats_page(q, HTTP_NOT_FOUND, "report-missing", NULL, data);
}

/* ---- by the id alone ---- */

typedef struct {
    const char *id;
    sal_lookup_t found;
} find_t;

static apr_status_t find(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    find_t *f = baton;

    return sal_lookup_crash(&f->found, f->id, db, p, err);
}

bool crashstats_docs_find(crashstats_docs_t *out, crashstats_req_t *q, const char *id, int *rc)
{
    find_t f = { .id = id };
    sal_error_t err = { 0 };

    if (crashstats_id(id) != CRASHSTATS_ID_OK) {
        *rc = crashstats_message(q, HTTP_NOT_FOUND, "There is no such page",
                                 "A crash ID is 36 characters: 8-4-4-4-12 hex digits, the last six "
                                 "of them a date.");
    } else if (!q->conf->store) {
        (void)sal_fail(&err, SAL_E_SICK, "the crash store is not open");
        *rc = crashstats_sick(q, &err);
    } else if (web_with_db(q->r, find, &f, &err) != APR_SUCCESS) {
        *rc = crashstats_sick(q, &err);
    } else if (!f.found.blob) {
        *rc = sal_crash_exists(q->conf->store, id)
                  ? web_redirect(q->r, HTTP_MOVED_TEMPORARILY,
                                 apr_pstrcat(q->r->pool, "/report/index/", id, NULL))
                  : crashstats_no_report(q, id);
    } else if (crashstats_docs_read(out, q, id, f.found.blob, &err) != APR_SUCCESS) {
        *rc = crashstats_broken(q, id, &err);
    } else {
        return true;
    }
    return false;
}
