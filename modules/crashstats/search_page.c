/*
 * The search page: the question, and what it finds. Without scripts everything is here, in one
 * answer; /search/results/ is its lower part alone, for programs that put it into pages.
 */
#include "crashstats/search.h"

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "common/person.h"
#include "render/chart.h"
#include "render/format.h"
#include "render/list.h"
#include "triage/bugs.h"

enum { MAX_PAGES = SEARCH_DEEPEST, MAX_BARS = 130 };

/* One answer of the page. */
typedef struct search_t {
    crashstats_req_t *q;
    sal_ask_t *ask;
    apr_time_t now, from, to, took;
    int page, rows, step; /* step: seconds of a bar */
    const char *const *columns;
    const char *const *facets;
    int n_columns;
    json_t *result, *why, *bugs;
} search_t;

/* ---- asking ---- */

/* Bars of the chart: about sixty, of a length that people count in. */
static const char *interval(const search_t *s, int *step)
{
    static const struct {
        int most, step;
        const char *name;
    } steps[] = { { 49, 3600, "1h" },
                  { 8 * 24 + 1, 3 * 3600, "3h" },
                  { 32 * 24, 12 * 3600, "12h" },
                  { 120 * 24, 86400, "1d" },
                  { INT32_MAX, 7 * 86400, "1w" } };
    apr_time_t hours = apr_time_sec(s->to - s->from) / 3600;
    int i = 0;

    while (hours > steps[i].most) {
        i++;
    }
    *step = steps[i].step;
    return steps[i].name;
}

static bool asks_date_histogram(const search_t *s)
{
    return sal_ask_value(s->ask, "_histogram.date") ||
           strstr(sal_ask_values(s->ask, "_facets"), "_histogram.date");
}

static void want_facets(search_t *s, sal_super_t *super)
{
    sal_ask_t *ask = s->ask;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (strncmp(one->name, "_aggs.", 6) == 0 || strncmp(one->name, "_histogram", 10) == 0 ||
            strcmp(one->name, "_facets_size") == 0) {
            sal_super_param(super, one->name, one->value);
        }
    }
    for (const char *const *name = s->facets; *name; name++) {
        /* those of "_aggs." and "_histogram." parameters come with these */
        if (strncmp(*name, "_histogram.", 11) != 0 || !sal_ask_value(ask, *name)) {
            sal_super_param(super, "_facets", *name);
        }
    }
    if (!asks_date_histogram(s)) {
        sal_super_param(super, "_facets", "_histogram.date");
        sal_super_param(super, "_histogram_interval.date", interval(s, &s->step));
    }
    sal_super_param(super, "_facets", "_cardinality.install_time");
    sal_super_param(super, "_facets", "_cardinality.signature");
}

static sal_super_t *question(search_t *s, apr_pool_t *p)
{
    sal_super_t *super = crashstats_super(s->q, s->ask, s->now, p);
    const char *after = sal_ask_value(s->ask, "_after"), *sort = NULL;

    sal_super_param(super, "_columns", "uuid");
    sal_super_param(super, "_columns", "date");
    for (int i = 0; i < s->n_columns; i++) {
        if (strcmp(s->columns[i], "date") != 0) {
            sal_super_param(super, "_columns", s->columns[i]);
        }
    }
    for (int i = 0; i < s->ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(s->ask->pairs, i, sal_ask_pair_t);

        if (strcmp(one->name, "_sort") == 0) {
            sal_super_param(super, "_sort", sort = one->value);
        }
    }
    if (!sort) {
        sal_super_param(super, "_sort", "-date");
    }
    sal_super_param(super, "_results_number", apr_itoa(p, s->rows));
    if (after) {
        sal_super_param(super, "_after", after);
    } else {
        sal_super_param(super, "_results_offset", apr_itoa(p, (s->page - 1) * s->rows));
    }
    want_facets(s, super);
    return super;
}

/* Bugs of the signatures of the panel, so that nobody looks at what is looked after. */
static apr_status_t ask_bugs(search_t *s, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const json_t *list = json_object_get(json_object_get(s->result, "facets"), "signature");
    const char **texts = apr_pcalloc(p, (json_array_size(list) + 1) * sizeof *texts);
    sal_rows_t *rows;
    apr_status_t rv;
    json_t *one;
    size_t i;
    int n = 0;

    json_array_foreach(list, i, one)
    {
        const char *term = sal_json_str(one, "term");

        if (term) {
            texts[n++] = term;
        }
    }
    s->bugs = json_object();
    if (n == 0 || (rv = sal_bugs_of(&rows, texts, n, db, p, err)) != APR_SUCCESS) {
        return n == 0 ? APR_SUCCESS : rv;
    }
    for (int k = 0; k < sal_rows_count(rows); k++) {
        const char *signature = sal_rows_text(rows, k, 1), *id = sal_rows_text(rows, k, 0);
        json_t *bugs = json_object_get(s->bugs, signature);

        if (!bugs) {
            json_object_set_new(s->bugs, signature, bugs = json_array());
        }
        json_array_append_new(bugs, json_pack("{s:s, s:s}", "id", id, "link",
                                              apr_pstrcat(p, "/buginfo/bug?bug_ids=", id, NULL)));
    }
    return APR_SUCCESS;
}

static apr_status_t run(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    search_t *s = baton;
    sal_super_t *super;
    apr_time_t start = apr_time_now();
    apr_status_t rv;

    json_decref(s->result); /* of a try that the database made void */
    json_decref(s->why);
    json_decref(s->bugs);
    s->result = s->why = s->bugs = NULL;
    super = crashstats_super(s->q, s->ask, s->now, p);
    rv = sal_super_window(super, &s->from, &s->to, err);
    if (rv == APR_SUCCESS) {
        super = question(s, p);
        rv = sal_super_run(&s->result, super, db, p, err);
    }
    s->took = apr_time_now() - start;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (json_integer_value(json_object_get(s->result, "total")) == 0) {
        s->why = crashstats_why(s->q, s->ask, s->now, db, p);
    }
    return ask_bugs(s, db, p, err);
}

/* ---- showing ---- */

static void put_bugs(const search_t *s, json_t *panels)
{
    json_t *panel, *item;
    size_t i, k;

    json_array_foreach(panels, i, panel)
    {
        const char *name = sal_json_str(panel, "name");
        const char *const parts[] = { "items", "more" };

        for (int part = 0; part < 2 && strcmp(name, "signature") == 0; part++) {
            json_array_foreach(json_object_get(panel, parts[part]), k, item)
            {
                const char *term = sal_json_str(item, "term");
                json_t *bugs = term ? json_object_get(s->bugs, term) : NULL;

                if (bugs) {
                    json_object_set(item, "bugs", bugs);
                }
            }
        }
    }
}

/* Where the bar of an answer's term stands; weeks begin on Monday. */
static int bar_of(const char *term, apr_time_t first, int step)
{
    apr_time_t t;

    return sal_time_parse(term, &t) && t >= first ? (int)(apr_time_sec(t - first) / step) : -1;
}

static apr_time_t first_bar(const search_t *s)
{
    const apr_int64_t week = 7 * 86400, thursday = 3 * 86400; /* 1970 began on one */
    apr_int64_t from = apr_time_sec(s->from);

    return apr_time_from_sec(s->step == week ? from - (from + thursday) % week
                                             : from - from % s->step);
}

static const char *step_words(int step)
{
    return step == 3600        ? "hour"
           : step == 3 * 3600  ? "3 hours"
           : step == 12 * 3600 ? "12 hours"
           : step == 86400     ? "day"
                               : "week";
}

/* Below the bars: days, at most eight of them; hours where there are only a few days. */
static const char *tick_of(const search_t *s, apr_time_t from, apr_pool_t *p)
{
    apr_int64_t at = apr_time_sec(from), days = apr_time_sec(s->to - s->from) / 86400 + 1;
    apr_int64_t every = s->step == 3600 ? 6 * 3600 : (days + 7) / 8 * 86400;

    if (s->step == 7 * 86400) {
        return (at / s->step) % 4 ? NULL : sal_chart_day(from, p);
    }
    if (at % every) {
        return NULL;
    }
    return at % 86400 ? apr_pstrndup(p, sal_format_time(from, 1, p) + 11, 5)
                      : sal_chart_day(from, p);
}

static void put_chart(const search_t *s, json_t *data)
{
    const json_t *list = json_object_get(json_object_get(s->result, "facets"), "histogram_date");
    apr_time_t first = first_bar(s), step = apr_time_from_sec(s->step);
    int bars = (int)((s->to - first + step - 1) / step);
    apr_pool_t *p = s->ask->p;
    int64_t *n;
    const char **names, **links, **ticks;
    sal_chart_series_t series = { .name = "crashes" };
    sal_chart_t chart = { .what = apr_psprintf(p, "crashes per %s", step_words(s->step)),
                          .head = "From",
                          .series = 1,
                          .list = &series,
                          .low = true };
    json_t *one, *made;
    size_t i;

    if (bars < 2 || bars > MAX_BARS || !json_array_size(list)) {
        return;
    }
    n = apr_pcalloc(p, (apr_size_t)bars * sizeof *n);
    names = apr_pcalloc(p, (apr_size_t)bars * sizeof *names);
    links = apr_pcalloc(p, (apr_size_t)bars * sizeof *links);
    ticks = apr_pcalloc(p, (apr_size_t)bars * sizeof *ticks);
    json_array_foreach(list, i, one)
    {
        const char *term = sal_json_str(one, "term");
        int bar = term ? bar_of(term, first, s->step) : -1;

        if (bar >= 0 && bar < bars) {
            n[bar] = json_integer_value(json_object_get(one, "count"));
        }
    }
    for (int k = 0; k < bars; k++) {
        apr_time_t from = first + k * step;

        names[k] = s->step < 86400 && apr_time_sec(from) % 86400
                       ? apr_psprintf(p, "%s %.5s", sal_chart_day(from, p),
                                      sal_format_time(from, 1, p) + 11)
                       : sal_chart_day(from, p);
        ticks[k] = k < bars - bars / 16 ? tick_of(s, from, p) : NULL; /* room for words */
        links[k] =
            apr_pstrcat(p, "/search/?",
                        sal_ask_query(sal_ask_between(s->ask, from < s->from ? s->from : from,
                                                      from + step > s->to ? s->to : from + step)),
                        NULL);
    }
    series.n = n;
    chart.bars = bars;
    chart.names = names;
    chart.links = links;
    chart.ticks = ticks;
    if ((made = sal_chart_bars(&chart, p))) {
        json_object_set_new(data, "chart", made);
        json_object_set_new(data, "chart_step", json_string(step_words(s->step)));
    }
}

static apr_int64_t distinct(const search_t *s, const char *name)
{
    const json_t *facets = json_object_get(s->result, "facets");

    return json_integer_value(json_object_get(json_object_get(facets, name), "value"));
}

/* "4,386 crashes from 2,130 installs", "61 signatures", "0.18 s, exact". */
static void put_figures(const search_t *s, json_t *data, apr_int64_t total)
{
    apr_pool_t *p = s->ask->p;
    apr_int64_t installs = distinct(s, "cardinality_install_time");
    apr_int64_t signatures = distinct(s, "cardinality_signature");
    json_t *errors = json_object_get(s->result, "errors"), *one, *notes = json_array();
    bool exact = true;
    size_t i;

    json_array_foreach(errors, i, one)
    {
        const char *type = sal_json_str(one, "type");

        if (type && strcmp(type, "not_allowed") != 0) {
            exact = false;
            json_array_append_new(notes, json_string(strcmp(type, "sampled") == 0
                                                         ? "Too many crashes match: facets are "
                                                           "estimated from a sample of them."
                                                         : "A part of this answer is missing: it "
                                                           "took too long."));
        }
    }
    json_object_set_new(data, "partial", notes);
    json_object_set_new(data, "total", json_string(sal_format_count(total, p)));
    json_object_set_new(data, "single", json_boolean(total == 1));
    if (installs > 0) {
        json_object_set_new(data, "installs", json_string(sal_format_count(installs, p)));
        json_object_set_new(data, "one_install", json_boolean(installs == 1));
    }
    if (signatures > 0) {
        json_object_set_new(data, "signatures", json_string(sal_format_count(signatures, p)));
        json_object_set_new(data, "one_signature", json_boolean(signatures == 1));
    }
    json_object_set_new(data, "took",
                        json_string(apr_psprintf(p, "%.2f s, %s", (double)s->took / 1e6,
                                                 exact ? "exact" : "estimated")));
}

/* Behind row 10,000 the last row says where to go on; only the newest-first order can do that. */
static void put_pager(const search_t *s, json_t *data, apr_int64_t total)
{
    apr_pool_t *p = s->ask->p;
    const json_t *hits = json_object_get(s->result, "hits");
    const json_t *last = json_array_get(hits, json_array_size(hits) - 1);
    const char *base = sal_ask_query(sal_ask_first_page(s->ask)), *prefix;
    const char *sort = sal_ask_value(s->ask, "_sort");
    apr_int64_t pages = (total + s->rows - 1) / s->rows, deepest = SEARCH_DEEPEST / s->rows;
    apr_int64_t from = (apr_int64_t)(s->page - 1) * s->rows + 1;
    apr_int64_t to = from - 1 + (apr_int64_t)json_array_size(hits);
    json_t *pager;

    prefix = apr_pstrcat(p, "/search/?", base, *base ? "&" : "", NULL);
    pager = sal_list_pager(s->page, (int)(pages < deepest ? pages : deepest), from, to, total,
                           apr_pstrcat(p, prefix, "page=", NULL), p);
    if (s->page >= deepest && s->page < pages && last && (!sort || strcmp(sort, "-date") == 0)) {
        json_object_set_new(
            pager, "next",
            json_string(apr_psprintf(p, "%spage=%d&_after=%s%%2C%s", prefix, s->page + 1,
                                     sal_format_urlencode(sal_json_str(last, "date"), p),
                                     sal_json_str(last, "uuid"))));
    }
    if (s->page > deepest) {
        json_object_set_new(pager, "links", json_array());
        json_object_del(pager, "prev");
        json_object_set_new(pager, "first", json_string(prefix));
    }
    json_object_set_new(data, "pager", pager);
}

static void put_found(search_t *s, json_t *data)
{
    apr_int64_t total = json_integer_value(json_object_get(s->result, "total"));
    json_t *panels = sal_ask_facets(s->ask, json_object_get(s->result, "facets"), s->facets, total);
    json_t *table =
        sal_ask_table(s->ask, json_object_get(s->result, "hits"), s->columns, s->n_columns);

    put_bugs(s, panels);
    json_object_set_new(data, "ran", json_true());
    json_object_set_new(data, "panels", panels);
    json_object_set_new(data, "any_rows",
                        json_boolean(json_array_size(json_object_get(table, "rows")) > 0));
    json_object_set_new(data, "table", table);
    put_figures(s, data, total);
    if (total > 0) {
        if (s->step) { /* a histogram of the reader's own is in the facets */
            put_chart(s, data);
        }
        put_pager(s, data, total);
    } else {
        json_object_set_new(data, "none", json_true());
        json_object_set(data, "why", s->why);
    }
}

static json_t *page_data(const search_t *s)
{
    const char *sentence = sal_ask_sentence(s->ask);
    json_t *data =
        json_pack("{s:s, s:b}", "title",
                  *sentence ? apr_pstrcat(s->ask->p, "Search: ", sentence, NULL) : "Search",
                  "plain_title", 1);
    const char *csrf;
    sal_error_t err = { 0 };

    crashstats_put_ask(s->q, s->ask, data, s->from, s->to);
    if (s->q->who.user && !s->q->who.by_token &&
        (csrf = web_form_token(s->q->r, &s->q->who, &err))) {
        json_object_set_new(data, "save",
                            json_pack("{s:s, s:s}", "csrf", csrf, "query",
                                      sal_ask_query(sal_ask_first_page(s->ask))));
    }
    return data;
}

/* ---- errors ---- */

/* A fragment in a page says what is wrong by a list of one; a page shows the form again. */
static int refused(search_t *s, int status, const char *text, bool fragment)
{
    json_t *data;

    if (fragment) {
        json_t *list = json_pack("{s:s}", "text", text);

        return crashstats_page(s->q, status, "search-refused", NULL, list);
    }
    data = page_data(s);
    json_object_set_new(data, "problem", json_string(text));
    json_object_set_new(data, "open", json_true());
    return crashstats_page(s->q, status, "search", "Search", data);
}

static int failed(search_t *s, apr_status_t rv, const sal_error_t *err, bool fragment)
{
    if (rv == SAL_E_MALFORMED || rv == APR_TIMEUP) {
        return refused(s, HTTP_BAD_REQUEST, err->message, fragment);
    }
    if (rv == SAL_E_BUSY) {
        apr_table_setn(s->q->r->err_headers_out, "Retry-After", "5");
        return refused(s, HTTP_SERVICE_UNAVAILABLE,
                       "Too many searches run at once. Try again in a few seconds.", fragment);
    }
    return crashstats_sick(s->q, err);
}

/* ---- the page ---- */

/* 1.., or 0 for what is no number. */
static int page_number(const char *text)
{
    int64_t n;

    if (!text || !*text) {
        return 1;
    }
    if (!sal_parse_int(text, INT64_MIN, INT64_MAX, &n)) {
        return 0;
    }
    return n < 1 ? 1 : n > INT32_MAX / 1000 ? INT32_MAX / 1000 : (int)n;
}

static apr_status_t read_search(search_t *s, sal_error_t *err)
{
    apr_status_t rv = crashstats_ask(&s->ask, s->q, s->q->query, err);
    bool number = crashstats_rows(s->ask, &s->rows);

    s->now = apr_time_now() + apr_time_from_sec(1);
    s->columns = sal_ask_columns(s->ask, &s->n_columns);
    s->facets = crashstats_facets(s->ask);
    s->page = page_number(sal_ask_value(s->ask, "page"));
    if (rv == APR_SUCCESS && s->page == 0) {
        rv = sal_fail(err, SAL_E_MALFORMED, "Invalid page");
    }
    if (rv == APR_SUCCESS && !number) {
        rv = sal_fail(err, SAL_E_MALFORMED, "_results_number must be between 1 and 1,000");
    }
    return rv == APR_SUCCESS ? sal_ask_check(s->ask, err) : rv;
}

static int answer(crashstats_req_t *q, bool fragment)
{
    search_t s = { .q = q };
    sal_error_t err = { 0 };
    apr_status_t rv = read_search(&s, &err);
    json_t *data;
    int rc;

    if (rv == APR_SUCCESS && sal_ask_value(s.ask, "_dont_run") && !fragment) {
        sal_super_t *super = crashstats_super(q, s.ask, s.now, q->r->pool);

        (void)sal_super_window(super, &s.from, &s.to, NULL);
        return crashstats_page(q, HTTP_OK, "search", "Search", page_data(&s));
    }
    if (rv == APR_SUCCESS) {
        rv = web_with_db(q->r, run, &s, &err);
    }
    if (rv != APR_SUCCESS) {
        rc = failed(&s, rv, &err, fragment);
    } else {
        data = page_data(&s);
        put_found(&s, data);
        rc = crashstats_page(q, HTTP_OK, fragment ? "search-results" : "search", "Search", data);
    }
    json_decref(s.result);
    json_decref(s.why);
    json_decref(s.bugs);
    return rc;
}

int crashstats_search(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    q->report = "search";
    return web_param(q->query, "_form") ? crashstats_search_sent(q) : answer(q, false);
}

/* Scripts that ask for every letter typed are asked to wait; pages are not counted. */
int crashstats_search_limit(crashstats_req_t *q)
{
    static const char text[] = "Too Many Requests";
    int wait = crashstats_limit(q->r, CRASHSTATS_BUCKET_SEARCH, &q->conf->search_rate,
                                q->who.user || q->who.by_token);
    const char *by = apr_table_get(q->r->headers_in, "X-Requested-With");

    if (!wait) {
        return DECLINED;
    }
    apr_table_setn(q->r->err_headers_out, "Retry-After", apr_itoa(q->r->pool, wait));
    if ((by && strcmp(by, "XMLHttpRequest") == 0) || !web_wants_html(q->r)) {
        return web_reply(q->r, HTTP_TOO_MANY_REQUESTS, "text/plain; charset=UTF-8", text,
                         sizeof text - 1);
    }
    return crashstats_message(q, HTTP_TOO_MANY_REQUESTS, "Too many searches",
                              "Wait a minute, or sign in: more is allowed then.");
}

int crashstats_search_results(crashstats_req_t *q, const char *rest)
{
    int rc = crashstats_search_limit(q);

    (void)rest;
    return rc == DECLINED ? answer(q, true) : rc;
}

int crashstats_quick(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    const char *trimmed = crashstats_trimmed(web_param(q->query, "query"), p);

    (void)rest;
    if (!*trimmed) {
        return web_redirect(q->r, HTTP_MOVED_TEMPORARILY, "/search/");
    }
    if (crashstats_id(trimmed) == CRASHSTATS_ID_OK ||
        crashstats_id(trimmed) == CRASHSTATS_ID_PREFIXED) {
        const char *id = strncmp(trimmed, "bp-", 3) == 0 ? trimmed + 3 : trimmed;

        return web_redirect(q->r, HTTP_MOVED_TEMPORARILY,
                            apr_pstrcat(p, "/report/index/", id, NULL));
    }
    return web_redirect(
        q->r, HTTP_MOVED_TEMPORARILY,
        apr_pstrcat(p, "/search/?signature=~", sal_format_urlencode(trimmed, p), NULL));
}
