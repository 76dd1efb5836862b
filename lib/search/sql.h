/*
 * Statements put together from constant fragments. Private to the room.
 *
 * A fragment is text in which every parameter stands as one mark, with the parameters beside it in
 * their order, so that fragments join in any order and are numbered when the statement is run.
 * Only string constants and names of the compiled field table may become text.
 */
#ifndef SAL_SEARCH_SQL_H
#define SAL_SEARCH_SQL_H

#include <stdbool.h>
#include <apr_tables.h>
#include <jansson.h>
#include "db/db.h"
#include "search/fields.h"

typedef struct sal_sql_t {
    apr_pool_t *p;
    apr_array_header_t *text;   /* const char * pieces */
    apr_array_header_t *params; /* sal_val_t */
} sal_sql_t;

enum { SAL_SEARCH_MAX_NUMBER = 1024 }; /* of a field */

/* What statements of one search share. */
typedef struct sal_run_t {
    sal_db_t *db;
    apr_pool_t *p;
    json_t *trace;   /* NULL, or the array in which every statement is noted; borrowed */
    bool txn;        /* inside a transaction: savepoints and local settings are possible */
    apr_time_t ends; /* 0, or when the search must have ended */
    int sample;      /* facets count every n-th crash; 0, 1: all */
    json_t *partitions, *missing; /* names of the window's weeks: all, those that are not there */
    int64_t window_rows;          /* estimate */
    bool overflow[SAL_SEARCH_MAX_NUMBER]; /* by field: values in column overflow in the window */
} sal_run_t;

sal_sql_t *sal_sql_make(apr_pool_t *p);
void sal_sql_add(sal_sql_t *sql, const char *piece);
/* Constant format; for names of fields and numbers of ours, never for a user's text. */
void sal_sql_addf(sal_sql_t *sql, const char *fmt, ...) SAL_PRINTF(2, 3);
/* A parameter with what follows it, as in sal_sql_param(sql, SAL_V_TEXT(s), "::text"). */
void sal_sql_param(sal_sql_t *sql, sal_val_t value, const char *cast);
/* The other's text and parameters at the end of this one. */
void sal_sql_put(sal_sql_t *sql, const sal_sql_t *other);
/* The text with $1, $2 ... */
const char *sal_sql_text(const sal_sql_t *sql);

/*
 * Runs it. SAL_E_MALFORMED if a pattern is too complex for the server; APR_TIMEUP if it took too
 * long, the message is for the user.
 */
apr_status_t sal_sql_run(const sal_sql_t *sql, const char *what, sal_rows_t **rows, sal_run_t *run,
                         sal_error_t *err);

/*
 * The same for a part that may fail by itself: in a transaction it has a share of the time that is
 * left, and APR_TIMEUP leaves the transaction usable.
 */
apr_status_t sal_sql_run_within(const sal_sql_t *sql, const char *what, sal_rows_t **rows,
                                sal_run_t *run, sal_error_t *err);

#endif
