/*
 * What was found, for pages and API.
 */
#include "triage/correlate_private.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"

apr_status_t sal_correlate_totals(json_t **out, const char *product, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_correlate_totals, &rows, p, err, SAL_V_TEXT(product));

    *out = NULL;
    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv;
    }
    *out = json_object();
    for (int i = 0; i < sal_rows_count(rows); i++) {
        json_object_set_new(*out, sal_rows_text(rows, i, 1),
                            json_integer(sal_rows_int(rows, i, 2)));
    }
    json_object_set_new(*out, "date", json_string(sal_rows_text(rows, 0, 0)));
    return rv;
}

apr_status_t sal_correlate_get(json_t **out, const char *product, const char *channel,
                               const char *key, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *text;
    sal_rows_t *rows;
    json_t *results;
    apr_status_t rv = sal_db_exec(db, &sal_s_triage_correlate_get, &rows, p, err,
                                  SAL_V_TEXT(product), SAL_V_TEXT(channel), SAL_V_TEXT(key));

    *out = NULL;
    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv;
    }
    text = sal_rows_text(rows, 0, 1);
    rv = sal_json_parse(&results, text, strlen(text), p, err);
    if (rv == APR_SUCCESS) {
        *out = json_object();
        json_object_set_new(*out, "total", json_integer(sal_rows_int(rows, 0, 0)));
        json_object_set(*out, "results", results);
    }
    return rv;
}

/* "03.45%", "100.0%": always as wide. */
static const char *percent(int64_t part, int64_t total, apr_pool_t *p)
{
    const char *text =
        apr_psprintf(p, "%05.2f", total ? 100.0 * (double)part / (double)total : 0.0);

    return strlen(text) > 5 ? "100.0%" : apr_pstrcat(p, text, "%", NULL);
}

static int64_t number(const json_t *v, const char *name)
{
    return json_integer_value(json_object_get(v, name));
}

/* "k = v" of each, joined by "and" as logic writes it. */
static const char *items_text(const json_t *items, apr_pool_t *p)
{
    const char *out = "", *name;
    json_t *value;

    json_object_foreach((json_t *)items, name, value)
    {
        out = apr_pstrcat(p, out, *out ? " \xe2\x88\xa7 " : "", name, " = ",
                          json_is_string(value) ? json_string_value(value) : "true", NULL);
    }
    return out;
}

const char *sal_correlate_line(const json_t *result, int64_t total_group, int64_t total_reference,
                               apr_pool_t *p)
{
    const json_t *prior = json_object_get(result, "prior");
    const char *line = apr_psprintf(p, "(%s in signature vs %s overall) %s",
                                    percent(number(result, "count_group"), total_group, p),
                                    percent(number(result, "count_reference"), total_reference, p),
                                    items_text(json_object_get(result, "item"), p));

    if (!prior) {
        return line;
    }
    return apr_psprintf(
        p, "%s [%s vs %s if %s]", line,
        percent(number(prior, "count_group"), number(prior, "total_group"), p),
        percent(number(prior, "count_reference"), number(prior, "total_reference"), p),
        items_text(json_object_get(prior, "item"), p));
}

apr_status_t sal_correlate_expire(int64_t *n, apr_time_t before, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_correlate_expire, &rows, p, err, SAL_V_TIME(before));

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}
