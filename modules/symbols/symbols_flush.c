/*
 * A database connection for work of no request: the watchdog's thread writes what request threads
 * have noted.
 */
#include "symbols_private.h"

#include <apr_dbd.h>
#include <mod_dbd.h>

apr_status_t symbols_with_server_db(server_rec *s, web_db_fn fn, void *baton, apr_pool_t *p,
                                    sal_error_t *err)
{
    APR_OPTIONAL_FN_TYPE(ap_dbd_open) *dbd_open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    APR_OPTIONAL_FN_TYPE(ap_dbd_close) *dbd_close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
    ap_dbd_t *dbd = dbd_open && dbd_close ? dbd_open(p, s) : NULL;
    apr_status_t rv;

    if (!dbd) {
        return sal_fail(err, SAL_E_NODB, "mod_dbd has no connection");
    }
    if (strcmp(apr_dbd_name(dbd->driver), "pgsql")) {
        rv = sal_fail(err, SAL_E_NODB, "DBDriver is not pgsql");
    } else {
        rv = fn(sal_db_wrap(apr_dbd_native_handle(dbd->driver, dbd->handle), dbd->pool, p), baton,
                p, err);
    }
    dbd_close(s, dbd);
    return rv;
}
