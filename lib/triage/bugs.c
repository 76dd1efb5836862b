/*
 * The table of bugs. Knows no tracker.
 */
#include "triage/bugs.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/text.h"
#include "triage/table.h"

enum { SIGNATURE_MAX = 10000 };

/* ---- texts ---- */

static void add_signature(apr_array_header_t *list, const char *from, const char *to)
{
    char *text;

    while (from < to && apr_isspace(*from)) {
        from++;
    }
    while (to > from && apr_isspace(to[-1])) {
        to--;
    }
    if (from == to) {
        return;
    }
    text = apr_pstrmemdup(list->pool, from, (apr_size_t)(to - from));
    for (int i = 0; i < list->nelts; i++) {
        if (!strcmp(((const char **)list->elts)[i], text)) {
            return;
        }
    }
    APR_ARRAY_PUSH(list, const char *) = text;
}

const char **sal_bugs_signatures_in(const char *text, apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(const char *));
    const char *at = strstr(text, "[@"), *next, *end;

    for (; at; at = next) {
        at += 2;
        next = strstr(at, "[@");
        end = next ? next : at + strlen(at);
        while (end > at && end[-1] != ']') {
            end--;
        }
        if (end > at) {
            add_signature(list, at, end - 1);
        }
    }
    APR_ARRAY_PUSH(list, const char *) = NULL;
    return (const char **)list->elts;
}

enum { BUG, SIGNATURE, COLUMNS };
static const table_column_t columns[COLUMNS] = {
    [BUG] = { { "bug", "id", "bug_id" }, 1 }, [SIGNATURE] = { { "signature" }, 0 }
};

apr_status_t sal_bugs_read(sal_bug_t **out, int *n, const char *text, size_t len, apr_pool_t *p,
                           sal_error_t *err)
{
    const char ***rows;
    apr_status_t rv = table_read(&rows, n, columns, COLUMNS, text, len, p, err);

    *out = apr_pcalloc(p, sizeof(**out) * ((apr_size_t)(rv == APR_SUCCESS ? *n : 0) + 1));
    for (int i = 0; rv == APR_SUCCESS && i < *n; i++) {
        (*out)[i].signature = rows[i][SIGNATURE];
        if (!sal_parse_int(rows[i][BUG], 1, INT64_MAX, &(*out)[i].id)) {
            return sal_fail(err, SAL_E_MALFORMED, "row %d: \"%.40s\" is no number of a bug", i + 1,
                            rows[i][BUG]);
        }
    }
    return rv;
}

/* ---- rows ---- */

typedef struct putting_t {
    int64_t *ids; /* of all bugs */
    int64_t *pair_ids;
    const char **signatures;
    apr_size_t n, n_pairs;
    bool replace;
    sal_bugs_changed_t changed;
} putting_t;

static apr_status_t put_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    putting_t *put = baton;
    sal_rows_t *rows;
    apr_status_t rv = APR_SUCCESS;

    put->changed = (sal_bugs_changed_t){ 0 };
    if (put->replace) {
        rv = sal_db_exec(db, &sal_s_triage_bugs_drop, &rows, p, err, SAL_V_INTS(put->ids, put->n),
                         SAL_V_INTS(put->pair_ids, put->n_pairs),
                         SAL_V_TEXTS(put->signatures, put->n_pairs));
        put->changed.removed = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_triage_bugs_put, &rows, p, err,
                         SAL_V_INTS(put->pair_ids, put->n_pairs),
                         SAL_V_TEXTS(put->signatures, put->n_pairs));
        put->changed.added = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    }
    return rv;
}

apr_status_t sal_bugs_put(sal_bugs_changed_t *out, const sal_bug_t *list, int n, bool replace,
                          sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    putting_t put = { .n = (apr_size_t)n, .replace = replace };
    apr_status_t rv;

    put.ids = apr_palloc(p, sizeof(int64_t) * (put.n + 1));
    put.pair_ids = apr_palloc(p, sizeof(int64_t) * (put.n + 1));
    put.signatures = apr_palloc(p, sizeof(char *) * (put.n + 1));
    for (int i = 0; i < n; i++) {
        size_t len = strlen(list[i].signature);

        if (list[i].id < 1 || len > SIGNATURE_MAX || !sal_utf8_valid(list[i].signature, len)) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "bug %" APR_INT64_T_FMT ": its number must be positive and its "
                            "signature UTF-8 of at most %d bytes",
                            (apr_int64_t)list[i].id, SIGNATURE_MAX);
        }
        put.ids[i] = list[i].id;
        if (len) {
            put.pair_ids[put.n_pairs] = list[i].id;
            put.signatures[put.n_pairs++] = list[i].signature;
        }
    }
    rv = sal_db_txn(db, put_txn, &put, p, err);
    if (out) {
        *out = rv == APR_SUCCESS ? put.changed : (sal_bugs_changed_t){ 0 };
    }
    return rv;
}

apr_status_t sal_bugs_of(sal_rows_t **out, const char *const *signatures, int n, sal_db_t *db,
                         apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_bugs_of, out, p, err,
                       SAL_V_TEXTS(signatures, (apr_size_t)n));
}

apr_status_t sal_bugs_name(sal_rows_t **out, const int64_t *bugs, int n, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_bugs_name, out, p, err, SAL_V_INTS(bugs, (apr_size_t)n));
}

apr_status_t sal_bugs_list(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_triage_bugs_list, NULL, 0, out, p, err);
}
