/*
 * Two versions side by side, and what got worse from one to the next.
 */
#include "render/top.h"

#include <math.h>
#include <string.h>
#include <apr_strings.h>
#include "render/chart.h"
#include "render/format.h"

enum { ROWS = 50 };

static void put(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

static void put_window(json_t *o, const sal_top_ask_t *ask, const sal_top_env_t *env, apr_pool_t *p)
{
    put(o, "product", ask->product);
    put(o, "days", apr_psprintf(p, "%d", ask->days));
    json_object_set_new(o, "one_day", json_boolean(ask->days == 1));
    put(o, "from_iso", sal_format_datetime(env->from, p));
    put(o, "from", sal_format_time(env->from, 1, p));
    put(o, "to_iso", sal_format_datetime(env->to, p));
    put(o, "to", sal_format_time(env->to, 1, p));
}

/* The choices of days, as links of this page. */
static json_t *day_links(const char *path, const sal_top_ask_t *ask, const char *more,
                         apr_pool_t *p)
{
    static const char *const days[] = { "1", "3", "7", "14", "28" };
    json_t *links = json_array();

    for (int i = 0; i < 5; i++) {
        json_array_append_new(
            links,
            json_pack("{s:s, s:s, s:b}", "text", i == 4 ? "28 days" : days[i], "href",
                      apr_pstrcat(p, sal_top_address(path, ask, "days", days[i], p), more, NULL),
                      "here", !strcmp(days[i], apr_itoa(p, ask->days))));
    }
    return json_pack("{s:s, s:o}", "label", "Last", "links", links);
}

/* ---- side by side ---- */

static void put_count(json_t *row, const char *key, const sal_board_count_t *c, int64_t total,
                      apr_pool_t *p)
{
    json_object_set_new(row, key,
                        c ? json_pack("{s:s, s:s, s:s}", "rank", apr_itoa(p, c->rank), "count",
                                      sal_format_count(c->n, p), "share",
                                      sal_chart_percent(c->n, total, 2, p))
                          : json_null());
}

static json_t *pair_of(const sal_top_pair_t *pair, const sal_top_compare_t *c,
                       const sal_top_ask_t *ask, const char *version, const sal_top_env_t *env,
                       apr_pool_t *p)
{
    const char *arrow = pair->moved > 0 ? "▲" : "▼";
    const char *kind = pair->moved > 0.005 ? "up" : pair->moved < -0.005 ? "down" : "";
    json_t *row = json_object();

    json_object_set_new(row, "signature", sal_format_signature(pair->signature));
    put(row, "link", sal_top_signature_link(pair->signature, ask, version, env, p));
    put_count(row, "in_a", pair->a, c->a.total, p);
    put_count(row, "in_b", pair->b, c->b.total, p);
    json_object_set_new(
        row, "change",
        sal_top_delta(kind, *kind ? apr_psprintf(p, "%s %.2f pp", arrow, fabs(pair->moved)) : "±0",
                      NULL));
    return row;
}

static void put_pairs(json_t *out, const char *key, const sal_top_pair_t *list, int n,
                      const sal_top_compare_t *c, const sal_top_ask_t *ask, const char *version,
                      const sal_top_env_t *env, apr_pool_t *p)
{
    json_t *rows = json_array();

    for (int i = 0; i < n && i < ROWS; i++) {
        json_array_append_new(rows, pair_of(&list[i], c, ask, version, env, p));
    }
    json_object_set_new(out, key,
                        json_pack("{s:o, s:b, s:s, s:s, s:b}", "rows", rows, "any", n > 0, "n",
                                  sal_format_count(n, p), "shown",
                                  sal_format_count(n < ROWS ? n : ROWS, p), "cut", n > ROWS));
}

json_t *sal_top_compare_view(const sal_top_compare_t *c, const sal_top_ask_t *ask, const char *a,
                             const char *b, const sal_top_env_t *env, apr_pool_t *p)
{
    const char *more =
        apr_pstrcat(p, "&a=", sal_format_urlencode(a, p), "&b=", sal_format_urlencode(b, p), NULL);
    const char *back =
        apr_pstrcat(p, "&a=", sal_format_urlencode(b, p), "&b=", sal_format_urlencode(a, p), NULL);
    json_t *out = json_object(), *list = json_array();

    put_window(out, ask, env, p);
    put(out, "a", a);
    put(out, "b", b);
    put(out, "total_a", sal_format_count(c->a.total, p));
    put(out, "total_b", sal_format_count(c->b.total, p));
    put_pairs(out, "only_a", c->only_a, c->n_only_a, c, ask, a, env, p);
    put_pairs(out, "only_b", c->only_b, c->n_only_b, c, ask, b, env, p);
    put_pairs(out, "both", c->both, c->n_both, c, ask, b, env, p);
    json_array_append_new(list, day_links("/topcrashers/compare/", ask, more, p));
    json_object_set_new(out, "segs", list);
    put(out, "turn",
        apr_pstrcat(p, sal_top_address("/topcrashers/compare/", ask, NULL, NULL, p), back, NULL));
    return out;
}

/* ---- from one version to the next ---- */

static json_t *regression_of(const sal_top_regression_t *r, const sal_top_regressions_t *all,
                             const sal_top_ask_t *ask, const char *version,
                             const sal_top_env_t *env, apr_pool_t *p)
{
    json_t *row = json_object();

    json_object_set_new(row, "signature", sal_format_signature(r->signature));
    put(row, "link", sal_top_signature_link(r->signature, ask, version, env, p));
    put(row, "count", sal_format_count(r->n, p));
    put(row, "share", sal_chart_percent(r->n, all->total, 2, p));
    put(row, "count_before", sal_format_count(r->before, p));
    put(row, "share_before", sal_chart_percent(r->before, all->total_before, 2, p));
    put(row, "times",
        r->share_before > 0 ? apr_psprintf(p, "×%.1f", r->share / r->share_before) : NULL);
    put(row, "earlier", sal_format_count(r->earlier, p));
    return row;
}

json_t *sal_top_regressions_view(const sal_top_regressions_t *r, const sal_top_ask_t *ask,
                                 const char *version, const sal_top_env_t *env, apr_pool_t *p)
{
    static const char *const keys[] = { "fresh", "back", "more" };
    json_t *out = json_object(), *list = json_array(), *groups[3];
    int n[3] = { 0 };

    for (int k = 0; k < 3; k++) {
        groups[k] = json_array();
    }
    for (int i = 0; i < r->n; i++) {
        if (n[r->list[i].kind]++ < ROWS) {
            json_array_append_new(groups[r->list[i].kind],
                                  regression_of(&r->list[i], r, ask, version, env, p));
        }
    }
    for (int k = 0; k < 3; k++) {
        json_object_set_new(out, keys[k],
                            json_pack("{s:o, s:b, s:s, s:b}", "rows", groups[k], "any", n[k] > 0,
                                      "n", sal_format_count(n[k], p), "cut", n[k] > ROWS));
    }
    put_window(out, ask, env, p);
    put(out, "version", version);
    put(out, "before", r->before);
    put(out, "total", sal_format_count(r->total, p));
    put(out, "total_before", sal_format_count(r->total_before, p));
    put(out, "earlier", apr_itoa(p, r->earlier));
    json_object_set_new(out, "one_earlier", json_boolean(r->earlier == 1));
    json_object_set_new(out, "any", json_boolean(r->n > 0));
    json_array_append_new(list, day_links("/topcrashers/regressions/", ask, "", p));
    json_object_set_new(out, "segs", list);
    return out;
}
