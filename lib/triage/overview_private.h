/*
 * What the files of the overview share.
 *
 * overview.c        products and versions, what calls for action
 * overview_moves.c  signatures that moved
 */
#ifndef SAL_TRIAGE_OVERVIEW_PRIVATE_H
#define SAL_TRIAGE_OVERVIEW_PRIVATE_H

#include "triage/board_private.h"
#include "triage/overview.h"

#define DAY apr_time_from_sec(24 * 3600)

typedef struct overview_t {
    sal_overview_t *out;
    const char *only, *version;
    json_t *today;    /* facets of the last 24 hours, by product */
    apr_time_t first; /* of the 28 days */
    board_parts_t parts;
    const sal_super_reader_t *reader;
    sal_db_t *db;
    apr_pool_t *p;
    sal_error_t *err;
} overview_t;

/* Asks without a product: the product facet's rows of a range; borrowed. */
apr_status_t overview_ask(json_t **products, const overview_t *o, board_range_t range,
                          const char *const *extra, int size, const char *const *signatures,
                          int n_signatures);

/* Which of the 28 days; -1: none. */
int overview_day(const overview_t *o, const char *text);

apr_status_t overview_moves(overview_t *o);

#endif
