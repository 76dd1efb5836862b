/*
 * The table of first appearances. Knows search rows and documents, no pages.
 */
#include "triage/signatures.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "search/fields.h"

static const apr_time_t week = APR_INT64_C(7) * 24 * 3600 * APR_USEC_PER_SEC;

/* ---- one crash ---- */

/* As the search row would keep it: a number or the text of one. */
static bool build_of(int64_t *build, const json_t *doc)
{
    const json_t *v = json_object_get(doc, "build");

    if (json_is_integer(v)) {
        *build = json_integer_value(v);
        return true;
    }
    return json_is_string(v) && sal_parse_int(json_string_value(v), INT64_MIN, INT64_MAX, build);
}

apr_status_t sal_triage_seen(const json_t *processed, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *signature = sal_json_str(processed, "signature");
    const char *date = sal_json_str(processed, "date_processed");
    apr_time_t at;
    int64_t build = 0;
    bool has_build = build_of(&build, processed);

    if (!signature || !*signature || !date || !sal_time_parse(date, &at)) {
        return APR_SUCCESS;
    }
    return sal_db_exec(db, &sal_s_triage_seen, NULL, p, err,
                       SAL_V_TEXT(sal_utf8_clean(signature, strlen(signature), p)), SAL_V_TIME(at),
                       has_build ? SAL_V_INT(build) : SAL_V_NULL(SAL_T_INT));
}

/* ---- all of them ---- */

apr_status_t sal_triage_span(apr_time_t *oldest, apr_time_t *newest, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_triage_span, NULL, 0, &rows, p, err);

    *oldest = rv == APR_SUCCESS ? sal_rows_time(rows, 0, 0) : 0;
    *newest = rv == APR_SUCCESS ? sal_rows_time(rows, 0, 1) : 0;
    return rv;
}

static apr_status_t mend_part(int64_t *n, apr_time_t from, apr_time_t to, int field, sal_db_t *db,
                              apr_pool_t *parent, sal_error_t *err)
{
    apr_pool_t *p;
    sal_rows_t *rows;
    apr_status_t rv;

    apr_pool_create(&p, parent);
    rv = sal_db_exec(db, &sal_s_triage_mend, &rows, p, err, SAL_V_TIME(from), SAL_V_TIME(to),
                     SAL_V_INT(field));
    if (rv == APR_SUCCESS) {
        *n += sal_rows_affected(rows);
    }
    apr_pool_destroy(p);
    return rv;
}

apr_status_t sal_triage_mend(int64_t *n, apr_time_t from, apr_time_t to, apr_time_t deadline,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const int field = sal_search_field("signature")->number;
    apr_time_t oldest, newest;
    apr_status_t rv = sal_triage_span(&oldest, &newest, db, p, err);

    *n = 0;
    if (rv != APR_SUCCESS || !newest) {
        return rv;
    }
    from = from > oldest ? from : oldest;
    to = to < newest + 1 ? to : newest + 1;
    for (apr_time_t end; from < to && rv == APR_SUCCESS; from = end) {
        end = to - from > week ? from + week : to;
        if (deadline && apr_time_now() >= deadline) {
            return sal_fail(err, APR_TIMEUP, "the time was up before all weeks were looked at");
        }
        rv = mend_part(n, from, end, field, db, p, err);
    }
    return rv;
}

/* ---- reading ---- */

apr_status_t sal_triage_first(sal_first_t **out, int *n, const char *const *signatures, int count,
                              bool with_build, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_first, &rows, p, err,
                    SAL_V_TEXTS(signatures, (apr_size_t)count), SAL_V_BOOL(with_build));

    *n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    *out = apr_pcalloc(p, sizeof(**out) * (apr_size_t)(*n + 1));
    for (int i = 0; i < *n; i++) {
        (*out)[i] = (sal_first_t){ .signature = sal_rows_text(rows, i, 0),
                                   .seen = sal_rows_time(rows, i, 1),
                                   .date = sal_rows_time(rows, i, 2),
                                   .build = sal_rows_text(rows, i, 3) };
    }
    return rv;
}
