/*
 * The board of top crashers: which signatures a product crashes with most, in a window of time, and
 * how that compares (docs/crashstats.md).
 *
 * Whole days that are counted are read from the counts by day; days that have changed since, the
 * edges of a window and windows of build ids are asked of Super Search. Both give the same numbers,
 * so that a reader never sees where they come from.
 */
#ifndef SAL_TRIAGE_BOARD_H
#define SAL_TRIAGE_BOARD_H

#include <stdbool.h>
#include <apr_hash.h>
#include "db/db.h"
#include "search/super.h"

enum {
    SAL_BOARD_PLATFORMS = 6,      /* columns; the last one may be "others" */
    SAL_BOARD_SIGNATURES = 10000, /* that are told apart in a window */
    SAL_BOARD_DAYS = 28
};

/* What counts. NULL (of versions also empty): no matter which. */
typedef struct sal_board_filter_t {
    const char *product;
    const char *const *versions; /* NULL-terminated; "68.0b": all its betas */
    const char *process_type;    /* "other": none that Crash Stats knows */
    const char *platform, *report_type;
    apr_time_t from, to;             /* whole seconds; to is not included */
    apr_time_t build_from, build_to; /* of build ids read as dates; 0: any */
} sal_board_filter_t;

typedef struct sal_board_count_t {
    const char *signature;
    int64_t n;
    int64_t startup, gc, early, plugin; /* early: up for less than a minute */
    int64_t platforms[SAL_BOARD_PLATFORMS];
    int rank; /* 1: the most; ties by text */
} sal_board_count_t;

typedef struct sal_board_t {
    int64_t total;                              /* crashes, those without a signature among them */
    int n;                                      /* signatures */
    sal_board_count_t *list;                    /* by rank */
    apr_hash_t *by_signature;                   /* of sal_board_count_t */
    const char *platforms[SAL_BOARD_PLATFORMS]; /* by crashes; NULL: no more */
} sal_board_t;

/* details: all of a count; else only n and rank are told. */
SAL_API apr_status_t sal_board_read(sal_board_t *out, const sal_board_filter_t *filter,
                                    bool details, const sal_super_reader_t *reader, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

/* Distinct installations: of all, and of each of the signatures (there). */
SAL_API apr_status_t sal_board_installs(int64_t *all, int64_t *each,
                                        const sal_board_filter_t *filter,
                                        const char *const *signatures, int n,
                                        const sal_super_reader_t *reader, sal_db_t *db,
                                        apr_pool_t *p, sal_error_t *err);

/*
 * Crashes of each signature on each of the 28 days that end with now's: days[i * 28 + day]. The
 * filter's window does not matter.
 */
SAL_API apr_status_t sal_board_days(int64_t *days, const sal_board_filter_t *filter,
                                    const char *const *signatures, int n, apr_time_t now,
                                    const sal_super_reader_t *reader, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/*
 * Versions of the product that signatures came from within the days that are counted, 28 at most:
 * rows, by signature and version: signature, version, n.
 */
SAL_API apr_status_t sal_board_versions(sal_rows_t **out, const char *product,
                                        const char *const *signatures, int n, apr_time_t now,
                                        sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
