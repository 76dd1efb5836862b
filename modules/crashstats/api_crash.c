/*
 * Documents and dumps of single crashes: ProcessedCrash, RawCrash, CrashVerify; and the crashes
 * that the jobs found without a document, MissingProcessedCrash.
 */
#include "crashstats/api.h"

#include <ctype.h>

#include <apr_strings.h>

#include "base/text.h"
#include "crash/crash_id.h"
#include "jobs/overlooked.h"
#include "render/format.h"
#include "search/index.h"
#include "search/lookup.h"

enum { MAX_DUMP = 1024 * 1024 * 1024 };

static const char *id_of(api_call_t *c)
{
    return sal_crash_id_clean(api_string(c, "crash_id"), c->q->r->pool);
}

/* A document, less what the reader may not see; 500 if it is not what its schema says. */
static int reply_reduced(api_call_t *c, const sal_fields_t *fields, json_t *doc)
{
    sal_error_t err = { 0 };
    apr_status_t rv = APR_SUCCESS;
    json_t *out;

    if (c->q->pii) {
        out = json_incref(doc);
    } else {
        rv = sal_fields_reduce(&out, fields, doc, &err);
    }
    return rv == APR_SUCCESS ? crashstats_api_reply(c->q, HTTP_OK, out)
                             : crashstats_api_failed(c->q, APR_EGENERAL, &err);
}

/* ---- ProcessedCrash ---- */

typedef struct {
    const char *id;
    sal_lookup_t found;
    bool indexed;
} lookup_t;

static apr_status_t look_up(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    lookup_t *l = baton;
    apr_status_t rv = sal_lookup_crash(&l->found, l->id, db, p, err);

    return rv == APR_SUCCESS ? sal_search_has(&l->indexed, l->id, db, p, err) : rv;
}

int api_processed_crash(api_call_t *c)
{
    lookup_t l = { .id = id_of(c) };
    sal_error_t err = { 0 };
    apr_status_t rv;
    json_t *doc;

    if (!l.id) {
        return api_bad_argument(c, "uuid");
    }
    rv = web_with_db(c->q->r, look_up, &l, &err);
    if (rv == APR_SUCCESS && !l.found.blob) {
        return api_not_found(c, l.id);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_processed_get(&doc, c->q->conf->store, l.found.blob, c->q->r->pool, &err);
    }
    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(c->q, APR_STATUS_IS_ENOENT(rv) ? APR_EGENERAL : rv, &err);
    }
    return reply_reduced(c, c->q->conf->data->processed, doc);
}

/* ---- RawCrash ---- */

/* For a header: letters, digits, '_', '-', '.' only. */
static const char *safe_name(const char *name, apr_pool_t *p)
{
    char *s = apr_pstrdup(p, name);

    for (char *c = s; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("_-.", *c)) {
            *c = '_';
        }
    }
    return s;
}

static const char *file_name(const char *id, const char *name, apr_pool_t *p)
{
    if (strcmp(name, "memory_report") == 0) {
        return "memory_report.json.gz";
    }
    return *name ? apr_psprintf(p, "%s-%s.dmp", id, safe_name(name, p))
                 : apr_psprintf(p, "%s.dmp", id);
}

static int reply_dump(api_call_t *c, sal_crash_reader_t *reader, const char *id, const char *name)
{
    request_rec *r = c->q->r;
    bool main_dump = !*name || strcmp(name, "dump") == 0;
    sal_span_t bytes;
    sal_error_t err = { 0 };
    apr_status_t rv = sal_crash_dump(&bytes, reader, main_dump ? "upload_file_minidump" : name,
                                     MAX_DUMP, r->pool, &err);

    if (APR_STATUS_IS_ENOENT(rv)) {
        return api_not_found(c, id);
    }
    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(c->q, rv, &err);
    }
    if (c->q->answer) {
        return crashstats_api_reply(
            c->q, HTTP_OK,
            json_sprintf("%s bytes", sal_format_count((apr_int64_t)bytes.size, r->pool)));
    }
    apr_table_setn(
        r->headers_out, "Content-Disposition",
        apr_psprintf(r->pool, "attachment; filename=\"%s\"", file_name(id, name, r->pool)));
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-store");
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL4009: a dump of %s sent to %s", id,
                  c->q->who.user ? c->q->who.user : "a token");
    return web_reply(r, HTTP_OK, "application/octet-stream", (const char *)bytes.data, bytes.size);
}

int api_raw_crash(api_call_t *c)
{
    const char *format = api_string(c, "format"), *id = id_of(c);
    bool raw = strcmp(format, "raw") == 0;
    sal_crash_reader_t *reader;
    sal_error_t err = { 0 };
    apr_status_t rv;
    json_t *doc;

    if (raw && !c->q->rawdump) {
        return crashstats_api_error(c->q, HTTP_FORBIDDEN,
                                    "Binary response requires permissions: View Raw Dumps");
    }
    if (*format && !raw && strcmp(format, "meta") != 0) {
        return api_bad_argument(c, "format");
    }
    if (!id) {
        return api_bad_argument(c, "uuid");
    }
    rv = sal_crash_open(&reader, c->q->conf->store, id, c->q->r->pool, &err);
    if (APR_STATUS_IS_ENOENT(rv)) {
        return api_not_found(c, id);
    }
    if (rv == APR_SUCCESS && raw) {
        return reply_dump(c, reader, id, api_string(c, "name"));
    }
    if (rv == APR_SUCCESS) {
        rv = sal_crash_raw(&doc, reader, &err);
    }
    return rv == APR_SUCCESS ? reply_reduced(c, c->q->conf->data->raw, doc)
                             : crashstats_api_failed(c->q, rv, &err);
}

/* ---- CrashVerify ---- */

int api_crash_verify(api_call_t *c)
{
    lookup_t l = { .id = id_of(c) };
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!l.id) {
        return crashstats_api_error(c->q, HTTP_BAD_REQUEST, "unknown crash id");
    }
    rv = web_with_db(c->q->r, look_up, &l, &err);
    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(c->q, rv, &err);
    }
    return crashstats_api_reply(c->q, HTTP_OK,
                                json_pack("{s:s, s:b, s:b, s:b, s:b}", "uuid", l.id, "raw_crash",
                                          sal_crash_exists(c->q->conf->store, l.id),
                                          "processed_crash", l.found.blob != NULL,
                                          "elasticsearch_crash", l.indexed, "telemetry_crash", 0));
}

/* ---- MissingProcessedCrash ---- */

enum { PAGE_SIZE = 1000 };

typedef struct {
    int64_t asked, page, pages, count;
    sal_overlooked_t *rows;
    int n;
} missing_t;

static apr_status_t read_missing(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    missing_t *m = baton;
    apr_status_t rv = sal_overlooked_count(&m->count, db, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    m->pages = m->count > PAGE_SIZE ? (m->count + PAGE_SIZE - 1) / PAGE_SIZE : 1;
    m->page = m->asked < 1 || m->asked > m->pages ? m->pages : m->asked;
    return sal_overlooked_list(&m->rows, &m->n, (m->page - 1) * PAGE_SIZE, PAGE_SIZE, db, p, err);
}

/* The address of this request with another page. */
static json_t *link_to(api_call_t *c, int64_t page)
{
    apr_pool_t *p = c->q->r->pool;
    const apr_array_header_t *a = apr_table_elts(c->given);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    const char *args = "";

    for (int i = 0; i < a->nelts; i++) {
        if (strcmp(e[i].key, "page") != 0) {
            args = apr_pstrcat(p, args, sal_format_urlencode(e[i].key, p), "=",
                               sal_format_urlencode(e[i].val, p), "&", NULL);
        }
    }
    return json_string(
        ap_construct_url(p,
                         apr_psprintf(p, "/api/MissingProcessedCrash/?%spage=%" APR_INT64_T_FMT,
                                      args, (apr_int64_t)page),
                         c->q->r));
}

/* What Python's int() takes: a sign, digits, blanks around them. Too large is as good as last. */
static bool page_number(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');

    if (!*digits || digits[strspn(digits, "0123456789")]) {
        return false;
    }
    if (!sal_parse_int(*text == '+' ? digits : text, -1000000000, 1000000000, out)) {
        *out = 1000000000;
    }
    return true;
}

static json_t *missing_rows(const missing_t *m, apr_pool_t *p)
{
    json_t *out = json_array();

    for (int i = 0; i < m->n; i++) {
        apr_time_exp_t x;

        apr_time_exp_gmt(&x, m->rows[i].created);
        json_array_append_new(out,
                              json_pack("{s:s, s:b, s:s}", "crash_id", m->rows[i].crash_id,
                                        "is_processed", m->rows[i].is_processed, "created",
                                        apr_psprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                                                     x.tm_year + 1900, x.tm_mon + 1, x.tm_mday,
                                                     x.tm_hour, x.tm_min, x.tm_sec, x.tm_usec)));
    }
    return out;
}

int api_missing_processed(api_call_t *c)
{
    missing_t m = { .asked = 1 };
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (api_list(c, "page")->nelts && !page_number(api_string(c, "page"), &m.asked)) {
        return crashstats_api_error(c->q, HTTP_BAD_REQUEST, "invalid page number");
    }
    rv = web_with_db(c->q->r, read_missing, &m, &err);
    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(c->q, rv, &err);
    }
    return crashstats_api_reply(
        c->q, HTTP_OK,
        json_pack("{s:o, s:I, s:o, s:o}", "results", missing_rows(&m, c->q->r->pool), "count",
                  (json_int_t)m.count, "next",
                  m.page < m.pages ? link_to(c, m.asked + 1) : json_null(), "previous",
                  m.page > 1 ? link_to(c, m.asked - 1) : json_null()));
}
