/*
 * What the ways of uploading have in common (symbols_upload_private.h).
 */
#include "symbols_upload_private.h"

#include "common/page.h"
#include "common/person.h"

#include <apr_strings.h>

#include "base/text.h"
#include "common/drain.h"
#include "db/token.h"
#include "upload/slot.h"

APLOG_USE_MODULE(symbols);

int symbols_fail(request_rec *r, int status, const char *text)
{
    web_drain(r, WEB_DRAIN_MAX);
    if (status == HTTP_SERVICE_UNAVAILABLE || status == HTTP_TOO_MANY_REQUESTS) {
        apr_table_setn(r->headers_out, "Retry-After", "15");
    }
    return web_reply_error(r, status, "%s", text);
}

int symbols_fail_with(request_rec *r, int status, const sal_error_t *err)
{
    if (status == HTTP_BAD_REQUEST || status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        const char *text = *err->message ? err->message : "Bad Request";

        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2010: upload refused: %s", text);
        return symbols_fail(r, status, sal_utf8_clean(text, strlen(text), r->pool));
    }
    if (status < 500 && !*err->message) {
        return symbols_fail(r, status, ap_get_status_line(status) + 4);
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL2011: upload failed: %s", err->message);
    return symbols_fail(r, status,
                        status == HTTP_SERVICE_UNAVAILABLE
                            ? "The upload cannot be stored now, try again later"
                            : "Internal Server Error");
}

int symbols_check_caller(request_rec *r, const web_identity_t *who, const char *methods)
{
    if (methods && web_allow(r, methods) != OK) {
        return symbols_fail(r, HTTP_METHOD_NOT_ALLOWED,
                            apr_psprintf(r->pool, "Method Not Allowed (%s): %s",
                                         sal_utf8_clean(r->method, strlen(r->method), r->pool),
                                         sal_utf8_clean(r->uri, strlen(r->uri), r->pool)));
    }
    if (!who->by_token && !who->user_id) {
        return symbols_fail(r, HTTP_FORBIDDEN,
                            "This requires an Auth-Token to authenticate the request");
    }
    /* A person's browser sends credentials wherever a page of strangers makes it send a form. */
    if (!who->by_token && !web_form_trusted(r, who, web_param(web_query(r), "csrf"))) {
        return symbols_fail(r, HTTP_FORBIDDEN, "The form is too old, or not of this server");
    }
    if (!(who->permissions & (SAL_PERM_UPLOAD_SYMBOLS | SAL_PERM_UPLOAD_TRY_SYMBOLS))) {
        return symbols_fail(r, HTTP_FORBIDDEN, "Forbidden");
    }
    return DECLINED;
}

bool symbols_wants_try(const char *text, int permissions)
{
    static const char *const no[] = { "", "0", "false", "no" };

    if (!text) {
        return !(permissions & SAL_PERM_UPLOAD_SYMBOLS);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        if (!strcasecmp(text, no[i])) {
            return false;
        }
    }
    return true;
}

int symbols_check_try(request_rec *r, const web_identity_t *who, bool is_try)
{
    int needed = is_try ? SAL_PERM_UPLOAD_TRY_SYMBOLS : SAL_PERM_UPLOAD_SYMBOLS;

    return who->permissions & needed ? DECLINED : symbols_fail(r, HTTP_FORBIDDEN, "Forbidden");
}

int symbols_take_slot(request_rec *r, int64_t token_id, apr_pool_t *p)
{
    const symbols_conf_t *sc = symbols_conf(r);
    int max = (int)(sc->uploads_per_token ? sc->uploads_per_token : SYMBOLS_UPLOADS_PER_TOKEN);
    sal_error_t err = { 0 };

    if (sal_upload_slot(sc->store, token_id, max, p, &err) == APR_SUCCESS) {
        return DECLINED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2013: upload put off: %s", err.message);
    return symbols_fail(r, HTTP_TOO_MANY_REQUESTS, err.message);
}

void symbols_upload_opts(sal_upload_opts_t *opts, sal_upload_limits_t *limits, request_rec *r,
                         const web_identity_t *who)
{
    const symbols_conf_t *sc = symbols_conf(r);

    *limits = sal_upload_limits;
    if (sc->snippets) {
        limits->snippets = (const char *const *)sc->snippets->elts;
    }
    *opts = (sal_upload_opts_t){ .archive_name = "",
                                 .user = who->user ? who->user : "",
                                 .address = r->useragent_ip,
                                 .user_id = who->user_id,
                                 .token_id = who->token_id,
                                 .strict = sc->strict_header == 1,
                                 .received = r->request_time,
                                 .limits = limits };
}

apr_status_t symbols_store_upload(request_rec *r, sal_upload_t *up, sal_error_t *err)
{
    sal_upload_sum_t sum;
    apr_status_t rv;

    if ((rv = web_with_db(r, sal_upload_compare, up, err)) != APR_SUCCESS ||
        (rv = sal_upload_publish(up, err)) != APR_SUCCESS ||
        (rv = web_with_db(r, sal_upload_record, up, err)) != APR_SUCCESS) {
        return rv;
    }
    sal_upload_sum(up, &sum);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "SAL2012: upload %" APR_INT64_T_FMT ": %u files, %" APR_UINT64_T_FMT
                  " bytes, %" APR_UINT64_T_FMT " of them staged before",
                  sum.id, sum.files, (apr_uint64_t)sum.archive_size, (apr_uint64_t)sum.adopted);
    return APR_SUCCESS;
}

static void write_text(void *baton, const char *text, size_t size)
{
    ap_rwrite(text, (int)size, baton);
}

int symbols_answer_upload(request_rec *r, sal_upload_t *up)
{
    sal_upload_sum_t sum;

    if (web_wants_html(r)) { /* the form of /uploads/upload/ */
        sal_upload_sum(up, &sum);
        return web_redirect(
            r, HTTP_SEE_OTHER,
            apr_psprintf(r->pool, "/uploads/upload/%" APR_INT64_T_FMT, (apr_int64_t)sum.id));
    }
    r->status = HTTP_CREATED;
    ap_set_content_type(r, "application/json");
    sal_upload_answer(up, write_text, r);
    return OK;
}
