/*
 * Top crashers for programs: CSV and JSON.
 */
#include "render/top.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/text.h"
#include "render/chart.h"

static double percent(int64_t n, int64_t total)
{
    return total ? 100.0 * (double)n / (double)total : 0;
}

static json_t *time_or_null(apr_time_t t, apr_pool_t *p)
{
    return t ? json_string(sal_time_iso(t, p)) : json_null();
}

static json_t *bugs_of(const sal_top_row_t *row)
{
    json_t *list = json_array();

    for (int i = 0; i < row->n_bugs; i++) {
        const sal_top_bug_t *b = &row->bugs[i];

        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s}", "id", (json_int_t)b->id,
                                              "status", b->status, "resolution", b->resolution,
                                              "summary", b->summary));
    }
    return list;
}

static json_t *platforms_of(const sal_top_t *top, const sal_top_row_t *row)
{
    json_t *out = json_object();

    for (int i = 0; i < SAL_BOARD_PLATFORMS && top->platforms[i]; i++) {
        json_object_set_new(out, top->platforms[i],
                            json_integer((json_int_t)row->now.platforms[i]));
    }
    return out;
}

static void put_int(json_t *o, const char *key, int64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

static json_t *row_of(const sal_top_t *top, const sal_top_row_t *row, apr_pool_t *p)
{
    double now = percent(row->now.n, top->total), before = percent(row->before, top->before);
    json_t *out = json_object(), *days = json_array();

    for (int i = 0; i < SAL_BOARD_DAYS; i++) {
        json_array_append_new(days, json_integer((json_int_t)row->days[i]));
    }
    put_int(out, "rank", row->now.rank);
    json_object_set_new(out, "previous_rank",
                        row->rank_before ? json_integer(row->rank_before) : json_null());
    json_object_set_new(out, "signature", json_string(row->now.signature));
    put_int(out, "count", row->now.n);
    put_int(out, "previous_count", row->before);
    json_object_set_new(out, "percent", json_real(now));
    json_object_set_new(out, "percent_change", json_real(now - before));
    json_object_set_new(out, "is_new", json_boolean(row->is_new));
    json_object_set_new(out, "platforms", platforms_of(top, row));
    put_int(out, "installs", row->installs);
    put_int(out, "startup_crashes", row->now.startup);
    put_int(out, "first_minute_crashes", row->now.early);
    put_int(out, "gc_crashes", row->now.gc);
    json_object_set_new(out, "first_date", time_or_null(row->first, p));
    json_object_set_new(out, "new_in", row->new_in ? json_string(row->new_in) : json_null());
    json_object_set_new(out, "state", json_string(sal_state_name(row->state.kind)));
    json_object_set_new(out, "bugs", bugs_of(row));
    json_object_set_new(out, "days", days);
    return out;
}

json_t *sal_top_json(const sal_top_t *top, const sal_top_ask_t *ask, const sal_top_env_t *env,
                     apr_pool_t *p)
{
    json_t *rows = json_array(), *versions = json_array(), *out = json_object();

    for (int i = 0; i < top->n; i++) {
        json_array_append_new(rows, row_of(top, &top->rows[i], p));
    }
    for (int i = 0; ask->versions && ask->versions[i]; i++) {
        json_array_append_new(versions, json_string(ask->versions[i]));
    }
    json_object_set_new(out, "product", json_string(ask->product));
    json_object_set_new(out, "versions", versions);
    json_object_set_new(out, "from", time_or_null(env->from, p));
    json_object_set_new(out, "to", time_or_null(env->to, p));
    json_object_set_new(out, "previous_from", time_or_null(top->before_from, p));
    json_object_set_new(out, "previous_to", time_or_null(top->before_to, p));
    put_int(out, "total", top->total);
    put_int(out, "previous_total", top->before);
    put_int(out, "installs", top->installs);
    put_int(out, "signatures_total", top->signatures);
    json_object_set_new(out, "signatures", rows);
    return out;
}

/* ---- CSV ---- */

const char *sal_csv_text(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, 2 * strlen(text) + 4), *to = out;

    *to++ = '"';
    if (*text && strchr("=+-@\t\r", *text)) {
        *to++ = '\'';
    }
    for (; *text; text++) {
        if (*text == '"') {
            *to++ = '"';
        }
        *to++ = *text;
    }
    *to++ = '"';
    *to = '\0';
    return out;
}

static const char *bug_numbers(const sal_top_row_t *row, apr_pool_t *p)
{
    const char *out = "";

    for (int i = 0; i < row->n_bugs; i++) {
        out = apr_psprintf(p, "%s%s%" APR_INT64_T_FMT, out, i ? " " : "", row->bugs[i].id);
    }
    return out;
}

static const char *csv_row(const sal_top_t *top, const sal_top_row_t *row, apr_pool_t *p)
{
    const char *out =
        apr_psprintf(p,
                     "%d,%s,%s,%" APR_INT64_T_FMT ",%" APR_INT64_T_FMT ",%s,%s,%" APR_INT64_T_FMT
                     ",%" APR_INT64_T_FMT ",%" APR_INT64_T_FMT ",%" APR_INT64_T_FMT ",%s,%s,%s",
                     row->now.rank, row->rank_before ? apr_itoa(p, row->rank_before) : "",
                     sal_csv_text(row->now.signature, p), row->now.n, row->before,
                     sal_chart_percent(row->now.n, top->total, 3, p),
                     sal_chart_percent(row->before, top->before, 3, p), row->installs,
                     row->now.startup, row->now.early, row->now.gc,
                     row->first ? apr_pstrndup(p, sal_time_iso(row->first, p), 10) : "",
                     sal_state_name(row->state.kind), bug_numbers(row, p));

    for (int i = 0; i < SAL_BOARD_PLATFORMS && top->platforms[i]; i++) {
        out = apr_psprintf(p, "%s,%" APR_INT64_T_FMT, out, row->now.platforms[i]);
    }
    return apr_pstrcat(p, out, "\r\n", NULL);
}

const char *sal_top_csv(const sal_top_t *top, apr_pool_t *p)
{
    apr_array_header_t *lines = apr_array_make(p, top->n + 12, sizeof(const char *));

    APR_ARRAY_PUSH(lines, const char *) =
        "rank,previous_rank,signature,count,previous_count,percent,previous_percent,installs,"
        "startup_crashes,first_minute_crashes,gc_crashes,first_date,state,bugs";
    for (int i = 0; i < SAL_BOARD_PLATFORMS && top->platforms[i]; i++) {
        APR_ARRAY_PUSH(lines, const char *) =
            apr_pstrcat(p, ",", sal_csv_text(top->platforms[i], p), NULL);
    }
    APR_ARRAY_PUSH(lines, const char *) = "\r\n";
    for (int i = 0; i < top->n; i++) {
        APR_ARRAY_PUSH(lines, const char *) = csv_row(top, &top->rows[i], p);
    }
    return apr_array_pstrcat(p, lines, 0);
}
