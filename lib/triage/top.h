/*
 * Pages of top crashers: the board with all that stands beside a signature, two versions side by
 * side, and what got worse from one version to the next (docs/crashstats.md).
 */
#ifndef SAL_TRIAGE_TOP_H
#define SAL_TRIAGE_TOP_H

#include "triage/board.h"
#include "triage/states.h"

typedef struct sal_top_bug_t {
    int64_t id;
    const char *summary, *status, *resolution; /* "" if nothing is known of it */
} sal_top_bug_t;

typedef struct sal_top_row_t {
    sal_board_count_t now;
    int64_t installs;
    int64_t before;               /* crashes in the window before */
    int rank_before;              /* 0: it was not there */
    apr_time_t first;             /* of all its crashes; 0: not known */
    bool is_new;                  /* first met inside the window */
    const char *new_in;           /* the version that brought it, or NULL */
    int64_t days[SAL_BOARD_DAYS]; /* of all versions; the last one is today */
    sal_state_t state;
    const sal_top_bug_t *bugs; /* highest number first */
    int n_bugs;
} sal_top_row_t;

typedef struct sal_top_t {
    int64_t total, before, installs; /* of all signatures; before: of the window before */
    int64_t shown;                   /* crashes of the rows */
    int n, signatures;               /* rows; signatures there are */
    sal_top_row_t *rows;
    const char *platforms[SAL_BOARD_PLATFORMS];
    apr_time_t before_from, before_to;
} sal_top_t;

/* The `size` signatures with the most crashes. */
SAL_API apr_status_t sal_top_read(sal_top_t *out, const sal_board_filter_t *filter, int size,
                                  apr_time_t now, const sal_super_reader_t *reader, sal_db_t *db,
                                  apr_pool_t *p, sal_error_t *err);

/*
 * How much more a signature crashes than before: crashes a day of the last seven whole days by
 * those of the seven before; 0: too few to tell, or not more.
 */
SAL_API double sal_top_rise(const int64_t days[SAL_BOARD_DAYS]);

/* Days without a crash before it came back within the last week; 0: it has not been away. */
SAL_API int sal_top_gap(const int64_t days[SAL_BOARD_DAYS]);

/* ---- two versions ---- */

typedef struct sal_top_pair_t {
    const char *signature;
    const sal_board_count_t *a, *b; /* NULL: not there */
    double moved;                   /* percent points of share, from a to b */
} sal_top_pair_t;

typedef struct sal_top_compare_t {
    sal_board_t a, b;
    sal_top_pair_t *only_a, *only_b, *both; /* most crashes first; both: by what moved most */
    int n_only_a, n_only_b, n_both;
} sal_top_compare_t;

/* filter: with everything but versions. */
SAL_API apr_status_t sal_top_compare(sal_top_compare_t *out, const sal_board_filter_t *filter,
                                     const char *a, const char *b, const sal_super_reader_t *reader,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* ---- from one version to the next ---- */

typedef enum {
    SAL_TOP_NEW,  /* in no earlier version of the branch */
    SAL_TOP_BACK, /* in an earlier one, but not in the one before */
    SAL_TOP_MORE  /* in the one before, and surely a larger share now */
} sal_top_kind_t;

typedef struct sal_top_regression_t {
    sal_top_kind_t kind;
    const char *signature;
    int64_t n, before;          /* crashes in this version, and in the one before */
    double share, share_before; /* percent of the version's crashes */
    int64_t earlier;            /* crashes in versions before that */
} sal_top_regression_t;

typedef struct sal_top_regressions_t {
    const char *before; /* the version before in the branch; NULL: there is none */
    int earlier;        /* versions before that */
    int64_t total, total_before;
    sal_top_regression_t *list; /* by kind, then by crashes */
    int n;
} sal_top_regressions_t;

/*
 * Versions of the same channel, in the order of versions and not of dates: of a branch that is
 * still mended, the one before is of that branch. The version's crashes are those of the filter's
 * window, those of others of all days back to `since`.
 */
SAL_API apr_status_t sal_top_regressions(sal_top_regressions_t *out,
                                         const sal_board_filter_t *filter, const char *version,
                                         const char *const *versions, int n_versions,
                                         apr_time_t since, const sal_super_reader_t *reader,
                                         sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The version before in the branch, out of n; NULL: there is none. */
SAL_API const char *sal_top_before(const char *version, const char *const *versions, int n);

#endif
