/*
 * The signature report from the inside: what its pages, tabs and forms share.
 *
 * signature_page.c   the page and its tabs: which parts, in which template
 * signature_ask.c    what is asked of the search, and reading the address
 * signature_parts.c  what was found, as template data
 * signature_life.c   state, notes, bugs, history; the forms
 * signature_json.c   graphs and correlations as JSON
 */
#ifndef MODULES_CRASHSTATS_SIGNATURE_H
#define MODULES_CRASHSTATS_SIGNATURE_H

#include "crashstats/crashstats.h"
#include "render/ask.h"
#include "render/signature_view.h"
#include "search/super.h"
#include "triage/bug_info.h"
#include "triage/states.h"

/* Parts of the page; a tab is one of them. */
enum {
    SIGNATURE_SUMMARY = 1 << 0,
    SIGNATURE_AGGREGATIONS = 1 << 1,
    SIGNATURE_REPORTS = 1 << 2,
    SIGNATURE_GRAPHS = 1 << 3,
    SIGNATURE_BUGS = 1 << 4,
    SIGNATURE_COMMENTS = 1 << 5,
    SIGNATURE_CORRELATIONS = 1 << 6,
    SIGNATURE_NOTES = 1 << 7,
    SIGNATURE_HEAD = 1 << 8,
    SIGNATURE_ALL = (1 << 9) - 1,

    SIGNATURE_PER_PAGE = 50,
    SIGNATURE_DAYS = 28, /* without a date in the address */
    SIGNATURE_PANELS = 12,
    SIGNATURE_ROWS = 20 /* of tables of the summary */
};

typedef struct signature_t {
    crashstats_req_t *q;
    apr_pool_t *p;
    int want;                                 /* SIGNATURE_* */
    const char *signature;                    /* as it is, no operator */
    const char *self;                         /* "/signature/?signature=...&" */
    sal_ask_t *ask;                           /* the other parameters, with a date */
    bool dated;                               /* the address has a date */
    int page;                                 /* of reports or comments, from 1 */
    const char *fields[SIGNATURE_PANELS + 1]; /* aggregated, NULL at the end */
    const char *graph;                        /* field of the graph */

    /* what was found; of the pool */
    apr_time_t from, to;
    int64_t total, before, product_total;
    const char *product; /* commonest, or asked for; NULL: none */
    json_t *main, *reports, *comments, *correlations, *totals;
    const char *channel;
    json_t *adapters;
    json_t *stack; /* rows of the commonest stack, NULL: not to be had */
    sal_state_t *state;
    sal_rows_t *fixes, *notes, *history, *bugs, *began;
    sal_bug_info_t *bug_info;
    int n_bug_info;
    const char *first_seen, *first_build;
} signature_t;

/* Reads the address. False: the reply is written, and *rc is for the handler to return. */
bool signature_read(signature_t *s, crashstats_req_t *q, int want, int *rc);

/* Asks for what is wanted. The same. */
bool signature_find(signature_t *s, int *rc);

/* A search for this signature with the page's conditions; nothing but the total is asked for. */
sal_super_t *signature_super(const signature_t *s);
/* The columns of the table of reports. */
const char *const *signature_columns(const signature_t *s, int *n);
/* Runs it; the result is of the pool. */
apr_status_t signature_run(json_t **out, signature_t *s, sal_super_t *super, sal_db_t *db,
                           sal_error_t *err);

/* An error as a page or, to scripts on pages, as a bare list. */
int signature_error(crashstats_req_t *q, int status, const char *text);
/* The same after a failure of the search or the database. */
int signature_failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err);
/* "You are not allowed to aggregate on the "X" field" */
int signature_not_allowed(crashstats_req_t *q, const char *what, const char *field);

/* Parts of the page as template data, put into data. */
void signature_put_head(signature_t *s, json_t *data);
void signature_put_summary(signature_t *s, json_t *data);
void signature_put_aggregations(signature_t *s, json_t *data);
void signature_put_reports(signature_t *s, json_t *data);
void signature_put_graph(signature_t *s, json_t *data);
void signature_put_comments(signature_t *s, json_t *data);
void signature_put_bugs(signature_t *s, json_t *data);
void signature_put_correlations(signature_t *s, json_t *data);
void signature_put_life(signature_t *s, json_t *data);

/* May the reader use this field? Unknown ones: no. */
bool signature_may_use(const crashstats_req_t *q, const char *field);

/* /signature/graphs/FIELD/ */
int signature_graph(crashstats_req_t *q, const char *field);

/* The channel whose correlations are shown, by the conditions. */
const char *signature_channel(const sal_ask_t *ask, apr_pool_t *p);

/* Correlations of the product and channel; in the work of signature_find. */
apr_status_t signature_correlate(signature_t *s, sal_db_t *db, sal_error_t *err);
/* State, notes, history, bugs, first appearance; the same. */
apr_status_t signature_life(signature_t *s, sal_db_t *db, sal_error_t *err);

/* A person who may write: has signed in, and has the right that triage-permission names. */
bool signature_may_write(const crashstats_req_t *q);

#endif
