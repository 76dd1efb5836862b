/*
 * What the subcommands of salvage-server share beyond cmd.h's rest: the database.
 */
#include "cmd.h"

#include "db/db.h"

sal_db_t *cmd_db_open(const char *conf_path, apr_pool_t *p)
{
    sal_conf_t *conf = cmd_conf(conf_path, p);
    const char *conninfo = conf ? sal_conf_get(conf, "database", NULL) : NULL;
    sal_error_t err;
    sal_db_t *db;

    if (!conf) {
        return NULL;
    }
    if (!conninfo) {
        cmd_fail("the configuration has no line `database CONNINFO`");
        return NULL;
    }
    if (sal_db_connect(&db, conninfo, p, &err) != APR_SUCCESS) {
        cmd_fail_err(&err);
        return NULL;
    }
    return db;
}
