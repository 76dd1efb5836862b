/*
 * Is something burning? Products with their versions, of all signatures those that moved, and what
 * calls for somebody to act (docs/crashstats.md).
 */
#ifndef SAL_TRIAGE_OVERVIEW_H
#define SAL_TRIAGE_OVERVIEW_H

#include "triage/board.h"
#include "triage/products.h"

enum {
    SAL_OVERVIEW_PRODUCTS = 40,
    SAL_OVERVIEW_VERSIONS = 4, /* of a product without featured ones */
    SAL_OVERVIEW_MOVES = 8
};

typedef struct sal_overview_line_t {
    const char *version; /* NULL: all of the product's */
    bool featured;
    int64_t day, week_ago;  /* of the last 24 hours, and the same hours a week ago */
    int64_t reports, pings; /* of the seven days before today; pings 0: there are none */
    int64_t days[SAL_BOARD_DAYS];
} sal_overview_line_t;

typedef struct sal_overview_product_t {
    sal_product_page_t page;
    sal_overview_line_t all;
    sal_overview_line_t *lines; /* featured versions, else some active ones */
    int n;
    const char **process_types; /* of the last day, commonest first, NULL-terminated */
} sal_overview_product_t;

typedef enum {
    SAL_MOVE_NEW,   /* first met within a week */
    SAL_MOVE_BACK,  /* was away for a week or more */
    SAL_MOVE_RISING /* half as much again as a day had before */
} sal_move_kind_t;

typedef struct sal_overview_move_t {
    sal_move_kind_t kind;
    const char *product, *signature;
    const char *version; /* with most of them; of what is new, the first one */
    int64_t day;         /* of the last 24 hours */
    double average;      /* a day, of the seven whole days before */
    int gap;             /* days away */
    int64_t days[SAL_BOARD_DAYS];
} sal_overview_move_t;

/* A signature that was fixed and has come back within a week. */
typedef struct sal_overview_back_t {
    const char *signature, *product, *fixed, *version;
} sal_overview_back_t;

typedef struct sal_overview_t {
    bool empty; /* no crash was ever processed */
    apr_time_t now, newest;
    int64_t day; /* crashes of the last 24 hours */
    sal_overview_product_t *products;
    int n_products, more_products;
    bool has_version; /* the one that was asked for is known */
    sal_overview_move_t *moves;
    int n_moves;
    sal_overview_back_t *back;
    int n_back;
    int64_t waiting, oldest; /* of the queue; seconds */
} sal_overview_t;

/*
 * only: a product's name, whose versions are wanted, and one of them more if `version` is not NULL
 * and known; NULL: all products, and the rest. APR_ENOENT: there is no such product.
 */
SAL_API apr_status_t sal_overview_read(sal_overview_t *out, const char *only, const char *version,
                                       apr_time_t now, const sal_super_reader_t *reader,
                                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
