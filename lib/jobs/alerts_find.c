/*
 * What an alert's search finds, in its span and in its history.
 */
#include "jobs/alerts_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "db/token.h"
#include "search/super.h"
#include "triage/saved.h"

#define DAY APR_INT64_C(86400)

enum { MOST_TERMS = 10000, BASE_DAYS = 28, TOP = 5, WINDOWS = 14, PAIRS_MAX = 100 };

/* ---- the search ---- */

typedef struct asking_t {
    sal_super_t *super;
    bool pii, locked;
    int pairs;
} asking_t;

/* Conditions alone: dates are the alert's, and a page's columns and sorts are of no use here. */
static void ask_pair(void *baton, const char *name, const char *value)
{
    asking_t *a = baton;
    const sal_search_field_t *f = sal_search_field(name);

    if (f && f->is_protected && !a->pii) {
        a->locked = true;
    }
    if (a->pairs++ < PAIRS_MAX && *value &&
        ((f && f->match != SAL_MATCH_DATE) || strcmp(name, "_neg") == 0)) {
        sal_super_param(a->super, name, value);
    }
}

static apr_status_t ask(json_t **out, const look_t *l, apr_time_t from, apr_time_t to, int terms,
                        sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_alert_t *alert = l->alert;
    bool pii = (alert->owner_permissions & (SAL_PERM_VIEW_PII | SAL_PERM_ADMIN)) != 0;
    const sal_super_reader_t reader = { .pii = pii, .known = true };
    asking_t a = { .super = sal_super_make(&reader, to, p), .pii = pii };

    if (!alert->owner_active) {
        return sal_fail(err, SAL_E_DENIED, "the account of %s is not active", alert->owner_name);
    }
    sal_saved_read(alert->query, ask_pair, &a, p);
    if (a.locked) {
        return sal_fail(err, SAL_E_DENIED,
                        "the search uses protected fields, and %s has no right to see them",
                        alert->owner_name);
    }
    sal_super_param(a.super, "date", apr_pstrcat(p, ">=", sal_time_iso(from, p), NULL));
    sal_super_param(a.super, "date", apr_pstrcat(p, "<", sal_time_iso(to, p), NULL));
    sal_super_param(a.super, "_results_number", "0");
    sal_super_param(a.super, "_facets_size", apr_itoa(p, terms));
    if (terms) {
        sal_super_param(a.super, "_facets", "signature");
    }
    return sal_super_run(out, a.super, db, p, err);
}

static apr_status_t count(int64_t *out, const look_t *l, apr_time_t from, apr_time_t to,
                          sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    json_t *result = NULL;
    apr_status_t rv;

    *out = 0;
    if (from >= to) {
        return APR_SUCCESS;
    }
    rv = ask(&result, l, from, to, 0, db, p, err);
    if (rv == APR_SUCCESS) {
        *out = json_integer_value(json_object_get(result, "total"));
        json_decref(result);
    }
    return rv;
}

/* ---- kinds ---- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/*
 * What is usual: the median of the same stretch of earlier days (of two weeks, or of as many
 * stretches of a longer span as half a year has, four at least).
 */
static apr_status_t find_spike(look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int64_t counts[WINDOWS], now;
    int64_t step = (l->alert->span + DAY - 1) / DAY * DAY;
    int n = step == DAY ? WINDOWS : step <= 7 * DAY ? 8 : 4;
    apr_status_t rv = count(&now, l, l->from, l->to, db, p, err);

    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        apr_time_t back = apr_time_from_sec(step * (i + 1));

        rv = count(&counts[i], l, l->from - back, l->to - back, db, p, err);
    }
    if (rv == APR_SUCCESS) {
        qsort(counts, (size_t)n, sizeof counts[0], by_size);
        l->value = (double)now;
        l->usual = (double)(counts[n / 2 - 1] + counts[n / 2]) / 2;
    }
    return rv;
}

/*
 * Crashes since the alert was made: those before the mark are counted already. The mark follows a
 * day behind, so that a crash that is processed late still counts.
 */
static apr_status_t find_nth(look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t mark = l->alert->mark, settled = l->to - apr_time_from_sec(DAY);
    apr_status_t rv;

    l->mark =
        settled - mark > apr_time_from_sec(3600) ? settled - settled % APR_USEC_PER_SEC : mark;
    rv = count(&l->mark_count, l, mark, l->to, db, p, err);
    if (rv == APR_SUCCESS && l->mark > mark) {
        rv = count(&l->older_count, l, mark, l->mark, db, p, err);
    }
    l->value = (double)(l->alert->counted + l->mark_count);
    return rv;
}

static void read_terms(look_t *l, const json_t *result, apr_pool_t *p)
{
    const json_t *list = json_object_get(json_object_get(result, "facets"), "signature");
    apr_size_t most = json_array_size(list) + 1;
    json_t *one;
    size_t i;

    l->signatures = apr_pcalloc(p, most * sizeof *l->signatures);
    l->counts = apr_pcalloc(p, most * sizeof *l->counts);
    l->n = 0;
    json_array_foreach(list, i, one)
    {
        const char *term = sal_json_str(one, "term");
        int64_t n = json_integer_value(json_object_get(one, "count"));

        if (term && (!l->alert->ready || (double)n >= l->alert->threshold)) {
            l->signatures[l->n] = apr_pstrdup(p, term);
            l->counts[l->n++] = n;
        }
    }
}

/* The first look learns what the search has had in four weeks, and tells nothing. */
static apr_status_t find_new(look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t base = l->to - apr_time_from_sec(BASE_DAYS * DAY);
    apr_time_t from = !l->alert->ready && base < l->from ? base : l->from;
    json_t *result = NULL;
    apr_status_t rv = ask(&result, l, from, l->to, MOST_TERMS, db, p, err);

    if (rv == APR_SUCCESS) {
        read_terms(l, result, p);
        json_decref(result);
    }
    return rv;
}

apr_status_t alerts_find(look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    int64_t n = 0;
    apr_status_t rv;

    switch (l->alert->kind) {
    case SAL_ALERT_SPIKE:
        return find_spike(l, db, p, err);
    case SAL_ALERT_NTH:
        return find_nth(l, db, p, err);
    case SAL_ALERT_NEW:
        return find_new(l, db, p, err);
    default:
        rv = count(&n, l, l->from, l->to, db, p, err);
        l->value = l->alert->kind == SAL_ALERT_RATE ? (double)n * 3600 / l->alert->span : (double)n;
        return rv;
    }
}

apr_status_t alerts_top(look_t *l, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    json_t *result = NULL, *one;
    apr_status_t rv = ask(&result, l, l->from, l->to, TOP, db, p, err);
    size_t i;

    l->top = json_array();
    if (rv == APR_SUCCESS) {
        json_array_foreach(json_object_get(json_object_get(result, "facets"), "signature"), i, one)
        {
            json_array_append_new(l->top,
                                  json_pack("{s:O, s:O}", "signature", json_object_get(one, "term"),
                                            "count", json_object_get(one, "count")));
        }
        json_decref(result);
    }
    return rv;
}
