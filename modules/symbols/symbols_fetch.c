/*
 * Upload by download: the archive is fetched from a URL that the client names.
 */
#include "symbols_upload_private.h"

#include <apr_strings.h>
#include <apr_uri.h>

APLOG_USE_MODULE(symbols);

int symbols_upload_url(request_rec *r, const char *url, const sal_upload_opts_t *opts)
{
    apr_uri_t uri;

    (void)opts;
    if (apr_uri_parse(r->pool, url, &uri) != APR_SUCCESS || !uri.scheme || !uri.hostname ||
        !*uri.hostname || url[strcspn(url, " \t\r\n")]) {
        return symbols_fail(r, HTTP_BAD_REQUEST, "Enter a valid URL.");
    }
    if (strcasecmp(uri.scheme, "https")) {
        return symbols_fail(r, HTTP_BAD_REQUEST, "Insecure URL");
    }
    return symbols_fail(r, HTTP_BAD_REQUEST,
                        apr_psprintf(r->pool, "Not an allowed domain (%s) to download from.",
                                     sal_upload_repr(uri.hostname, r->pool)));
}
