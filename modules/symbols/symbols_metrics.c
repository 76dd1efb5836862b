/*
 * What all children have counted, for /metrics. Names of debuginfod's requests are those that its
 * own server uses.
 */
#include "symbols_private.h"

#include <apr_shm.h>
#include "common/metrics.h"

APLOG_USE_MODULE(symbols);

static apr_uint64_t *counts; /* in shared memory, or NULL */

void symbols_counts_make(apr_pool_t *p, server_rec *s)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, SYMBOLS_COUNTS * sizeof(*counts), NULL, p);

    counts = NULL;
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, rv, s,
                     "SAL2029: no shared memory: downloads are not counted");
        return;
    }
    counts = apr_shm_baseaddr_get(shm);
    memset(counts, 0, SYMBOLS_COUNTS * sizeof(*counts));
}

void symbols_count(symbols_count_t what)
{
    if (counts) {
        __atomic_fetch_add(&counts[what], 1, __ATOMIC_RELAXED);
    }
}

/* Debuginfod's own names: dashboards know them. One family after the other. */
static int add_metrics(web_metrics_t *m)
{
    static const struct {
        const char *family, *help, *label, *value;
    } rows[SYMBOLS_COUNTS] = {
#define DOWNLOADS "salvage_symbols_downloads_total", "Downloads of symbol files.", "result"
#define REQUESTS "http_requests_total", "Requests of debuginfod clients.", "type"
#define RESPONSES "http_responses_total", "Answers to debuginfod clients.", "result"
        { DOWNLOADS, "found" },     { DOWNLOADS, "missing" },  { REQUESTS, "debuginfo" },
        { REQUESTS, "executable" }, { REQUESTS, "source" },    { REQUESTS, "section" },
        { REQUESTS, "metadata" },   { DOWNLOADS, "upstream" }, { RESPONSES, "200" },
        { RESPONSES, "404" },       { RESPONSES, "406" },      { RESPONSES, "other" }
    };
    static const int firsts[] = { 0, 2, 8 };

    for (int f = 0; f < 3; f++) {
        const char *family = rows[firsts[f]].family;

        web_metrics_family(m, family, "counter", rows[firsts[f]].help);
        for (int i = 0; i < SYMBOLS_COUNTS; i++) {
            if (!strcmp(rows[i].family, family)) {
                double n = counts ? (double)__atomic_load_n(&counts[i], __ATOMIC_RELAXED) : 0;

                web_metrics_sample(m, "", n, rows[i].label, rows[i].value, NULL);
            }
        }
    }
    return OK;
}

void symbols_metrics_hook(void)
{
    APR_OPTIONAL_HOOK(web, salvage_metrics, add_metrics, NULL, NULL, APR_HOOK_MIDDLE);
}

int symbols_metrics(request_rec *r)
{
    int rc = symbols_method(r, "GET, HEAD");

    return rc == DECLINED ? web_metrics_reply(r) : rc;
}
