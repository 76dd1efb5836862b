/*
 * Health of the pages, for monitors: /monitoring/heartbeat/ always; /__lbheartbeat__,
 * /__heartbeat__ and /__version__ where the collector does not answer them (docs/api.md, "Health").
 */
#include "crashstats/crashstats.h"

#include <unistd.h>

#include <apr_strings.h>

#include "base/text.h"
#include "queue/queue.h"
#include "render/format.h"
#include "search/super.h"

#define BUDGET apr_time_from_sec(2)
#define QUEUE_AGE "1h"

typedef struct {
    crashstats_req_t *q;
    json_t *errors; /* names of what failed */
    int64_t queue_age;
} check_t;

static void fail(check_t *c, const char *what, const sal_error_t *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, c->q->r, "SAL4042: heartbeat: %s: %s", what,
                  err->message);
    json_array_append_new(c->errors, json_string(what));
}

/* A real search, of the last hour: the newest partition, whatever is in it. */
static apr_status_t try_search(sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_super_reader_t reader = { .known = true };
    apr_time_t now = apr_time_now();
    sal_super_t *search = sal_super_make(&reader, now, p);
    json_t *out;
    apr_status_t rv;

    sal_super_param(
        search, "date",
        apr_pstrcat(p, ">=", sal_format_datetime(now - apr_time_from_sec(3600), p), NULL));
    sal_super_param(search, "_results_number", "1");
    sal_super_param(search, "_facets_size", "0");
    rv = sal_super_run(&out, search, db, p, err);
    json_decref(out);
    return rv;
}

static apr_status_t look(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    check_t *c = baton;
    sal_queue_stats_t stats;
    apr_status_t rv = sal_queue_stats(&stats, db, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (stats.all.ready && stats.all.oldest_ready_seconds > c->queue_age) {
        (void)sal_fail(err, APR_EGENERAL, "the oldest job has waited for %ld s",
                       (long)stats.all.oldest_ready_seconds);
        fail(c, "queue", err);
    }
    if (try_search(db, p, err) != APR_SUCCESS) {
        fail(c, "search", err);
    }
    return APR_SUCCESS;
}

static void look_at_symbols(check_t *c)
{
    const char *root = sal_conf_get(c->q->conf->shared, "symbol-store", NULL);
    sal_error_t err = { 0 };

    if (root && access(root, R_OK | X_OK) != 0) {
        (void)sal_fail_os(&err, errno, "%s", root);
        fail(c, "symbols", &err);
    }
}

static int answer(crashstats_req_t *q, int status, json_t *doc)
{
    apr_table_setn(q->r->headers_out, "Cache-Control", "no-store");
    return crashstats_api_reply(q, status, doc);
}

int crashstats_heartbeat(crashstats_req_t *q, const char *rest)
{
    check_t c = { .q = q, .errors = json_array() };
    apr_time_t begin = apr_time_now();
    sal_error_t err = { 0 };

    (void)rest;
    if (!sal_parse_duration(sal_conf_get(q->conf->shared, "heartbeat-queue-age", QUEUE_AGE),
                            &c.queue_age)) {
        c.queue_age = 3600;
    }
    if (web_with_db(q->r, look, &c, &err) != APR_SUCCESS) {
        fail(&c, "database", &err);
    }
    look_at_symbols(&c);
    if (apr_time_now() - begin > BUDGET) {
        (void)sal_fail(&err, APR_TIMEUP, "it took longer than two seconds");
        fail(&c, "slow", &err);
    }
    if (json_array_size(c.errors) == 0) {
        json_decref(c.errors);
        return answer(q, HTTP_OK, json_pack("{s:b}", "ok", 1));
    }
    return answer(q, HTTP_INTERNAL_SERVER_ERROR,
                  json_pack("{s:b, s:o}", "ok", 0, "errors", c.errors));
}

int crashstats_lbheartbeat(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return answer(q, HTTP_OK, json_pack("{s:b}", "ok", 1));
}

int crashstats_version(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return answer(q, HTTP_OK,
                  json_pack("{s:s, s:s, s:s, s:s}", "source", "", "version", SALVAGE_VERSION,
                            "commit", "", "build", ""));
}
