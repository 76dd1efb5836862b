/*
 * Replies: library status -> HTTP status, and small bodies.
 */
#include "common/web.h"

#include <stdarg.h>
#include <apr_strings.h>

int web_reply(request_rec *r, int status, const char *type, const char *body, apr_size_t size)
{
    r->status = status;
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)size);
    if (size) {
        ap_rwrite(body, (int)size, r);
    }
    return OK;
}

int web_reply_json(request_rec *r, int status, json_t *steals)
{
    char *text = steals ? json_dumps(steals, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    int rc;

    json_decref(steals);
    if (!text) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    rc = web_reply(r, status, "application/json", text, strlen(text));
    free(text);
    return rc;
}

int web_reply_error(request_rec *r, int status, const char *fmt, ...)
{
    const char *text;
    va_list args;

    va_start(args, fmt);
    text = apr_pvsprintf(r->pool, fmt, args);
    va_end(args);
    return web_reply_json(r, status, json_pack("{s:s}", "error", text));
}

int web_status_of(apr_status_t rv)
{
    switch (rv) {
    case APR_SUCCESS:
        return HTTP_OK;
    case SAL_E_MALFORMED:
        return HTTP_BAD_REQUEST;
    case SAL_E_TOOBIG:
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    case SAL_E_UNSUPPORTED:
        return HTTP_UNSUPPORTED_MEDIA_TYPE;
    case SAL_E_NODB:
    case SAL_E_SICK:
    case SAL_E_BUSY:
        return HTTP_SERVICE_UNAVAILABLE;
    case SAL_E_DENIED:
        return HTTP_FORBIDDEN;
    default:
        break;
    }
    if (APR_STATUS_IS_ENOSPC(rv) || rv == EDQUOT) {
        return HTTP_SERVICE_UNAVAILABLE; /* somebody will make room; try later */
    }
    return APR_STATUS_IS_ENOENT(rv) ? HTTP_NOT_FOUND : HTTP_INTERNAL_SERVER_ERROR;
}
