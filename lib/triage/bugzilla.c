/*
 * Asking a Bugzilla's REST API for what has changed.
 */
#include "triage/bugs.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "triage/http.h"

enum { SECONDS = 30, ANSWER_MAX = 64 << 20, KEY_MAX = 4096, SIGNATURE_MAX = 10000 };

apr_status_t sal_bugzilla_conf(sal_bugzilla_t *out, const sal_conf_t *conf, apr_pool_t *p,
                               sal_error_t *err)
{
    const char *file = sal_conf_get(conf, "bugzilla-key-file", NULL);
    apr_status_t rv;
    apr_size_t n;
    char *key;

    *out = (sal_bugzilla_t){ .url = sal_conf_get(conf, "bugzilla-url", NULL) };
    if (!file) {
        return APR_SUCCESS;
    }
    rv = sal_file_read(&key, &n, file, KEY_MAX, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    key[strcspn(key, "\r\n")] = '\0';
    out->header = apr_pstrcat(p, "X-BUGZILLA-API-KEY: ", key, NULL);
    return APR_SUCCESS;
}

static const char *question(const sal_bugzilla_t *bugzilla, apr_time_t since, apr_pool_t *p)
{
    const char *url = apr_pstrcat(p, bugzilla->url, "/bug", NULL);

    url = http_query(url, "chfieldfrom", apr_pstrndup(p, sal_time_iso(since, p), 10), p);
    url = http_query(url, "chfieldto", "Now", p);
    url = http_query(url, "chfield", "[Bug creation]", p);
    url = http_query(url, "chfield", "cf_crash_signature", p);
    return http_query(url, "include_fields", "id,cf_crash_signature", p);
}

/* A pair for each signature, or one without a signature. */
static bool add_bug(apr_array_header_t *list, const json_t *one)
{
    const json_t *id = json_object_get(one, "id");
    const char *text = sal_json_str(one, "cf_crash_signature");
    const char **signatures;

    if (!json_is_integer(id) || json_integer_value(id) < 1) {
        return false;
    }
    signatures = sal_bugs_signatures_in(text ? text : "", list->pool);
    APR_ARRAY_PUSH(list, sal_bug_t) = (sal_bug_t){ json_integer_value(id), "" };
    for (; *signatures; signatures++) {
        if (strlen(*signatures) <= SIGNATURE_MAX) {
            APR_ARRAY_PUSH(list, sal_bug_t) = (sal_bug_t){ json_integer_value(id), *signatures };
        }
    }
    return true;
}

apr_status_t sal_bugzilla_update(int64_t *n, sal_bugs_changed_t *changed,
                                 const sal_bugzilla_t *bugzilla, apr_time_t since, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    const http_get_t get = { question(bugzilla, since, p), bugzilla->header, SECONDS, ANSWER_MAX };
    apr_array_header_t *list = apr_array_make(p, 64, sizeof(sal_bug_t));
    json_t *answer, *bugs, *one;
    sal_error_t why;
    apr_status_t rv;
    size_t len, i;
    char *body;

    *n = 0;
    if ((rv = http_get(&body, &len, &get, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if ((rv = sal_json_parse(&answer, body, len, p, &why)) != APR_SUCCESS) {
        return http_blame(get.url, rv, &why, p, err);
    }
    bugs = json_object_get(answer, "bugs");
    if (!json_is_array(bugs)) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: the answer has no list of bugs", bugzilla->url);
    }
    json_array_foreach(bugs, i, one)
    {
        if (!add_bug(list, one)) {
            return sal_fail(err, SAL_E_MALFORMED, "%s: bug %d of the answer has no number",
                            bugzilla->url, (int)i + 1);
        }
    }
    rv = sal_bugs_put(changed, (const sal_bug_t *)list->elts, list->nelts, true, db, p, err);
    *n = rv == APR_SUCCESS ? (int64_t)json_array_size(bugs) : 0;
    return rv;
}
