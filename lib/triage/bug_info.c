/*
 * Details of bugs. Knows Bugzilla's REST API; other trackers fill the table some other way.
 */
#include "triage/bug_info.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"
#include "base/text.h"
#include "triage/http.h"

enum { RENEW_MOST = 500, BATCH = 100, SECONDS = 30, ANSWER_MAX = 4 << 20, TEXT_MAX = 1000 };

bool sal_bug_is_open(const char *status)
{
    static const char *const open[] = { "", "UNCONFIRMED", "NEW", "ASSIGNED", "REOPENED" };

    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        if (strcasecmp(status, open[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void read_rows(sal_bug_info_t **out, int *n, const sal_rows_t *rows, apr_pool_t *p)
{
    *n = sal_rows_count(rows);
    *out = apr_pcalloc(p, sizeof(**out) * ((apr_size_t)*n + 1));
    for (int i = 0; i < *n; i++) {
        (*out)[i] = (sal_bug_info_t){ sal_rows_int(rows, i, 0), sal_rows_text(rows, i, 1),
                                      sal_rows_text(rows, i, 2), sal_rows_text(rows, i, 3) };
    }
}

apr_status_t sal_bug_info_read(sal_bug_info_t **out, int *n, const int64_t *ids, int count,
                               apr_time_t since, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_triage_bug_info, &rows, p, err,
                                  SAL_V_INTS(ids, (apr_size_t)count), SAL_V_TIME(since));

    *n = 0;
    if (rv == APR_SUCCESS) {
        read_rows(out, n, rows, p);
    }
    return rv;
}

apr_status_t sal_bug_info_of(sal_bug_info_t **out, int *n, const char *signature, int max,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_triage_bug_info_of, &rows, p, err,
                                  SAL_V_TEXT(signature), SAL_V_INT(max));

    *n = 0;
    if (rv == APR_SUCCESS) {
        read_rows(out, n, rows, p);
    }
    return rv;
}

/* ---- asking ---- */

static const char *question(const sal_bugzilla_t *bugzilla, const int64_t *ids, int count,
                            apr_pool_t *p)
{
    const char *url = apr_pstrcat(p, bugzilla->url, "/bug", NULL);
    apr_array_header_t *list = apr_array_make(p, count, sizeof(const char *));

    for (int i = 0; i < count; i++) {
        APR_ARRAY_PUSH(list, const char *) =
            apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)ids[i]);
    }
    url = http_query(url, "id", apr_array_pstrcat(p, list, ','), p);
    return http_query(url, "include_fields", "id,summary,status,resolution", p);
}

static const char *text_of(const json_t *bug, const char *key, apr_pool_t *p)
{
    const char *text = sal_json_str(bug, key);
    char *copy;

    if (!text) {
        return "";
    }
    copy = apr_pstrdup(p, text);
    sal_utf8_cut(copy, TEXT_MAX);
    return copy;
}

apr_status_t sal_bugzilla_info(sal_bug_info_t **out, int *n, const sal_bugzilla_t *bugzilla,
                               const int64_t *ids, int count, int seconds, apr_pool_t *p,
                               sal_error_t *err)
{
    const http_get_t get = { question(bugzilla, ids, count, p), bugzilla->header, seconds,
                             ANSWER_MAX };
    json_t *answer, *bug;
    sal_error_t why;
    apr_status_t rv;
    size_t len, i;
    char *body;

    *n = 0;
    *out = apr_pcalloc(p, sizeof(**out) * ((apr_size_t)count + 1));
    if ((rv = http_get(&body, &len, &get, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if ((rv = sal_json_parse(&answer, body, len, p, &why)) != APR_SUCCESS) {
        return http_blame(get.url, rv, &why, p, err);
    }
    json_array_foreach(json_object_get(answer, "bugs"), i, bug)
    {
        int64_t id = json_integer_value(json_object_get(bug, "id"));

        if (*n < count && id > 0) {
            (*out)[(*n)++] =
                (sal_bug_info_t){ id, text_of(bug, "summary", p), text_of(bug, "status", p),
                                  text_of(bug, "resolution", p) };
        }
    }
    return APR_SUCCESS;
}

/* ---- keeping ---- */

apr_status_t sal_bug_info_put(const sal_bug_info_t *list, int n, const int64_t *asked, int count,
                              apr_time_t now, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_size_t size = (apr_size_t)count;
    const char **summary = apr_pcalloc(p, sizeof(char *) * (size + 1));
    const char **status = apr_pcalloc(p, sizeof(char *) * (size + 1));
    const char **resolution = apr_pcalloc(p, sizeof(char *) * (size + 1));
    sal_rows_t *rows;

    for (int i = 0; i < count; i++) {
        summary[i] = status[i] = resolution[i] = "";
        for (int k = 0; k < n; k++) {
            if (list[k].id == asked[i]) {
                summary[i] = list[k].summary;
                status[i] = list[k].status;
                resolution[i] = list[k].resolution;
            }
        }
    }
    return sal_db_exec(db, &sal_s_triage_bug_info_put, &rows, p, err, SAL_V_INTS(asked, size),
                       SAL_V_TEXTS(summary, size), SAL_V_TEXTS(status, size),
                       SAL_V_TEXTS(resolution, size), SAL_V_TIME(now));
}

apr_status_t sal_bugzilla_renew(int64_t *n, const sal_bugzilla_t *bugzilla, apr_time_t now,
                                sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_bug_info_old, &rows, p, err,
                    SAL_V_TIME(now - apr_time_from_sec(24 * 3600)), SAL_V_INT(RENEW_MOST));
    int count = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    int64_t *ids = apr_pcalloc(p, sizeof(*ids) * ((apr_size_t)count + 1));

    *n = 0;
    for (int i = 0; i < count; i++) {
        ids[i] = sal_rows_int(rows, i, 0);
    }
    for (int i = 0; rv == APR_SUCCESS && i < count; i += BATCH) {
        int some = count - i < BATCH ? count - i : BATCH, told;
        sal_bug_info_t *list;

        rv = sal_bugzilla_info(&list, &told, bugzilla, ids + i, some, SECONDS, p, err);
        if (rv == APR_SUCCESS) {
            rv = sal_bug_info_put(list, told, ids + i, some, now, db, p, err);
        }
        *n += rv == APR_SUCCESS ? some : 0;
    }
    return rv;
}
