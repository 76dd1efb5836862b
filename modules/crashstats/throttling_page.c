/*
 * /about/throttling/: why a report was not accepted. The rules are the collector's own, in the
 * order in which it asks them; it hands them over through an optional function.
 */
#include "common/throttle_info.h"
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "render/format.h"

/* What becomes of a report, to be read after "it is". */
static const char *fate(const char *result)
{
    static const char *const fates[][2] = { { "ACCEPT", "accepted" },
                                            { "DEFER", "kept, and processed when somebody looks" },
                                            { "REJECT", "rejected" },
                                            { "FAKEACCEPT", "dropped, though the client is told "
                                                            "that it was accepted" },
                                            { "CONTINUE", "left to the rules below" } };

    for (apr_size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        if (strcmp(result, fates[i][0]) == 0) {
            return fates[i][1];
        }
    }
    return result;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static const char *count_of(const json_t *object, const char *key, apr_pool_t *p)
{
    return sal_format_count(json_integer_value(json_object_get(object, key)), p);
}

static const char *outcome(const json_t *rule, apr_pool_t *p)
{
    double percent = json_number_value(json_object_get(rule, "percent"));
    const char *result = fate(text_of(rule, "result"));

    return percent >= 100 ? result
                          : apr_psprintf(p, "%g %% %s, the others %s", percent, result,
                                         fate(text_of(rule, "otherwise")));
}

/* What a rule does at most, as the colour of its tag. */
static const char *kind(const json_t *rule)
{
    const char *result = text_of(rule, "result"), *otherwise = text_of(rule, "otherwise");

    if (json_number_value(json_object_get(rule, "percent")) < 100 &&
        strcmp(result, otherwise) != 0) {
        return "warn";
    }
    return strcmp(result, "REJECT") == 0 || strcmp(result, "FAKEACCEPT") == 0 ? "crash"
           : strcmp(result, "ACCEPT") == 0                                    ? "ok"
                                                                              : "plain";
}

static json_t *rules_of(const json_t *place, apr_pool_t *p)
{
    json_t *out = json_array(), *rule;
    size_t i;

    json_array_foreach(json_object_get(place, "rules"), i, rule)
    {
        json_array_append_new(
            out, json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "number", (int)i + 1, "name",
                           text_of(rule, "name"), "kind", kind(rule), "outcome", outcome(rule, p),
                           "expr", text_of(rule, "expr"), "count", count_of(rule, "count", p)));
    }
    return out;
}

static const char *products_of(const json_t *place)
{
    const char *products = text_of(place, "products");

    return strcmp(products, "any") == 0 ? "Products are not listed: any may send reports."
                                        : "Products are listed; the rules say what that means.";
}

static json_t *place_view(const json_t *place, apr_pool_t *p)
{
    json_t *rules = rules_of(place, p);
    json_t *view =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "path", text_of(place, "path"), "server",
                  text_of(place, "server"), "products", products_of(place), "fallback",
                  fate(text_of(place, "fallback")), "unmatched", count_of(place, "unmatched", p),
                  "any_rules", json_array_size(rules) > 0, "rules", rules);

    return view;
}

int crashstats_throttling(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    APR_OPTIONAL_FN_TYPE(salvage_throttle_places) *fn =
        APR_RETRIEVE_OPTIONAL_FN(salvage_throttle_places);
    json_t *places = fn ? fn() : json_array(), *views = json_array(), *place;
    size_t i;

    json_array_foreach(places, i, place)
    {
        json_array_append_new(views, place_view(place, q->r->pool));
    }
    json_decref(places);
    return crashstats_page(q, HTTP_OK, "throttling", NULL,
                           json_pack("{s:s, s:b, s:b, s:o}", "title", "Throttling", "plain_title",
                                     1, "any_places", json_array_size(views) > 0, "collectors",
                                     views));
}
