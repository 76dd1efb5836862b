/*
 * Steps: the next crashes of each request become jobs, as many as its rate and the queue allow.
 * The request's row is locked for the length of a step, so that daemons take turns.
 */
#include "reprocess/reprocess.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "reprocess/reprocess_private.h"
#include "queue/queue.h"
#include "search/query_ids.h"

#define PAGE 1000        /* crashes a step */
#define READY_MAX 5000   /* jobs of a request that wait at once: the queue stays small */
#define SAVED_SECONDS 10 /* of its rate that a request may make up for */

typedef struct step_t {
    int64_t after; /* requests up to this one have had their turn */
    int64_t id;    /* 0: there is no other */
    int64_t queued;
    bool more; /* a whole page was taken: there may be another */

    const char *kind, *ruleset;
    const json_t *query;
    int rate;
    bool expanded;
    int64_t cursor_item, ready, running;
    const char *cursor_date, *cursor_uuid; /* NULL: at the beginning */
    double elapsed;
    apr_status_t refused; /* of the stored query: the request cannot go on */
    char why[200];
} step_t;

/* What a page is made of. */
typedef struct page_t {
    const char **ids, **rulesets;
    int n;
} page_t;

static const char *text_or_null(const sal_rows_t *rows, int row, int col)
{
    return sal_rows_null(rows, row, col) ? NULL : sal_rows_text(rows, row, col);
}

static apr_status_t read_next(step_t *s, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_next, &rows, p, err, SAL_V_INT(s->after));
    const char *query;

    s->id = 0;
    s->more = false;
    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv;
    }
    s->id = sal_rows_int(rows, 0, 0);
    s->kind = sal_rows_text(rows, 0, 1);
    query = sal_rows_text(rows, 0, 2);
    s->ruleset = sal_rows_text(rows, 0, 3);
    s->rate = (int)sal_rows_int(rows, 0, 4);
    s->expanded = sal_rows_bool(rows, 0, 5);
    s->cursor_item = sal_rows_int(rows, 0, 7);
    s->cursor_date = text_or_null(rows, 0, 8);
    s->cursor_uuid = text_or_null(rows, 0, 9);
    s->elapsed = sal_rows_double(rows, 0, 10);
    s->ready = sal_rows_int(rows, 0, 11);
    s->running = sal_rows_int(rows, 0, 12);
    return sal_json_parse((json_t **)&s->query, query, strlen(query), p, err);
}

static int allowed(const step_t *s)
{
    double by_rate = s->rate * (s->elapsed > SAVED_SECONDS ? SAVED_SECONDS
                                : s->elapsed > 0           ? s->elapsed
                                                           : 0);
    int64_t room = READY_MAX - s->ready;
    int n = PAGE;

    if (s->rate > 0 && by_rate < n) {
        n = (int)by_rate;
    }
    return room < n ? room < 0 ? 0 : (int)room : n;
}

/* ---- pages ---- */

static void page_from(page_t *page, const sal_rows_t *rows, const char *ruleset, apr_pool_t *p)
{
    page->n = rows ? sal_rows_count(rows) : 0;
    page->ids = apr_palloc(p, ((apr_size_t)page->n + 1) * sizeof(*page->ids));
    page->rulesets = apr_palloc(p, ((apr_size_t)page->n + 1) * sizeof(*page->rulesets));
    for (int i = 0; i < page->n; i++) {
        page->ids[i] = sal_rows_text(rows, i, 0);
        page->rulesets[i] = ruleset;
    }
}

static apr_status_t page_of_items(page_t *page, step_t *s, int max, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_items, &rows, p, err, SAL_V_INT(s->id),
                                  SAL_V_INT(s->cursor_item), SAL_V_INT(max));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    page_from(page, rows, s->ruleset, p);
    for (int i = 0; i < page->n; i++) {
        if (!sal_rows_null(rows, i, 1)) {
            page->rulesets[i] = sal_rows_text(rows, i, 1);
        }
        s->cursor_item = sal_rows_int(rows, i, 2);
    }
    return APR_SUCCESS;
}

/* Rows of (uuid, date), newest first. */
static void page_of_rows(page_t *page, step_t *s, const sal_rows_t *rows, apr_pool_t *p)
{
    page_from(page, rows, s->ruleset, p);
    if (page->n > 0) {
        s->cursor_uuid = sal_rows_text(rows, page->n - 1, 0);
        s->cursor_date = sal_rows_text(rows, page->n - 1, 1);
    }
}

static apr_status_t page_of_search(page_t *page, step_t *s, int max, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err)
{
    sal_query_t *query;
    sal_rows_t *rows;
    apr_status_t rv = sal_reprocess_query(&query, s->query, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_query_ids(&rows, query, s->cursor_date, s->cursor_uuid, max, db, p, err);
    }
    if (rv == APR_SUCCESS) {
        page_of_rows(page, s, rows, p);
    }
    return rv;
}

static apr_status_t page_of_module(page_t *page, step_t *s, int max, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err)
{
    sal_module_t module;
    sal_rows_t *rows;
    apr_status_t rv = sal_reprocess_module_of(&module, s->query, db, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_reprocess_module_page, &rows, p, err, SAL_V_TEXT(module.terms),
                         SAL_V_TEXT(module.debug_file), SAL_V_TEXT(module.debug_id),
                         SAL_V_TEXT(s->cursor_date), SAL_V_TEXT(s->cursor_uuid), SAL_V_INT(max));
    }
    if (rv == APR_SUCCESS) {
        page_of_rows(page, s, rows, p);
    }
    return rv;
}

static apr_status_t next_page(page_t *page, step_t *s, int max, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    if (!strcmp(s->kind, "search")) {
        return page_of_search(page, s, max, db, p, err);
    }
    return !strcmp(s->kind, "module") ? page_of_module(page, s, max, db, p, err)
                                      : page_of_items(page, s, max, db, p, err);
}

/* ---- a step of one request ---- */

static apr_status_t put_page(step_t *s, const page_t *page, int max, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    apr_size_t n = (apr_size_t)page->n;
    apr_status_t rv = APR_SUCCESS;

    if (n > 0) {
        rv = sal_db_exec(db, &sal_s_reprocess_put, NULL, p, err, SAL_V_TEXTS(page->ids, n),
                         SAL_V_TEXTS(page->rulesets, n), SAL_V_INT(s->id));
    }
    if (rv == APR_SUCCESS && n > 0) {
        rv = sal_queue_notify(db, SAL_LANE_REPROCESS, p, err);
    }
    if (rv == APR_SUCCESS) {
        s->expanded = page->n < max;
        s->more = !s->expanded;
        s->queued = page->n;
        rv = sal_db_exec(db, &sal_s_reprocess_moved, NULL, p, err, SAL_V_INT(s->id),
                         SAL_V_INT(page->n), SAL_V_BOOL(s->expanded), SAL_V_INT(s->cursor_item),
                         SAL_V_TEXT(s->cursor_date), SAL_V_TEXT(s->cursor_uuid));
    }
    return rv;
}

/* A query that was good when it was made and is not any more stops its request, not the others. */
static apr_status_t refuse(step_t *s, apr_status_t rv, const sal_error_t *err)
{
    s->refused = rv;
    apr_cpystrn(s->why, err->message, sizeof(s->why));
    return rv;
}

static apr_status_t step_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    step_t *s = baton;
    page_t page;
    int max;
    apr_status_t rv;

    s->queued = 0;
    s->refused = APR_SUCCESS;
    if ((rv = read_next(s, db, p, err)) != APR_SUCCESS || !s->id) {
        return rv;
    }
    if (s->expanded) {
        return s->ready + s->running == 0
                   ? sal_db_exec(db, &sal_s_reprocess_done, NULL, p, err, SAL_V_INT(s->id))
                   : APR_SUCCESS;
    }
    if ((max = allowed(s)) < 1) {
        return APR_SUCCESS;
    }
    rv = next_page(&page, s, max, db, p, err);
    if (rv == SAL_E_MALFORMED) {
        return refuse(s, rv, err);
    }
    return rv == APR_SUCCESS ? put_page(s, &page, max, db, p, err) : rv;
}

typedef struct refusal_t {
    int64_t id;
    const char *why;
} refusal_t;

static apr_status_t refusal_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const refusal_t *r = baton;
    apr_status_t rv = sal_db_exec(db, &sal_s_reprocess_lock, NULL, p, err, SAL_V_INT(r->id));

    return rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_reprocess_cancel, NULL, p, err,
                                           SAL_V_INT(r->id), SAL_V_TEXT(r->why))
                             : rv;
}

/* One step of the next request after s->after. */
static apr_status_t step_one(step_t *s, sal_db_t *db, apr_pool_t *parent, sal_error_t *err)
{
    apr_pool_t *p;
    apr_status_t rv;

    apr_pool_create(&p, parent);
    rv = sal_db_txn(db, step_txn, s, p, err);
    if (rv != APR_SUCCESS && s->refused != APR_SUCCESS) {
        refusal_t r = { s->id, s->why };

        rv = sal_db_txn(db, refusal_txn, &r, p, err);
    }
    apr_pool_destroy(p);
    return rv;
}

apr_status_t sal_reprocess_step(int64_t *queued, int seconds, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(seconds);
    apr_status_t rv = APR_SUCCESS;
    bool more = true;

    *queued = 0;
    while (more && rv == APR_SUCCESS) { /* rounds: each request has a page in turn */
        step_t s = { .after = 0 };

        more = false;
        while ((rv = step_one(&s, db, p, err)) == APR_SUCCESS && s.id) {
            *queued += s.queued;
            more = more || s.more;
            s.after = s.id;
        }
        more = more && apr_time_now() < end;
    }
    return rv;
}
