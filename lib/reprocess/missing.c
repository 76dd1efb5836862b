/*
 * Missing symbols: noted with each document, used when symbols come.
 */
#include "reprocess/missing.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "reprocess/reprocess_private.h"

#define NAME_MAX_BYTES 1000

typedef struct found_t {
    const char *ids[SAL_MISSING_MAX], *files[SAL_MISSING_MAX];
    apr_size_t n;
} found_t;

static bool usable(const char *text)
{
    return text && *text && strlen(text) < NAME_MAX_BYTES && sal_utf8_valid(text, strlen(text));
}

/* Modules of one walk that a frame lies in and whose symbols were not to be had. */
static void collect(found_t *f, const json_t *modules, apr_pool_t *p)
{
    for (size_t i = 0; i < json_array_size(modules) && f->n < SAL_MISSING_MAX; i++) {
        const json_t *m = json_array_get(modules, i);
        const char *file = sal_json_str(m, "debug_file"), *id = sal_json_str(m, "debug_id");

        if (json_is_true(json_object_get(m, "missing_symbols")) && usable(file) && usable(id)) {
            f->ids[f->n] = sal_reprocess_fold(id, true, p);
            f->files[f->n++] = sal_reprocess_fold(sal_basename(file), false, p);
        }
    }
}

apr_status_t sal_reprocess_note(sal_db_t *db, const char *crash_id, const json_t *doc,
                                apr_pool_t *p, sal_error_t *err)
{
    const char *date = sal_json_str(doc, "date_processed");
    found_t *f = apr_pcalloc(p, sizeof(*f));
    apr_time_t t = 0;
    const char *key;
    json_t *value;

    collect(f, sal_json_path(doc, "json_dump.modules"), p);
    json_object_foreach((json_t *)doc, key, value) /* dumps of other processes of the crash */
    {
        if (!strncmp(key, "upload_file_minidump_", 21)) {
            collect(f, sal_json_path(value, "json_dump.modules"), p);
        }
    }
    if (!date || !sal_time_parse(date, &t)) {
        t = apr_time_now();
    }
    return sal_db_exec(db, &sal_s_reprocess_missing_put, NULL, p, err, SAL_V_TEXT(crash_id),
                       SAL_V_TEXTS(f->ids, f->n), SAL_V_TEXTS(f->files, f->n), SAL_V_TIME(t));
}

/* ---- when symbols come ---- */

typedef struct arrivals_t {
    const sal_reprocess_limits_t *limits;
    int64_t id, chosen, lacking;
} arrivals_t;

static apr_status_t arrivals_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    arrivals_t *a = baton;
    const sal_reprocess_limits_t *l = a->limits;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_reprocess_arrivals_lock, NULL, 0, &rows, p, err);

    if (rv != APR_SUCCESS || !sal_rows_bool(rows, 0, 0)) {
        return rv;
    }
    rv = sal_db_exec(db, &sal_s_reprocess_arrivals_due, &rows, p, err, SAL_V_INT(l->debounce));
    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0 || sal_rows_null(rows, 0, 0)) {
        return rv;
    }
    rv = sal_db_exec(db, &sal_s_reprocess_arrivals_take, &rows, p, err,
                     SAL_V_INT(sal_rows_int(rows, 0, 0)), SAL_V_INT(l->tries), SAL_V_INT(l->newest),
                     SAL_V_INT(l->most), SAL_V_INT(l->rate), SAL_V_INT(l->max_running));
    if (rv == APR_SUCCESS) {
        a->id = sal_rows_int(rows, 0, 0);
        a->chosen = sal_rows_int(rows, 0, 1);
        a->lacking = sal_rows_int(rows, 0, 2);
    }
    return rv;
}

apr_status_t sal_reprocess_arrivals(int64_t *id, int64_t *chosen, int64_t *lacking,
                                    const sal_reprocess_limits_t *limits, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err)
{
    arrivals_t a = { .limits = limits };
    apr_status_t rv = sal_db_txn(db, arrivals_txn, &a, p, err);

    *id = a.id;
    *chosen = a.chosen;
    *lacking = a.lacking;
    return rv;
}

apr_status_t sal_reprocess_missing_expire(int *n, int days, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_reprocess_missing_expire, &rows, p, err, SAL_V_INT(days));

    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}
