/*
 * The trend of the signature report: crashes a day by the values of a field.
 */
#include "render/signature_view.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/ask_result.h"
#include "render/chart.h"

enum { DAY_S = 86400, TERMS = SAL_CHART_SERIES - 1 };

typedef struct term_t {
    const char *name;
    int64_t total;
    int64_t *n; /* of each day */
} term_t;

static int larger(const void *a, const void *b)
{
    const term_t *x = a, *y = b;

    return x->total != y->total ? (x->total < y->total ? 1 : -1) : strcmp(x->name, y->name);
}

static term_t *term_named(apr_array_header_t *terms, const char *name, int days, apr_pool_t *p)
{
    term_t *t;

    for (int i = 0; i < terms->nelts; i++) {
        t = &APR_ARRAY_IDX(terms, i, term_t);
        if (!strcmp(t->name, name)) {
            return t;
        }
    }
    t = &APR_ARRAY_PUSH(terms, term_t);
    *t = (term_t){ .name = name, .n = apr_pcalloc(p, sizeof(int64_t) * (size_t)days) };
    return t;
}

static int day_of(const sal_sigview_days_t *w, apr_time_t t)
{
    apr_int64_t d = (t - w->from) / apr_time_from_sec(DAY_S);

    return t >= w->from && d < w->days ? (int)d : -1;
}

/* Terms with their days, largest first; what has no term goes to *rest. */
static apr_array_header_t *read_terms(const json_t *histogram, const char *field,
                                      const sal_sigview_days_t *w, int64_t *rest, int64_t *all,
                                      apr_pool_t *p)
{
    apr_array_header_t *terms = apr_array_make(p, 16, sizeof(term_t));
    json_t *one, *term;
    size_t i, k;

    json_array_foreach(histogram, i, one)
    {
        const char *date = sal_json_str(one, "term");
        apr_time_t t;
        int day = date && sal_time_parse(date, &t) ? day_of(w, t) : -1;

        if (day < 0) {
            continue;
        }
        rest[day] += json_integer_value(json_object_get(one, "count"));
        *all += json_integer_value(json_object_get(one, "count"));
        json_array_foreach(json_object_get(json_object_get(one, "facets"), field), k, term)
        {
            term_t *to =
                term_named(terms, sal_sigview_text(json_object_get(term, "term"), p), w->days, p);
            int64_t n = json_integer_value(json_object_get(term, "count"));

            to->n[day] += n;
            to->total += n;
        }
    }
    qsort(terms->elts, (size_t)terms->nelts, sizeof(term_t), larger);
    return terms;
}

static const char *day_link(const sal_sigview_t *v, apr_time_t day)
{
    const sal_ask_t *one = sal_ask_between(v->ask, day, day + apr_time_from_sec(DAY_S));

    return apr_pstrcat(v->p, v->self, sal_ask_query(one), NULL);
}

static int put_series(sal_chart_series_t *out, const apr_array_header_t *terms, int64_t *rest,
                      int days)
{
    int n = 0;
    bool left = false;

    for (int i = 0; i < terms->nelts && i < TERMS; i++) {
        const term_t *t = &APR_ARRAY_IDX(terms, i, term_t);

        out[n++] = (sal_chart_series_t){ .name = *t->name ? t->name : "none", .n = t->n };
        for (int d = 0; d < days; d++) {
            rest[d] -= t->n[d] < rest[d] ? t->n[d] : rest[d]; /* values of lists count each */
        }
    }
    for (int d = 0; d < days; d++) {
        left = left || rest[d] > 0;
    }
    if (left) {
        out[n++] = (sal_chart_series_t){ .name = terms->nelts ? "others" : "no value", .n = rest };
    }
    return n;
}

json_t *sal_sigview_trend(const sal_sigview_t *v, const json_t *histogram, const char *field,
                          const sal_sigview_days_t *days, const sal_sigview_mark_t *marks,
                          int n_marks, const char *id)
{
    apr_pool_t *p = v->p;
    size_t n = (size_t)(days->days < 1 ? 1 : days->days);
    const char **names = apr_pcalloc(p, sizeof(char *) * n),
               **links = apr_pcalloc(p, sizeof(char *) * n);
    int64_t *rest = apr_pcalloc(p, sizeof(int64_t) * n), all = 0;
    sal_chart_mark_t *lines = apr_pcalloc(p, sizeof(*lines) * (size_t)(n_marks + 1));
    sal_chart_series_t series[SAL_CHART_SERIES];
    apr_array_header_t *terms;
    sal_chart_t chart = { .id = id,
                          .what = apr_psprintf(p, "%d days of crashes by %s", days->days, field),
                          .head = "Day",
                          .bars = days->days,
                          .names = names,
                          .links = links,
                          .list = series,
                          .mark = lines,
                          .newest = true };

    if (days->days < 1 || days->days > SAL_CHART_BARS_MAX) {
        return NULL;
    }
    terms = read_terms(histogram, field, days, rest, &all, p);
    if (!all) {
        return NULL;
    }
    for (int d = 0; d < days->days; d++) {
        apr_time_t day = days->from + apr_time_from_sec((apr_int64_t)d * DAY_S);

        names[d] = sal_chart_day(day, p);
        links[d] = day_link(v, day);
    }
    for (int i = 0; i < n_marks; i++) {
        int day = day_of(days, marks[i].at);

        if (day >= 0) {
            lines[chart.marks++] = (sal_chart_mark_t){ .bar = day, .text = marks[i].text };
        }
    }
    chart.series = put_series(series, terms, rest, days->days);
    return sal_chart_bars(&chart, p);
}
