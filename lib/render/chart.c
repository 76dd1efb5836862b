/*
 * Charts as data for templates. Coordinates are whole hundredths of a percent until they are
 * written, so that no locale and no rounding of sums has a say.
 */
#include "render/chart.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "render/format.h"

enum {
    TOP = 1000,    /* of the plot, in hundredths of a percent of the height */
    BOTTOM = 8200, /* of it */
    LABELS = 7,    /* below the axis, about */
    SPARK_PITCH = 3,
    SPARK_HEIGHT = 200 /* tenths */
};

static const char *hundredths(int64_t n, apr_pool_t *p)
{
    return apr_psprintf(p, "%d.%02d%%", (int)(n / 100), (int)(n % 100));
}

static void put(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

const char *sal_chart_percent(int64_t n, int64_t total, int digits, apr_pool_t *p)
{
    static const int scales[] = { 1, 10, 100, 1000 };
    int scale = scales[digits < 0 ? 0 : digits > 3 ? 3 : digits];
    int64_t value = 0;

    if (total > 0 && n > 0) {
        value = (int64_t)((double)n * 100.0 * scale / (double)total + 0.5);
    }
    return digits < 1 ? apr_psprintf(p, "%" APR_INT64_T_FMT, value)
                      : apr_psprintf(p, "%" APR_INT64_T_FMT ".%0*d", value / scale,
                                     digits > 3 ? 3 : digits, (int)(value % scale));
}

const char *sal_chart_day(apr_time_t t, apr_pool_t *p)
{
    apr_time_exp_t x;

    apr_time_exp_gmt(&x, t);
    return apr_psprintf(p, "%d %s", x.tm_mday, apr_month_snames[x.tm_mon]);
}

json_t *sal_chart_share(const char *name, const char *link, int64_t n, int64_t total, apr_pool_t *p)
{
    json_t *out = json_object();

    put(out, "name", name);
    json_object_set_new(out, "parts", sal_format_signature(name));
    put(out, "link", link);
    put(out, "count", sal_format_count(n, p));
    put(out, "share", sal_chart_percent(n, total, 1, p));
    return out;
}

/* ---- sparklines ---- */

static const char *spark_bar(int64_t n, int64_t most, int slot, apr_pool_t *p)
{
    int height = (int)((double)n * SPARK_HEIGHT / (double)most + 0.5);

    if (n <= 0) {
        return "";
    }
    height = height < 5 ? 5 : height; /* what is not nothing can be seen */
    return apr_psprintf(p, "M%d.5 22v-%d.%d", slot * SPARK_PITCH + 1, height / 10, height % 10);
}

json_t *sal_chart_spark(const int64_t *n, int days, apr_pool_t *p)
{
    apr_array_header_t *parts = apr_array_make(p, SAL_SPARK_DAYS, sizeof(const char *));
    json_t *out = json_object();
    int64_t low = 0, most = 0, today;
    int slot;

    if (days > SAL_SPARK_DAYS) {
        n += days - SAL_SPARK_DAYS;
        days = SAL_SPARK_DAYS;
    }
    today = days > 0 ? n[days - 1] : 0;
    slot = SAL_SPARK_DAYS - days;
    for (int i = 0; i < days - 1; i++) {
        low = i == 0 || n[i] < low ? n[i] : low;
        most = n[i] > most ? n[i] : most;
    }
    put(out, "label",
        apr_psprintf(p, "%d days: lowest %s, highest %s a day, %s so far today", days,
                     sal_format_count(low, p), sal_format_count(most, p),
                     sal_format_count(today, p)));
    most = today > most ? today : most;
    for (int i = 0; i < days - 1; i++) {
        APR_ARRAY_PUSH(parts, const char *) = spark_bar(n[i], most, slot + i, p);
    }
    put(out, "days", apr_array_pstrcat(p, parts, 0));
    put(out, "now", spark_bar(today, most, SAL_SPARK_DAYS - 1, p));
    return out;
}

/* ---- bars ---- */

/* The numbers as they are drawn: series beyond the third are put together if there are over four.
 */
typedef struct plot_t {
    const sal_chart_t *chart;
    int series;
    const char *names[SAL_CHART_SERIES];
    int64_t *n[SAL_CHART_SERIES];
    int64_t *sums; /* of bars */
    int64_t most, ceiling;
    int bars;
    apr_pool_t *p;
} plot_t;

/* Twice the smallest round number whose double is not less. */
static int64_t ceiling_of(int64_t most)
{
    static const int tenths[] = { 10, 15, 20, 25, 30, 40, 50, 60, 80 };

    for (int64_t scale = 1; scale < INT64_MAX / 200; scale *= 10) {
        for (size_t i = 0; i < sizeof tenths / sizeof tenths[0]; i++) {
            int64_t half = scale * tenths[i] / 10;

            if (scale * tenths[i] % 10 == 0 && 2 * half >= most) {
                return 2 * half;
            }
        }
    }
    return most;
}

static void plot_make(plot_t *plot, const sal_chart_t *chart, apr_pool_t *p)
{
    bool merge = chart->series > SAL_CHART_SERIES;
    apr_size_t size;

    *plot = (plot_t){ .chart = chart, .p = p };
    plot->bars = chart->bars > SAL_CHART_BARS_MAX ? SAL_CHART_BARS_MAX : chart->bars;
    plot->series = merge ? SAL_CHART_SERIES : chart->series;
    size = sizeof(int64_t) * (apr_size_t)plot->bars;
    plot->sums = apr_pcalloc(p, size);
    for (int s = 0; s < plot->series; s++) {
        plot->names[s] = merge && s == SAL_CHART_SERIES - 1 ? "others" : chart->list[s].name;
        plot->n[s] = apr_pcalloc(p, size);
    }
    for (int s = 0; s < chart->series; s++) {
        int to = s < plot->series ? s : plot->series - 1;

        for (int i = 0; i < plot->bars; i++) {
            int64_t n = chart->list[s].n[i] > 0 ? chart->list[s].n[i] : 0;

            plot->n[to][i] += n;
            plot->sums[i] += n;
        }
    }
    for (int i = 0; i < plot->bars; i++) {
        plot->most = plot->sums[i] > plot->most ? plot->sums[i] : plot->most;
    }
    plot->ceiling = ceiling_of(plot->most);
}

/* Where n stands, in hundredths of a percent from the top. */
static int height_of(const plot_t *plot, int64_t n)
{
    return BOTTOM - (int)((double)n * (BOTTOM - TOP) / (double)plot->ceiling + 0.5);
}

static int left_of(const plot_t *plot, int bar)
{
    return (int)((double)bar * 10000.0 / plot->bars + 0.5);
}

static json_t *grid_of(const plot_t *plot)
{
    json_t *grid = json_array();

    for (int i = 0; i < 3; i++) {
        int64_t n = plot->ceiling / 2 * i;

        json_array_append_new(grid,
                              json_pack("{s:s, s:s}", "y", hundredths(height_of(plot, n), plot->p),
                                        "text", sal_format_count(n, plot->p)));
    }
    return grid;
}

static json_t *rects_of(const plot_t *plot, int bar, const char *x, const char *width)
{
    json_t *rects = json_array();
    int64_t below = 0;

    for (int s = 0; s < plot->series; s++) {
        int64_t n = plot->n[s][bar];
        int y = height_of(plot, below + n);
        json_t *rect;

        if (n > 0) {
            rect = json_pack("{s:b, s:i, s:s, s:s, s:s, s:s}", "hatched", s == 2, "key", s + 1, "x",
                             x, "y", hundredths(y, plot->p), "width", width, "height",
                             hundredths(height_of(plot, below) - y, plot->p));
            json_array_append_new(rects, rect);
        }
        below += n;
    }
    return rects;
}

static json_t *bar_of(const plot_t *plot, int i)
{
    const sal_chart_t *chart = plot->chart;
    const char *link = chart->links ? chart->links[i] : NULL;
    int pitch = 10000 / plot->bars, every = (plot->bars + LABELS - 1) / LABELS;
    const char *x = hundredths(left_of(plot, i) + pitch * 85 / 1000, plot->p);
    json_t *out = json_object();
    const char *label = chart->ticks ? chart->ticks[i] : i % every ? NULL : chart->names[i];
    int before = chart->ticks ? 0 : i / every;

    for (int k = 0; chart->ticks && k < i; k++) {
        before += chart->ticks[k] != NULL;
    }
    put(out, "link", link);
    put(out, "title",
        apr_psprintf(plot->p, "%s: %s", chart->names[i], sal_format_count(plot->sums[i], plot->p)));
    json_object_set_new(out, "rects", rects_of(plot, i, x, hundredths(pitch * 8 / 10, plot->p)));
    put(out, "tick", label);
    put(out, "x", x);
    /* narrow pages have room for every second one */
    json_object_set_new(out, "wide", json_boolean(label && before % 2 == 1));
    return out;
}

static json_t *marks_of(const plot_t *plot)
{
    const sal_chart_t *chart = plot->chart;
    json_t *marks = json_array();

    for (int i = 0; i < chart->marks; i++) {
        int x = left_of(plot, chart->mark[i].bar);
        bool end = x > 8000; /* the text would not fit at the right of the line */
        json_t *mark;

        if (chart->mark[i].bar >= 0 && chart->mark[i].bar < plot->bars) {
            mark = json_pack("{s:s, s:s, s:b, s:s}", "x", hundredths(x, plot->p), "text_x",
                             hundredths(end ? (x > 60 ? x - 60 : 0) : x + 60, plot->p), "end", end,
                             "text", chart->mark[i].text);
            json_array_append_new(marks, mark);
        }
    }
    return marks;
}

static json_t *legend_of(const plot_t *plot)
{
    json_t *legend = json_array();

    for (int s = 0; s < plot->series && plot->series > 1; s++) {
        json_array_append_new(legend, json_pack("{s:b, s:i, s:s}", "hatched", s == 2, "key", s + 1,
                                                "name", plot->names[s]));
    }
    return legend;
}

static void put_table(const plot_t *plot, json_t *out)
{
    json_t *heads = json_array(), *rows = json_array();

    for (int s = 0; s < plot->series; s++) {
        json_array_append_new(heads, json_string(plot->names[s]));
    }
    for (int k = 0; k < plot->bars; k++) {
        int i = plot->chart->newest ? plot->bars - 1 - k : k;
        json_t *cells = json_array();

        for (int s = 0; s < plot->series; s++) {
            json_array_append_new(cells, json_string(sal_format_count(plot->n[s][i], plot->p)));
        }
        json_array_append_new(
            rows, json_pack("{s:s, s:o}", "name", plot->chart->names[i], "cells", cells));
    }
    put(out, "head", plot->chart->head);
    json_object_set_new(out, "heads", heads);
    json_object_set_new(out, "table", rows);
}

/* "28 days of crashes by version. Highest: 322 on 19 Nov, of them 300 4.2.1." */
static const char *finding_of(const plot_t *plot)
{
    const char *what = plot->chart->what ? plot->chart->what : "Counts";
    int best = 0, series = 0;

    for (int i = 1; i < plot->bars; i++) {
        best = plot->sums[i] > plot->sums[best] ? i : best;
    }
    for (int s = 1; s < plot->series; s++) {
        series = plot->n[s][best] > plot->n[series][best] ? s : series;
    }
    if (plot->most == 0) {
        return apr_psprintf(plot->p, "%s: there are none.", what);
    }
    what = apr_psprintf(plot->p, "%s. Highest: %s, %s", what, plot->chart->names[best],
                        sal_format_count(plot->most, plot->p));
    return plot->series == 1 ? apr_pstrcat(plot->p, what, ".", NULL)
                             : apr_psprintf(plot->p, "%s, of which %s are %s.", what,
                                            sal_format_count(plot->n[series][best], plot->p),
                                            plot->names[series]);
}

json_t *sal_chart_bars(const sal_chart_t *chart, apr_pool_t *p)
{
    json_t *out, *bars;
    plot_t plot;

    if (chart->bars < 1 || chart->series < 1) {
        return NULL;
    }
    plot_make(&plot, chart, p);
    out = json_object();
    bars = json_array();
    for (int i = 0; i < plot.bars; i++) {
        json_array_append_new(bars, bar_of(&plot, i));
    }
    put(out, "finding", chart->finding ? chart->finding : finding_of(&plot));
    put(out, "id", chart->id ? chart->id : "hatch");
    json_object_set_new(out, "hatching", json_boolean(plot.series > 2));
    json_object_set_new(out, "low", json_boolean(chart->low));
    json_object_set_new(out, "linked", json_boolean(chart->links != NULL));
    json_object_set_new(out, "grid", grid_of(&plot));
    json_object_set_new(out, "bars", bars);
    json_object_set_new(out, "marks", marks_of(&plot));
    json_object_set_new(out, "legend", legend_of(&plot));
    put_table(&plot, out);
    return out;
}

/* ---- heat ---- */

/* 0 to 5: nothing, and five steps up to the most; a step is a fifth of it. */
static int heat_step(int64_t n, int64_t most)
{
    return n <= 0 ? 0 : 1 + (int)((double)(n - 1) * 5.0 / (double)most);
}

static json_t *heat_row(const sal_chart_heat_t *heat, int row, int64_t most, apr_pool_t *p)
{
    static const char *const strength[] = { "0", "0.2", "0.4", "0.6", "0.8", "1" };
    int height = 10000 / heat->rows, pitch = 10000 / heat->columns;
    json_t *cells = json_array(), *numbers = json_array();

    for (int c = 0; c < heat->columns; c++) {
        int at = row * heat->columns + c;
        const char *count = sal_format_count(heat->n[at], p);
        json_t *cell = json_object();

        json_array_append_new(numbers, json_string(count));
        put(cell, "link", heat->links ? heat->links[at] : NULL);
        put(cell, "title", apr_psprintf(p, "%s, %s: %s", heat->names[row], heat->days[c], count));
        put(cell, "x", hundredths((int64_t)10000 * c / heat->columns, p));
        put(cell, "y", hundredths((int64_t)10000 * row / heat->rows, p));
        put(cell, "width", hundredths(pitch * 9 / 10, p));
        put(cell, "height", hundredths(height * 85 / 100, p));
        put(cell, "strength", strength[heat_step(heat->n[at], most)]);
        json_array_append_new(cells, cell);
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "name", heat->names[row], "y",
                     hundredths((int64_t)10000 * row / heat->rows + height / 2, p), "cells", cells,
                     "numbers", numbers);
}

json_t *sal_chart_heat(const sal_chart_heat_t *heat, apr_pool_t *p)
{
    int cells = heat->rows * heat->columns, best = 0;
    json_t *out, *rows, *heads;

    if (heat->rows < 1 || heat->columns < 1 || heat->columns > SAL_CHART_BARS_MAX) {
        return NULL;
    }
    for (int i = 1; i < cells; i++) {
        best = heat->n[i] > heat->n[best] ? i : best;
    }
    out = json_object();
    rows = json_array();
    heads = json_array();
    for (int i = 0; i < heat->rows; i++) {
        json_array_append_new(rows, heat_row(heat, i, heat->n[best], p));
    }
    for (int i = 0; i < heat->columns; i++) {
        json_array_append_new(heads, json_string(heat->days[i]));
    }
    put(out, "finding",
        heat->finding
            ? heat->finding
            : apr_psprintf(p, "Highest: %s of %s on %s.", sal_format_count(heat->n[best], p),
                           heat->names[best / heat->columns], heat->days[best % heat->columns]));
    json_object_set_new(out, "linked", json_boolean(heat->links != NULL));
    put(out, "head", heat->head);
    put(out, "first", heat->days[0]);
    put(out, "last", heat->days[heat->columns - 1]);
    json_object_set_new(out, "heads", heads);
    json_object_set_new(out, "rows", rows);
    return out;
}
