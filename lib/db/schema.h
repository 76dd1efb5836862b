/*
 * The schema and its migrations.
 *
 * lib/db/migrations/NNNN_name.sql are compiled into the library in order. Each runs in one
 * transaction together with its row in schema_migration, under an advisory lock, so that two
 * `salvage db migrate` at once are harmless. A landed migration is never edited.
 */
#ifndef SAL_DB_SCHEMA_H
#define SAL_DB_SCHEMA_H

#include "db/db.h"

typedef struct sal_migration_t {
    int number;
    const char *name;
    const char *sql;
} sal_migration_t;

/* All migrations of this build, ascending, terminated by number 0. */
SAL_API const sal_migration_t *sal_schema_migrations(void);

/* Newest number of this build. */
SAL_API int sal_schema_version(void);

/* Newest number in the database; 0 for an empty one. */
SAL_API apr_status_t sal_schema_current(int *version, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

/* Whether one migration is in the database. */
SAL_API apr_status_t sal_schema_is_applied(int *yes, int number, sal_db_t *db, apr_pool_t *p,
                                           sal_error_t *err);

/* Applies what is missing; *applied counts. Refuses a database newer than the build. */
SAL_API apr_status_t sal_schema_migrate(int *applied, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

#endif
