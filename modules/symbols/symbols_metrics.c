/*
 * /metrics: what all children have counted, in Prometheus' text. Names of debuginfod's requests are
 * those that its own server uses.
 */
#include "symbols_private.h"

#include <apr_shm.h>
#include <apr_strings.h>

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

int symbols_metrics(request_rec *r)
{
    static const char *const names[SYMBOLS_COUNTS] = {
        "salvage_symbols_downloads_total{result=\"found\"}",
        "salvage_symbols_downloads_total{result=\"missing\"}",
        "http_requests_total{type=\"debuginfo\"}",
        "http_requests_total{type=\"executable\"}",
        "http_requests_total{type=\"source\"}",
        "http_requests_total{type=\"section\"}",
        "http_requests_total{type=\"metadata\"}",
        "salvage_symbols_downloads_total{result=\"upstream\"}",
        "http_responses_total{result=\"200\"}",
        "http_responses_total{result=\"404\"}",
        "http_responses_total{result=\"406\"}",
        "http_responses_total{result=\"other\"}"
    };
    const char *text = "";
    int rc = symbols_method(r, "GET, HEAD");

    if (rc != DECLINED) {
        return rc;
    }
    for (int i = 0; i < SYMBOLS_COUNTS; i++) {
        text = apr_psprintf(r->pool, "%s%s %" APR_UINT64_T_FMT "\n", text, names[i],
                            counts ? __atomic_load_n(&counts[i], __ATOMIC_RELAXED) : 0);
    }
    return web_reply(r, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, strlen(text));
}
