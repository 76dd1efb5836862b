/*
 * Why a report has its signature, which bugs name it, what its crashes have in common.
 */
#include "render/report_private.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"
#include "render/format.h"

enum { FRAMES_MAX = 100, RESULTS_MAX = 100 };

/* ---- the signature ---- */

/* "prefix.txt line 12: expression", or NULL. */
static const char *entry_text(const json_t *by, apr_pool_t *p)
{
    const char *list = sal_json_str(by, "list"), *expression = sal_json_str(by, "expression");
    const json_t *line = json_object_get(by, "line");

    if (!list && !expression) {
        return NULL;
    }
    return apr_pstrcat(p, list ? list : "",
                       json_is_integer(line) ? apr_psprintf(p, " line %" APR_INT64_T_FMT,
                                                            (apr_int64_t)json_integer_value(line))
                                             : "",
                       ": ", expression ? sal_report_cut(expression, p) : "", NULL);
}

/* What became of a frame, in words of the page. */
static const char *decision_text(const char *decision)
{
    static const char *const words[][2] = { { "above the sentinel",
                                              "above the first frame that counts" },
                                            { "empty", "has no name" },
                                            { "irrelevant", "left out: irrelevant" },
                                            { "repeated", "left out: the same as before" },
                                            { "prefix", "taken; the next frame is added" },
                                            { "stop", "taken; the signature ends here" },
                                            { "not reached", "not looked at any more" } };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (decision && strcmp(decision, words[i][0]) == 0) {
            return words[i][1];
        }
    }
    return decision;
}

static json_t *frames_of(const json_t *stack, int *left, apr_pool_t *p)
{
    json_t *out = json_array(), *frame;
    size_t i, idle = 0;

    json_array_foreach(json_object_get(stack, "frames"), i, frame)
    {
        const char *decision = sal_json_str(frame, "decision");
        const char *name = sal_json_str(frame, "normalized");
        bool taken = decision && (!strcmp(decision, "prefix") || !strcmp(decision, "stop"));
        json_t *row;

        if (decision && strcmp(decision, "not reached") == 0 && idle++ > 0) {
            continue; /* one of them says enough */
        }
        if (--*left < 0) {
            break;
        }
        row = json_pack("{s:b, s:b}", "taken", taken, "inlined",
                        json_is_true(json_object_get(frame, "inline")));
        json_object_set_new(row, "num",
                            json_string(sal_report_plain(json_object_get(frame, "index"), p)));
        json_object_set_new(row, "name",
                            sal_format_pieces(name && *name ? sal_report_cut(name, p) : "nothing"));
        sal_report_put(row, "decision", decision_text(decision));
        sal_report_put(row, "by", entry_text(json_object_get(frame, "by"), p));
        json_array_append_new(out, row);
    }
    return out;
}

/* The rules that changed something. */
static json_t *changes(const json_t *why, apr_pool_t *p)
{
    json_t *out = json_array(), *rule;
    size_t i;

    json_array_foreach(json_object_get(why, "rules"), i, rule)
    {
        const char *name = sal_json_str(rule, "rule"), *after = sal_json_str(rule, "after");
        json_t *row;

        if (!json_is_true(json_object_get(rule, "changed"))) {
            continue;
        }
        row = json_object();
        sal_report_put(row, "rule", name);
        sal_report_put(row, "after", after ? sal_report_cut(after, p) : NULL);
        json_array_append_new(out, row);
    }
    return out;
}

void sal_report_put_why(const sal_report_t *r, json_t *view)
{
    const char *stored = sal_json_str(r->doc, "signature");
    const char *now = r->in->recomputed;
    json_t *stacks = json_array(), *stack, *out;
    int left = FRAMES_MAX;
    size_t i;

    if (r->in->pii && now && (!stored || strcmp(stored, now) != 0)) {
        json_object_set_new(view, "recomputed", sal_format_signature(now));
        json_object_set_new(view, "is_recomputed", json_true());
    }
    if (!r->in->why) {
        json_decref(stacks);
        return;
    }
    json_array_foreach(json_object_get(r->in->why, "stacks"), i, stack)
    {
        json_t *frames = frames_of(stack, &left, r->p);
        json_t *one =
            json_pack("{s:b, s:o}", "any_frames", json_array_size(frames) > 0, "frames", frames);

        sal_report_put(one, "rule", sal_json_str(stack, "rule"));
        json_array_append_new(stacks, one);
    }
    out = json_pack("{s:o}", "stacks", stacks);
    sal_report_put_list(out, "changes", changes(r->in->why, r->p), r->p);
    json_object_set_new(view, "why", out);
}

/* ---- bugs ---- */

static json_t *bug_text(const sal_bug_text_t *bug)
{
    json_t *out = json_object();

    sal_report_put(out, "title", bug->title);
    sal_report_put(out, "description", bug->description);
    return out;
}

void sal_report_put_bugs(const sal_report_t *r, json_t *view)
{
    json_t *bugs = r->in->bugs ? json_incref((json_t *)r->in->bugs) : json_array();
    json_t *links = r->in->bug_links ? json_incref((json_t *)r->in->bug_links) : json_array();

    json_object_set_new(view, "bug_count",
                        json_string(sal_format_count((apr_int64_t)json_array_size(bugs), r->p)));
    json_object_set(view, "file_a_bug", json_object_get(json_array_get(links, 0), "url"));
    sal_report_put_list(view, "bugs", bugs, r->p);
    sal_report_put_list(view, "bug_links", links, r->p);
    if (r->in->bug) {
        json_object_set_new(view, "bug_text", bug_text(r->in->bug));
    }
}

/* ---- correlations ---- */

static const char *share(apr_int64_t part, apr_int64_t total, apr_pool_t *p)
{
    return apr_psprintf(p, "%.1f %%", total > 0 ? 100.0 * (double)part / (double)total : 0.0);
}

static apr_int64_t number(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

/* "k = v" of each, joined by "and". */
static const char *items_text(const json_t *items, apr_pool_t *p)
{
    const char *out = "", *name;
    json_t *value;

    json_object_foreach((json_t *)items, name, value)
    {
        out = apr_pstrcat(p, out, *out ? " and " : "", name, json_is_true(value) ? "" : " = ",
                          json_is_true(value) ? "" : sal_report_plain(value, p), NULL);
    }
    return out;
}

void sal_report_put_correlations(const sal_report_t *r, json_t *view)
{
    const json_t *all = r->in->correlations, *results = json_object_get(all, "results");
    apr_int64_t group = number(all, "total"), reference = number(all, "total_reference");
    json_t *rows = json_array(), *one;
    size_t i;

    json_array_foreach(results, i, one)
    {
        const json_t *prior = json_object_get(one, "prior");
        json_t *row;

        if (i == RESULTS_MAX) {
            break;
        }
        row = json_object();
        sal_report_put(row, "here", share(number(one, "count_group"), group, r->p));
        sal_report_put(row, "overall", share(number(one, "count_reference"), reference, r->p));
        sal_report_put(row, "what", items_text(json_object_get(one, "item"), r->p));
        if (prior) {
            sal_report_put(
                row, "prior",
                apr_psprintf(
                    r->p, "%s vs %s if %s",
                    share(number(prior, "count_group"), number(prior, "total_group"), r->p),
                    share(number(prior, "count_reference"), number(prior, "total_reference"), r->p),
                    items_text(json_object_get(prior, "item"), r->p)));
        }
        json_array_append_new(rows, row);
    }
    sal_report_put_list(view, "correlations", rows, r->p);
    sal_report_put(view, "correlation_group", sal_format_count(group, r->p));
    sal_report_put(view, "correlation_reference", sal_format_count(reference, r->p));
    sal_report_put(view, "correlation_date", sal_json_str(all, "date"));
}
