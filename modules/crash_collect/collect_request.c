/*
 * One crash report: headers, body, decision, commit, reply. The body streams through lib/crash;
 * nothing of it is kept here, and nothing of its contents is logged.
 */
#include "collect_private.h"

#include <stdatomic.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/text.h"
#include "crash/crash_id.h"

APLOG_USE_MODULE(crash_collect);

#define RETRY_BUSY 60
#define RETRY_FULL 300

/* Reports being taken in by this child. */
static atomic_int in_flight;

typedef struct report_t {
    request_rec *r;
    collect_site_t *site;
    collect_dir_t *dir;
    apr_time_t now;
    const char *boundary;
    int gzip;
    sal_intake_t *intake;
    apr_off_t wire_size;
    sal_verdict_t verdict;
    const char *id;
    sal_error_t err;
} report_t;

/* ---- headers ---- */

static int is_form(const char *type, apr_size_t len)
{
    return (len == 19 && !strncasecmp(type, "multipart/form-data", len)) ||
           (len == 15 && !strncasecmp(type, "multipart/mixed", len));
}

/* Copies a parameter's value; quoted ones to the closing quote. */
static char *param_value(const char *s, apr_pool_t *p)
{
    const char *end;

    if (*s == '"') {
        end = strchr(++s, '"');
        return end ? apr_pstrmemdup(p, s, (apr_size_t)(end - s)) : apr_pstrdup(p, s);
    }
    end = strchr(s, ';');
    return end ? apr_pstrmemdup(p, s, (apr_size_t)(end - s)) : apr_pstrdup(p, s);
}

/* The boundary of a Content-Type, right-trimmed; NULL if there is none of 1..70 bytes. */
static const char *find_boundary(const char *params, apr_pool_t *p)
{
    int quoted = 0;

    for (; *params; params++) {
        if (*params == '"') {
            quoted = !quoted;
        }
        if (*params != ';' || quoted) {
            continue;
        }
        params += 1 + strspn(params + 1, " \t");
        if (!strncasecmp(params, "boundary=", 9)) {
            char *value = param_value(params + 9, p);
            apr_size_t len = strlen(value);

            while (len && apr_isspace(value[len - 1])) {
                value[--len] = '\0';
            }
            return len >= 1 && len <= 70 ? value : NULL;
        }
        params--;
    }
    return NULL;
}

static int read_type(report_t *q, collect_refusal_t *why)
{
    const char *type = apr_table_get(q->r->headers_in, "Content-Type");
    apr_size_t len;

    if (!type || !*type) {
        *why = REFUSED_NO_CONTENT_TYPE;
        return 0;
    }
    type += strspn(type, " \t");
    len = strcspn(type, ";");
    while (len && apr_isspace(type[len - 1])) {
        len--;
    }
    if (!is_form(type, len)) {
        *why = REFUSED_WRONG_CONTENT_TYPE;
        return 0;
    }
    q->boundary = find_boundary(type + len, q->r->pool);
    *why = REFUSED_NO_BOUNDARY;
    return q->boundary != NULL;
}

static int read_encoding(report_t *q, collect_refusal_t *why)
{
    const char *encoding = apr_table_get(q->r->headers_in, "Content-Encoding");

    q->gzip = encoding && (!strcasecmp(encoding, "gzip") || !strcasecmp(encoding, "x-gzip"));
    *why = REFUSED_ENCODING;
    return q->gzip || !encoding || !*encoding || !strcasecmp(encoding, "identity");
}

/* A length there must be, or chunks; too long a body is refused before it is read. */
static int read_length(report_t *q, collect_refusal_t *why)
{
    const char *length = apr_table_get(q->r->headers_in, "Content-Length");
    int64_t n;

    *why = REFUSED_NO_CONTENT_LENGTH;
    if (apr_table_get(q->r->headers_in, "Transfer-Encoding")) {
        return 1;
    }
    if (!length || !sal_parse_int(length, 1, INT64_MAX, &n)) {
        return 0;
    }
    *why = REFUSED_TOO_LARGE;
    return n <= collect_max_body(q->dir);
}

/* ---- body ---- */

static apr_status_t feed(void *baton, const char *data, apr_size_t size)
{
    report_t *q = baton;

    return sal_intake_feed(q->intake, data, size, &q->err);
}

/* A DEFLATE input filter would inflate the body a second time, and without our caps. */
static void drop_inflate_filter(request_rec *r)
{
    for (ap_filter_t *f = r->input_filters, *next; f; f = next) {
        next = f->next;
        if (f->frec && f->frec->name && !strcasecmp(f->frec->name, "deflate")) {
            ap_remove_input_filter(f);
        }
    }
}

/* What a failed pump means for the client. */
static int refuse_body(report_t *q, int rc)
{
    switch (rc) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return collect_refuse(q->r, REFUSED_TOO_LARGE);
    case HTTP_REQUEST_TIME_OUT:
        return collect_refuse(q->r, REFUSED_LATE);
    case HTTP_BAD_REQUEST:
        return collect_refuse(q->r, REFUSED_STRUCTURE);
    default:
        return rc; /* a filter has answered, or the client is gone */
    }
}

/* The store failed: the client should come again, sooner or later. */
static int refuse_store(report_t *q, apr_status_t rv)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL1004: report not stored: %s", q->err.message);
    if (APR_STATUS_IS_ENOSPC(rv) || rv == EDQUOT) {
        return collect_busy(q->r, RETRY_FULL);
    }
    if (rv == EROFS || rv == SAL_E_SICK) {
        return collect_busy(q->r, RETRY_BUSY);
    }
    return collect_failed(q->r);
}

/* Reads and parses the body. True if it is a good form; else *rc is what the handler returns. */
static int read_body(report_t *q, int *rc)
{
    sal_intake_limits_t limits;
    apr_status_t sink = APR_SUCCESS, rv;
    int code;

    collect_limits(q->dir, &limits);
    rv = sal_intake_make(&q->intake, q->site->store, q->boundary, q->gzip, q->now, &limits,
                         q->r->pool, &q->err);
    if (rv != APR_SUCCESS) {
        *rc = collect_refuse(q->r, REFUSED_NO_BOUNDARY);
        return 0;
    }
    drop_inflate_filter(q->r);
    code = web_body_pump(q->r, collect_max_body(q->dir), feed, q, &q->wire_size, &sink);
    rv = sink;
    if (sink == APR_SUCCESS && code != OK) {
        *rc = refuse_body(q, code);
        return 0;
    }
    if (rv == APR_SUCCESS && q->wire_size == 0) {
        *rc = collect_refuse(q->r, REFUSED_NO_CONTENT_LENGTH);
        return 0;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_intake_finish(q->intake, &q->err);
    }
    if (rv == APR_SUCCESS) {
        return 1;
    }
    *rc = sal_intake_fault(q->intake) == SAL_FAULT_STORE
              ? refuse_store(q, rv)
              : collect_refuse_fault(q->r, sal_intake_fault(q->intake));
    return 0;
}

/* ---- decision ---- */

static const char *query_param(void *baton, const char *name)
{
    return web_param(baton, name);
}

/* Compares digests, so that neither length nor content of the token shows in the time it takes. */
static int token_fits(const char *sent, const char *token)
{
    unsigned char a[32], b[32], differ = 0;

    sal_sha256(sent, strlen(sent), a);
    sal_sha256(token, strlen(token), b);
    for (int i = 0; i < 32; i++) {
        differ |= a[i] ^ b[i];
    }
    return differ == 0;
}

static int is_authorised(const report_t *q)
{
    const char *header = apr_table_get(q->r->headers_in, "Authorization");

    return q->dir->token && header && !strncmp(header, "Bearer ", 7) &&
           token_fits(header + 7, q->dir->token);
}

/* The client's own id, if it brought one and may. True if it brought none or all is well. */
static int read_uuid(report_t *q, int *rc)
{
    const char *uuid = sal_annotations_get(sal_intake_annotations(q->intake), "uuid");

    if (!uuid) {
        return 1;
    }
    if (!is_authorised(q)) {
        *rc = collect_refuse(q->r, REFUSED_TOKEN);
        return 0;
    }
    if (!sal_crash_id_valid(uuid)) {
        *rc = collect_refuse(q->r, REFUSED_UUID);
        return 0;
    }
    q->id = apr_pstrdup(q->r->pool, uuid);
    return 1;
}

static void throttle(report_t *q)
{
    /* Rules of the configuration will be listed here; until then all is up to the default. */
    sal_throttle_rules_t rules = { NULL, 0, collect_fallback(q->dir) };

    sal_throttle_decide(&q->verdict, &rules, sal_intake_annotations(q->intake), NULL, q->r);
    apr_table_setn(q->r->notes, "crash-rule", q->verdict.rule);
    apr_table_setn(q->r->notes, "crash-throttle", sal_throttle_name(q->verdict.result));
}

/* ---- commit ---- */

static const char *make_id(report_t *q)
{
    char *id = apr_palloc(q->r->pool, SAL_CRASH_ID_LEN + 1);
    const char *proposed;

    if (q->verdict.result == SAL_THROTTLE_FAKEACCEPT) {
        sal_crash_id_make(id, q->now, SAL_THROTTLE_FAKEACCEPT);
        return id;
    }
    proposed = sal_intake_id(q->intake, &q->err);
    if (!proposed) {
        return NULL;
    }
    memcpy(id, proposed, SAL_CRASH_ID_LEN + 1);
    id[29] = (char)('0' + q->verdict.result);
    return id;
}

static int store(report_t *q)
{
    sal_raw_meta_t meta = { 0 };
    apr_status_t rv;

    sal_annotations_remove(sal_intake_annotations(q->intake), collect_removed(q->dir));
    meta.compressed = q->gzip;
    meta.payload_size = q->wire_size;
    meta.user_agent = apr_table_get(q->r->headers_in, "User-Agent");
    meta.throttle_rule = q->verdict.rule;
    rv = sal_intake_commit(q->intake, q->id, &meta, &q->err);
    if (rv != APR_SUCCESS && rv != SAL_E_EXISTS) {
        return refuse_store(q, rv);
    }
    if (q->site->rows) {
        sal_row_thread_add(q->site->rows, q->id, q->now);
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r, "SAL1010: %s: matched by %s; returned %s%s",
                  q->id, q->verdict.rule, sal_throttle_name(q->verdict.result),
                  rv == SAL_E_EXISTS ? "; stored before" : "");
    return collect_accept(q->r, q->id);
}

static int decide(report_t *q)
{
    int rc;

    sal_annotations_map_dialect(sal_intake_annotations(q->intake), query_param, web_query(q->r));
    throttle(q);
    if (!read_uuid(q, &rc)) {
        return rc;
    }
    if (!q->id) {
        q->id = make_id(q);
        if (!q->id) {
            return refuse_store(q, q->err.code);
        }
    }
    apr_table_setn(q->r->notes, "crash-id", q->id);
    if (q->verdict.result == SAL_THROTTLE_REJECT) {
        return collect_discard(q->r, q->verdict.rule);
    }
    if (q->verdict.result == SAL_THROTTLE_FAKEACCEPT) {
        return collect_accept(q->r, q->id);
    }
    return store(q);
}

/* ---- the handler ---- */

/* Refusals that cost the client no upload: not the database, which only makes rows late. */
static int admit(report_t *q, int *rc)
{
    apr_status_t rv;

    if (!q->site || !q->site->store) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL1005: no crash store in this child; %s",
                      q->site ? "its start-up message says why" : "SalvageConfig is missing");
        *rc = collect_busy(q->r, RETRY_BUSY);
        return 0;
    }
    rv = sal_crash_store_admit(q->site->store, &q->err);
    if (rv != APR_SUCCESS) {
        *rc = collect_busy(q->r, APR_STATUS_IS_ENOSPC(rv) ? RETRY_FULL : RETRY_BUSY);
        return 0;
    }
    return 1;
}

static int take_in(report_t *q)
{
    int rc, running = atomic_fetch_add(&in_flight, 1);

    if (running >= collect_max_in_flight(collect_server(q->r->server))) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r,
                      "SAL1012: report sent away: %d are being taken in", running);
        rc = collect_busy(q->r, RETRY_BUSY);
    } else if (read_body(q, &rc)) {
        rc = decide(q);
    }
    atomic_fetch_sub(&in_flight, 1);
    return rc;
}

/* Below the location only the location itself is ours: crash pings have further segments. */
static int is_our_path(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *location = core->d;
    apr_size_t len = location ? strlen(location) : 0;

    if (!len || strncmp(r->uri, location, len)) {
        return 1; /* a <LocationMatch>, or no section at all: the operator's choice */
    }
    return !r->uri[len] || !strcmp(r->uri + len, "/") || location[len - 1] == '/';
}

int collect_handler(request_rec *r)
{
    report_t q = { .r = r };
    collect_refusal_t why;
    int rc;

    if (!r->handler || strcmp(r->handler, "crash-collect")) {
        return DECLINED;
    }
    q.dir = collect_dir(r);
    if (!is_our_path(r)) {
        return HTTP_NOT_FOUND;
    }
    if (r->method_number != M_POST) {
        return collect_method(r, r->method_number == M_OPTIONS ? "POST" : "POST, OPTIONS");
    }
    q.now = apr_time_now();
    q.site = collect_server(r->server)->site;
    if (!read_type(&q, &why) || !read_length(&q, &why) || !read_encoding(&q, &why)) {
        return collect_refuse(r, why);
    }
    return admit(&q, &rc) ? take_in(&q) : rc;
}
