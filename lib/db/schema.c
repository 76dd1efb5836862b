/*
 * Brings a database to the schema of this build. The text of the migrations is generated from
 * lib/db/migrations/ by embed-sql.sh; this file knows only their order.
 */
#include "db/schema.h"
#include "db/db_private.h"

#include <apr_strings.h>

#define LOCK_TEXT "SELECT pg_advisory_xact_lock(5425217230410)" /* any number, ours alone */
#define TABLE_TEXT                                                                                 \
    "CREATE TABLE IF NOT EXISTS schema_migration ("                                                \
    "number int PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now())"

int sal_schema_version(void)
{
    int version = 0;

    for (const sal_migration_t *m = sal_schema_migrations(); m->number; m++) {
        version = m->number;
    }
    return version;
}

apr_status_t sal_schema_current(int *version, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv;

    *version = 0;
    rv = sal_db_run_text(db, "SELECT to_regclass('schema_migration') IS NOT NULL", NULL, 0, &rows,
                         p, err);
    if (rv != APR_SUCCESS || !sal_rows_bool(rows, 0, 0)) {
        return rv;
    }
    rv = sal_db_run_text(db, "SELECT coalesce(max(number), 0) FROM schema_migration", NULL, 0,
                         &rows, p, err);
    if (rv == APR_SUCCESS) {
        *version = (int)sal_rows_int(rows, 0, 0);
    }
    return rv;
}

apr_status_t sal_schema_is_applied(int *yes, int number, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err)
{
    const sal_val_t params[] = { SAL_V_INT(number) };
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run_text(db, "SELECT to_regclass('schema_migration') IS NOT NULL",
                                      NULL, 0, &rows, p, err);

    *yes = 0;
    if (rv != APR_SUCCESS || !sal_rows_bool(rows, 0, 0)) {
        return rv;
    }
    rv = sal_db_run_text(db, "SELECT 1 FROM schema_migration WHERE number = $1::int", params, 1,
                         &rows, p, err);
    *yes = rv == APR_SUCCESS && sal_rows_count(rows) > 0;
    return rv;
}

typedef struct step_t {
    const sal_migration_t *migration;
    int done; /* applied by this call */
} step_t;

static apr_status_t apply(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    step_t *step = baton;
    const sal_migration_t *m = step->migration;
    const sal_val_t params[] = { SAL_V_INT(m->number), SAL_V_TEXT(m->name) };
    apr_status_t rv;
    int yes;

    step->done = 0;
    /* Another migrator may have been quicker: look when the lock is ours. */
    if ((rv = sal_db_script(db, LOCK_TEXT, "lock", err)) != APR_SUCCESS ||
        (rv = sal_db_script(db, TABLE_TEXT, "schema_migration", err)) != APR_SUCCESS ||
        (rv = sal_schema_is_applied(&yes, m->number, db, p, err)) != APR_SUCCESS || yes) {
        return rv;
    }
    rv = sal_db_script(db, m->sql, apr_psprintf(p, "migration %04d_%s", m->number, m->name), err);
    if (rv == APR_SUCCESS) {
        rv = sal_db_run_text(db, "INSERT INTO schema_migration (number, name) VALUES ($1::int, $2)",
                             params, 2, NULL, p, err);
    }
    step->done = rv == APR_SUCCESS;
    return rv;
}

apr_status_t sal_schema_migrate(int *applied, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int current;
    apr_status_t rv;

    *applied = 0;
    if ((rv = sal_schema_current(&current, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (current > sal_schema_version()) {
        return sal_fail(err, SAL_E_UNSUPPORTED,
                        "the database has schema %d, this build knows up to %d: install the newer "
                        "version",
                        current, sal_schema_version());
    }
    for (const sal_migration_t *m = sal_schema_migrations(); m->number; m++) {
        step_t step = { m, 0 };

        if ((rv = sal_db_txn(db, apply, &step, p, err)) != APR_SUCCESS) {
            return rv;
        }
        *applied += step.done;
    }
    return APR_SUCCESS;
}
