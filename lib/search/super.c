/*
 * Running a Super Search: one read-only transaction, behind the gate of guard.c.
 */
#include "search/super_private.h"

#include <string.h>
#include <apr_strings.h>

#include "search/guard.h"
#include "search/hits.h"
#include "search/products.h"

typedef struct {
    sal_super_t *s;
    json_t **out;
} search_t;

static json_t *errors_of(const sal_super_t *s)
{
    json_t *errors = json_array();

    for (int i = 0; i < s->denied->nelts; i++) {
        json_array_append_new(errors, json_pack("{s:s, s:s}", "type", "not_allowed", "field",
                                                APR_ARRAY_IDX(s->denied, i, const char *)));
    }
    return errors;
}

/* Products as they are asked for, without operators. */
static const char *const *asked_products(int *n, const sal_super_t *s)
{
    const apr_array_header_t *conditions = s->query->conditions;
    const char **out = apr_palloc(s->p, sizeof *out * (apr_size_t)(conditions->nelts + 1));

    *n = 0;
    for (int i = 0; i < conditions->nelts; i++) {
        const sal_condition_t *c = &APR_ARRAY_IDX(conditions, i, sal_condition_t);

        if (strcmp(c->field->name, "product") == 0 && c->op == SAL_OP_BARE) {
            out[(*n)++] = c->text + strspn(c->text, "=~^$@");
        }
    }
    return out;
}

static apr_status_t check_products(const sal_super_t *s, sal_run_t *run, sal_error_t *err)
{
    int n;
    const char *const *asked = asked_products(&n, s), *unknown = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (n > 0) {
        rv = sal_search_unknown_products(&unknown, asked, n, run->db, run->p, err);
    }
    return rv == APR_SUCCESS && unknown
               ? sal_fail(err, SAL_E_MALFORMED,
                          "Bad value for parameter(s) 'Not valid products: %.300s'", unknown)
               : rv;
}

typedef struct {
    json_t *hits, *facets, *errors;
    int64_t total;
} answer_t;

static apr_status_t answer(answer_t *a, sal_super_t *s, sal_run_t *run, sal_error_t *err)
{
    const sal_search_field_t *const *columns = (const void *)s->columns->elts;
    sal_where_t where;
    apr_status_t rv = sal_where(&where, s->query, run, err);

    if (rv == APR_SUCCESS) {
        rv = sal_guard_cost(s, &where, run, a->errors, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_hits(&a->hits, s->query, &where, columns, s->columns->nelts, run, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_agg_run(&a->facets, &a->total, &s->aggs, &where, a->errors, run, err);
    }
    if (rv == APR_SUCCESS && a->total < 0) {
        rv = sal_count(&a->total, &where, run, err);
    }
    return rv;
}

static json_t *explained(sal_super_t *s, const sal_run_t *run)
{
    return json_pack("{s:{s:O, s:o}, s:O}", "query", "statements", run->trace, "conditions",
                     sal_query_conditions(s->query), "indices", run->partitions);
}

static apr_status_t search(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    search_t *x = baton;
    sal_super_t *s = x->s;
    sal_run_t run = { .db = db, .p = p, .txn = true };
    answer_t a = { .errors = errors_of(s) };
    apr_status_t rv;

    run.trace = s->return_query ? json_array() : NULL;
    rv = sal_guard_enter(s, &run, err);
    if (rv == APR_SUCCESS) {
        rv = sal_run_begin(&run, s->query, err);
    }
    if (rv == APR_SUCCESS) {
        rv = check_products(s, &run, err);
    }
    if (rv == APR_SUCCESS) {
        sal_guard_missing(&run, a.errors);
        rv = answer(&a, s, &run, err);
    }
    if (rv == APR_SUCCESS) {
        *x->out = s->return_query
                      ? explained(s, &run)
                      : json_pack("{s:O, s:I, s:O, s:O}", "hits", a.hits, "total",
                                  (json_int_t)a.total, "facets", a.facets, "errors", a.errors);
    }
    json_decref(a.hits);
    json_decref(a.facets);
    json_decref(a.errors);
    json_decref(run.trace);
    json_decref(run.partitions);
    json_decref(run.missing);
    return rv;
}

apr_status_t sal_super_run(json_t **out, sal_super_t *s, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    search_t x = { s, out };
    sal_error_t own = { 0 };
    apr_status_t rv;

    *out = NULL;
    err = err ? err : &own;
    rv = sal_super_read(s, err);
    if (rv == APR_SUCCESS) {
        rv = sal_db_txn(db, search, &x, p, err);
    }
    if (rv != APR_SUCCESS) {
        json_decref(*out);
        *out = NULL;
    }
    return rv;
}
