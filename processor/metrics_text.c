/*
 * Metrics as Prometheus' text. Upstream's names with '_' for '.', below salvage_processor_; a
 * timing is a summary in seconds with its longest as a gauge.
 */
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>

#define PREFIX "salvage_processor_"

/* ---- what rules and workers have counted ---- */

static int by_name(const void *a, const void *b)
{
    const sal_metric_t *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    return c ? c : strcmp(x->label, y->label);
}

static apr_array_header_t *sorted(apr_pool_t *p)
{
    apr_array_header_t *all = apr_array_make(p, 128, sizeof(sal_metric_t));
    sal_metric_t m;

    for (size_t i = 0; sal_metrics_get(board_metrics(), i, &m); i++) {
        APR_ARRAY_PUSH(all, sal_metric_t) = m;
    }
    qsort(all->elts, (size_t)all->nelts, sizeof(sal_metric_t), by_name);
    return all;
}

/* Two processes may have begun one metric at the same moment. */
static void add_up(apr_array_header_t *all)
{
    sal_metric_t *m = (sal_metric_t *)all->elts;
    int kept = 0;

    for (int i = 0; i < all->nelts; i++) {
        if (kept && by_name(&m[kept - 1], &m[i]) == 0) {
            m[kept - 1].count += m[i].count;
            m[kept - 1].sum += m[i].sum;
            m[kept - 1].max = m[i].max > m[kept - 1].max ? m[i].max : m[kept - 1].max;
        } else {
            m[kept++] = m[i];
        }
    }
    all->nelts = kept;
}

/* "rule:Name,part:x" -> {rule="Name",part="x"}; labels are ours and need no escapes but these. */
static const char *labels(const char *label, apr_pool_t *p)
{
    char *copy = apr_pstrdup(p, label), *last, *part;
    const char *out = "";

    for (part = apr_strtok(copy, ",", &last); part; part = apr_strtok(NULL, ",", &last)) {
        char *value = strchr(part, ':');

        for (char *c = part; *c; c++) {
            *c = *c == '"' || *c == '\\' || *c == '\n' ? '_' : *c;
        }
        if (value) {
            *value++ = '\0';
        }
        out = apr_pstrcat(p, out, *out ? "," : "", value ? part : "kind", "=\"",
                          value ? value : part, "\"", NULL);
    }
    return *out ? apr_pstrcat(p, "{", out, "}", NULL) : "";
}

static const char *family(const sal_metric_t *m, apr_pool_t *p)
{
    char *name = apr_pstrcat(p, PREFIX, m->name,
                             m->kind == SAL_METRIC_TIMING  ? "_seconds"
                             : m->kind == SAL_METRIC_COUNT ? "_total"
                                                           : "",
                             NULL);

    for (char *c = name; *c; c++) {
        *c = *c == '.' || *c == '-' ? '_' : *c;
    }
    return name;
}

static void write_family(FILE *out, const sal_metric_t *m, int n, apr_pool_t *p)
{
    static const char *const types[] = { "counter", "gauge", "summary" };
    const char *name = family(m, p);

    fprintf(out, "# TYPE %s %s\n", name, types[m->kind]);
    for (int i = 0; i < n; i++) {
        const char *label = labels(m[i].label, p);

        if (m->kind == SAL_METRIC_TIMING) {
            fprintf(out, "%s_sum%s %.6f\n%s_count%s %llu\n", name, label, (double)m[i].sum / 1e6,
                    name, label, (unsigned long long)m[i].count);
        } else {
            fprintf(out, "%s%s %lld\n", name, label,
                    (long long)(m->kind == SAL_METRIC_GAUGE ? m[i].last : m[i].sum));
        }
    }
    if (m->kind == SAL_METRIC_COUNT) {
        return;
    }
    fprintf(out, "# TYPE %s_max gauge\n", name);
    for (int i = 0; i < n; i++) {
        fprintf(out, "%s_max%s %.6f\n", name, labels(m[i].label, p),
                m->kind == SAL_METRIC_TIMING ? (double)m[i].max / 1e6 : (double)m[i].max);
    }
}

static void write_counted(FILE *out, apr_pool_t *p)
{
    apr_array_header_t *all = sorted(p);
    const sal_metric_t *m = (const sal_metric_t *)all->elts;

    add_up(all);
    for (int i = 0, n; i < all->nelts; i += n) {
        for (n = 1; i + n < all->nelts && !strcmp(m[i + n].name, m[i].name); n++) {
            continue;
        }
        write_family(out, &m[i], n, p);
    }
}

static void write_ingestion(FILE *out)
{
    uint64_t sum = 0;

    fprintf(out,
            "# HELP " PREFIX "ingestion_timing_seconds From acceptance to the first document.\n"
            "# TYPE " PREFIX "ingestion_timing_seconds histogram\n");
    for (int i = 0; i < INGESTION_BUCKETS - 1; i++) {
        sum += board_ingestion(i);
        fprintf(out, PREFIX "ingestion_timing_seconds_bucket{le=\"%d\"} %llu\n",
                board_ingestion_bounds[i], (unsigned long long)sum);
    }
    sum += board_ingestion(INGESTION_BUCKETS - 1);
    fprintf(out,
            PREFIX "ingestion_timing_seconds_bucket{le=\"+Inf\"} %llu\n" PREFIX
                   "ingestion_timing_seconds_sum %.6f\n" PREFIX
                   "ingestion_timing_seconds_count %llu\n",
            (unsigned long long)sum, board_ingestion_sum(), (unsigned long long)sum);
}

/* ---- what the queue holds ---- */

typedef int64_t (*lane_fn)(const queue_look_t *look, int lane);

static int64_t ready(const queue_look_t *look, int lane)
{
    return look->stats.lane[lane].ready;
}

static int64_t waiting(const queue_look_t *look, int lane)
{
    return look->stats.lane[lane].waiting;
}

static int64_t leased(const queue_look_t *look, int lane)
{
    return look->stats.lane[lane].leased;
}

static int64_t dead(const queue_look_t *look, int lane)
{
    return look->stats.lane[lane].dead;
}

static int64_t deferred(const queue_look_t *look, int lane)
{
    return look->stats.lane[lane].deferred;
}

static int64_t oldest_ready(const queue_look_t *look, int lane)
{
    return look->stats.lane[lane].oldest_ready_seconds;
}

static int64_t oldest_leased(const queue_look_t *look, int lane)
{
    return look->stats.lane[lane].oldest_leased_seconds;
}

static int64_t paused(const queue_look_t *look, int lane)
{
    return look->pauses[lane].paused;
}

static const struct {
    const char *name, *help;
    lane_fn value;
} lane_gauges[] = {
    { "queue_ready", "Jobs that wait for a worker or their next try.", ready },
    { "queue_waiting", "Of these, what waits for its next try.", waiting },
    { "queue_leased", "Jobs at work.", leased },
    { "queue_dead", "Jobs that were given up.", dead },
    { "queue_deferred", "Jobs kept until somebody looks at the crash.", deferred },
    { "queue_oldest_ready_seconds", "Age of the oldest ready job.", oldest_ready },
    { "queue_oldest_leased_seconds", "Age of the oldest lease.", oldest_leased },
    { "queue_paused", "1: nothing is claimed from the lane.", paused },
};

static void write_queue(FILE *out, const queue_look_t *look)
{
    fprintf(out,
            "# HELP " PREFIX "database_up 1: the queue could be read.\n"
            "# TYPE " PREFIX "database_up gauge\n" PREFIX "database_up %d\n",
            look->good);
    for (size_t i = 0; look->good && i < sizeof(lane_gauges) / sizeof(lane_gauges[0]); i++) {
        fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s gauge\n", lane_gauges[i].name,
                lane_gauges[i].help, lane_gauges[i].name);
        for (int lane = 0; lane < 3; lane++) {
            fprintf(out, PREFIX "%s{lane=\"%s\"} %lld\n", lane_gauges[i].name,
                    sal_lane_name((sal_lane_t)lane), (long long)lane_gauges[i].value(look, lane));
        }
    }
    if (look->good) {
        fprintf(out,
                "# HELP " PREFIX "database_oldest_transaction_seconds "
                "It keeps vacuum from the queue.\n"
                "# TYPE " PREFIX "database_oldest_transaction_seconds gauge\n" PREFIX
                "database_oldest_transaction_seconds %lld\n",
                (long long)look->transaction_seconds);
    }
}

static void write_workers(FILE *out, const settings_t *s)
{
    int busy = 0;

    for (int i = 1; i <= WORKERS_MAX; i++) {
        busy += board_is_busy(i);
    }
    fprintf(out,
            "# TYPE " PREFIX "workers gauge\n" PREFIX "workers %d\n"
            "# TYPE " PREFIX "workers_busy gauge\n" PREFIX "workers_busy %d\n",
            s->workers, busy);
}

char *metrics_text(size_t *size, const settings_t *s, const queue_look_t *look, apr_pool_t *p)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    if (!out) {
        return NULL;
    }
    write_workers(out, s);
    write_queue(out, look);
    write_ingestion(out);
    write_counted(out, p);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
