/*
 * /api/<Name>/: documents for programs. Names, statuses, texts and keys are those of Crash Stats,
 * since its clients depend on them (docs/pages.md, "The API").
 */
#include "crashstats/crashstats.h"

#include <ctype.h>

#include <apr_strings.h>

#include "base/text.h"
#include "crash/crash_id.h"
#include "render/format.h"
#include "render/wire.h"
#include "search/index.h"
#include "search/lookup.h"

enum { MAX_DUMP = 1024 * 1024 * 1024 };

/* Paths and queries are bytes; documents are UTF-8. */
static const char *utf8(crashstats_req_t *q, const char *text)
{
    return text ? sal_utf8_clean(text, strlen(text), q->r->pool) : "";
}

static int reply(crashstats_req_t *q, int status, json_t *steals)
{
    const char *pretty = web_param(q->query, "pretty");
    const char *text;

    if (!steals) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    text = sal_wire_json(steals, pretty && strcmp(pretty, "print") == 0, q->r->pool);
    json_decref(steals);
    if (q->pii || q->who.user) {
        apr_table_setn(q->r->headers_out, "Cache-Control", "private, no-store");
    }
    apr_table_setn(q->r->headers_out, "Vary", "Auth-Token");
    return web_reply(q->r, status, "application/json; charset=UTF-8", text, strlen(text));
}

static int reply_error(crashstats_req_t *q, int status, const char *text)
{
    return reply(q, status, json_pack("{s:s}", "error", text));
}

static int bad_argument(crashstats_req_t *q, const char *name)
{
    return reply_error(q, HTTP_BAD_REQUEST,
                       apr_psprintf(q->r->pool,
                                    "Bad request: BadArgumentError: Bad value for "
                                    "parameter(s) '%s'",
                                    name));
}

static int id_not_found(crashstats_req_t *q, const char *id)
{
    return reply_error(q, HTTP_NOT_FOUND,
                       apr_psprintf(q->r->pool, "Not found: CrashIDNotFound %s", id));
}

/* 500 or 503 in a JSON view; the log has the reason. */
static int failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    int status = web_status_of(rv) == HTTP_SERVICE_UNAVAILABLE ? HTTP_SERVICE_UNAVAILABLE
                                                               : HTTP_INTERNAL_SERVER_ERROR;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL4008: %s", err->message);
    return reply(q, status,
                 json_pack("{s:s, s:s, s:s}", "error",
                           status == HTTP_SERVICE_UNAVAILABLE ? "Service Unavailable"
                                                              : "Internal Server Error",
                           "path", utf8(q, q->r->uri), "query_string", utf8(q, q->r->args)));
}

/* ---- for endpoints in files of their own ---- */

int crashstats_api_reply(crashstats_req_t *q, int status, json_t *steals)
{
    return reply(q, status, steals);
}

int crashstats_api_error(crashstats_req_t *q, int status, const char *text)
{
    return reply_error(q, status, text);
}

int crashstats_api_failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    return failed(q, rv, err);
}

/* ---- parameters ---- */

const char *crashstats_trimmed(const char *text, apr_pool_t *p)
{
    char *s = apr_pstrdup(p, text ? text : "");
    apr_size_t len;

    while (isspace((unsigned char)*s)) {
        s++;
    }
    for (len = strlen(s); len > 0 && isspace((unsigned char)s[len - 1]); len--) {
        s[len - 1] = '\0';
    }
    return s;
}

/* The query as it came: a NUL is dropped by decoding, but is an error here. */
static bool has_nul(crashstats_req_t *q, const char *name)
{
    apr_size_t len = strlen(name);

    for (const char *at = q->r->args, *end; at && *at; at = end ? end + 1 : NULL) {
        const char *nul = strstr(at, "%00");

        end = strchr(at, '&');
        if (strncmp(at, name, len) == 0 && at[len] == '=' && nul && (!end || nul < end)) {
            return true;
        }
    }
    return false;
}

static void add_error(json_t *errors, const char *name, const char *text)
{
    json_object_set_new(errors, name, json_pack("[s]", text));
}

/* A text parameter, blanks trimmed; an error of its own kind goes to errors. */
static const char *text_param(crashstats_req_t *q, const char *name, bool required, json_t *errors)
{
    const char *text = crashstats_trimmed(web_param(q->query, name), q->r->pool);

    if (has_nul(q, name)) {
        add_error(errors, name, "Null characters are not allowed.");
    } else if (required && !*text) {
        add_error(errors, name, "This field is required.");
    }
    return text;
}

/* OK, or the reply that was sent; *id is clean. */
static int id_param(crashstats_req_t *q, const char **id, json_t *errors)
{
    const char *text = text_param(q, "crash_id", true, errors);

    if (json_object_size(errors) > 0) {
        return reply(q, HTTP_BAD_REQUEST, json_pack("{s:O}", "errors", errors));
    }
    *id = sal_crash_id_clean(text, q->r->pool);
    return *id ? DECLINED : bad_argument(q, "uuid");
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

static int processed_crash(crashstats_req_t *q)
{
    json_t *errors = json_object(), *doc;
    lookup_t l = { 0 };
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc = id_param(q, &l.id, errors);

    json_decref(errors);
    if (rc != DECLINED) {
        return rc;
    }
    rv = web_with_db(q->r, look_up, &l, &err);
    if (rv == APR_SUCCESS && !l.found.blob) {
        return id_not_found(q, l.id);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_processed_get(&doc, q->conf->store, l.found.blob, q->r->pool, &err);
    }
    if (rv != APR_SUCCESS) {
        return failed(q, APR_STATUS_IS_ENOENT(rv) ? APR_EGENERAL : rv, &err);
    }
    return reply(q, HTTP_OK, crashstats_processed(q, doc));
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

static int reply_dump(crashstats_req_t *q, sal_crash_reader_t *reader, const char *id,
                      const char *name)
{
    request_rec *r = q->r;
    bool main_dump = !*name || strcmp(name, "dump") == 0;
    sal_span_t bytes;
    sal_error_t err = { 0 };
    apr_status_t rv = sal_crash_dump(&bytes, reader, main_dump ? "upload_file_minidump" : name,
                                     MAX_DUMP, r->pool, &err);

    if (APR_STATUS_IS_ENOENT(rv)) {
        return id_not_found(q, id);
    }
    if (rv != APR_SUCCESS) {
        return failed(q, rv, &err);
    }
    apr_table_setn(
        r->headers_out, "Content-Disposition",
        apr_psprintf(r->pool, "attachment; filename=\"%s\"", file_name(id, name, r->pool)));
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-store");
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL4009: a dump of %s sent to %s", id,
                  q->who.user ? q->who.user : "a token");
    return web_reply(r, HTTP_OK, "application/octet-stream", (const char *)bytes.data, bytes.size);
}

static int raw_crash(crashstats_req_t *q)
{
    json_t *errors = json_object(), *raw;
    const char *format = text_param(q, "format", false, errors);
    const char *name = text_param(q, "name", false, errors), *id;
    sal_crash_reader_t *reader;
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc;

    if (strcmp(format, "raw") == 0 && !q->rawdump) {
        json_decref(errors);
        return reply_error(q, HTTP_FORBIDDEN,
                           "Binary response requires permissions: View Raw Dumps");
    }
    rc = id_param(q, &id, errors);
    json_decref(errors);
    if (rc != DECLINED) {
        return rc;
    }
    if (*format && strcmp(format, "meta") != 0 && strcmp(format, "raw") != 0) {
        return bad_argument(q, "format");
    }
    rv = sal_crash_open(&reader, q->conf->store, id, q->r->pool, &err);
    if (APR_STATUS_IS_ENOENT(rv)) {
        return id_not_found(q, id);
    }
    if (rv == APR_SUCCESS && strcmp(format, "raw") == 0) {
        return reply_dump(q, reader, id, name);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_crash_raw(&raw, reader, &err);
    }
    return rv == APR_SUCCESS ? reply(q, HTTP_OK, crashstats_raw(q, raw)) : failed(q, rv, &err);
}

/* ---- CrashVerify ---- */

static int crash_verify(crashstats_req_t *q)
{
    lookup_t l = { 0 };
    sal_error_t err = { 0 };
    apr_status_t rv;

    apr_table_setn(q->r->headers_out, "Access-Control-Allow-Origin", "*");
    l.id = sal_crash_id_clean(crashstats_trimmed(web_param(q->query, "crash_id"), q->r->pool),
                              q->r->pool);
    if (!l.id) {
        return reply_error(q, HTTP_BAD_REQUEST, "unknown crash id");
    }
    rv = web_with_db(q->r, look_up, &l, &err);
    if (rv != APR_SUCCESS) {
        return failed(q, rv, &err);
    }
    return reply(q, HTTP_OK,
                 json_pack("{s:s, s:b, s:b, s:b, s:b}", "uuid", l.id, "raw_crash",
                           sal_crash_exists(q->conf->store, l.id), "processed_crash",
                           l.found.blob != NULL, "elasticsearch_crash", l.indexed,
                           "telemetry_crash", 0));
}

/* ---- the way in ---- */

typedef struct {
    const char *name, *method, *answers, *right;
    int (*serve)(crashstats_req_t *q);
    const char *const *params; /* name, kind, default, meaning; NULL-terminated */
} endpoint_t;

static const char *const id_only[] = { "crash_id", "crash ID", "required", "With or without bp-",
                                       NULL };
static const char *const raw_params[] = {
    "crash_id", "crash ID",  "required", "With or without bp-",
    "format",   "meta, raw", "meta",     "raw answers the bytes of a dump",
    "name",     "text",      "dump",     "Which dump; names are in metadata.dump_checksums",
    NULL
};

static const char *const ping_params[] = { "product, version, ...",
                                           "text",
                                           "any",
                                           "Filters, with = ~ ^ $ @ and ! before values",
                                           "date",
                                           "date",
                                           "7 days",
                                           "With >=, >, <=, <",
                                           "report",
                                           "1, 0",
                                           "any",
                                           "With or without a report of the same crash",
                                           "_facets",
                                           "text",
                                           "none",
                                           "Fields whose values are counted",
                                           "_columns",
                                           "text",
                                           "nine",
                                           "Fields of hits",
                                           "_sort",
                                           "text",
                                           "-date",
                                           "A field, - before it: descending",
                                           "_results_number",
                                           "int",
                                           "100",
                                           "At most 1000; _results_offset pages",
                                           NULL };
static const char *const gap_params[] = { "product, channel, ...",
                                          "text",
                                          "any",
                                          "Also version, os, process_type",
                                          "_days",
                                          "int",
                                          "7",
                                          "Whole days of UTC, today included",
                                          "_min_pings",
                                          "int",
                                          "10",
                                          "At least so many pings",
                                          "_max_reports",
                                          "int",
                                          "10",
                                          "At most so many reports",
                                          NULL };

static const char *const reprocess_params[] = { "crash_ids", "ID or ID:RULESET", "required",
                                                "Any number of times; default or "
                                                "regenerate_signature",
                                                NULL };

static const endpoint_t endpoints[] = {
    { "RawCrash", "GET", "Annotations as received, or a dump",
      "none, reduced; dumps need View Raw Dumps", raw_crash, raw_params },
    { "ProcessedCrash", "GET", "The processed crash, less protected fields", "none, reduced",
      processed_crash, id_only },
    { "CrashVerify", "GET", "Where a crash is stored", "none", crash_verify, id_only },
    { "Reprocessing", "POST", "true; the crashes are queued to be processed again",
      "Reprocess Crashes", crashstats_api_reprocessing, reprocess_params },
    { "CrashPings", "GET", "Crash pings: hits, counts", "none; protected fields need View PII",
      crashstats_api_pings, ping_params },
    { "CrashPingSignatures", "GET", "Signatures with many pings and few reports", "none",
      crashstats_api_ping_gaps, gap_params }
};

static const endpoint_t *find(const char *name)
{
    for (apr_size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        if (strcmp(name, endpoints[i].name) == 0) {
            return &endpoints[i];
        }
    }
    return NULL;
}

static int index_page(crashstats_req_t *q)
{
    json_t *list = json_array();
    json_t *data = json_pack("{s:s, s:b}", "title", "API", "plain_title", 1);
    int rc = web_allow(q->r, "GET, HEAD");

    if (rc != OK) {
        json_decref(list);
        json_decref(data);
        return rc;
    }
    for (apr_size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        const endpoint_t *e = &endpoints[i];
        json_t *params = json_array();

        for (const char *const *x = e->params; *x; x += 4) {
            json_array_append_new(params, json_pack("{s:s, s:s, s:s, s:s}", "param", x[0], "kind",
                                                    x[1], "default", x[2], "meaning", x[3]));
        }
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", e->name,
                                              "method", e->method, "answers", e->answers, "right",
                                              e->right, "params", params));
    }
    json_object_set_new(data, "endpoints", list);
    json_object_set_new(data, "url", json_string(ap_construct_url(q->r->pool, "", q->r)));
    return crashstats_page(q, HTTP_OK, "api", "API", data);
}

static int preflight(request_rec *r)
{
    if (apr_table_get(r->headers_in, "Access-Control-Request-Method")) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Methods",
                       "DELETE, GET, OPTIONS, PATCH, POST, PUT");
        apr_table_setn(r->headers_out, "Access-Control-Allow-Headers",
                       "accept, authorization, content-type, user-agent, x-csrftoken, "
                       "x-requested-with");
        apr_table_setn(r->headers_out, "Access-Control-Max-Age", "86400");
    }
    return web_reply(r, HTTP_OK, "text/plain; charset=UTF-8", "", 0);
}

int crashstats_api(crashstats_req_t *q, const char *rest)
{
    request_rec *r = q->r;
    const char *slash = strchr(rest, '/');
    const char *name = slash ? apr_pstrndup(r->pool, rest, slash - rest) : rest;
    const endpoint_t *e = find(name);

    if (!*rest) {
        return index_page(q);
    }
    if (apr_table_get(r->headers_in, "Origin")) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", "*");
    }
    if (r->method_number == M_OPTIONS) {
        return preflight(r);
    }
    if (slash && slash[1]) {
        return reply(q, HTTP_NOT_FOUND,
                     json_pack("{s:s, s:s, s:s}", "error", "Page not found", "path",
                               utf8(q, r->uri), "query_string", utf8(q, r->args)));
    }
    if (!slash) {
        return web_redirect(r, HTTP_MOVED_PERMANENTLY,
                            apr_pstrcat(r->pool, "/api/", sal_format_urlencode(name, r->pool), "/",
                                        r->args ? "?" : "", r->args ? r->args : "", NULL));
    }
    if (!e) {
        return reply_error(q, HTTP_NOT_FOUND,
                           apr_psprintf(r->pool, "No service called '%s'", utf8(q, name)));
    }
    if (strcmp(e->method, "GET") == 0 && strcmp(r->method, "GET") != 0 &&
        strcmp(r->method, "HEAD") != 0) {
        apr_table_setn(r->headers_out, "Allow", "GET, HEAD, OPTIONS");
        return reply_error(q, HTTP_METHOD_NOT_ALLOWED, "Method not allowed");
    }
    if (!q->conf->store) {
        sal_error_t err = { 0 };

        (void)sal_fail(&err, SAL_E_SICK, "the crash store is not open");
        return failed(q, SAL_E_SICK, &err);
    }
    return e->serve(q);
}
