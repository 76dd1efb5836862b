/*
 * Super Search: what /api/SuperSearch/ and the pages ask of the search tables, in the words of its
 * parameters (docs/search.md): conditions, columns, facets, aggregations in aggregations,
 * histograms, distinct counts, order, page.
 *
 * One place decides what a reader may see: whatever touches a field they may not read is taken out
 * of the request and named in the result's "errors", before anything is asked of the database.
 *
 * A request belongs to one thread and lives in its pool.
 */
#ifndef SAL_SEARCH_SUPER_H
#define SAL_SEARCH_SUPER_H

#include "base/conf.h"
#include "search/query.h"

typedef struct sal_super_t sal_super_t;

/* Who asks. */
typedef struct sal_super_reader_t {
    bool pii;      /* may use protected fields */
    bool strict;   /* unknown names are errors (SuperSearchUnredacted) */
    bool long_run; /* may run long: the statement's time limit is the longer one */
    bool known;    /* signed in or by token: the limit between anonymous and long */
    bool explain;  /* may see the statements (_return_query) */
} sal_super_reader_t;

SAL_API sal_super_t *sal_super_make(const sal_super_reader_t *reader, apr_time_t now,
                                    apr_pool_t *p);

/*
 * One parameter as it stands in an address, repeated keys one call each, in their order: a field's
 * condition ("signature", "~foo"), "_columns", "_facets", "_facets_size", "_sort",
 * "_results_number", "_results_offset", "_aggs.A[.B[.C]]", "_histogram.F", "_histogram_interval.F",
 * "_return_query", "_neg", "_after". Others are ignored. Values are checked by sal_super_run.
 */
SAL_API void sal_super_param(sal_super_t *s, const char *name, const char *value);

/*
 * A condition that addresses cannot have: the field of texts is exactly the value. For pages, as
 * `product` of an address matches any word of it.
 */
SAL_API void sal_super_is(sal_super_t *s, const char *name, const char *value);

/*
 * Runs it. *out (new reference): {"hits": [...], "total": n, "facets": {...}, "errors": [...]}, or
 * what _return_query asks for. SAL_E_MALFORMED: err->message is for the user, as upstream words it
 * ("Bad value for parameter date: not a valid datetime"); SAL_E_BUSY: too many searches at once;
 * APR_TIMEUP: the statement took too long, the message says what to do. Others: the database.
 */
SAL_API apr_status_t sal_super_run(json_t **out, sal_super_t *s, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* The window that the run uses, and its conditions for display (sal_query_conditions). */
SAL_API apr_status_t sal_super_window(sal_super_t *s, apr_time_t *from, apr_time_t *to,
                                      sal_error_t *err);
SAL_API json_t *sal_super_conditions(sal_super_t *s);

/* Bounds of every search, of this process. */
typedef struct sal_super_limits_t {
    int at_once;                           /* searches of one database; the others wait */
    apr_time_t wait;                       /* for a place; then SAL_E_BUSY */
    apr_time_t anonymous, known, long_run; /* how long a search may take, by who asks */
    int64_t scan_rows;   /* above, texts without an index need a second condition */
    int64_t sample_rows; /* facets of more crashes count every tenth */
} sal_super_limits_t;

SAL_API void sal_super_limits(sal_super_limits_t *out);
/* Before threads search. */
SAL_API void sal_super_set_limits(const sal_super_limits_t *in);
/*
 * What salvage.conf says of them (search-at-once, ...). All processes that search one database
 * should say the same, or those that allow less wait for the others.
 */
SAL_API void sal_super_configure(const sal_conf_t *conf);

#endif
