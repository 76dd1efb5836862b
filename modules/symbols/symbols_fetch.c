/*
 * Upload by download: the archive is fetched from a URL that the client names, and read while it
 * comes. With ?async=1 the client is answered first; the request's thread goes on.
 */
#include "symbols_upload_private.h"

#include <apr_strings.h>

#include "base/text.h"
#include "upload/fetch.h"

APLOG_USE_MODULE(symbols);

static void fetch_opts(sal_fetch_opts_t *o, const symbols_conf_t *sc)
{
    *o = (sal_fetch_opts_t){ .any_domain = sc->fetch_any == 1,
                             .any_address = sc->fetch_private == 1,
                             .ca = sc->fetch_ca,
                             .max =
                                 (uint64_t)(sc->max_upload ? sc->max_upload : SYMBOLS_MAX_UPLOAD) };
    if (sc->fetch_domains) {
        o->domains = (const char *const *)sc->fetch_domains->elts;
        o->n_domains = sc->fetch_domains->nelts;
    }
}

static apr_status_t feed(void *baton, const char *data, size_t size, sal_error_t *err)
{
    return sal_upload_feed(baton, data, size, err);
}

/* Fetches and stores. *rc is the status to answer with on failure. */
static sal_upload_t *fetch_and_store(request_rec *r, sal_fetch_t *f, sal_upload_opts_t *opts,
                                     apr_pool_t *p, int *rc, sal_error_t *err)
{
    sal_upload_t *up = NULL;
    apr_status_t rv = sal_fetch_find(f, err);

    opts->redirects = (const char **)f->trail->elts;
    if (rv == APR_SUCCESS &&
        (rv = sal_upload_begin(&up, symbols_conf(r)->store, opts, p, err)) == APR_SUCCESS &&
        (rv = sal_fetch_get(f, feed, up, err)) == APR_SUCCESS &&
        (rv = sal_upload_end(up, err)) == APR_SUCCESS) {
        rv = symbols_store_upload(r, up, err);
    }
    *rc = rv == APR_SUCCESS ? OK : f->status ? f->status : web_status_of(rv);
    if (up && *rc == HTTP_BAD_REQUEST) {
        sal_upload_refuse(up);
    }
    return rv == APR_SUCCESS ? up : NULL;
}

/* ---- ?async=1 ---- */

static apr_status_t announce(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_upload_announce(db, baton, p, err);
}

typedef struct {
    int64_t id;
    const char *why;
} failure_t;

static apr_status_t note_failure(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    failure_t *f = baton;

    return sal_upload_note_failure(f->id, f->why, db, p, err);
}

/* The whole answer goes out; the connection closes when the work is done. */
static void answer_accepted(request_rec *r, int64_t id)
{
    const char *path = apr_psprintf(r->pool, "/api/uploads/upload/%" APR_INT64_T_FMT, id);

    r->connection->keepalive = AP_CONN_CLOSE;
    apr_table_setn(r->headers_out, "Location", path);
    web_reply_json(r, HTTP_ACCEPTED, json_pack("{s:{s:I}}", "upload", "id", (json_int_t)id));
    ap_rflush(r);
}

static int upload_later(request_rec *r, sal_fetch_t *f, sal_upload_opts_t *opts)
{
    sal_upload_announce_t a = { .opts = *opts };
    sal_error_t err = { 0 };
    apr_status_t rv = web_with_db(r, announce, &a, &err);
    int rc;

    if (rv != APR_SUCCESS) {
        return symbols_fail_with(r, web_status_of(rv), &err);
    }
    opts->id = a.opts.id;
    answer_accepted(r, opts->id);
    if (!fetch_and_store(r, f, opts, r->pool, &rc, &err)) {
        failure_t failure = { opts->id, sal_utf8_clean(err.message, strlen(err.message), r->pool) };

        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2016: upload %" APR_INT64_T_FMT ": %s",
                      opts->id, err.message);
        web_with_db(r, note_failure, &failure, NULL);
    }
    return OK;
}

int symbols_upload_url(request_rec *r, const char *url, const sal_upload_opts_t *given)
{
    const char *async = web_param(web_query(r), "async");
    sal_upload_opts_t opts = *given;
    sal_fetch_opts_t fo;
    sal_error_t err = { 0 };
    sal_upload_t *up;
    sal_fetch_t f;
    apr_pool_t *p;
    int rc;

    fetch_opts(&fo, symbols_conf(r));
    if (sal_fetch_begin(&f, url, &fo, r->pool, &err) != APR_SUCCESS) {
        return symbols_fail(r, f.status, sal_utf8_clean(err.message, strlen(err.message), r->pool));
    }
    opts.archive_name = f.name;
    opts.download_url = url;
    if (async && !strcmp(async, "1")) {
        return upload_later(r, &f, &opts);
    }
    apr_pool_create(&p, r->pool);
    up = fetch_and_store(r, &f, &opts, p, &rc, &err);
    rc = up         ? symbols_answer_upload(r, up)
         : f.status ? symbols_fail(r, rc, sal_utf8_clean(err.message, strlen(err.message), r->pool))
                    : symbols_fail_with(r, rc, &err);
    apr_pool_destroy(p);
    return rc;
}
