/*
 * What the files of the board share.
 *
 * board.c        putting counts together
 * board_days.c   which days the counts by day answer
 * board_live.c   what is asked of Super Search
 */
#ifndef SAL_TRIAGE_BOARD_PRIVATE_H
#define SAL_TRIAGE_BOARD_PRIVATE_H

#include <apr_hash.h>
#include <apr_tables.h>
#include "triage/board.h"

typedef struct board_range_t {
    apr_time_t from, to;
} board_range_t;

typedef struct board_parts_t {
    const char **days; /* "2026-11-22", that are counted */
    int n_days;
    apr_array_header_t *live; /* of board_range_t */
} board_parts_t;

/* The process types that "other" leaves out, NULL-terminated. */
extern const char *const board_known_types[];

/* Cuts a window into counted days and the rest. counts false: all of it is the rest. */
apr_status_t board_cut(board_parts_t *out, apr_time_t from, apr_time_t to, bool counts,
                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Ids in the dictionary of what a filter names; NULL values where it names nothing. */
typedef struct board_ids_t {
    sal_val_t product, versions, platform, process_types, report_type;
    bool other; /* process types that are not to be there */
    bool none;  /* something is named that no crash has */
} board_ids_t;

apr_status_t board_ids(board_ids_t *out, const sal_board_filter_t *filter, sal_db_t *db,
                       apr_pool_t *p, sal_error_t *err);

/*
 * Asks with the filter in a range. signatures: NULL or n of them. The result of the search, whose
 * facets board_facet finds, borrowed from p.
 */
typedef struct board_ask_t {
    const sal_board_filter_t *filter;
    board_range_t range;
    const char *const *signatures;
    int n_signatures;
    const char *const *extra; /* names and values of more parameters, NULL-terminated */
    int size;                 /* _facets_size */
    const sal_super_reader_t *reader;
} board_ask_t;

apr_status_t board_ask(json_t **result, const board_ask_t *ask, sal_db_t *db, apr_pool_t *p,
                       sal_error_t *err);

/* The facet of that name of one row. */
json_t *board_facet(const json_t *row, const char *name);
const char *board_term(const json_t *row);
int64_t board_n(const json_t *row);

#endif
