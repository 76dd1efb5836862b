/*
 * A database connection for work of no request: the watchdog's thread writes what request threads
 * have noted. Its own, not one of mod_dbd, so that a child that ends cuts it and does not wait for
 * a server that hangs.
 */
#include "symbols_private.h"

#include <mpm_common.h>
#include "db/watch.h"

#define STATEMENT 20 /* seconds that one may take */

static sal_db_desk_t writing = SAL_DB_DESK;

apr_status_t symbols_with_server_db(server_rec *s, web_db_fn fn, void *baton, apr_pool_t *p,
                                    sal_error_t *err)
{
    const symbols_conf_t *sc = ap_get_module_config(s->module_config, &symbols_module);
    const char *database = sc->shared ? sal_conf_get(sc->shared, "database", NULL) : NULL;
    sal_db_line_t *line;
    apr_status_t rv;
    sal_db_t *db;

    if (!database) {
        return sal_fail(err, SAL_E_NODB, "salvage.conf has no line `database`");
    }
    line = sal_db_line_make(sal_db_conninfo(database, "salvage-symbols", STATEMENT, p), p);
    if (!sal_db_desk_take(&writing, line)) {
        return sal_fail(err, SAL_E_NODB, "the process ends");
    }
    rv = sal_db_line_get(&db, line, err);
    if (rv == APR_SUCCESS) {
        rv = fn(db, baton, p, err);
    }
    sal_db_desk_take(&writing, NULL);
    sal_db_line_close(line);
    return rv;
}

static void end_writing(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    (void)graceful;
    sal_db_desk_close(&writing);
}

void symbols_flush_hooks(void)
{
    ap_hook_child_stopping(end_writing, NULL, NULL, APR_HOOK_MIDDLE);
}
