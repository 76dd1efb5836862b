/*
 * What the files of the search page share: its address as an ask (render/ask.h), and how that is
 * asked of lib/search.
 */
#ifndef MODULES_CRASHSTATS_SEARCH_H
#define MODULES_CRASHSTATS_SEARCH_H

#include "crashstats/crashstats.h"
#include "render/ask_result.h"
#include "search/super.h"
#include "triage/saved.h"

enum { SEARCH_ROWS = 50, SEARCH_DEEPEST = 10000 };

/*
 * The address as an ask; `from` and `to` have become conditions on the date. SAL_E_MALFORMED: one
 * of them is no date; the ask is complete but for it.
 */
apr_status_t crashstats_ask(sal_ask_t **out, crashstats_req_t *q, apr_table_t *params,
                            sal_error_t *err);

/* A form that was sent: to the address that asks what it says. */
int crashstats_search_sent(crashstats_req_t *q);

/* Seconds of a `_range` ("7d"), its words, or 0 and NULL. */
int crashstats_range(const char *name, const char **words);
/* [from, to) of `_range`; false if the ask has none. */
bool crashstats_range_of(const sal_ask_t *ask, apr_time_t now, apr_time_t *from, apr_time_t *to);

/* The conditions of an ask, its dates, and `_neg`: what every run of it begins with. */
sal_super_t *crashstats_super(crashstats_req_t *q, const sal_ask_t *ask, apr_time_t now,
                              apr_pool_t *p);

/* Names of facets that an ask wants, ended by NULL: `_facets`, `_aggs.*`, `_histogram.*`, or the
   usual ones. */
const char *const *crashstats_facets(const sal_ask_t *ask);

/* Form, chips, sentence, shortcuts: whatever the page shows of the question itself. */
void crashstats_put_ask(crashstats_req_t *q, const sal_ask_t *ask, json_t *data, apr_time_t from,
                        apr_time_t to);

/* Rows of a page: `_results_number`, 1 to 1000. False if it is none; *rows is SEARCH_ROWS then. */
bool crashstats_rows(const sal_ask_t *ask, int *rows);

/*
 * Why there is nothing: each condition left out in turn, new reference: [{"words", "count",
 * "some", "link", "hint", "hint_link", "hint_count"}]. Errors of the database end it early.
 */
json_t *crashstats_why(crashstats_req_t *q, const sal_ask_t *ask, apr_time_t now, sal_db_t *db,
                       apr_pool_t *p);

/* "value" of {"total": n} after a run that wants nothing else; -1 after an error. */
apr_int64_t crashstats_count(crashstats_req_t *q, const sal_ask_t *ask, apr_time_t now,
                             sal_db_t *db, apr_pool_t *p);

/* DECLINED, or the answer to who asks too often (search_page.c). */
int crashstats_search_limit(crashstats_req_t *q);

/* A row of a list of saved searches (saved_page.c; templates/saved-rows.mustache). */
json_t *crashstats_saved_row(crashstats_req_t *q, const sal_saved_t *s);

/* Whether this POST is of a person, and no forgery; if not, *rc is the answer. */
bool crashstats_may_change(crashstats_req_t *q, apr_table_t *form, int *rc);

#endif
