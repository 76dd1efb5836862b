/*
 * What was found of a signature as data of templates/signature-*.mustache.
 */
#include "crashstats/signature.h"

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/ask_result.h"
#include "render/chart.h"
#include "render/format.h"
#include "render/list.h"
#include "triage/correlate.h"

enum { DAY_S = 86400, TOP = 8, MARKS = 6 };

static const json_t *facet(const signature_t *s, const char *name)
{
    return json_object_get(json_object_get(s->main, "facets"), name);
}

static int64_t distinct(const signature_t *s, const char *name)
{
    return json_integer_value(json_object_get(facet(s, name), "value"));
}

static void put(json_t *o, const char *key, const char *text)
{
    if (text && *text) {
        json_object_set_new(o, key, json_string(text));
    }
}

static void add(json_t *list, json_t *one)
{
    if (one) {
        json_array_append_new(list, one);
    }
}

static sal_sigview_t view_of(const signature_t *s)
{
    return (sal_sigview_t){ .self = s->self, .ask = s->ask, .total = s->total, .p = s->p };
}

/* Whole days, and what is left of one. */
static int days_of(const signature_t *s)
{
    return (int)((s->to - s->from + apr_time_from_sec(DAY_S) - 1) / apr_time_from_sec(DAY_S));
}

static sal_sigview_days_t window_of(const signature_t *s)
{
    apr_time_t first = s->from - s->from % apr_time_from_sec(DAY_S);

    return (sal_sigview_days_t){ .from = first,
                                 .days =
                                     (int)((s->to - 1 - first) / apr_time_from_sec(DAY_S)) + 1 };
}

/* ---- head ---- */

static void add_figure(json_t *figures, const char *name, const char *value, const char *note,
                       const char *delta, const char *way)
{
    json_t *one = json_pack("{s:s, s:s}", "name", name, "value", value);

    put(one, "note", note);
    put(one, "delta", delta);
    put(one, "way", way);
    json_array_append_new(figures, one);
}

static void add_crashes(const signature_t *s, json_t *figures)
{
    int days = days_of(s);
    const char *name = apr_psprintf(s->p, "Crashes, %d day%s", days, days == 1 ? "" : "s");
    const char *delta = NULL, *way = NULL, *note;
    int64_t more = s->total - s->before;

    if (s->before > 0 && more) {
        delta = apr_psprintf(s->p, "%s %s %%", more > 0 ? "▲" : "▼",
                             sal_chart_percent(more > 0 ? more : -more, s->before, 0, s->p));
        way = more > 0 ? "up" : "down";
    }
    note = s->before == 0 ? (s->total ? "none in the days before" : "")
           : days == 1    ? "on the day before"
                          : apr_psprintf(s->p, "on the %d before", days);
    add_figure(figures, name, sal_format_count(s->total, s->p), note, delta, way);
}

static const char *each_text(int64_t total, int64_t installs, apr_pool_t *p)
{
    int64_t tenths = installs > 0 ? (total * 10 + installs / 2) / installs : 0;

    return installs > 0 ? apr_psprintf(p, "%s.%d crashes each", sal_format_count(tenths / 10, p),
                                       (int)(tenths % 10))
                        : "no install times";
}

static void put_figures(const signature_t *s, json_t *data)
{
    json_t *figures = json_array();
    int64_t installs = distinct(s, "cardinality_install_time");
    int64_t stacks = distinct(s, "cardinality_proto_signature");
    size_t versions = json_array_size(facet(s, "version"));
    sal_sigview_t v = view_of(s);
    json_t *one = sal_sigview_stacks(&v, facet(s, "proto_signature"), NULL, stacks);
    const char *range = sal_sigview_versions(facet(s, "version"), s->p);

    add_crashes(s, figures);
    add_figure(figures, "Installs", sal_format_count(installs, s->p),
               each_text(s->total, installs, s->p), NULL, NULL);
    add_figure(
        figures, "Share of product",
        apr_pstrcat(s->p, sal_chart_percent(s->total, s->product_total, 2, s->p), " %", NULL),
        apr_pstrcat(s->p, "of ", sal_format_count(s->product_total, s->p), s->product ? " of " : "",
                    s->product ? s->product : "", NULL),
        NULL, NULL);
    add_figure(figures, "First seen", s->first_seen ? s->first_seen : "not yet",
               s->first_build ? apr_pstrcat(s->p, "in build ", s->first_build, NULL) : NULL, NULL,
               NULL);
    add_figure(figures, "Versions", range ? range : "none",
               apr_psprintf(s->p, "%s%d version%s", versions >= 50 ? "at least " : "",
                            (int)versions, versions == 1 ? "" : "s"),
               NULL, NULL);
    add_figure(figures, "Distinct stacks", sal_format_count(stacks, s->p),
               sal_json_str(one, "verdict"), NULL, NULL);
    json_decref(one);
    json_object_set_new(data, "figures", figures);
}

static void add_tag(json_t *tags, const char *kind, const char *text)
{
    json_array_append_new(tags, json_pack("{s:s, s:s}", "kind", kind, "text", text));
}

static int64_t count_of(const json_t *list, const char *term)
{
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        const char *its = sal_json_str(one, "term");

        if (its && !strcasecmp(its, term)) {
            return json_integer_value(json_object_get(one, "count"));
        }
    }
    return 0;
}

/* What top crashers show as icons, in words. */
static void add_startup(const signature_t *s, json_t *tags)
{
    int64_t startup = count_of(facet(s, "startup_crash"), "T"), early = 0;
    json_t *one;
    size_t i;

    json_array_foreach(facet(s, "histogram_uptime"), i, one)
    {
        if (json_number_value(json_object_get(one, "term")) < 60) {
            early += json_integer_value(json_object_get(one, "count"));
        }
    }
    if (startup && startup == s->total) {
        add_tag(tags, "crash", "all at startup");
    } else if (startup) {
        add_tag(tags, "warn", "some at startup");
    }
    if (s->total && early * 2 > s->total) {
        add_tag(tags, "warn", "most within a minute");
    }
    if (count_of(facet(s, "process_type"), "plugin")) {
        add_tag(tags, "plain", "plugin");
    }
}

static void put_tags(const signature_t *s, json_t *data)
{
    const sal_state_t *state = s->state;
    json_t *tags = json_array();
    const char *fixed = state->version
                            ? apr_pstrcat(s->p, "fixed in ", state->version,
                                          *state->product ? " of " : "", state->product, NULL)
                            : "";

    switch (state->kind) {
    case SAL_STATE_FIXED:
        add_tag(tags, "ok", fixed);
        break;
    case SAL_STATE_REGRESSED:
        add_tag(tags, "crash",
                apr_pstrcat(s->p, "came back in ", state->regressed_version, ", ", fixed, NULL));
        break;
    case SAL_STATE_IGNORED:
        add_tag(tags, "plain",
                state->until
                    ? apr_pstrcat(s->p, "ignored until ",
                                  apr_pstrndup(s->p, sal_format_time(state->until, 1, s->p), 10),
                                  NULL)
                    : "ignored");
        break;
    default:
        add_tag(tags, "accent", "open");
    }
    add_startup(s, tags);
    json_object_set_new(data, "tags", tags);
    if (state->regressed_crash) {
        json_object_set_new(data, "came_back", json_string(state->regressed_crash));
    }
}

static void add_shortcut(const signature_t *s, json_t *list, const char *text, int days)
{
    static const char *const dates[] = { "date", "page", NULL };
    apr_time_t now = apr_time_now(), day = apr_time_from_sec(DAY_S);
    apr_time_t from = now - now % day - day * (days - 1);
    const char *value = apr_pstrcat(s->p, ">=", sal_format_datetime(from, s->p), NULL);
    sal_ask_t *ask = sal_ask_without(s->ask, dates);

    sal_ask_add(ask, "date", value);
    json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "text", text, "link",
                                          apr_pstrcat(s->p, s->self, sal_ask_query(ask), NULL),
                                          "here", !strcmp(sal_ask_values(s->ask, "date"), value)));
}

/* What a form sends along beside its own inputs. */
static json_t *kept_without(const signature_t *s, const char *const *names)
{
    const sal_ask_t *ask = sal_ask_without(s->ask, names);
    json_t *out = json_array();

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        json_array_append_new(out, json_pack("{s:s, s:s}", "name", one->name, "value", one->value));
    }
    return out;
}

/* Fields that a condition can be added on, or that can be aggregated. */
static void put_form(const signature_t *s, json_t *data)
{
    json_t *fields = json_array(), *kept;
    int n;
    const sal_search_field_t *all = sal_search_fields(&n);

    for (int i = 0; i < n; i++) {
        if (signature_may_use(s->q, all[i].name) && strcmp(all[i].name, "signature") != 0 &&
            strcmp(all[i].name, "date") != 0) {
            json_array_append_new(fields, json_string(all[i].name));
        }
    }
    kept = kept_without(s, (const char *const[]){ "page", NULL });
    json_array_insert_new(kept, 0,
                          json_pack("{s:s, s:s}", "name", "signature", "value", s->signature));
    json_object_set_new(data, "fields", fields);
    json_object_set_new(data, "kept", kept);
}

static void put_window(const signature_t *s, json_t *data)
{
    json_t *shortcuts = json_array();

    add_shortcut(s, shortcuts, "7 days", 7);
    add_shortcut(s, shortcuts, "28 days", 28);
    add_shortcut(s, shortcuts, "3 months", 91);
    json_object_set_new(data, "shortcuts", shortcuts);
    put(data, "from", sal_format_time(s->from, 1, s->p));
    put(data, "to", sal_format_time(s->to, 1, s->p));
    put(data, "from_iso", sal_format_datetime(s->from, s->p));
    put(data, "to_iso", sal_format_datetime(s->to, s->p));
}

void signature_put_head(signature_t *s, json_t *data)
{
    static const char *const dates[] = { "date", NULL };

    put_tags(s, data);
    put_figures(s, data);
    put_window(s, data);
    put_form(s, data);
    json_object_set_new(data, "groups", sal_ask_groups(sal_ask_without(s->ask, dates)));
    put(data, "assignee", s->state->assignee);
    put(data, "product", s->product);
    put(data, "search",
        apr_pstrcat(s->p, "/search/?signature=%3D", sal_format_urlencode(s->signature, s->p), "&",
                    sal_ask_query(s->ask), NULL));
}

/* ---- summary ---- */

static void put_panels(const signature_t *s, json_t *out)
{
    sal_sigview_t v = view_of(s);
    json_t *side = json_array(), *below = json_array();

    add(side, sal_sigview_panel(&v, facet(s, "platform_pretty_version"), "Operating system",
                                "platform_pretty_version", false, TOP));
    add(side, sal_sigview_uptime(&v, facet(s, "histogram_uptime")));
    add(side, sal_sigview_panel(&v, facet(s, "process_type"), "Process type", "process_type", false,
                                TOP));
    add(side, sal_sigview_panel(&v, facet(s, "cpu_arch"), "Architecture", "cpu_arch", false, TOP));
    add(below, sal_sigview_panel(&v, facet(s, "reason"), "Reason", "reason", true, 5));
    add(below, sal_sigview_panel(&v, facet(s, "address"), "Address", "address", true, 5));
    json_object_set_new(out, "side", side);
    json_object_set_new(out, "below", below);
}

static void put_tables(const signature_t *s, json_t *out)
{
    static const char *const products[] = { "product", "version", NULL };
    static const char *const mobile[] = { "android_cpu_abi", "android_manufacturer",
                                          "android_model", "android_version", NULL };
    sal_sigview_t v = view_of(s);
    json_t *rows = sal_sigview_rows(&v, facet(s, "product"), products, SIGNATURE_ROWS);

    json_object_set_new(out, "any_products", json_boolean(json_array_size(rows)));
    json_object_set_new(out, "products", rows);
    json_object_set_new(out, "any_adapters", json_boolean(json_array_size(s->adapters)));
    json_object_set(out, "adapters", s->adapters);
    rows = sal_sigview_rows(&v, facet(s, "android_cpu_abi"), mobile, SIGNATURE_ROWS);
    json_object_set_new(out, "any_mobile", json_boolean(json_array_size(rows)));
    json_object_set_new(out, "mobile", rows);
}

static void put_stacks(const signature_t *s, json_t *out)
{
    sal_sigview_t v = view_of(s);
    const json_t *list = facet(s, "proto_signature");
    json_t *stacks = sal_sigview_stacks(&v, list, json_object_get(s->main, "hits"),
                                        distinct(s, "cardinality_proto_signature"));
    json_t *first = json_array_get(json_object_get(stacks, "items"), 0);

    json_object_set_new(stacks, "any", json_boolean(first != NULL));
    if (first && s->stack) {
        json_object_set(first, "groups", json_object_get(s->stack, "groups"));
        json_object_set_new(first, "walked", json_true());
    }
    json_object_set_new(out, "stacks", stacks);
}

void signature_put_summary(signature_t *s, json_t *data)
{
    sal_sigview_mark_t marks[MARKS];
    sal_sigview_days_t days = window_of(s);
    sal_sigview_t v = view_of(s);
    json_t *out = json_object();
    int n = 0;

    for (int i = 0; s->began && i < sal_rows_count(s->began) && n < MARKS; i++) {
        marks[n++] = (sal_sigview_mark_t){ .text = sal_rows_text(s->began, i, 0),
                                           .at = sal_rows_time(s->began, i, 1) };
    }
    if (s->total) {
        json_object_set_new(
            out, "chart",
            sal_sigview_trend(&v, facet(s, "histogram_date"), "version", &days, marks, n, "hatch"));
        put_stacks(s, out);
        put_panels(s, out);
        put_tables(s, out);
    }
    json_object_set_new(out, "any", json_boolean(s->total > 0));
    json_object_set_new(data, "summary", out);
}

/* ---- aggregations ---- */

void signature_put_aggregations(signature_t *s, json_t *data)
{
    sal_sigview_t v = view_of(s);
    json_t *panels = json_array();

    for (int i = 0; s->fields[i]; i++) {
        const char *const field = s->fields[i];
        json_t *panel =
            sal_sigview_panel(&v, facet(s, field), sal_ask_label(field, s->p), field, false, 50);

        if (!panel) {
            panel = json_pack("{s:s, s:s, s:b}", "title", sal_ask_label(field, s->p), "field",
                              field, "empty", 1);
        }
        json_array_append_new(panels, panel);
    }
    json_object_set_new(data, "aggregations",
                        json_pack("{s:o, s:b}", "panels", panels, "any", s->total > 0));
}

/* ---- reports ---- */

static json_t *pager(const signature_t *s, const char *tab, const json_t *hits, int64_t total)
{
    static const char *const names[] = { "page", NULL };
    int64_t pages = (total + SIGNATURE_PER_PAGE - 1) / SIGNATURE_PER_PAGE;
    int64_t most = 10000 / SIGNATURE_PER_PAGE;
    int64_t from = (int64_t)(s->page - 1) * SIGNATURE_PER_PAGE + 1;
    const char *prefix = apr_pstrcat(s->p, "/signature/", tab,
                                     "/?signature=", sal_format_urlencode(s->signature, s->p), "&",
                                     sal_ask_query(sal_ask_without(s->ask, names)), "&page=", NULL);

    return sal_list_pager(s->page, (int)(pages < most ? pages : most), from,
                          from - 1 + (int64_t)json_array_size(hits), total, prefix, s->p);
}

/* The columns shown, and the fields there are with those ticked. */
static void put_columns(const signature_t *s, json_t *out, const char *const *columns, int n)
{
    json_t *all = json_array();
    int many;
    const sal_search_field_t *fields = sal_search_fields(&many);

    for (int i = 0; i < many; i++) {
        bool here = false;

        for (int k = 0; k < n; k++) {
            here = here || !strcmp(columns[k], fields[i].name);
        }
        if (signature_may_use(s->q, fields[i].name) && strcmp(fields[i].name, "uuid") != 0) {
            json_array_append_new(all,
                                  json_pack("{s:s, s:b}", "name", fields[i].name, "here", here));
        }
    }
    json_object_set_new(out, "columns", all);
}

void signature_put_reports(signature_t *s, json_t *data)
{
    static const char *const dropped[] = { "_columns", "page", NULL };
    const json_t *hits = json_object_get(s->reports, "hits");
    sal_ask_t *ask = sal_ask_without(s->ask, (const char *const[]){ "page", NULL });
    const char *const *columns;
    json_t *out, *table;
    int n;

    if (!sal_ask_value(ask, "_sort")) {
        sal_ask_add(ask, "_sort", "-date");
    }
    columns = signature_columns(s, &n);
    table = sal_ask_table(ask, hits, columns, n);
    out = json_pack("{s:o, s:b, s:s, s:b}", "table", table, "any_rows",
                    (int)(json_array_size(hits) > 0), "total", sal_format_count(s->total, s->p),
                    "newest", !strcmp(sal_ask_value(ask, "_sort"), "-date"));
    put_columns(s, out, columns, n);
    json_object_set_new(out, "kept", kept_without(s, dropped));
    if (s->total) {
        json_object_set_new(out, "pager", pager(s, "reports", hits, s->total));
    }
    json_object_set_new(data, "reports", out);
}

/* ---- graph, comments, correlations ---- */

void signature_put_graph(signature_t *s, json_t *data)
{
    static const char *const dropped[] = { "graph", "page", NULL };
    sal_sigview_days_t days = window_of(s);
    sal_sigview_t v = view_of(s);
    const char *label = sal_ask_label(s->graph, s->p);
    json_t *out = json_pack("{s:s, s:s}", "field", s->graph, "label", label);

    json_object_set_new(
        out, "chart",
        sal_sigview_trend(&v, facet(s, "histogram_date"), s->graph, &days, NULL, 0, "hatch-graph"));
    json_object_set_new(out, "kept", kept_without(s, dropped));
    json_object_set_new(data, "graph", out);
}

void signature_put_comments(signature_t *s, json_t *data)
{
    const json_t *hits = json_object_get(s->comments, "hits");
    int64_t total = json_integer_value(json_object_get(s->comments, "total"));
    json_t *list = json_array(), *out, *hit;
    size_t i;

    json_array_foreach(hits, i, hit)
    {
        const char *id = sal_json_str(hit, "uuid"), *date = sal_json_str(hit, "date");
        json_t *one = json_object();
        apr_time_t t;

        put(one, "id", id);
        put(one, "short_id", sal_format_short_id(id ? id : "", s->p));
        put(one, "text", sal_json_str(hit, "user_comments"));
        put(one, "version", sal_json_str(hit, "version"));
        put(one, "platform", sal_json_str(hit, "platform_pretty_version"));
        put(one, "locale", sal_json_str(hit, "useragent_locale"));
        if (date && sal_time_parse(date, &t)) {
            put(one, "date", sal_format_time(t, 1, s->p));
            put(one, "datetime", sal_format_datetime(t, s->p));
        }
        json_array_append_new(list, one);
    }
    out = json_pack("{s:o, s:b, s:b, s:s}", "list", list, "any", i > 0, "may", s->q->pii, "total",
                    sal_format_count(total, s->p));
    if (total) {
        json_object_set_new(out, "pager", pager(s, "comments", hits, total));
    }
    json_object_set_new(data, "comments", out);
}

void signature_put_correlations(signature_t *s, json_t *data)
{
    int64_t total = json_integer_value(json_object_get(s->correlations, "total"));
    int64_t all = json_integer_value(json_object_get(s->totals, s->channel));
    const json_t *results = json_object_get(s->correlations, "results");
    json_t *lines = json_array(), *out, *one;
    size_t i;

    json_array_foreach(results, i, one)
    {
        json_array_append_new(
            lines, json_pack("{s:o}", "parts",
                             sal_format_pieces(sal_correlate_line(one, total, all, s->p))));
    }
    out = json_pack("{s:o, s:b, s:b, s:s, s:s, s:s}", "lines", lines, "any", i > 0, "counted",
                    s->correlations != NULL, "channel", s->channel, "total",
                    sal_format_count(total, s->p), "all", sal_format_count(all, s->p));
    put(out, "product", s->product);
    put(out, "date", sal_json_str(s->totals, "date"));
    json_object_set_new(data, "correlations", out);
}
