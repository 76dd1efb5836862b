/*
 * Database borrowing: mod_dbd is the pool of connections, our SQL layer speaks libpq on them.
 */
#include "common/web.h"

#include <apr_dbd.h>
#include <mod_dbd.h>

apr_status_t web_with_db(request_rec *r, web_db_fn fn, void *baton, sal_error_t *err)
{
    /* Looked up at each call: a hash lookup, and no static that would outlive a reload. */
    APR_OPTIONAL_FN_TYPE(ap_dbd_open) *dbd_open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    APR_OPTIONAL_FN_TYPE(ap_dbd_close) *dbd_close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
    ap_dbd_t *dbd;
    apr_status_t rv;

    if (!dbd_open || !dbd_close) {
        return sal_fail(err, SAL_E_NODB, "mod_dbd is not loaded; enable it with a2enmod dbd");
    }
    dbd = dbd_open(r->pool, r->server);
    if (!dbd) {
        return sal_fail(err, SAL_E_NODB, "mod_dbd has no connection; its own message says why");
    }
    if (strcmp(apr_dbd_name(dbd->driver), "pgsql")) {
        rv = sal_fail(err, SAL_E_NODB, "DBDriver is %s, but must be pgsql",
                      apr_dbd_name(dbd->driver));
    } else {
        rv = fn(sal_db_wrap(apr_dbd_native_handle(dbd->driver, dbd->handle), dbd->pool, r->pool),
                baton, r->pool, err);
    }
    dbd_close(r->server, dbd);
    return rv;
}
