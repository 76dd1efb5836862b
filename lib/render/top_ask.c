/*
 * Addresses of top crashers, the choices above the table, the order of its rows.
 */
#include "render/top.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/text.h"
#include "render/format.h"

static const struct {
    const char *param;
    const char *values[12];
} choices[] = {
    { "days", { "7", "1", "3", "14", "28", NULL } },
    { "_report_type", { "crash", "any", "hang", NULL } },
    { "process_type",
      { "parent", "any", "content", "gpu", "plugin", "rdd", "socket", "utility", "other", NULL } },
    { "platform", { "all", "Windows", "Mac OS X", "Linux", "Unknown", NULL } },
    { "_range_type", { "report", "build", NULL } },
    { "_tcbs_mode", { "realtime", "byday", NULL } },
    { "_facets_size", { "50", "100", "200", "300", NULL } },
    { "_installs", { "1", "2", NULL } },
    { "_sort",
      { "-count", "count", "-change", "change", "-installs", "installs", "-gc", "gc", "-first",
        "first", NULL } },
};
enum { CHOICES = sizeof choices / sizeof choices[0] };

const char *const *sal_top_values(const char *param)
{
    for (int i = 0; i < CHOICES; i++) {
        if (!strcmp(choices[i].param, param)) {
            return choices[i].values;
        }
    }
    return NULL;
}

const char *sal_top_value(const char *param, const char *value)
{
    const char *const *v = sal_top_values(param);

    for (; value && v && *v; v++) {
        if (!strcmp(*v, value)) {
            return *v;
        }
    }
    return NULL;
}

static const char *value_of(const sal_top_ask_t *ask, const char *param, apr_pool_t *p)
{
    if (!strcmp(param, "days")) {
        return apr_itoa(p, ask->days);
    } else if (!strcmp(param, "_report_type")) {
        return ask->report_type;
    } else if (!strcmp(param, "process_type")) {
        return ask->process_type;
    } else if (!strcmp(param, "platform")) {
        return ask->platform;
    } else if (!strcmp(param, "_range_type")) {
        return ask->by_build ? "build" : "report";
    } else if (!strcmp(param, "_tcbs_mode")) {
        return ask->by_day ? "byday" : "realtime";
    } else if (!strcmp(param, "_facets_size")) {
        return apr_itoa(p, ask->size);
    } else if (!strcmp(param, "_installs")) {
        return ask->several ? "2" : "1";
    }
    return ask->sort;
}

static void add(apr_array_header_t *parts, const char *param, const char *value)
{
    apr_pool_t *p = parts->pool;

    APR_ARRAY_PUSH(parts, const char *) = parts->nelts ? "&" : "?";
    APR_ARRAY_PUSH(parts, const char *) = param;
    APR_ARRAY_PUSH(parts, const char *) = "=";
    APR_ARRAY_PUSH(parts, const char *) = sal_format_urlencode(value, p);
}

const char *sal_top_address(const char *path, const sal_top_ask_t *ask, const char *param,
                            const char *value, apr_pool_t *p)
{
    apr_array_header_t *parts = apr_array_make(p, 32, sizeof(const char *));
    bool known = false;

    add(parts, "product", ask->product);
    for (int i = 0; ask->versions && ask->versions[i]; i++) {
        add(parts, "version", ask->versions[i]);
    }
    if (!ask->versions || !*ask->versions) {
        add(parts, "version", ""); /* all of them, and not the first one */
    }
    for (int i = 0; i < CHOICES; i++) {
        bool changed = param && !strcmp(param, choices[i].param);
        const char *v = changed ? value : value_of(ask, choices[i].param, p);

        known = known || changed;
        if (v && strcmp(v, choices[i].values[0])) {
            add(parts, choices[i].param, v);
        }
    }
    if (param && !known && value) {
        add(parts, param, value);
    }
    return apr_pstrcat(p, path, apr_array_pstrcat(p, parts, 0), NULL);
}

/* ---- order ---- */

static int64_t before_share(const sal_top_row_t *row, const sal_top_t *top)
{
    return top->before ? (int64_t)(1e9 * (double)row->before / (double)top->before) : 0;
}

static int64_t share(const sal_top_row_t *row, const sal_top_t *top)
{
    return top->total ? (int64_t)(1e9 * (double)row->now.n / (double)top->total) : 0;
}

typedef struct item_t {
    int64_t key;
    sal_top_row_t row;
} item_t;

static int ascending(const void *a, const void *b)
{
    const item_t *x = a, *y = b;

    return x->key != y->key ? (x->key < y->key ? -1 : 1) : x->row.now.rank - y->row.now.rank;
}

static int64_t key_of(const sal_top_row_t *row, const sal_top_t *top, const char *sort)
{
    if (!strcmp(sort, "change")) {
        return share(row, top) - before_share(row, top);
    } else if (!strcmp(sort, "installs")) {
        return row->installs;
    } else if (!strcmp(sort, "gc")) {
        return row->now.gc;
    } else if (!strcmp(sort, "first")) {
        return row->first;
    }
    return row->now.n;
}

void sal_top_arrange(sal_top_t *top, const sal_top_ask_t *ask)
{
    bool down = ask->sort[0] == '-';
    item_t *items = calloc((size_t)top->n + 1, sizeof(*items));
    int n = 0;

    if (!items) {
        return;
    }
    top->shown = 0;
    for (int i = 0; i < top->n; i++) {
        if (!ask->several || top->rows[i].installs > 1) {
            int64_t key = key_of(&top->rows[i], top, ask->sort + down);

            items[n++] = (item_t){ down ? -key : key, top->rows[i] };
            top->shown += top->rows[i].now.n;
        }
    }
    qsort(items, (size_t)n, sizeof(*items), ascending);
    for (int i = 0; i < n; i++) {
        top->rows[i] = items[i].row;
    }
    top->n = n;
    free(items);
}
