/*
 * Replies: library status -> HTTP status, and small bodies.
 */
#include "common/web.h"

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
        return HTTP_SERVICE_UNAVAILABLE;
    case SAL_E_DENIED:
        return HTTP_FORBIDDEN;
    default:
        return APR_STATUS_IS_ENOENT(rv) ? HTTP_NOT_FOUND : HTTP_INTERNAL_SERVER_ERROR;
    }
}
