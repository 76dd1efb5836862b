/*
 * The search row of a crash: written by the processor, in the transaction that ends a job.
 */
#include "search/index.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "search/term_cache.h"
#include "search/terms.h"
#include "search/values.h"

struct sal_search_row_t {
    const char *uuid;
    const char *json; /* the row, column by column */
    apr_time_t date;
    int64_t *overflow; /* numbers of the fields with values in column overflow */
    int n_overflow;
};

/* Every dictionary value of the document, in the order of values and their texts. */
static sal_term_want_t *wants(int *n, const sal_values_t *v, apr_pool_t *p)
{
    sal_term_want_t *w;

    *n = 0;
    for (int i = 0; i < v->n; i++) {
        *n += v->value[i].n;
    }
    w = apr_pcalloc(p, sizeof *w * (apr_size_t)(*n + 1));
    *n = 0;
    for (int i = 0; i < v->n; i++) {
        const sal_value_t *value = &v->value[i];

        if (value->field->store != SAL_STORE_TERM && value->field->store != SAL_STORE_TERMS) {
            continue;
        }
        for (int k = 0; k < value->n; k++) {
            w[*n].field = value->field;
            w[(*n)++].value = value->text[k];
        }
    }
    return w;
}

/* The dictionary took no more values of this field: the whole value stands beside it. */
static void put_overflow(json_t *row, const sal_value_t *v)
{
    json_t *all = json_object_get(row, "overflow");

    if (!all) {
        all = json_object();
        json_object_set_new(row, "overflow", all);
    }
    if (!json_object_get(all, v->field->name)) {
        json_object_set_new(all, v->field->name,
                            v->whole ? json_deep_copy(v->whole) : json_pack("[s]", v->text[0]));
    }
}

static const sal_term_want_t *put_terms(json_t *row, const sal_value_t *v, const sal_term_want_t *w)
{
    json_t *ids = json_array();

    for (int k = 0; k < v->n; k++, w++) {
        if (w->id) {
            json_array_append_new(ids, json_integer(w->id));
        } else {
            put_overflow(row, v);
        }
    }
    if (v->field->store == SAL_STORE_TERMS) {
        json_object_set(row, v->field->name, ids);
    } else if (json_array_size(ids) > 0) {
        json_object_set(row, v->field->name, json_array_get(ids, 0));
    }
    json_decref(ids);
    return w;
}

static void note_overflow(sal_search_row_t *out, const json_t *overflow, apr_pool_t *p)
{
    json_t *all = (json_t *)overflow;
    void *at;

    out->overflow = apr_palloc(p, sizeof *out->overflow * (json_object_size(all) + 1));
    for (at = json_object_iter(all); at; at = json_object_iter_next(all, at)) {
        out->overflow[out->n_overflow++] = sal_search_field(json_object_iter_key(at))->number;
    }
}

static void make_row(sal_search_row_t *out, const sal_values_t *v, const sal_term_want_t *w,
                     apr_pool_t *p)
{
    json_t *row = sal_json_own(json_object(), p);

    json_object_set_new(row, "uuid", json_string(v->uuid));
    json_object_set_new(row, "date", json_string(sal_time_iso(v->date, p)));
    if (v->overflow) {
        json_object_set_new(row, "overflow", json_deep_copy(v->overflow));
    }
    for (int i = 0; i < v->n; i++) {
        const sal_value_t *value = &v->value[i];
        const char *name = value->field->name;

        switch (value->field->store) {
        case SAL_STORE_TERM:
        case SAL_STORE_TERMS:
            w = put_terms(row, value, w);
            break;
        case SAL_STORE_TEXT:
            json_object_set_new(row, name, json_string(value->text[0]));
            break;
        case SAL_STORE_DOUBLE:
            json_object_set_new(row, name, json_real(value->d));
            break;
        case SAL_STORE_BOOL:
            json_object_set_new(row, name, json_boolean(value->i));
            break;
        default:
            json_object_set_new(row, name, json_integer(value->i));
        }
    }
    if (v->n_removed) {
        json_t *list = json_array();

        for (int i = 0; i < v->n_removed; i++) {
            json_array_append_new(list, json_integer(v->removed[i]));
        }
        json_object_set_new(row, "removed_fields", list);
    }
    note_overflow(out, json_object_get(row, "overflow"), p);
    out->uuid = v->uuid;
    out->date = v->date;
    out->json = sal_json_text(row, p);
}

/* ATTACH waits for searches only as long as lock_timeout; then it is tried again. */
static apr_status_t make_partition(apr_time_t moment, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_error_t e = { 0 };
    apr_status_t rv = APR_SUCCESS;

    for (int attempt = 0; attempt < 5; attempt++) {
        rv = sal_db_exec(db, &sal_s_search_partition, NULL, p, &e, SAL_V_TIME(moment));
        if (rv != SAL_E_DB || strcmp(e.sqlstate, "55P03") != 0) {
            break;
        }
    }
    if (rv != APR_SUCCESS && err) {
        *err = e;
    }
    return rv;
}

/* Near now none is dropped, so one that was there is there for the day that the cache keeps it. */
static apr_status_t have_partition(apr_time_t moment, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const apr_time_t now = apr_time_now(), day = apr_time_from_sec(24 * 3600);
    bool near = moment > now - 7 * day && moment < now + 7 * day;
    sal_term_key_t key;
    apr_status_t rv;

    sal_term_key(&key, sal_terms_database(db), SAL_TERM_NO_FIELD,
                 apr_psprintf(p, "%" APR_TIME_T_FMT, moment / day));
    if (near && sal_term_cache_get(&key, now)) {
        return APR_SUCCESS;
    }
    rv = make_partition(moment, db, p, err);
    if (near && rv == APR_SUCCESS) {
        sal_term_cache_put(&key, 1, now);
    }
    return rv;
}

apr_status_t sal_search_partitions(sal_db_t *db, apr_time_t now, int weeks, apr_pool_t *p,
                                   sal_error_t *err)
{
    static const apr_time_t week = APR_INT64_C(7) * 24 * 3600 * APR_USEC_PER_SEC;

    for (int i = -1; i <= weeks; i++) {
        apr_status_t rv = make_partition(now + i * week, db, p, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

apr_status_t sal_search_prepare(sal_search_row_t **row, const json_t *processed, sal_db_t *db,
                                apr_pool_t *p, sal_error_t *err)
{
    sal_values_t *values;
    sal_term_want_t *w;
    apr_status_t rv;
    int n;

    rv = sal_values_collect(&values, processed, p, err);
    if (rv == APR_SUCCESS) {
        rv = have_partition(values->date, db, p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    w = wants(&n, values, p);
    rv = sal_terms_resolve(w, n, db, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *row = apr_pcalloc(p, sizeof **row);
    make_row(*row, values, w, p);
    return APR_SUCCESS;
}

apr_status_t sal_search_store(const sal_search_row_t *row, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    apr_status_t rv;

    rv = sal_db_exec(db, &sal_s_search_crash_drop, NULL, p, err, SAL_V_TEXT(row->uuid));
    if (rv == APR_SUCCESS && row->n_overflow > 0) {
        rv = sal_db_exec(db, &sal_s_search_overflow_note, NULL, p, err, SAL_V_TIME(row->date),
                         SAL_V_INTS(row->overflow, (apr_size_t)row->n_overflow));
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return sal_db_exec(db, &sal_s_search_crash_add, NULL, p, err, SAL_V_JSON(row->json));
}

apr_status_t sal_search_has(bool *has, const char *crash_id, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv;

    rv = sal_db_exec(db, &sal_s_search_crash_has, &rows, p, err, SAL_V_TEXT(crash_id));
    if (rv == APR_SUCCESS) {
        *has = sal_rows_bool(rows, 0, 0);
    }
    return rv;
}
