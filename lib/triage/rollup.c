/*
 * Counting days anew, and reading what was counted. Knows search rows and terms, no pages.
 */
#include "triage/rollup.h"

#include <stdbool.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"
#include "search/fields.h"

/* ---- counting ---- */

static apr_status_t count_day(sal_db_t *db, void *day, apr_pool_t *p, sal_error_t *err)
{
    static const sal_stmt_t *const steps[] = { &sal_s_triage_day_lock,  &sal_s_triage_day_clean,
                                               &sal_s_triage_day_sig,   &sal_s_triage_day_ver,
                                               &sal_s_triage_day_build, &sal_s_triage_day_done };
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rv == APR_SUCCESS; i++) {
        rv = sal_db_exec(db, steps[i], NULL, p, err, SAL_V_TEXT((const char *)day));
    }
    return rv;
}

apr_status_t sal_rollup_run(int64_t *n, apr_time_t deadline, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *days;
    apr_pool_t *sub;
    apr_status_t rv = sal_db_run(db, &sal_s_triage_days, NULL, 0, &days, p, err);

    *n = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&sub, p);
    for (int i = 0; i < sal_rows_count(days) && rv == APR_SUCCESS; i++) {
        if (deadline && apr_time_now() >= deadline) {
            rv = sal_fail(err, APR_TIMEUP, "the time was up before all days were counted");
            break;
        }
        rv = sal_db_txn(db, count_day, (void *)sal_rows_text(days, i, 0), sub, err);
        *n += rv == APR_SUCCESS;
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    return rv;
}

apr_status_t sal_rollup_touch(apr_time_t from, apr_time_t to, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_touch, NULL, p, err, SAL_V_TIME(from), SAL_V_TIME(to));
}

/* ---- filters ---- */

static const char *const names[] = {
    [SAL_ROLLUP_SIGNATURE] = "signature",     [SAL_ROLLUP_PRODUCT] = "product",
    [SAL_ROLLUP_VERSION] = "version",         [SAL_ROLLUP_CHANNEL] = "release_channel",
    [SAL_ROLLUP_PLATFORM] = "platform",       [SAL_ROLLUP_PROCESS_TYPE] = "process_type",
    [SAL_ROLLUP_REPORT_TYPE] = "report_type",
};
enum { FILTERS = SAL_ROLLUP_DAY, PARAMS = FILTERS + 2 };

static const char *const *texts_of(const sal_rollup_filter_t *f, sal_rollup_by_t by)
{
    const char *const *const all[FILTERS] = {
        [SAL_ROLLUP_SIGNATURE] = f->signatures,     [SAL_ROLLUP_PRODUCT] = f->products,
        [SAL_ROLLUP_VERSION] = f->versions,         [SAL_ROLLUP_CHANNEL] = f->channels,
        [SAL_ROLLUP_PLATFORM] = f->platforms,       [SAL_ROLLUP_PROCESS_TYPE] = f->process_types,
        [SAL_ROLLUP_REPORT_TYPE] = f->report_types,
    };

    return all[by];
}

/* Ids of the texts of one field; what the dictionary does not have is left out. */
static apr_status_t ids_of(sal_val_t *out, sal_rollup_by_t by, const char *const *texts,
                           sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int64_t *fields, *ids;
    size_t n = 0, found = 0;
    sal_rows_t *rows;
    apr_status_t rv;

    while (texts[n]) {
        n++;
    }
    fields = apr_palloc(p, sizeof(*fields) * (n + 1));
    ids = apr_palloc(p, sizeof(*ids) * (n + 1));
    for (size_t i = 0; i < n; i++) {
        fields[i] = sal_search_field(names[by])->number;
        if (!*texts[i]) {
            ids[found++] = 0;
        }
    }
    rv = sal_db_exec(db, &sal_s_search_term_find, &rows, p, err, SAL_V_INTS(fields, n),
                     SAL_V_TEXTS(texts, n));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows) && found < n; i++) {
        ids[found++] = sal_rows_int(rows, i, 1);
    }
    *out = SAL_V_INTS(ids, found);
    return rv;
}

/* $1 and $2: the days; from $3 on: ids by dimension, or NULL. */
static apr_status_t params_of(sal_val_t params[PARAMS], const sal_rollup_filter_t *f, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    params[0] = SAL_V_TEXT(f->from);
    params[1] = SAL_V_TEXT(f->to);
    for (int i = 0; i < FILTERS && rv == APR_SUCCESS; i++) {
        const char *const *texts = texts_of(f, (sal_rollup_by_t)i);

        params[i + 2] = SAL_V_NULL(SAL_T_INT_ARRAY);
        rv = texts ? ids_of(&params[i + 2], (sal_rollup_by_t)i, texts, db, p, err) : APR_SUCCESS;
    }
    return rv;
}

/* ---- reading ---- */

apr_status_t sal_rollup_top(sal_rows_t **rows, int64_t *total, const sal_rollup_filter_t *filter,
                            int limit, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_val_t params[PARAMS + 1];
    apr_status_t rv = params_of(params, filter, db, p, err);

    *total = 0;
    params[PARAMS] = SAL_V_INT(limit);
    if (rv == APR_SUCCESS) {
        rv = sal_db_run(db, &sal_s_triage_top, params, PARAMS + 1, rows, p, err);
    }
    if (rv == APR_SUCCESS && sal_rows_count(*rows)) {
        *total = sal_rows_int(*rows, 0, 5);
    }
    return rv;
}

apr_status_t sal_rollup_split(sal_rows_t **rows, sal_rollup_by_t first, sal_rollup_by_t second,
                              const sal_rollup_filter_t *filter, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    bool by_signature =
        first == SAL_ROLLUP_SIGNATURE || second == SAL_ROLLUP_SIGNATURE || filter->signatures;
    sal_val_t params[PARAMS + 2];
    apr_status_t rv = params_of(params, filter, db, p, err);

    params[PARAMS] = SAL_V_INT(first);
    params[PARAMS + 1] = SAL_V_INT(second);
    return rv == APR_SUCCESS
               ? sal_db_run(db, by_signature ? &sal_s_triage_split_sig : &sal_s_triage_split_ver,
                            params, PARAMS + 2, rows, p, err)
               : rv;
}

apr_status_t sal_rollup_state(sal_rollup_state_t *out, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_triage_state, NULL, 0, &rows, p, err);

    *out = (sal_rollup_state_t){ 0 };
    if (rv == APR_SUCCESS) {
        out->days = sal_rows_int(rows, 0, 0);
        out->crashes = sal_rows_int(rows, 0, 1);
        out->made = sal_rows_time(rows, 0, 2);
        out->waiting = sal_rows_int(rows, 0, 3);
    }
    return rv;
}

typedef struct expiry_t {
    apr_time_t before;
    int64_t n;
} expiry_t;

static apr_status_t expire_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    static const sal_stmt_t *const steps[] = { &sal_s_triage_sig_expire, &sal_s_triage_ver_expire,
                                               &sal_s_triage_build_expire,
                                               &sal_s_triage_day_expire };
    expiry_t *e = baton;
    sal_rows_t *rows = NULL;
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rv == APR_SUCCESS; i++) {
        rv = sal_db_exec(db, steps[i], &rows, p, err, SAL_V_TIME(e->before));
    }
    e->n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}

apr_status_t sal_rollup_expire(int64_t *n, apr_time_t before, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    expiry_t e = { before, 0 };
    apr_status_t rv = sal_db_txn(db, expire_txn, &e, p, err);

    *n = e.n;
    return rv;
}
