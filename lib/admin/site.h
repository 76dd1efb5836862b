/*
 * Site administration: tables that people with the right may look at and change, each described by
 * data (site_tables.c): columns, statements, what is special. One engine lists, reads and writes
 * them all, and leaves an entry in the audit log for each change.
 *
 * Values travel as texts and as parameters; the database says what is no number or no time.
 */
#ifndef SAL_ADMIN_SITE_H
#define SAL_ADMIN_SITE_H

#include <stdbool.h>
#include "db/db.h"

typedef enum {
    SAL_SITE_TEXT,
    SAL_SITE_LONG,   /* of several lines */
    SAL_SITE_MONO,   /* an id, a signature */
    SAL_SITE_COUNT,  /* a number, to the right */
    SAL_SITE_BOOL,   /* "t" or "" */
    SAL_SITE_CHOICE, /* one of choices */
    SAL_SITE_RIGHTS, /* bits of permissions, as a decimal number */
    SAL_SITE_GROUPS, /* names of groups, "a, b" */
    SAL_SITE_TIME
} sal_site_kind_t;

enum {
    SAL_SITE_LIST = 1,     /* a column of the list */
    SAL_SITE_EDIT = 2,     /* a field of the form */
    SAL_SITE_REQUIRED = 4, /* not empty */
    SAL_SITE_FIXED = 8     /* written when a row is made, shown later */
};

typedef struct sal_site_column_t {
    const char *name, *title; /* name NULL: the end */
    sal_site_kind_t kind;
    int flags;
    const char *help;
    const char *const *choices; /* NULL-terminated */
} sal_site_column_t;

/* A change: who, of which row (NULL: a new one), to which values (EDIT columns in their order). */
typedef struct sal_site_change_t {
    const char *actor, *id;
    const char *const *values;
    int n;
} sal_site_change_t;

typedef apr_status_t (*sal_site_change_fn)(const sal_site_change_t *change, sal_db_t *db,
                                           apr_pool_t *p, sal_error_t *err);

typedef struct sal_site_table_t {
    const char *name, *title, *about; /* name: in addresses; NULL: the end */
    int right;                        /* enum sal_permission: who may come here */
    const sal_site_column_t *columns;
    /* $1 text to look for or NULL, $2 limit, $3 offset: id, then the LIST columns */
    const sal_stmt_t *list;
    const sal_stmt_t *get;    /* $1 id: the EDIT columns; NULL: rows cannot be changed */
    const sal_stmt_t *insert; /* values */
    const sal_stmt_t *update; /* id, values */
    const sal_stmt_t *remove; /* id */
    /* In the places of insert and update, remove; they write the audit log themselves or let the
       engine do it. */
    sal_site_change_fn put, drop;
    bool adds;                         /* put makes new rows, too */
    const char *action, *action_title; /* of many rows at once; NULL: none */
    sal_site_change_fn act;            /* change->id is one of them */
} sal_site_table_t;

SAL_API const sal_site_table_t *sal_site_tables(void);
SAL_API const sal_site_table_t *sal_site_find(const char *name);
SAL_API bool sal_site_may_add(const sal_site_table_t *t);
SAL_API bool sal_site_may_edit(const sal_site_table_t *t);
SAL_API bool sal_site_may_drop(const sal_site_table_t *t);

/* Rows: id, then LIST columns. One more than limit says that there are more. */
SAL_API apr_status_t sal_site_list(sal_rows_t **out, const sal_site_table_t *t, const char *text,
                                   int limit, int64_t offset, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* The EDIT columns of one row; APR_ENOENT. */
SAL_API apr_status_t sal_site_get(sal_rows_t **out, const sal_site_table_t *t, const char *id,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * Makes or changes a row (id NULL: makes). SAL_E_MALFORMED: a value that cannot be, the message is
 * for the reader; SAL_E_EXISTS: there is such a row; APR_ENOENT: there is none any more.
 */
SAL_API apr_status_t sal_site_put(const sal_site_table_t *t, const sal_site_change_t *change,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_site_drop(const sal_site_table_t *t, const sal_site_change_t *change,
                                   sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* The table's action on one row. */
SAL_API apr_status_t sal_site_act(const sal_site_table_t *t, const sal_site_change_t *change,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- how this installation is ---- */

/* Rows: table, rows (estimated), bytes with indexes; largest first. */
SAL_API apr_status_t sal_site_sizes(sal_rows_t **out, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);
/* Rows: partition, rows (estimated), bytes, of the table crash; newest first. */
SAL_API apr_status_t sal_site_partitions(sal_rows_t **out, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);
/* One row: version of the server, rows of crash (exact), milliseconds that took, of crash_job,
 * terms. */
SAL_API apr_status_t sal_site_facts(sal_rows_t **out, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

#endif
