/*
 * The overview and a product's home.
 */
#include "render/overview.h"

#include <math.h>
#include <string.h>
#include <apr_strings.h>
#include "render/chart.h"
#include "render/format.h"
#include "render/top.h"

#define DAY apr_time_from_sec(24 * 3600)
enum { LATE_SECONDS = 15 * 60, SPIKE_LEAST = 50, SPIKE_TIMES = 2 };

static void put(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

static void put_flag(json_t *o, const char *key, bool yes)
{
    json_object_set_new(o, key, json_boolean(yes));
}

static const char *top_link(const char *product, const char *version, const char *more,
                            apr_pool_t *p)
{
    return apr_pstrcat(p, "/topcrashers/?product=", sal_format_urlencode(product, p),
                       "&version=", sal_format_urlencode(version ? version : "", p), more, NULL);
}

static const char *home_link(const char *product, apr_pool_t *p)
{
    return apr_pstrcat(p, "/home/product/", sal_format_urlencode(product, p), NULL);
}

/* "▲ 12.4 %" against a week ago. */
static json_t *week_change(const sal_overview_line_t *line, apr_pool_t *p)
{
    const char *was = apr_psprintf(p, "%s a week ago", sal_format_count(line->week_ago, p));
    double d = (double)(line->day - line->week_ago);
    double percent = line->week_ago ? 100 * d / (double)line->week_ago : 0;

    if (!line->week_ago) {
        return line->day ? sal_top_delta("new", "new", was) : sal_top_delta("", "–", was);
    }
    if (line->day == line->week_ago) {
        return sal_top_delta("", "±0 %", was);
    }
    return sal_top_delta(d > 0 ? "up" : "down",
                         apr_psprintf(p, fabs(percent) < 99.95 ? "%s %.1f %%" : "%s %.0f %%",
                                      d > 0 ? "▲" : "▼", fabs(percent)),
                         was);
}

static json_t *line_of(const char *product, const sal_overview_line_t *line, apr_pool_t *p)
{
    const char *channel = line->version ? sal_version_channel(line->version) : "";
    json_t *out = json_object();

    put(out, "version", line->version ? line->version : "all versions");
    put(out, "channel", channel);
    put(out, "link", top_link(product, line->version, "", p));
    put(out, "day", sal_format_count(line->day, p));
    json_object_set_new(out, "change", week_change(line, p));
    put(out, "rate",
        line->pings ? apr_psprintf(p, "%.1f", 1000.0 * (double)line->reports / (double)line->pings)
                    : NULL);
    json_object_set_new(out, "spark", sal_chart_spark(line->days, SAL_BOARD_DAYS, p));
    return out;
}

static const char *process_word(const char *type)
{
    static const char *const words[][2] = { { "parent", "Main" },    { "content", "Content" },
                                            { "gpu", "GPU" },        { "plugin", "Plug-in" },
                                            { "rdd", "RDD" },        { "socket", "Socket" },
                                            { "utility", "Utility" } };

    for (apr_size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!strcmp(words[i][0], type)) {
            return words[i][1];
        }
    }
    return NULL;
}

/* Top crashers of the first version by kind of process; "" of programs that send none. */
static json_t *process_links(const sal_overview_product_t *product, const char *version,
                             apr_pool_t *p)
{
    json_t *list = json_array();

    for (int i = 0; product->process_types[i]; i++) {
        const char *type = product->process_types[i], *word = process_word(type);

        if (word) {
            json_array_append_new(
                list, json_pack("{s:s, s:s}", "text", word, "href",
                                top_link(product->page.name, version,
                                         apr_pstrcat(p, "&process_type=", type, NULL), p)));
        }
    }
    return list;
}

static bool has_rates(const sal_overview_t *o)
{
    for (int i = 0; i < o->n_products; i++) {
        for (int k = 0; k < o->products[i].n; k++) {
            if (o->products[i].lines[k].pings) {
                return true;
            }
        }
    }
    return false;
}

static json_t *product_of(const sal_overview_product_t *product, apr_pool_t *p)
{
    const char *first = product->n ? product->lines[0].version : NULL;
    json_t *out = json_object(), *lines = json_array();

    for (int i = 0; i < product->n; i++) {
        json_array_append_new(lines, line_of(product->page.name, &product->lines[i], p));
    }
    if (!product->n) {
        json_array_append_new(lines, line_of(product->page.name, &product->all, p));
    }
    put(out, "name", product->page.name);
    put(out, "link", home_link(product->page.name, p));
    put(out, "description", product->page.description);
    json_object_set_new(out, "processes", process_links(product, first, p));
    json_object_set_new(out, "lines", lines);
    return out;
}

/* ---- what moved ---- */

static json_t *move_of(const sal_overview_move_t *move, apr_pool_t *p)
{
    json_t *out = json_object(), *tags = json_array();

    if (move->kind == SAL_MOVE_NEW) {
        sal_top_tag(tags, "accent",
                    move->version ? apr_psprintf(p, "new in %s", move->version) : "new", NULL);
    } else if (move->kind == SAL_MOVE_BACK) {
        sal_top_tag(tags, "warn", apr_psprintf(p, "back after %d days", move->gap), NULL);
    } else {
        sal_top_tag(tags, "crash",
                    apr_psprintf(p, "rising ×%.1f", (double)move->day / move->average),
                    apr_psprintf(p, "%.1f a day before", move->average));
    }
    json_object_set_new(out, "signature", sal_format_signature(move->signature));
    put(out, "link",
        apr_pstrcat(p, "/signature/?signature=", sal_format_urlencode(move->signature, p),
                    "&product=", sal_format_urlencode(move->product, p), NULL));
    json_object_set_new(out, "tags", tags);
    put(out, "of",
        move->version ? apr_pstrcat(p, move->product, " ", move->version, NULL) : move->product);
    put(out, "day", sal_format_count(move->day, p));
    json_object_set_new(out, "spark", sal_chart_spark(move->days, SAL_BOARD_DAYS, p));
    return out;
}

/* ---- what calls for action ---- */

static json_t *notice(const char *kind, const char *finding, const char *text, const char *link,
                      const char *link_text)
{
    json_t *out = json_object();

    put(out, "note_kind", kind);
    put(out, "finding", finding);
    put(out, "text", text);
    put(out, "href", link);
    put(out, "link_text", link_text);
    return out;
}

/* The version that crashes at least twice as much as a week ago, by the difference. */
static void add_spike(json_t *list, const sal_overview_t *o, apr_pool_t *p)
{
    const sal_overview_line_t *worst = NULL;
    const char *product = NULL;

    for (int i = 0; i < o->n_products; i++) {
        for (int k = 0; k < o->products[i].n; k++) {
            const sal_overview_line_t *line = &o->products[i].lines[k];

            if (line->day >= SPIKE_LEAST && line->week_ago > 0 &&
                line->day >= SPIKE_TIMES * line->week_ago &&
                (!worst || line->day - line->week_ago > worst->day - worst->week_ago)) {
                worst = line;
                product = o->products[i].page.name;
            }
        }
    }
    if (worst) {
        json_array_append_new(
            list, notice("crash",
                         apr_psprintf(p, "%s %s crashes %.1f times as much as a week ago.", product,
                                      worst->version, (double)worst->day / (double)worst->week_ago),
                         apr_psprintf(p, "%s in the last 24 hours, %s in the same hours then.",
                                      sal_format_count(worst->day, p),
                                      sal_format_count(worst->week_ago, p)),
                         top_link(product, worst->version, "&days=1", p), "See its top crashers"));
    }
}

static json_t *notices(const sal_overview_t *o, apr_pool_t *p)
{
    json_t *list = json_array();

    if (o->oldest > LATE_SECONDS) {
        json_array_append_new(
            list, notice("warn",
                         apr_psprintf(p, "Reports wait to be processed: %s.",
                                      sal_format_count(o->waiting, p)),
                         apr_psprintf(p, "The oldest came %s ago; the numbers below lack them.",
                                      sal_format_duration(o->oldest, p)),
                         "/status/", "See the queue"));
    }
    add_spike(list, o, p);
    for (int i = 0; i < o->n_back; i++) {
        const sal_overview_back_t *b = &o->back[i];
        const char *text = apr_psprintf(p, "%s was fixed in %s, and crashed %s.", b->signature,
                                        b->fixed, b->version);

        json_array_append_new(list, notice("crash", "A fixed crash has come back.", text,
                                           apr_pstrcat(p, "/signature/?signature=",
                                                       sal_format_urlencode(b->signature, p), NULL),
                                           "See the signature"));
    }
    return list;
}

/* ---- pages ---- */

static void put_frame(json_t *out, const sal_overview_t *o, apr_pool_t *p)
{
    put(out, "day_total", sal_format_count(o->day, p));
    put_flag(out, "single", o->day == 1);
    put_flag(out, "rates", has_rates(o));
    put(out, "columns", has_rates(o) ? "5" : "4");
    put(out, "newest", o->newest ? sal_format_time(o->newest, 1, p) : NULL);
    put(out, "newest_iso", o->newest ? sal_format_datetime(o->newest, p) : NULL);
}

json_t *sal_overview_view(const sal_overview_t *o, apr_pool_t *p)
{
    json_t *out = json_object(), *products = json_array(), *moves = json_array();

    for (int i = 0; i < o->n_products; i++) {
        json_array_append_new(products, product_of(&o->products[i], p));
    }
    for (int i = 0; i < o->n_moves; i++) {
        json_array_append_new(moves, move_of(&o->moves[i], p));
    }
    put_frame(out, o, p);
    put(out, "n_products", apr_itoa(p, o->n_products + o->more_products));
    put_flag(out, "one_product", o->n_products + o->more_products == 1);
    put(out, "more_products", o->more_products ? apr_itoa(p, o->more_products) : NULL);
    json_object_set_new(out, "notices", notices(o, p));
    json_object_set_new(out, "products", products);
    json_object_set_new(out, "moves", moves);
    put_flag(out, "any_moves", o->n_moves > 0);
    return out;
}

static json_t *links_of(const json_t *pairs)
{
    json_t *list = json_array(), *one;
    size_t i;

    json_array_foreach(pairs, i, one)
    {
        json_array_append_new(list, json_pack("{s:O, s:O}", "text", json_array_get(one, 0), "href",
                                              json_array_get(one, 1)));
    }
    return list;
}

/* 28 days of crashes by version, the first four lines; "X.Yb" would count its betas twice. */
static json_t *chart_of(const sal_overview_product_t *product, apr_time_t now, apr_pool_t *p)
{
    const char *names[SAL_BOARD_DAYS], *links[SAL_BOARD_DAYS];
    sal_chart_series_t series[SAL_CHART_SERIES];
    int64_t *others = apr_palloc(p, sizeof(product->all.days));
    sal_chart_t chart = { .head = "Day",
                          .what = "28 days of crashes by version",
                          .bars = SAL_BOARD_DAYS,
                          .names = names,
                          .links = links,
                          .list = series,
                          .newest = true };
    apr_time_t first = now - now % DAY - (SAL_BOARD_DAYS - 1) * DAY;

    memcpy(others, product->all.days, sizeof(product->all.days));
    for (int i = 0; i < product->n && chart.series < SAL_CHART_SERIES - 1; i++) {
        const char *version = product->lines[i].version;
        bool inside = false;

        for (int k = 0; k < chart.series; k++) {
            apr_size_t len = strlen(series[k].name);

            inside = inside ||
                     (series[k].name[len - 1] == 'b' && !strncmp(version, series[k].name, len));
        }
        if (!inside && *version) {
            series[chart.series++] = (sal_chart_series_t){ version, product->lines[i].days };
            for (int day = 0; day < SAL_BOARD_DAYS; day++) {
                others[day] -= product->lines[i].days[day];
            }
        }
    }
    series[chart.series++] = (sal_chart_series_t){ "others", others };
    for (int i = 0; i < SAL_BOARD_DAYS; i++) {
        apr_time_t day = first + i * DAY;

        names[i] = sal_chart_day(day, p);
        links[i] =
            apr_pstrcat(p, "/search/?product=", sal_format_urlencode(product->page.name, p),
                        "&date=%3E%3D", apr_pstrndup(p, sal_format_time(day, 1, p), 10),
                        "&date=%3C", apr_pstrndup(p, sal_format_time(day + DAY, 1, p), 10), NULL);
    }
    return sal_chart_bars(&chart, p);
}

static void put_version(json_t *line, const sal_overview_product_t *product,
                        const sal_overview_line_t *of, const char *version, apr_pool_t *p)
{
    put_flag(line, "here", version && !strcmp(version, of->version));
    json_object_set_new(line, "processes", process_links(product, of->version, p));
    put(line, "search",
        apr_pstrcat(p, "/search/?product=", sal_format_urlencode(product->page.name, p),
                    "&version=", sal_format_urlencode(of->version, p), NULL));
}

json_t *sal_product_view(const sal_overview_t *o, const char *version, apr_pool_t *p)
{
    const sal_overview_product_t *product = &o->products[0];
    json_t *out = json_object(), *lines = json_array();

    for (int i = 0; i < product->n; i++) {
        json_t *line = line_of(product->page.name, &product->lines[i], p);

        put_version(line, product, &product->lines[i], version, p);
        json_array_append_new(lines, line);
    }
    put_frame(out, o, p);
    put(out, "product", product->page.name);
    put(out, "description", product->page.description);
    put_flag(out, "any_versions", product->n > 0);
    json_object_set_new(out, "lines", lines);
    json_object_set_new(out, "all", line_of(product->page.name, &product->all, p));
    json_object_set_new(out, "chart", chart_of(product, o->now, p));
    put_flag(out, "any_links", json_array_size(product->page.home_links) > 0);
    json_object_set_new(out, "links", links_of(product->page.home_links));
    return out;
}
