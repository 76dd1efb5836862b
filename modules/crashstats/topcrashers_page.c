/*
 * /topcrashers/: parameters, their errors and redirects; the board itself, two versions side by
 * side, and what got worse in a version. What stands on them: lib/triage/top.h, lib/render/top.h.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "base/text.h"
#include "render/format.h"
#include "render/top.h"
#include "triage/products.h"

#define DAY apr_time_from_sec(24 * 3600)
enum { HISTORY_DAYS = 182 }; /* of earlier versions */

typedef enum { BOARD, COMPARE, REGRESSIONS } kind_t;

typedef struct work_t {
    crashstats_req_t *q;
    kind_t kind;
    sal_top_ask_t ask;
    sal_top_env_t env;
    sal_board_filter_t filter;
    sal_super_reader_t reader;
    sal_product_page_t product;
    const char **known; /* versions */
    int n_known;
    const char *a, *b;
    bool go_on; /* false: a version has to be chosen first */
    const char *choose;
    sal_top_t top;
    sal_top_compare_t compare;
    sal_top_regressions_t regressions;
} work_t;

/* ---- parameters ---- */

static int bad(crashstats_req_t *q, const char *text)
{
    return crashstats_message(q, HTTP_BAD_REQUEST, "This cannot be shown", text);
}

/* What is not one of the values is the first of them. */
static const char *choice(crashstats_req_t *q, const char *param)
{
    const char *value = sal_top_value(param, web_param(q->query, param));

    return value ? value : sal_top_values(param)[0];
}

/* NULL: fine; else what is wrong. */
static const char *read_days(work_t *w)
{
    const char *text = web_param(w->q->query, "days");
    int64_t n = 0;

    if (text && *text && !sal_parse_int(text, INT64_MIN, INT64_MAX, &n)) {
        return "'days' not a number";
    }
    if (text && *text && !sal_top_value("days", apr_ltoa(w->q->r->pool, (long)n))) {
        return "'days' not a recognized number";
    }
    w->ask.days = text && *text ? (int)n : 7;
    return NULL;
}

static const char *read_report_type(work_t *w)
{
    const char *text = web_param(w->q->query, "_report_type");

    w->ask.report_type = choice(w->q, "_report_type");
    return text && *text && !sal_top_value("_report_type", text)
               ? "'_report_type': select a valid choice: any, crash or hang"
               : NULL;
}

/* Those that are given, each once; an empty one stands for all of them. */
static void read_versions(work_t *w)
{
    apr_pool_t *p = w->q->r->pool;
    apr_array_header_t *given = web_param_all(w->q->query, "version", p);
    const char **list = apr_pcalloc(p, sizeof(char *) * ((apr_size_t)given->nelts + 1));
    int n = 0;

    for (int i = 0; i < given->nelts && n < 50; i++) {
        const char *one = APR_ARRAY_IDX(given, i, const char *);
        bool twice = !*one;

        for (int k = 0; k < n && !twice; k++) {
            twice = !strcmp(list[k], one);
        }
        if (!twice) {
            list[n++] = one;
        }
    }
    w->ask.versions = list;
    w->go_on = given->nelts > 0 || w->kind == COMPARE;
}

static const char *read_ask(work_t *w)
{
    crashstats_req_t *q = w->q;
    const char *problem;
    int64_t size = 50;

    w->ask.product = web_param(q->query, "product");
    if (!w->ask.product || !*w->ask.product) {
        return "'product': this field is required";
    }
    if (strlen(w->ask.product) > 255 || !sal_utf8_valid(w->ask.product, strlen(w->ask.product))) {
        return "Unrecognized product";
    }
    if ((problem = read_days(w)) || (problem = read_report_type(w))) {
        return problem;
    }
    read_versions(w);
    w->ask.process_type = choice(q, "process_type");
    w->ask.platform = choice(q, "platform");
    w->ask.by_build = !strcmp(choice(q, "_range_type"), "build");
    w->ask.by_day = !strcmp(choice(q, "_tcbs_mode"), "byday");
    (void)sal_parse_int(choice(q, "_facets_size"), 1, 1000, &size);
    w->ask.size = (int)size;
    w->ask.several = !strcmp(choice(q, "_installs"), "2");
    w->ask.sort = choice(q, "_sort");
    return NULL;
}

static void make_filter(work_t *w)
{
    apr_time_t now = apr_time_now();

    w->env.now = now - now % APR_USEC_PER_SEC;
    w->env.to = w->ask.by_day ? now - now % DAY : w->env.now;
    w->env.from = w->env.to - w->ask.days * DAY;
    w->filter = (sal_board_filter_t){
        .product = w->ask.product, .versions = w->ask.versions, .from = w->env.from, .to = w->env.to
    };
    if (strcmp(w->ask.process_type, "any")) {
        w->filter.process_type = w->ask.process_type;
    }
    if (strcmp(w->ask.platform, "all")) {
        w->filter.platform = w->ask.platform;
    }
    if (strcmp(w->ask.report_type, "any")) {
        w->filter.report_type = w->ask.report_type;
    }
    if (w->ask.by_build) {
        w->filter.build_from = w->env.from;
        w->filter.build_to = w->env.to;
    }
}

/* ---- reading ---- */

static apr_status_t read_known(work_t *w, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_product_version_row_t *rows;
    apr_status_t rv = sal_product_page(&w->product, w->ask.product, db, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_product_versions(&rows, &w->n_known, &w->product, db, p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    w->known = apr_pcalloc(p, sizeof(char *) * ((apr_size_t)w->n_known + 1));
    for (int i = 0; i < w->n_known; i++) {
        w->known[i] = rows[i].version;
    }
    if (!w->go_on && w->n_known) {
        w->choose = w->known[0];
    }
    w->go_on = !w->choose;
    if (w->ask.versions[0] && !w->ask.versions[1]) {
        w->env.before = sal_top_before(w->ask.versions[0], w->known, w->n_known);
    }
    return APR_SUCCESS;
}

static apr_status_t run(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;
    apr_status_t rv = read_known(w, db, p, err);

    if (rv != APR_SUCCESS || !w->go_on) {
        return rv;
    }
    if (w->kind == COMPARE) {
        return sal_top_compare(&w->compare, &w->filter, w->a, w->b, &w->reader, db, p, err);
    }
    if (w->kind == REGRESSIONS) {
        return sal_top_regressions(&w->regressions, &w->filter, w->ask.versions[0], w->known,
                                   w->n_known, w->env.now - HISTORY_DAYS * DAY, &w->reader, db, p,
                                   err);
    }
    return sal_top_read(&w->top, &w->filter, w->ask.size, w->env.now, &w->reader, db, p, err);
}

/* ---- answers ---- */

static int failed(work_t *w, apr_status_t rv, const sal_error_t *err)
{
    if (rv == APR_ENOENT) {
        return crashstats_message(w->q, HTTP_NOT_FOUND, "There is no such product",
                                  "No crash has come from a product of this name.");
    }
    if (rv == SAL_E_MALFORMED || rv == APR_TIMEUP) {
        return bad(w->q, err->message);
    }
    return crashstats_sick(w->q, err);
}

/* The same with a version. */
static int choose(work_t *w, const char *path)
{
    const char *versions[] = { w->choose, NULL };

    w->ask.versions = versions;
    return web_redirect(
        w->q->r, HTTP_MOVED_TEMPORARILY,
        sal_top_address(path, &w->ask, "format", web_param(w->q->query, "format"), w->q->r->pool));
}

static int page(work_t *w, const char *name, const char *title, json_t *data)
{
    w->q->product = w->ask.product;
    w->q->version = w->ask.versions[0];
    w->q->report = "topcrashers";
    json_object_set_new(data, "title", json_string(title));
    json_object_set_new(data, "plain_title", json_true());
    return crashstats_page(w->q, HTTP_OK, name, "Top crashers", data);
}

static int as_csv(work_t *w)
{
    request_rec *r = w->q->r;
    const char *text = sal_top_csv(&w->top, r->pool);

    apr_table_setn(r->headers_out, "Content-Disposition",
                   "attachment; filename=\"topcrashers.csv\"");
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-cache");
    return web_reply(r, HTTP_OK, "text/csv; charset=UTF-8", text, strlen(text));
}

static int board(work_t *w)
{
    const char *format = web_param(w->q->query, "format");
    apr_pool_t *p = w->q->r->pool;
    json_t *data;

    sal_top_arrange(&w->top, &w->ask);
    if (format && !strcmp(format, "csv")) {
        return as_csv(w);
    }
    if (format && !strcmp(format, "json")) {
        apr_table_setn(w->q->r->headers_out, "Cache-Control", "private, no-cache");
        return web_reply_json(w->q->r, HTTP_OK, sal_top_json(&w->top, &w->ask, &w->env, p));
    }
    data = sal_top_view(&w->top, &w->ask, &w->env, p);
    return page(w, "topcrashers", apr_pstrcat(p, "Top crashers of ", w->ask.product, NULL), data);
}

static int serve(crashstats_req_t *q, kind_t kind, const char *path)
{
    work_t w = { .q = q, .kind = kind };
    sal_error_t err = { 0 };
    const char *problem = read_ask(&w);
    apr_pool_t *p = q->r->pool;
    apr_status_t rv;

    w.a = web_param(q->query, "a");
    w.b = web_param(q->query, "b");
    if (!problem && kind == COMPARE && !(w.a && *w.a && w.b && *w.b)) {
        problem = "'a' and 'b': name two versions";
    }
    if (problem) {
        return bad(q, problem);
    }
    make_filter(&w);
    w.reader = (sal_super_reader_t){ .pii = q->pii, .known = q->who.user != NULL };
    w.env.bug_url = crashstats_bug_pattern(q);
    if ((rv = web_with_db(q->r, run, &w, &err)) != APR_SUCCESS) {
        return failed(&w, rv, &err);
    }
    if (!w.go_on) {
        return choose(&w, path);
    }
    if (kind == COMPARE) {
        return page(&w, "topcrashers-compare",
                    apr_psprintf(p, "%s %s and %s", w.ask.product, w.a, w.b),
                    sal_top_compare_view(&w.compare, &w.ask, w.a, w.b, &w.env, p));
    }
    if (kind == REGRESSIONS) {
        return page(&w, "topcrashers-regressions",
                    apr_psprintf(p, "Regressions in %s %s", w.ask.product, w.ask.versions[0]),
                    sal_top_regressions_view(&w.regressions, &w.ask, w.ask.versions[0], &w.env, p));
    }
    return board(&w);
}

int crashstats_topcrashers(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return serve(q, BOARD, "/topcrashers/");
}

int crashstats_topcrashers_compare(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return serve(q, COMPARE, "/topcrashers/compare/");
}

/* All versions have no version before them. */
int crashstats_topcrashers_regressions(crashstats_req_t *q, const char *rest)
{
    const char *version = web_param(q->query, "version");

    (void)rest;
    if (version && !*version) {
        return bad(q, "'version': name one version");
    }
    return serve(q, REGRESSIONS, "/topcrashers/regressions/");
}
