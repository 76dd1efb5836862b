/*
 * Panels, tables and stacks of the signature report.
 */
#include "render/signature_view.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/ask_result.h"
#include "render/chart.h"
#include "render/format.h"
#include "search/fields.h"
#include "triage/versions.h"

const char *sal_sigview_text(const json_t *term, apr_pool_t *p)
{
    if (json_is_string(term)) {
        return json_string_value(term);
    }
    if (json_is_integer(term)) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(term));
    }
    if (json_is_boolean(term)) {
        return json_is_true(term) ? "true" : "false";
    }
    return json_is_real(term) ? apr_psprintf(p, "%.15g", json_real_value(term)) : "";
}

static int64_t count_of(const json_t *item)
{
    return json_integer_value(json_object_get(item, "count"));
}

/* The page narrowed to a value of a field; NULL where that cannot be said. */
static const char *narrowed(const sal_sigview_t *v, const char *field, const char *term)
{
    const sal_search_field_t *f = sal_search_field(field);

    return f && f->type != SAL_TYPE_DATE
               ? apr_pstrcat(v->p, v->self, sal_ask_narrowed(v->ask, f, term), NULL)
               : NULL;
}

/* The page without conditions on fields (NULL-terminated); more can be added. */
static const char *without(const sal_sigview_t *v, const char *const *fields)
{
    const char *query = sal_ask_query(sal_ask_without(sal_ask_first_page(v->ask), fields));

    return apr_pstrcat(v->p, v->self, query, *query ? "&" : "", NULL);
}

/* ---- panels ---- */

static void put_others(json_t *items, int64_t n, const sal_sigview_t *v)
{
    if (n > 0) {
        json_array_append_new(items, sal_chart_share("others", NULL, n, v->total, v->p));
    }
}

/* Truth values of facets are "T" and "F". */
static const char *shown(const char *field, const char *term)
{
    const sal_search_field_t *f = sal_search_field(field);

    if (f && f->match == SAL_MATCH_BOOL) {
        return *term == 'T' || *term == 't' ? "yes" : "no";
    }
    return *term ? term : "empty";
}

json_t *sal_sigview_panel(const sal_sigview_t *v, const json_t *facet, const char *title,
                          const char *field, bool code, int most)
{
    json_t *items, *one;
    int64_t others = 0;
    size_t i;

    if (json_array_size(facet) == 0) {
        return NULL;
    }
    items = json_array();
    json_array_foreach(facet, i, one)
    {
        const char *term = sal_sigview_text(json_object_get(one, "term"), v->p);
        json_t *item;

        if ((int)i >= most) {
            others += count_of(one);
            continue;
        }
        item = sal_chart_share(shown(field, term), narrowed(v, field, term), count_of(one),
                               v->total, v->p);
        json_object_set_new(item, "rank", json_integer((json_int_t)i + 1));
        json_array_append_new(items, item);
    }
    put_others(items, others, v);
    return json_pack("{s:s, s:s, s:b, s:o, s:b}", "title", title, "field", field, "code", code,
                     "items", items, "more", (int)json_array_size(facet) > most);
}

typedef struct range_t {
    const char *name;
    int64_t from, to, n;
} range_t;

static int more_crashes(const void *a, const void *b)
{
    const range_t *x = a, *y = b;

    return x->n != y->n ? (x->n < y->n ? 1 : -1) : x->from < y->from ? -1 : x->from > y->from;
}

json_t *sal_sigview_uptime(const sal_sigview_t *v, const json_t *histogram)
{
    range_t ranges[] = { { "under 1 min", 0, 60, 0 },
                         { "1 to 5 min", 60, 300, 0 },
                         { "5 to 15 min", 300, 900, 0 },
                         { "15 to 60 min", 900, 3600, 0 },
                         { "over 1 hour", 3600, INT64_MAX, 0 } };
    enum { N = sizeof ranges / sizeof ranges[0] };
    const char *base = without(v, (const char *const[]){ "uptime", NULL });
    json_t *items, *one;
    size_t i;

    json_array_foreach(histogram, i, one)
    {
        double at = json_number_value(json_object_get(one, "term"));

        for (int k = 0; k < N; k++) {
            if ((k == 0 || at >= (double)ranges[k].from) &&
                (k == N - 1 || at < (double)ranges[k].to)) {
                ranges[k].n += count_of(one);
            }
        }
    }
    if (i == 0) {
        return NULL;
    }
    qsort(ranges, N, sizeof ranges[0], more_crashes);
    items = json_array();
    for (int k = 0; k < N && ranges[k].n; k++) {
        const char *link =
            ranges[k].to == INT64_MAX
                ? apr_pstrcat(v->p, base, "uptime=%3E%3D3600", NULL)
                : apr_psprintf(v->p,
                               "%suptime=%%3E%%3D%" APR_INT64_T_FMT "&uptime=%%3C%" APR_INT64_T_FMT,
                               base, (apr_int64_t)ranges[k].from, (apr_int64_t)ranges[k].to);

        json_array_append_new(items,
                              sal_chart_share(ranges[k].name, link, ranges[k].n, v->total, v->p));
    }
    return json_pack("{s:s, s:s, s:o}", "title", "Uptime range", "field", "uptime", "items", items);
}

/* ---- facets in facets ---- */

typedef struct row_t {
    const char *cells[4];
    int n_cells;
    const char *link;
    int64_t n, installs; /* installs -1: not asked for */
} row_t;

typedef struct walk_t {
    const sal_sigview_t *v;
    const char *const *path;
    apr_array_header_t *rows;
} walk_t;

static void add_row(walk_t *w, row_t row, int64_t n, const json_t *facets)
{
    const json_t *installs =
        json_object_get(json_object_get(facets, "cardinality_install_time"), "value");

    row.n = n;
    row.installs = json_is_integer(installs) ? json_integer_value(installs) : -1;
    if (row.installs > n) {
        row.installs = n;
    }
    APR_ARRAY_PUSH(w->rows, row_t) = row;
}

static void walk(walk_t *w, const json_t *facet, int depth, row_t so_far)
{
    const char *field = w->path[depth];
    json_t *one;
    size_t i;

    json_array_foreach(facet, i, one)
    {
        const char *term = sal_sigview_text(json_object_get(one, "term"), w->v->p);
        const json_t *facets = json_object_get(one, "facets");
        const json_t *inner =
            w->path[depth + 1] ? json_object_get(facets, w->path[depth + 1]) : NULL;
        const sal_search_field_t *f = sal_search_field(field);
        int64_t left = count_of(one);
        row_t row = so_far;
        json_t *deeper;
        size_t k;

        row.cells[row.n_cells++] = term;
        if (f) {
            row.link =
                apr_pstrcat(w->v->p, row.link, depth ? "&" : "", field, "=",
                            sal_format_urlencode(sal_ask_exactly(f, term, w->v->p), w->v->p), NULL);
        }
        json_array_foreach(inner, k, deeper)
        {
            left -= count_of(deeper);
        }
        if (inner) {
            walk(w, inner, depth + 1, row);
        }
        if (!inner || left > 0) {
            add_row(w, row, left, inner ? NULL : facets);
        }
    }
}

static int by_crashes(const void *a, const void *b)
{
    const row_t *x = a, *y = b;

    if (x->n != y->n) {
        return x->n < y->n ? 1 : -1;
    }
    for (int i = 0; i < x->n_cells && i < y->n_cells; i++) {
        int d = strcmp(x->cells[i], y->cells[i]);

        if (d) {
            return d;
        }
    }
    return x->n_cells - y->n_cells;
}

json_t *sal_sigview_rows(const sal_sigview_t *v, const json_t *facet, const char *const *path,
                         int most)
{
    walk_t w = { .v = v, .path = path, .rows = apr_array_make(v->p, 16, sizeof(row_t)) };
    json_t *out = json_array();
    int width = 0;

    while (path[width] && width < 4) {
        width++;
    }
    walk(&w, facet, 0, (row_t){ .link = without(v, path) });
    qsort(w.rows->elts, (size_t)w.rows->nelts, sizeof(row_t), by_crashes);
    for (int i = 0; i < w.rows->nelts && i < most; i++) {
        const row_t *row = &APR_ARRAY_IDX(w.rows, i, row_t);
        json_t *cells = json_array(), *item;

        for (int k = 0; k < width; k++) {
            json_array_append_new(cells, json_string(k < row->n_cells ? row->cells[k] : ""));
        }
        item = json_pack("{s:o, s:s, s:s, s:s}", "cells", cells, "count",
                         sal_format_count(row->n, v->p), "share",
                         sal_chart_percent(row->n, v->total, 1, v->p), "link", row->link);
        if (row->installs >= 0) {
            json_object_set_new(item, "installs",
                                json_string(sal_format_count(row->installs, v->p)));
        }
        json_array_append_new(out, item);
    }
    return out;
}

/* ---- stacks ---- */

enum { STACKS = 6, FRAMES = 30 };

static json_t *frames_of(const char *proto)
{
    json_t *out = json_array();
    const char *at = proto, *bar;

    for (int i = 0; i < FRAMES && at; i++, at = bar ? bar + 3 : NULL) {
        char *one;

        bar = strstr(at, " | ");
        one = bar ? strndup(at, (size_t)(bar - at)) : strdup(at);
        if (!one) {
            break;
        }
        json_array_append_new(out,
                              json_pack("{s:i, s:o}", "n", i, "parts", sal_format_pieces(one)));
        free(one);
    }
    return out;
}

/* The newest of some crashes that has this stack. */
static const char *sample_of(const json_t *hits, const char *proto)
{
    json_t *hit;
    size_t i;

    json_array_foreach(hits, i, hit)
    {
        const char *its = sal_json_str(hit, "proto_signature");

        if (its && !strcmp(its, proto)) {
            return sal_json_str(hit, "uuid");
        }
    }
    return NULL;
}

static json_t *stack_of(const sal_sigview_t *v, const json_t *item, const json_t *hits, int rank,
                        const char *first)
{
    const char *proto = sal_sigview_text(json_object_get(item, "term"), v->p);
    const char *sample = sample_of(hits, proto);
    json_t *out = json_pack("{s:i, s:b, s:s, s:s, s:o, s:s}", "rank", rank, "first", rank == 1,
                            "count", sal_format_count(count_of(item), v->p), "share",
                            sal_chart_percent(count_of(item), v->total, 1, v->p), "frames",
                            frames_of(proto), "search", narrowed(v, "proto_signature", proto));

    if (sample) {
        json_object_set_new(out, "sample", json_string(sample));
        if (first && rank > 1) {
            json_object_set_new(
                out, "compare",
                json_string(apr_pstrcat(v->p, "/report/diff/", first, "/", sample, NULL)));
        }
    }
    return out;
}

json_t *sal_sigview_stacks(const sal_sigview_t *v, const json_t *facet, const json_t *hits,
                           int64_t distinct)
{
    json_t *items = json_array(), *item;
    const char *first = NULL, *verdict;
    int64_t top = 0;
    bool mixed;
    size_t i;

    json_array_foreach(facet, i, item)
    {
        json_t *one;

        if (i >= STACKS) {
            break;
        }
        one = stack_of(v, item, hits, (int)i + 1, first);
        top = i ? top : count_of(item);
        first = i ? first : sal_json_str(one, "sample");
        json_array_append_new(items, one);
    }
    /* many stacks and none that stands out: perhaps several bugs under one name */
    mixed = distinct >= 10 && top * 4 < v->total;
    verdict = distinct <= 0   ? "no stacks"
              : distinct == 1 ? "all alike"
              : mixed         ? apr_psprintf(v->p, "none above %s %%: several bugs?",
                                             sal_chart_percent(top, v->total, 0, v->p))
                              : apr_psprintf(v->p, "the commonest has %s %%",
                                             sal_chart_percent(top, v->total, 0, v->p));
    return json_pack("{s:o, s:s, s:s, s:b}", "items", items, "n", sal_format_count(distinct, v->p),
                     "verdict", verdict, "mixed", mixed);
}

const char *sal_sigview_versions(const json_t *facet, apr_pool_t *p)
{
    char key[SAL_VERSION_KEY], low_key[SAL_VERSION_KEY], high_key[SAL_VERSION_KEY];
    const char *low = NULL, *high = NULL;
    json_t *one;
    size_t i;

    json_array_foreach(facet, i, one)
    {
        const char *version = sal_sigview_text(json_object_get(one, "term"), p);

        if (!sal_version_key(key, version)) {
            continue;
        }
        if (!low || strcmp(key, low_key) < 0) {
            low = version;
            apr_cpystrn(low_key, key, sizeof low_key);
        }
        if (!high || strcmp(key, high_key) > 0) {
            high = version;
            apr_cpystrn(high_key, key, sizeof high_key);
        }
    }
    if (!low) {
        return i ? sal_sigview_text(json_object_get(json_array_get(facet, 0), "term"), p) : NULL;
    }
    return strcmp(low, high) ? apr_pstrcat(p, low, " to ", high, NULL) : low;
}
