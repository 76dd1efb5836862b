/*
 * salvage db: brings the database to the schema of this build, or says where it stands.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "db/schema.h"

#define USAGE "db migrate|status [-c FILE]"

static const apr_getopt_option_t options[] = { CMD_OPT_CONFIG, CMD_OPT_HELP, CMD_OPT_END };

static int migrate(sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;
    int applied;

    if (sal_schema_migrate(&applied, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("schema %d, %d migration%s applied\n", sal_schema_version(), applied,
           applied == 1 ? "" : "s");
    return CMD_OK;
}

/* Prints each migration that the database lacks. */
static apr_status_t print_missing(int *missing, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    int yes;

    *missing = 0;
    for (const sal_migration_t *m = sal_schema_migrations(); m->number; m++) {
        if ((rv = sal_schema_is_applied(&yes, m->number, db, p, err)) != APR_SUCCESS) {
            break;
        }
        if (!yes) {
            ++*missing;
            printf("missing: %04d_%s\n", m->number, m->name);
        }
    }
    return rv;
}

/* Fails when something is to be done, so that scripts can ask. */
static int status(sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;
    int current, missing;

    if (sal_schema_current(&current, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("database schema %d, this build knows %d\n", current, sal_schema_version());
    if (print_missing(&missing, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (missing) {
        return cmd_fail("the schema is old: run `salvage db migrate`");
    }
    if (current > sal_schema_version()) {
        return cmd_fail("the schema is newer than this build: install the newer version");
    }
    return CMD_OK;
}

int cmd_db(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    const char *value, *conf = NULL, *verb;
    apr_status_t rv;
    sal_db_t *db;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        conf = value;
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    verb = os->ind == argc - 1 ? os->argv[os->ind] : "";
    if (strcmp(verb, "migrate") != 0 && strcmp(verb, "status") != 0) {
        return cmd_usage(USAGE, "say migrate or status");
    }
    if ((db = cmd_db_open(conf, p)) == NULL) {
        return CMD_FAILED;
    }
    return *verb == 'm' ? migrate(db, p) : status(db, p);
}
