/*
 * Charts as data for templates: sparklines (templates/sparkline.mustache), bars in a stack a day
 * with marks (chart.mustache), heat maps (heat.mustache). The server draws them as SVG in percent
 * coordinates; each tells its finding in words and has its numbers as a table.
 *
 * Numbers in, a jansson object out (new reference). Nothing here knows what is counted.
 */
#ifndef SAL_RENDER_CHART_H
#define SAL_RENDER_CHART_H

#include <stdbool.h>
#include <jansson.h>
#include <apr_time.h>
#include "base/error.h"

enum {
    SAL_SPARK_DAYS = 28,
    SAL_CHART_SERIES = 4, /* more are put together as "others" */
    SAL_CHART_BARS_MAX = 400
};

/*
 * 28 days (or fewer: then they stand at the right end), the last of them today: it is not over, so
 * it stands apart. {"label", "days", "now"}; put it under "spark" for {{> sparkline}}.
 */
SAL_API json_t *sal_chart_spark(const int64_t *n, int days, apr_pool_t *p);

typedef struct sal_chart_series_t {
    const char *name;
    const int64_t *n; /* as many as there are bars */
} sal_chart_series_t;

/* A dashed line where a bar begins: a release. */
typedef struct sal_chart_mark_t {
    int bar;
    const char *text;
} sal_chart_mark_t;

typedef struct sal_chart_t {
    const char *id;           /* of the pattern, unique on the page; NULL: "hatch" */
    const char *finding;      /* what the chart tells; NULL: the highest bar is told */
    const char *what;         /* for that: "28 days of crashes by version" */
    const char *head;         /* of the table's first column: "Day" */
    int bars;                 /* at most SAL_CHART_BARS_MAX */
    const char *const *names; /* of bars: "26 Oct" */
    const char *const *links; /* NULL, or of each bar an address or NULL */
    const char *const *ticks; /* of each bar what stands below it, or NULL; NULL: some names */
    int series;
    const sal_chart_series_t *list; /* lowest in the stack first */
    int marks;
    const sal_chart_mark_t *mark;
    bool low;    /* a flat chart */
    bool newest; /* the table begins with the last bar */
} sal_chart_t;

/*
 * {"finding", "id", "low", "grid", "bars", "marks", "legend", "head", "heads", "rows"}; put it
 * under "chart" for {{> chart}}, and its "legend" there or elsewhere ({{> chart-legend}}). NULL if
 * there are no bars or no series. A legend of one series is empty.
 */
SAL_API json_t *sal_chart_bars(const sal_chart_t *chart, apr_pool_t *p);

typedef struct sal_chart_heat_t {
    const char *finding; /* NULL: the highest cell is told */
    const char *head;    /* of the table's first column: "Version" */
    int rows, columns;
    const char *const *names; /* of rows */
    const char *const *days;  /* of columns */
    const int64_t *n;         /* row by row */
    const char *const *links; /* NULL, or as n */
} sal_chart_heat_t;

/* {"finding", "rows", ...} under "heat" for {{> heat}}; NULL if there is nothing. */
SAL_API json_t *sal_chart_heat(const sal_chart_heat_t *heat, apr_pool_t *p);

/*
 * A row of a list of shares: {"name", "parts", "link", "count", "share"}, as facets.mustache takes
 * them; share is "69.5", of total. link may be NULL.
 */
SAL_API json_t *sal_chart_share(const char *name, const char *link, int64_t n, int64_t total,
                                apr_pool_t *p);

/* "69.5" or "9.13" with that many digits (0 to 3) behind the point; "0.0" of nothing. */
SAL_API const char *sal_chart_percent(int64_t n, int64_t total, int digits, apr_pool_t *p);

/* "26 Oct", UTC. */
SAL_API const char *sal_chart_day(apr_time_t t, apr_pool_t *p);

#endif
