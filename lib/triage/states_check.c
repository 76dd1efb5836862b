/*
 * Which fixed signatures have come back. The counts by day say in which versions a signature
 * crashed; only of those that should have the fix the search rows are asked for the first crash
 * after the fix was noted.
 */
#include "triage/states.h"

#include <string.h>
#include <apr_strings.h>
#include "base/text.h"
#include "hint/hint.h"
#include "search/fields.h"
#include "triage/versions.h"

bool sal_state_reaches(const char *version, const char *fixed)
{
    char a[SAL_VERSION_KEY], b[SAL_VERSION_KEY];

    if (sal_version_key(a, version) && sal_version_key(b, fixed)) {
        return strcmp(a, b) >= 0;
    }
    return sal_hint_compare_versions(version, fixed) >= 0;
}

/* A fix that did not hold: the earliest crash so far. */
typedef struct back_t {
    const char *signature, *product, *fixed;
    apr_time_t added, at;
    const char *version, *crash; /* NULL: none */
} back_t;

static apr_status_t back_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const back_t *b = baton;
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_fixed_back, &rows, p, err, SAL_V_TEXT(b->signature),
                    SAL_V_TEXT(b->product), SAL_V_TIME(b->added), SAL_V_TIME(b->at),
                    SAL_V_TEXT(b->version), SAL_V_TEXT(b->crash));

    if (rv != APR_SUCCESS || sal_rows_affected(rows) == 0) {
        return rv;
    }
    return sal_db_exec(
        db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT("salvage"),
        SAL_V_TEXT("signature.regress"), SAL_V_TEXT(b->signature),
        SAL_V_TEXT(apr_psprintf(p, "%s, fixed in %s %s: %s", b->version,
                                *b->product ? b->product : "any product", b->fixed, b->crash)));
}

static apr_status_t end_of_fix(int64_t *n, back_t *b, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (b->crash) {
        rv = sal_db_txn(db, back_txn, b, p, err);
        *n += rv == APR_SUCCESS;
    }
    b->crash = NULL;
    return rv;
}

static bool same_fix(const back_t *b, const sal_rows_t *rows, int i)
{
    return b->signature && !strcmp(b->signature, sal_rows_text(rows, i, 0)) &&
           !strcmp(b->product, sal_rows_text(rows, i, 1));
}

/* A version of the counts: is there a crash of it after the fix was noted? */
static apr_status_t look(back_t *b, const sal_rows_t *rows, int i, sal_db_t *db, apr_pool_t *p,
                         sal_error_t *err)
{
    sal_rows_t *found;
    apr_status_t rv;

    if (!sal_state_reaches(sal_rows_text(rows, i, 4), b->fixed)) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(db, &sal_s_triage_fixed_crash, &found, p, err,
                     SAL_V_INT(sal_rows_int(rows, i, 5)), SAL_V_INT(sal_rows_int(rows, i, 7)),
                     SAL_V_INT(sal_rows_int(rows, i, 6)), SAL_V_TIME(b->added));
    if (rv == APR_SUCCESS && sal_rows_count(found) &&
        (!b->crash || sal_rows_time(found, 0, 1) < b->at)) {
        b->crash = sal_rows_text(found, 0, 0);
        b->at = sal_rows_time(found, 0, 1);
        b->version = sal_rows_text(rows, i, 4);
    }
    return rv;
}

apr_status_t sal_states_check(int64_t *n, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t now = apr_time_now();
    back_t b = { 0 };
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_triage_fixed_seen, &rows, p, err,
                                  SAL_V_INT(sal_search_field("signature")->number),
                                  SAL_V_INT(sal_search_field("product")->number),
                                  SAL_V_INT(sal_search_field("version")->number));

    *n = 0;
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        if (!same_fix(&b, rows, i)) {
            rv = end_of_fix(n, &b, db, p, err);
            b = (back_t){ .signature = sal_rows_text(rows, i, 0),
                          .product = sal_rows_text(rows, i, 1),
                          .fixed = sal_rows_text(rows, i, 2),
                          .added = sal_rows_time(rows, i, 3) };
        }
        rv = rv == APR_SUCCESS ? look(&b, rows, i, db, p, err) : rv;
    }
    rv = rv == APR_SUCCESS ? end_of_fix(n, &b, db, p, err) : rv;
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_triage_fixed_checked, NULL, p, err, SAL_V_TIME(now))
               : rv;
}
