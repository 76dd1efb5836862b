/*
 * The table of builds. Knows no product by name.
 */
#include "triage/versions.h"

#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/text.h"

enum { URL_MAX = 1000 };

static const char *lower(const char *text, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, text);

    for (char *c = out; *c; c++) {
        *c = (char)apr_tolower(*c);
    }
    return out;
}

/* ---- adding ---- */

static bool usable(const char *text, size_t max, bool may_be_empty)
{
    size_t len = strlen(text);

    return len <= max && (len || may_be_empty) && sal_utf8_valid(text, len);
}

static apr_status_t check(const sal_product_version_t *v, int i, sal_error_t *err)
{
    const size_t max = SAL_VERSION_TEXT_MAX;

    if (usable(v->product, max, false) && usable(v->channel, max, false) &&
        usable(v->build, max, false) && usable(v->version, max, false) &&
        usable(v->release, max, true) && usable(v->url, URL_MAX, true)) {
        return APR_SUCCESS;
    }
    return sal_fail(
        err, SAL_E_MALFORMED,
        "version %d: product, channel, build and version must be texts of 1 to %d bytes", i + 1,
        SAL_VERSION_TEXT_MAX);
}

static int major_of(const sal_product_version_t *v)
{
    const char *text = *v->release ? v->release : v->version;
    size_t len = strspn(text, "0123456789");

    return v->major ? v->major : len > 0 && len < 9 ? (int)strtol(text, NULL, 10) : 0;
}

apr_status_t sal_versions_put(int64_t *added, const sal_product_version_t *list, int n,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    enum { COLUMNS = 6 };
    const char **texts[COLUMNS];
    int64_t *majors = apr_palloc(p, sizeof(*majors) * ((apr_size_t)n + 1));
    sal_rows_t *rows;
    apr_status_t rv = APR_SUCCESS;

    for (int c = 0; c < COLUMNS; c++) {
        texts[c] = apr_palloc(p, sizeof(char *) * ((apr_size_t)n + 1));
    }
    for (int i = 0; i < n && (rv = check(&list[i], i, err)) == APR_SUCCESS; i++) {
        const sal_product_version_t *v = &list[i];
        const char *const row[COLUMNS] = { v->product, lower(v->channel, p), v->build,
                                           v->version, v->release,           v->url };

        for (int c = 0; c < COLUMNS; c++) {
            texts[c][i] = row[c];
        }
        majors[i] = major_of(v);
    }
    if (rv == APR_SUCCESS) {
        apr_size_t k = (apr_size_t)n;

        rv = sal_db_exec(db, &sal_s_triage_versions_put, &rows, p, err, SAL_V_TEXTS(texts[0], k),
                         SAL_V_TEXTS(texts[1], k), SAL_V_TEXTS(texts[2], k),
                         SAL_V_TEXTS(texts[3], k), SAL_V_TEXTS(texts[4], k),
                         SAL_V_TEXTS(texts[5], k), SAL_V_INTS(majors, k));
    }
    if (added) {
        *added = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    }
    return rv;
}

/* ---- asking ---- */

apr_status_t sal_versions_list(sal_rows_t **out, const char *product, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_versions_list, out, p, err, SAL_V_TEXT(product));
}

apr_status_t sal_version_lookup(const char ***out, const char *product, const char *channel,
                                const char *build, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(const char *));
    bool candidates = false, choose;
    sal_rows_t *rows = NULL;
    apr_status_t rv;

    channel = lower(channel, p);
    choose = !strcmp(channel, "aurora") || !strcmp(channel, "beta");
    rv = sal_db_exec(db, &sal_s_triage_version, &rows, p, err, SAL_V_TEXT(product),
                     SAL_V_TEXT(channel), SAL_V_TEXT(build));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        const char *version = sal_rows_text(rows, i, 0);

        if (i == 0) {
            candidates = !strchr(version, 'b');
        }
        if (!choose || (strstr(version, "rc") != NULL) == candidates) {
            APR_ARRAY_PUSH(list, const char *) = version;
        }
    }
    APR_ARRAY_PUSH(list, const char *) = NULL;
    *out = (const char **)list->elts;
    return rv;
}

apr_status_t sal_versions_seen(sal_rows_t **out, const char *product, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_versions_seen, out, p, err, SAL_V_TEXT(product));
}

apr_status_t sal_versions_began(sal_rows_t **out, const char *product, const char *const *versions,
                                int n, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_versions_began, out, p, err, SAL_V_TEXT(product),
                       SAL_V_TEXTS(versions, (apr_size_t)n));
}

apr_status_t sal_versions_expire(int64_t *n, apr_time_t before, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_versions_expire, &rows, p, err, SAL_V_TIME(before));

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}
