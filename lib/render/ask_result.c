/*
 * Tables and panels of the search page.
 */
#include "render/ask_result.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"

enum { SHOWN_ITEMS = 10, MAX_ELEMENTS = 40, NESTED_TERMS = 5, MAX_COLUMNS = 40 };

static const char *const usual_columns[] = { "date",    "signature", "product",
                                             "version", "build_id",  "platform" };

/* ---- columns ---- */

static void add_column(apr_array_header_t *out, const char *name, const sal_ask_t *ask)
{
    const sal_search_field_t *f = sal_search_field(name);
    bool there = strcmp(name, "uuid") == 0 || !*name || out->nelts >= MAX_COLUMNS ||
                 (f && f->is_protected && !ask->pii);

    for (int i = 0; i < out->nelts && !there; i++) {
        there = strcmp(APR_ARRAY_IDX(out, i, const char *), name) == 0;
    }
    if (!there) {
        APR_ARRAY_PUSH(out, const char *) = name;
    }
}

const char *const *sal_ask_columns(const sal_ask_t *ask, int *n)
{
    apr_array_header_t *out = apr_array_make(ask->p, 8, sizeof(const char *));
    char *rest = apr_pstrdup(ask->p, sal_ask_values(ask, "_columns")), *state;

    for (char *one = apr_strtok(rest, ", ", &state); one; one = apr_strtok(NULL, ", ", &state)) {
        add_column(out, one, ask);
    }
    if (out->nelts == 0) {
        for (apr_size_t i = 0; i < sizeof usual_columns / sizeof usual_columns[0]; i++) {
            add_column(out, usual_columns[i], ask);
        }
    }
    *n = out->nelts;
    return (const char *const *)out->elts;
}

/* ---- narrowing ---- */

/* The question without a field, ready for "&"; a value that was met satisfies what it drops. */
static const char *but(const sal_ask_t *ask, const char *field)
{
    const char *const names[] = { field, strcmp(field, "date") == 0 ? "_range" : field, NULL };
    const char *query = sal_ask_query(sal_ask_without(sal_ask_first_page(ask), names));

    return *query ? apr_pstrcat(ask->p, query, "&", NULL) : "";
}

static const char *with(const char *prefix, const char *name, const char *value, apr_pool_t *p)
{
    return apr_pstrcat(p, prefix, sal_format_urlencode(name, p), "=",
                       sal_format_urlencode(value, p), NULL);
}

const char *sal_ask_narrowed(const sal_ask_t *ask, const sal_search_field_t *f, const char *value)
{
    return with(but(ask, f->name), f->name, sal_ask_exactly(f, value, ask->p), ask->p);
}

sal_ask_t *sal_ask_between(const sal_ask_t *ask, apr_time_t from, apr_time_t to)
{
    static const char *const dates[] = { "date", "_range", NULL };
    sal_ask_t *out = sal_ask_without(sal_ask_first_page(ask), dates);

    sal_ask_add(out, "date", apr_pstrcat(ask->p, ">=", sal_format_datetime(from, ask->p), NULL));
    sal_ask_add(out, "date", apr_pstrcat(ask->p, "<", sal_format_datetime(to, ask->p), NULL));
    return out;
}

/* ---- cells ---- */

static const char *text_of(const json_t *v, apr_pool_t *p)
{
    if (json_is_string(v)) {
        return json_string_value(v);
    }
    if (json_is_integer(v)) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(v));
    }
    if (json_is_real(v)) {
        return apr_psprintf(p, "%.15g", json_real_value(v));
    }
    return json_is_true(v) ? "true" : json_is_false(v) ? "false" : "";
}

static bool is_number(const sal_search_field_t *f)
{
    return f->match == SAL_MATCH_NUMBER && strcmp(f->name, "build_id") != 0;
}

/* Names of code and machines' values stand in monospace. */
static bool is_code(const sal_search_field_t *f)
{
    return (f->match == SAL_MATCH_TEXT && f->type == SAL_TYPE_STRING &&
            strcmp(f->name, "platform_pretty_version") != 0 &&
            strcmp(f->name, "platform_version") != 0) ||
           f->match == SAL_MATCH_LIST || strcmp(f->name, "address") == 0;
}

static const char *signature_link(const char *signature, apr_pool_t *p)
{
    return apr_pstrcat(p, "/signature/?signature=", sal_format_urlencode(signature, p), NULL);
}

static json_t *item(const sal_search_field_t *f, const char *text, const char *shown,
                    const char *prefix, apr_pool_t *p)
{
    json_t *one =
        json_pack("{s:s, s:b}", "link", with(prefix, f->name, sal_ask_exactly(f, text, p), p),
                  "code", is_code(f));

    if (strcmp(f->name, "signature") == 0) {
        json_object_set_new(one, "signature", sal_format_signature(text));
        json_object_set_new(one, "report", json_string(signature_link(text, p)));
    } else {
        json_object_set_new(one, "parts", sal_format_pieces(*shown ? shown : "(empty)"));
    }
    return one;
}

/* A list's elements each narrow; a text of a list is taken apart as searches do. */
static void put_elements(json_t *items, const sal_search_field_t *f, const json_t *v,
                         const char *prefix, apr_pool_t *p)
{
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v) && i < MAX_ELEMENTS; i++) {
            const char *text = text_of(json_array_get(v, i), p);

            json_array_append_new(items, item(f, text, text, prefix, p));
        }
    } else if (json_is_string(v)) {
        char *rest = apr_pstrdup(p, json_string_value(v)), *state;

        for (char *one = apr_strtok(rest, ";", &state);
             one && json_array_size(items) < MAX_ELEMENTS; one = apr_strtok(NULL, ";", &state)) {
            json_array_append_new(items, item(f, one, one, prefix, p));
        }
    }
}

static void put_time(json_t *cell, json_t *items, const sal_search_field_t *f, const char *text,
                     const char *prefix, apr_pool_t *p)
{
    const apr_time_t day = apr_time_from_sec(86400);
    apr_time_t t;
    const char *from, *to;

    if (!sal_time_parse(text, &t)) {
        return;
    }
    from = apr_pstrcat(p, ">=", sal_format_datetime(t - t % day, p), NULL);
    to = apr_pstrcat(p, "<", sal_format_datetime(t - t % day + day, p), NULL);
    json_object_set_new(cell, "iso", json_string(sal_format_datetime(t, p)));
    json_object_set_new(cell, "time", json_string(sal_format_time(t, 1, p)));
    json_array_append_new(
        items,
        json_pack("{s:s}", "link",
                  with(apr_pstrcat(p, with(prefix, f->name, from, p), "&", NULL), f->name, to, p)));
}

/* The columns of one table, and what its links begin with. */
typedef struct column_t {
    const sal_search_field_t *field;
    const char *prefix, *label;
} column_t;

static json_t *cell_of(const column_t *c, const json_t *v, apr_pool_t *p)
{
    const sal_search_field_t *f = c->field;
    json_t *items = json_array();
    json_t *cell = json_pack("{s:s, s:o, s:b, s:b, s:b}", "label", c->label, "items", items, "num",
                             is_number(f), "nw", f->match == SAL_MATCH_DATE, "full",
                             !strcmp(f->name, "signature"));

    if (!v || json_is_null(v)) {
        json_object_set_new(cell, "missing", json_string(with(c->prefix, f->name, "__null__", p)));
    } else if (f->match == SAL_MATCH_DATE) {
        put_time(cell, items, f, text_of(v, p), c->prefix, p);
    } else if (json_is_array(v) || f->match == SAL_MATCH_LIST) {
        put_elements(items, f, v, c->prefix, p);
    } else {
        const char *text = text_of(v, p);

        json_array_append_new(items, item(f, text,
                                          json_is_integer(v) && is_number(f)
                                              ? sal_format_count(json_integer_value(v), p)
                                              : text,
                                          c->prefix, p));
    }
    return cell;
}

/* ---- the table ---- */

const char *sal_ask_label(const char *field, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, field);

    for (char *c = out; *c; c++) {
        *c = *c == '_' ? ' ' : *c;
    }
    return out;
}

/* The first sort decides what the heads say and lead to. */
static json_t *head_of(const column_t *c, const char *sort, const char *prefix, apr_pool_t *p)
{
    bool down = *sort == '-', here = strcmp(sort + down, c->field->name) == 0;
    bool first_down = c->field->match == SAL_MATCH_NUMBER || c->field->match == SAL_MATCH_DATE;
    bool to_down = here ? !down : first_down;
    json_t *head = json_pack(
        "{s:s, s:s, s:b}", "label", c->label, "link",
        with(prefix, "_sort", apr_pstrcat(p, to_down ? "-" : "", c->field->name, NULL), p), "num",
        is_number(c->field));

    if (here) {
        json_object_set_new(head, "sort", json_string(down ? "descending" : "ascending"));
    }
    return head;
}

static column_t *columns_of(const sal_ask_t *ask, const char *const *names, int *n)
{
    column_t *out = apr_pcalloc(ask->p, ((apr_size_t)*n + 1) * sizeof *out);
    int used = 0;

    for (int i = 0; i < *n; i++) {
        const sal_search_field_t *f = sal_search_field(names[i]);

        if (f) {
            out[used++] = (column_t){ f, but(ask, f->name), sal_ask_label(f->name, ask->p) };
        }
    }
    *n = used;
    return out;
}

json_t *sal_ask_table(const sal_ask_t *ask, const json_t *hits, const char *const *names, int n)
{
    const char *sort = sal_ask_value(ask, "_sort"), *prefix = but(ask, "_sort");
    column_t *columns = columns_of(ask, names, &n);
    json_t *heads = json_array(), *rows = json_array(), *hit;
    size_t i;

    for (int k = 0; k < n; k++) {
        json_array_append_new(heads,
                              head_of(&columns[k], sort && *sort ? sort : "-date", prefix, ask->p));
    }
    json_array_foreach(hits, i, hit)
    {
        const char *id = sal_json_str(hit, "uuid");
        json_t *cells = json_array();

        for (int k = 0; k < n; k++) {
            json_array_append_new(
                cells, cell_of(&columns[k], json_object_get(hit, columns[k].field->name), ask->p));
        }
        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:o}", "id", id ? id : "", "short_id",
                                        id ? sal_format_short_id(id, ask->p) : "", "cells", cells));
    }
    return json_pack("{s:o, s:o}", "heads", heads, "rows", rows);
}

/* ---- facets ---- */

static json_t *nested_of(const json_t *facets, apr_pool_t *p)
{
    json_t *out = json_array(), *list, *one;
    const char *name;
    size_t i;

    json_object_foreach((json_t *)facets, name, list)
    {
        const char *text = "";

        if (json_is_object(list)) {
            text = text_of(json_object_get(list, "value"), p);
        }
        json_array_foreach(list, i, one)
        {
            if (i == NESTED_TERMS) {
                text = apr_pstrcat(p, text, ", …", NULL);
                break;
            }
            text = apr_psprintf(
                p, "%s%s%s (%s)", text, i ? ", " : "", text_of(json_object_get(one, "term"), p),
                sal_format_count(json_integer_value(json_object_get(one, "count")), p));
        }
        json_array_append_new(
            out, json_pack("{s:s, s:s}", "name", sal_ask_label(name, p), "text", text));
    }
    return out;
}

/* A bucket of a histogram of numbers narrows to its range. */
static const char *bucket_link(const sal_ask_t *ask, const sal_search_field_t *f,
                               const char *prefix, double from)
{
    const char *name = apr_pstrcat(ask->p, "_histogram_interval.", f->name, NULL);
    const char *text = sal_ask_value(ask, name);
    int64_t step = 1;
    const char *low, *high;

    if (text && !sal_parse_int(text, 1, INT64_MAX, &step)) {
        step = 1;
    }
    low = apr_psprintf(ask->p, ">=%.15g", from);
    high = apr_psprintf(ask->p, "<%.15g", from + ((double)step));

    return with(apr_pstrcat(ask->p, with(prefix, f->name, low, ask->p), "&", NULL), f->name, high,
                ask->p);
}

static json_t *facet_item(const sal_ask_t *ask, const sal_search_field_t *f, const json_t *one,
                          const char *prefix, bool histogram, apr_int64_t total)
{
    const json_t *term = json_object_get(one, "term"), *sub = json_object_get(one, "facets");
    const char *text = text_of(term, ask->p), *shown = text;
    apr_int64_t n = json_integer_value(json_object_get(one, "count"));
    json_t *out;

    if (f->match == SAL_MATCH_BOOL) {
        shown = strcmp(text, "T") == 0 ? "true" : "false";
    }
    out = item(f, text, shown, prefix, ask->p);
    if (histogram && f->match == SAL_MATCH_NUMBER) {
        json_object_set_new(out, "link",
                            json_string(bucket_link(ask, f, prefix, json_number_value(term))));
    }
    json_object_set_new(out, "term", json_string(text));
    json_object_set_new(out, "count", json_string(sal_format_count(n, ask->p)));
    json_object_set_new(out, "share",
                        json_string(apr_psprintf(
                            ask->p, "%.1f", total > 0 ? 100.0 * (double)n / (double)total : 0)));
    if (!json_object_get(out, "parts")) {
        json_object_set(out, "parts", json_object_get(out, "signature"));
        json_object_set_new(out, "is_signature", json_true());
    }
    if (json_object_size(sub)) {
        json_object_set_new(out, "nested", nested_of(sub, ask->p));
    }
    return out;
}

static json_t *panel_items(const sal_ask_t *ask, json_t *panel, const sal_search_field_t *f,
                           const json_t *list, bool histogram, apr_int64_t total)
{
    json_t *items = json_array(), *more = json_array(), *one;
    const char *prefix = but(ask, f->name);
    size_t i;

    json_array_foreach(list, i, one)
    {
        json_t *made = facet_item(ask, f, one, prefix, histogram, total);

        json_object_set_new(made, "rank", json_integer((json_int_t)i + 1));
        json_array_append_new(i < SHOWN_ITEMS ? items : more, made);
    }
    json_object_set_new(panel, "items", items);
    if (json_array_size(more)) {
        json_object_set_new(panel, "more_count", json_integer((json_int_t)json_array_size(more)));
    }
    json_object_set_new(panel, "more", more);
    json_object_set_new(panel, "any", json_boolean(json_array_size(items) > 0));
    return panel;
}

static json_t *panel_of(const sal_ask_t *ask, const json_t *facets, const char *name,
                        apr_int64_t total)
{
    bool distinct = strncmp(name, "_cardinality.", 13) == 0;
    bool histogram = strncmp(name, "_histogram.", 11) == 0;
    const char *field = name + (distinct ? 13 : histogram ? 11 : 0);
    const sal_search_field_t *f = sal_search_field(field);
    const char *key = distinct    ? apr_pstrcat(ask->p, "cardinality_", field, NULL)
                      : histogram ? apr_pstrcat(ask->p, "histogram_", field, NULL)
                                  : field;
    const json_t *list = json_object_get(facets, key);
    const char *label = sal_ask_label(field, ask->p);
    json_t *panel;

    if (!f || !list) {
        return NULL;
    }
    panel = json_pack("{s:s, s:s, s:s, s:b, s:i}", "name", key, "id",
                      apr_pstrcat(ask->p, "facet-", key, NULL), "title",
                      distinct    ? apr_pstrcat(ask->p, "distinct ", label, NULL)
                      : histogram ? apr_pstrcat(ask->p, label, ", in steps", NULL)
                                  : label,
                      "code", is_code(f), "n", (int)json_array_size(list));
    if (json_is_object(list)) {
        json_object_set_new(panel, "value",
                            json_string(sal_format_count(
                                json_integer_value(json_object_get(list, "value")), ask->p)));
        return panel;
    }
    return panel_items(ask, panel, f, list, histogram, total);
}

json_t *sal_ask_facets(const sal_ask_t *ask, const json_t *facets, const char *const *names,
                       apr_int64_t total)
{
    json_t *out = json_array();

    for (; *names; names++) {
        json_t *panel = panel_of(ask, facets, *names, total);

        if (panel) {
            json_array_append_new(out, panel);
        }
    }
    return out;
}
