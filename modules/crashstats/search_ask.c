/*
 * What the search page shows of its question: chips, the sentence, shortcuts, the form.
 */
#include "crashstats/search.h"

#include <apr_strings.h>

#include "base/json.h"
#include "render/format.h"

static void put_text(json_t *obj, const char *key, const char *text)
{
    if (text && *text) {
        json_object_set_new(obj, key, json_string(text));
    }
}

/* ---- dates ---- */

static const char *const dates[] = { "date", "_range", "_dayends", NULL };

static sal_ask_t *without_dates(const sal_ask_t *ask)
{
    return sal_ask_without(sal_ask_first_page(ask), dates);
}

static void put_shortcuts(const sal_ask_t *ask, json_t *data)
{
    static const char *const names[] = { "24h", "3d", "7d", "14d", "1m", "3m", "6m" };
    static const char *const texts[] = { "24 h",    "3 days",   "7 days",  "14 days",
                                         "1 month", "3 months", "6 months" };
    const char *range = sal_ask_value(ask, "_range"), *whole = sal_ask_value(ask, "_dayends");
    bool dated = sal_ask_value(ask, "date") != NULL;
    json_t *list = json_array();
    sal_ask_t *toggled;

    range = range ? range : dated ? "" : "7d";
    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        sal_ask_t *one = without_dates(ask);

        sal_ask_add(one, "_range", names[i]);
        if (whole) {
            sal_ask_add(one, "_dayends", "1");
        }
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b}", "text", texts[i], "link",
                                        sal_ask_query(one), "here", strcmp(range, names[i]) == 0));
    }
    json_object_set_new(data, "shortcuts", list);
    toggled = without_dates(ask);
    sal_ask_add(toggled, "_range", *range ? range : "7d");
    if (!whole) {
        sal_ask_add(toggled, "_dayends", "1");
    }
    json_object_set_new(
        data, "dayends",
        json_pack("{s:s, s:b}", "link", sal_ask_query(toggled), "here", whole != NULL));
}

/* Inputs of type datetime-local take "2026-11-22T12:30". */
static void put_dates(const sal_ask_t *ask, json_t *data, json_t *form, apr_time_t from,
                      apr_time_t to)
{
    bool dated = sal_ask_value(ask, "date") != NULL;
    const char *words;
    json_t *chip;

    if (from >= to) {
        return;
    }
    put_text(data, "window",
             apr_psprintf(ask->p, "%s to %s", sal_format_time(from, 1, ask->p),
                          sal_format_time(to, 1, ask->p)));
    if (!dated) {
        const char *range = sal_ask_value(ask, "_range");

        (void)crashstats_range(range ? range : "7d", &words);
        chip = json_pack("{s:s}", "text", apr_pstrcat(ask->p, "last ", words, NULL));
        if (sal_ask_value(ask, "_dayends")) {
            put_text(chip, "text", apr_pstrcat(ask->p, "last ", words, ", whole days", NULL));
        }
    } else {
        put_text(form, "from", apr_pstrndup(ask->p, sal_format_datetime(from, ask->p), 16));
        put_text(form, "to", apr_pstrndup(ask->p, sal_format_datetime(to, ask->p), 16));
        chip = json_pack("{s:o}", "text",
                         json_string(json_string_value(json_object_get(data, "window"))));
    }
    if (dated || sal_ask_value(ask, "_range")) {
        put_text(chip, "drop",
                 apr_pstrcat(ask->p, "/search/?", sal_ask_query(without_dates(ask)), NULL));
    }
    json_object_set_new(data, "date_chip", chip);
}

/* ---- the form ---- */

static const char *joined(const char *const *names, int n, apr_pool_t *p)
{
    const char *out = "";

    for (int i = 0; n < 0 ? names[i] != NULL : i < n; i++) {
        out = apr_pstrcat(p, out, i ? ", " : "", names[i], NULL);
    }
    return out;
}

static json_t *simple_inputs(const sal_ask_t *ask)
{
    static const char *const platforms[] = { "Windows", "Mac OS X", "Linux", "Android", NULL };
    static const char *const processes[] = { "parent", "content", "gpu",     "plugin",
                                             "rdd",    "socket",  "utility", NULL };
    static const char *const labels[] = { "Product", "Version", "Platform", "Process" };
    const char *const *names = sal_ask_simple_fields();
    json_t *out = json_array();

    for (int i = 0; names[i]; i++) {
        const char *const *choices = i == 2 ? platforms : i == 3 ? processes : NULL;
        json_t *list = json_array();

        for (; choices && *choices; choices++) {
            json_array_append_new(list, json_string(*choices));
        }
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:s, s:o, s:b}", "name", names[i], "label",
                                        labels[i], "value", sal_ask_simple(ask, names[i]),
                                        "choices", list, "any_choices", json_array_size(list) > 0));
    }
    return out;
}

static json_t *field_list(const crashstats_req_t *q)
{
    json_t *out = json_array();
    int n;
    const sal_search_field_t *f = sal_search_fields(&n);

    for (int i = 0; i < n; i++) {
        if (f[i].match != SAL_MATCH_DATE) {
            json_array_append_new(out, json_pack("{s:s, s:b}", "name", f[i].name, "locked",
                                                 f[i].is_protected && !q->pii));
        }
    }
    return out;
}

/* Parameters that the form has no input for travel along. */
static json_t *carried(const sal_ask_t *ask)
{
    json_t *out = json_array();

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (strncmp(one->name, "_aggs.", 6) == 0 || strncmp(one->name, "_histogram", 10) == 0 ||
            strcmp(one->name, "_range") == 0 || strcmp(one->name, "_dayends") == 0) {
            json_array_append_new(out,
                                  json_pack("{s:s, s:s}", "name", one->name, "value", one->value));
        }
    }
    return out;
}

static bool any_condition(const sal_ask_t *ask)
{
    for (int i = 0; i < ask->pairs->nelts; i++) {
        if (sal_search_field(APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t).name)) {
            return true;
        }
    }
    return false;
}

static json_t *form_of(crashstats_req_t *q, const sal_ask_t *ask)
{
    const char *neg = sal_ask_value(ask, "_neg"), *sort = sal_ask_values(ask, "_sort");
    const char *rows = sal_ask_value(ask, "_results_number"), *add = sal_ask_value(ask, "_new");
    const char *size = sal_ask_value(ask, "_facets_size");
    sal_ask_t *plain;
    json_t *form;
    int n;
    const char *const *columns = sal_ask_columns(ask, &n);

    plain = sal_ask_make(ask->pii, ask->p); /* facets without the aggregations, which are carried */
    if (*sal_ask_values(ask, "_facets")) {
        sal_ask_add(plain, "_facets", sal_ask_values(ask, "_facets"));
    }
    form = json_pack(
        "{s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:b}", "simple", simple_inputs(ask), "lines",
        sal_ask_lines(ask, add), "fields", field_list(q), "carried", carried(ask), "facets",
        joined(crashstats_facets(plain), -1, ask->p), "columns", joined(columns, n, ask->p), "sort",
        *sort ? sort : "-date", "number", rows ? rows : "50", "facets_size", size ? size : "50",
        "neg", neg ? strcmp(neg, "and") == 0 : !any_condition(ask));
    if (add && !sal_search_field(add)) {
        const char *guess = sal_ask_guess(add);

        put_text(form, "new", add);
        put_text(form, "new_problem",
                 apr_pstrcat(ask->p, "There is no field “", add, "”.",
                             guess ? " Did you mean " : NULL, guess, "?", NULL));
    }
    return form;
}

/* ---- words ---- */

/* Two negated sets of one field, joined by "or": nearly everything, and rarely what is meant. */
static bool loose(const json_t *groups)
{
    json_t *group, *chip;
    size_t i, k;

    json_array_foreach(groups, i, group)
    {
        int nots = 0;

        json_array_foreach(json_object_get(group, "chips"), k, chip)
        {
            nots += json_is_true(json_object_get(chip, "not"));
        }
        if (nots && json_is_true(json_object_get(group, "many"))) {
            return true;
        }
    }
    return false;
}

static void put_negation(const sal_ask_t *ask, const json_t *groups, json_t *data)
{
    static const char *const names[] = { "_neg", NULL };
    const char *neg = sal_ask_value(ask, "_neg");
    bool and = neg && strcmp(neg, "and") == 0;
    sal_ask_t *other;

    if (!loose(groups)) {
        return;
    }
    other = sal_ask_without(sal_ask_first_page(ask), names);
    if (!and) {
        sal_ask_add(other, "_neg", "and");
    }
    json_object_set_new(data, "negation",
                        json_pack("{s:b, s:s}", "and", and, "link", sal_ask_query(other)));
}

static void put_locked(const sal_ask_t *ask, json_t *data)
{
    json_t *locked = sal_ask_locked(ask), *unknown = sal_ask_unknown(ask);

    json_object_set_new(data, "any_locked", json_boolean(json_array_size(locked) > 0));
    json_object_set_new(data, "locked_fields", locked);
    json_object_set_new(data, "any_unknown", json_boolean(json_array_size(unknown) > 0));
    json_object_set_new(data, "unknown", unknown);
}

static const char *api_query(const sal_ask_t *ask, apr_time_t from, apr_time_t to)
{
    static const char *const names[] = { "_range", "_dayends", "_dont_run", "_new",
                                         "page",   "_after",   NULL };
    sal_ask_t *out = from < to && sal_ask_value(ask, "_range")
                         ? sal_ask_without(sal_ask_between(ask, from, to), names)
                         : sal_ask_without(ask, names);
    int n;
    const char *const *columns = sal_ask_columns(ask, &n);

    if (!sal_ask_value(out, "_columns")) {
        sal_ask_add(out, "_columns", "uuid");
        for (int i = 0; i < n; i++) {
            sal_ask_add(out, "_columns", columns[i]);
        }
    }
    if (!sal_ask_value(out, "_sort")) {
        sal_ask_add(out, "_sort", "-date");
    }
    return sal_ask_query(out);
}

void crashstats_put_ask(crashstats_req_t *q, const sal_ask_t *ask, json_t *data, apr_time_t from,
                        apr_time_t to)
{
    json_t *groups = sal_ask_groups(ask), *form = form_of(q, ask);
    const char *sentence = sal_ask_sentence(ask);
    sal_ask_t *plain = sal_ask_first_page(ask);

    put_negation(ask, groups, data);
    json_object_set_new(data, "any_groups",
                        json_boolean(json_array_size(groups) > 0 || sal_ask_value(ask, "date")));
    json_object_set_new(data, "groups", groups);
    put_text(data, "sentence", sentence);
    put_dates(ask, data, form, from, to);
    put_shortcuts(ask, data);
    put_locked(ask, data);
    json_object_set_new(data, "form", form);
    put_text(data, "query", sal_ask_query(plain));
    put_text(data, "api_query", api_query(ask, from, to));
    json_object_set_new(
        data, "open",
        json_boolean(sal_ask_value(ask, "_new") || sal_ask_value(ask, "_dont_run") || !*sentence));
}
