/*
 * Bounds of searches: how many at once, how long, how many rows.
 *
 * The places of those that search at once are advisory locks of the database, so that they hold
 * for every process of every host that searches it, and fall back by themselves.
 */
#include "search/guard.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_general.h>

static sal_super_limits_t limits = { .at_once = 4,
                                     .wait = apr_time_from_sec(2),
                                     .anonymous = apr_time_from_sec(10),
                                     .known = apr_time_from_sec(30),
                                     .long_run = apr_time_from_sec(120),
                                     .scan_rows = 2000000,
                                     .sample_rows = 5000000 };

void sal_super_limits(sal_super_limits_t *out)
{
    *out = limits;
}

void sal_super_set_limits(const sal_super_limits_t *in)
{
    limits = *in;
}

static void set_time(apr_time_t *to, const sal_conf_t *conf, const char *key)
{
    apr_int64_t seconds = sal_conf_int(conf, key, 0);

    *to = seconds > 0 ? apr_time_from_sec(seconds) : *to;
}

void sal_super_configure(const sal_conf_t *conf)
{
    apr_int64_t at_once = sal_conf_int(conf, "search-at-once", limits.at_once);

    limits.at_once = at_once < 1 ? 1 : at_once > 250 ? 250 : (int)at_once;
    set_time(&limits.wait, conf, "search-wait");
    set_time(&limits.anonymous, conf, "search-limit-anonymous");
    set_time(&limits.known, conf, "search-limit");
    set_time(&limits.long_run, conf, "search-limit-long");
}

static apr_status_t enter(sal_rows_t **rows, int slot, apr_time_t limit, sal_run_t *run,
                          sal_error_t *err)
{
    return sal_db_exec(
        run->db, &sal_s_search_enter, rows, run->p, err,
        SAL_V_TEXT(apr_psprintf(run->p, "%" APR_TIME_T_FMT, apr_time_as_msec(limit))),
        SAL_V_INT(limits.at_once), SAL_V_INT(slot));
}

/* Waits in the queue of one place: the server keeps its order. */
static apr_status_t wait_for_place(sal_run_t *run, sal_error_t *err)
{
    sal_error_t e = { 0 };
    unsigned char noise = 0;
    apr_status_t rv;

    apr_generate_random_bytes(&noise, 1);
    rv = sal_db_exec(
        run->db, &sal_s_search_lock_timeout, NULL, run->p, &e,
        SAL_V_TEXT(apr_psprintf(run->p, "%" APR_TIME_T_FMT, apr_time_as_msec(limits.wait))));
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(run->db, &sal_s_search_wait, NULL, run->p, &e,
                         SAL_V_INT(noise % limits.at_once));
    }
    if (rv == SAL_E_DB && (strcmp(e.sqlstate, "55P03") == 0 || strcmp(e.sqlstate, "57014") == 0)) {
        return sal_fail(err, SAL_E_BUSY,
                        "Too many searches are running at once. Try again in a "
                        "few seconds.");
    }
    if (rv != APR_SUCCESS) {
        *err = e;
    }
    return rv;
}

apr_status_t sal_guard_enter(const sal_super_t *s, sal_run_t *run, sal_error_t *err)
{
    apr_time_t limit = s->reader.long_run ? limits.long_run
                       : s->reader.known  ? limits.known
                                          : limits.anonymous;
    sal_rows_t *rows;
    apr_status_t rv = enter(&rows, -1, limit, run, err);

    if (rv == APR_SUCCESS && sal_rows_null(rows, 0, 0)) {
        rv = wait_for_place(run, err);
        if (rv == APR_SUCCESS) {
            rv = enter(&rows, 1, limit, run, err);
        }
    }
    run->ends = apr_time_now() + limit;
    return rv;
}

/* ---- cost ---- */

/* Whether a condition is looked for in the texts of the rows themselves, without an index. */
static bool scans(const sal_condition_t *c)
{
    bool indexed =
        strcmp(c->field->name, "user_comments") == 0 || strcmp(c->field->name, "url") == 0;
    int letters = 0;

    if (c->field->store != SAL_STORE_TEXT || c->op == SAL_OP_NULL) {
        return sal_field_is_stack(c->field) && c->op == SAL_OP_REGEX;
    }
    if (strcmp(c->field->name, "address") == 0 && (c->op == SAL_OP_IS || c->op == SAL_OP_BARE)) {
        return false;
    }
    for (const char *t = c->text; *t; t++) {
        letters = (*t >= '0' && *t <= '9') || (*t | 0x20) >= 'a' ? letters + 1 : 0;
        if (letters == 3) {
            break;
        }
    }
    return !indexed || letters < 3 || c->negated;
}

/* Whether a condition leaves few rows, by an index. */
static bool selects(const sal_condition_t *c)
{
    return !c->negated && !scans(c) && c->op != SAL_OP_NULL && c->op != SAL_OP_TRUE &&
           !sal_op_is_range(c->op) && c->field->match != SAL_MATCH_BOOL;
}

static apr_status_t check_scan(const sal_super_t *s, const sal_run_t *run, sal_error_t *err)
{
    const sal_search_field_t *scanned = NULL;

    for (int i = 0; i < s->query->conditions->nelts; i++) {
        const sal_condition_t *c = &APR_ARRAY_IDX(s->query->conditions, i, sal_condition_t);

        if (selects(c)) {
            return APR_SUCCESS;
        }
        scanned = scans(c) ? c->field : scanned;
    }
    if (scanned && run->window_rows > limits.scan_rows) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "A condition on %s would have to read every crash of these days. Give a "
                        "longer text, a shorter range of dates or a second condition.",
                        scanned->name);
    }
    return APR_SUCCESS;
}

/* What the planner expects to match. */
static apr_status_t expected(double *n, const sal_where_t *where, sal_run_t *run, sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(run->p);
    sal_rows_t *rows;
    json_t *plan;
    apr_status_t rv;

    sal_sql_add(sql, "EXPLAIN (FORMAT JSON) SELECT FROM crash c WHERE ");
    sal_sql_put(sql, where->sql);
    rv = sal_sql_run(sql, "estimate", &rows, run, err);
    if (rv == APR_SUCCESS) {
        plan = json_loads(sal_rows_text(rows, 0, 0), 0, NULL);
        *n = json_number_value(
            json_object_get(json_object_get(json_array_get(plan, 0), "Plan"), "Plan Rows"));
        json_decref(plan);
    }
    return rv;
}

apr_status_t sal_guard_cost(const sal_super_t *s, const sal_where_t *where, sal_run_t *run,
                            json_t *errors, sal_error_t *err)
{
    double n = 0;
    apr_status_t rv = check_scan(s, run, err);

    if (rv != APR_SUCCESS || where->nothing || s->aggs.roots->nelts == 0 ||
        run->window_rows <= limits.sample_rows) {
        return rv;
    }
    rv = expected(&n, where, run, err);
    if (rv == APR_SUCCESS && n > limits.sample_rows) {
        run->sample = 10;
        json_array_append_new(errors, json_pack("{s:s, s:f}", "type", "sampled", "ratio", 0.1));
    }
    return rv;
}

void sal_guard_missing(const sal_run_t *run, json_t *errors)
{
    json_t *name;
    size_t i;

    json_array_foreach(run->missing, i, name)
    {
        json_array_append_new(errors,
                              json_pack("{s:s, s:O}", "type", "missing_index", "index", name));
    }
}
