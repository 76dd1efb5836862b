/*
 * /api/CrashPings/ and /api/CrashPingSignatures/: crash pings for programs (docs/pings.md, "The
 * API"). Parameters with '_' before them say what is answered, all others are filters.
 */
#include "crashstats/api.h"

#include <apr_strings.h>

#include "base/text.h"
#include "ping/ping_search.h"

#define DAY apr_time_from_sec(86400)

/* What the reader asked for could not be: 400, or 403 for protected fields. */
static int refused(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    if (rv == SAL_E_DENIED) {
        return crashstats_api_error(q, HTTP_FORBIDDEN,
                                    apr_pstrcat(q->r->pool, err->message,
                                                ": it requires permissions: View Personal "
                                                "Identifiable Information",
                                                NULL));
    }
    return rv == APR_ENOENT || rv == SAL_E_MALFORMED
               ? crashstats_api_error(
                     q, HTTP_BAD_REQUEST,
                     apr_pstrcat(q->r->pool, "Bad request: BadArgumentError: ", err->message, NULL))
               : crashstats_api_failed(q, rv, err);
}

/* ---- CrashPings ---- */

typedef struct {
    crashstats_req_t *q;
    sal_ping_query_t *query;
    int64_t limit, offset, facet_size;
    apr_status_t rv;
    sal_error_t err;
    json_t *out;
} pings_t;

static apr_status_t number(int64_t *out, const char *name, const char *value, sal_error_t *err)
{
    return sal_parse_int(value, 0, 1000000, out)
               ? APR_SUCCESS
               : sal_fail(err, SAL_E_MALFORMED, "%s is not a number", name);
}

/* One parameter; 0 ends the walk. */
static int take(void *baton, const char *name, const char *value)
{
    pings_t *s = baton;

    if (!strcmp(name, "_columns")) {
        s->rv = sal_ping_query_column(s->query, value, &s->err);
    } else if (!strcmp(name, "_facets")) {
        s->rv = sal_ping_query_facet(s->query, value, &s->err);
    } else if (!strcmp(name, "_sort")) {
        s->rv = sal_ping_query_sort(s->query, value, &s->err);
    } else if (!strcmp(name, "_results_number")) {
        s->rv = number(&s->limit, name, value, &s->err);
    } else if (!strcmp(name, "_results_offset")) {
        s->rv = number(&s->offset, name, value, &s->err);
    } else if (!strcmp(name, "_facets_size")) {
        s->rv = number(&s->facet_size, name, value, &s->err);
    } else if (strcmp(name, "pretty")) {
        s->rv = sal_ping_query_filter(s->query, name, value, &s->err);
    }
    return s->rv == APR_SUCCESS;
}

static apr_status_t run_pings(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    pings_t *s = baton;

    return sal_ping_query_run(&s->out, s->query, db, p, err);
}

int api_pings(api_call_t *c)
{
    crashstats_req_t *q = c->q;
    pings_t s = { .q = q, .limit = 100, .facet_size = 50 };
    apr_status_t rv;

    s.query = sal_ping_query_make(apr_time_now(), q->pii, q->r->pool);
    apr_table_do(take, &s, c->given, NULL);
    if (s.rv == APR_SUCCESS) {
        s.rv = sal_ping_query_page(s.query, s.limit, s.offset, s.facet_size, &s.err);
    }
    if (s.rv != APR_SUCCESS) {
        return refused(q, s.rv, &s.err);
    }
    rv = web_with_db(q->r, run_pings, &s, &s.err);
    if (rv != APR_SUCCESS) {
        return refused(q, rv, &s.err);
    }
    json_object_set_new(s.out, "errors", json_array());
    return crashstats_api_reply(q, HTTP_OK, s.out);
}

/* ---- CrashPingSignatures ---- */

typedef struct {
    sal_ping_gap_t gap;
    json_t *out;
} gaps_t;

static apr_status_t run_gaps(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    gaps_t *s = baton;

    return sal_ping_gaps(&s->out, &s->gap, db, p, err);
}

static const char *text_param(const api_call_t *c, const char *name)
{
    const char *value = web_param(c->given, name);

    return value && *value ? value : NULL;
}

static bool number_param(const api_call_t *c, const char *name, int64_t min, int64_t max,
                         int64_t *out)
{
    const char *value = web_param(c->given, name);

    return !value || !*value || sal_parse_int(value, min, max, out);
}

int api_ping_gaps(api_call_t *c)
{
    crashstats_req_t *q = c->q;
    gaps_t s = { .gap = { .min_pings = 10, .max_reports = 10, .limit = 100 } };
    apr_time_t now = apr_time_now();
    int64_t days = 7;
    sal_error_t err = { 0 };
    apr_status_t rv;

    s.gap.product = text_param(c, "product");
    s.gap.channel = text_param(c, "channel");
    s.gap.version = text_param(c, "version");
    s.gap.os = text_param(c, "os");
    s.gap.process_type = text_param(c, "process_type");
    if (!number_param(c, "_days", 1, 366, &days) ||
        !number_param(c, "_min_pings", 1, INT64_C(1) << 40, &s.gap.min_pings) ||
        !number_param(c, "_max_reports", 0, INT64_C(1) << 40, &s.gap.max_reports) ||
        !number_param(c, "_results_number", 1, 1000, &s.gap.limit)) {
        return crashstats_api_error(q, HTTP_BAD_REQUEST,
                                    "Bad request: BadArgumentError: _days, _min_pings, "
                                    "_max_reports and _results_number are numbers");
    }
    s.gap.to = now + DAY; /* days are whole: today counts */
    s.gap.from = now - (days - 1) * DAY;
    rv = web_with_db(q->r, run_gaps, &s, &err);
    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(q, rv, &err);
    }
    return crashstats_api_reply(
        q, HTTP_OK,
        json_pack("{s:o, s:I}", "hits", s.out, "total", (json_int_t)json_array_size(s.out)));
}
