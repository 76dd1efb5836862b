/*
 * Queries: conditions, window, page, order.
 */
#include "search/query_private.h"

#include <string.h>

#include <apr_strings.h>

static const apr_time_t day = APR_INT64_C(24) * 3600 * APR_USEC_PER_SEC;

sal_query_t *sal_query_make(apr_time_t now, bool pii, apr_pool_t *p)
{
    sal_query_t *q = apr_pcalloc(p, sizeof *q);

    q->p = p;
    q->now = now;
    q->pii = pii;
    q->conditions = apr_array_make(p, 8, sizeof(sal_condition_t));
    q->sort = apr_array_make(p, 2, sizeof(sal_sort_t));
    q->limit = 100;
    return q;
}

/* Of several bounds the tightest holds. */
static void narrow(sal_query_t *q, const sal_condition_t *c)
{
    if (c->op == SAL_OP_GE || c->op == SAL_OP_GT) {
        if (!q->from || c->t >= q->from) {
            q->from_after = c->op == SAL_OP_GT || (q->from_after && c->t == q->from);
            q->from = c->t;
        }
    } else if (!q->to || c->t <= q->to) {
        q->to_upto = c->op == SAL_OP_LE && (q->to_upto || !q->to || c->t < q->to);
        q->to = c->t;
    }
}

apr_status_t sal_query_filter(sal_query_t *q, const char *field, const char *value,
                              sal_error_t *err)
{
    const sal_search_field_t *f = sal_search_field(field);
    sal_condition_t c;
    apr_status_t rv;

    if (!f || (f->is_protected && !q->pii)) {
        return APR_SUCCESS;
    }
    rv = sal_condition_read(&c, f, value, q->p, err);
    if (rv == APR_SUCCESS && f->match == SAL_MATCH_DATE) {
        narrow(q, &c);
    } else if (rv == APR_SUCCESS) {
        APR_ARRAY_PUSH(q->conditions, sal_condition_t) = c;
    }
    return rv;
}

apr_status_t sal_query_is(sal_query_t *q, const char *field, const char *value, sal_error_t *err)
{
    const sal_search_field_t *f = sal_search_field(field);
    sal_condition_t c;
    apr_status_t rv;

    if (!f || (f->is_protected && !q->pii) || f->store != SAL_STORE_TERM) {
        return APR_SUCCESS;
    }
    rv = sal_condition_read(&c, f, value, q->p, err);
    if (rv == APR_SUCCESS) {
        c.op = SAL_OP_IS;
        c.negated = false;
        c.text = apr_pstrdup(q->p, value);
        APR_ARRAY_PUSH(q->conditions, sal_condition_t) = c;
    }
    return rv;
}

apr_status_t sal_query_window(const sal_query_t *q, apr_time_t *from, apr_time_t *to,
                              sal_error_t *err)
{
    *to = q->to ? q->to + (q->to_upto ? APR_USEC_PER_SEC : 0) : q->now;
    *from = q->from ? q->from + (q->from_after ? APR_USEC_PER_SEC : 0) : *to - 7 * day;
    if (*to - *from > 365 * day) {
        return sal_fail(err, SAL_E_MALFORMED, "Date range is bigger than 365 days");
    }
    return APR_SUCCESS;
}

apr_status_t sal_query_page(sal_query_t *q, int limit, int offset, sal_error_t *err)
{
    if (limit < 0) {
        return sal_fail(err, SAL_E_MALFORMED, "_results_number cannot be negative");
    }
    if (limit > 1000) {
        return sal_fail(err, SAL_E_MALFORMED, "_results_number cannot be greater than 1,000");
    }
    if (offset < 0) {
        return sal_fail(err, SAL_E_MALFORMED, "_results_offset cannot be negative");
    }
    if (offset > 10000 - limit) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "_results_offset + _results_number cannot be greater than 10,000");
    }
    q->limit = limit;
    q->offset = offset;
    return APR_SUCCESS;
}

void sal_query_sort(sal_query_t *q, const char *field)
{
    bool descending = *field == '-';
    const sal_search_field_t *f = sal_search_field(field + descending);

    if (f && (!f->is_protected || q->pii)) {
        APR_ARRAY_PUSH(q->sort, sal_sort_t) = (sal_sort_t){ f, descending };
    }
}

apr_status_t sal_query_count(int64_t *total, sal_query_t *q, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_run_t run = { .db = db, .p = p };
    sal_where_t where;
    apr_status_t rv = sal_run_begin(&run, q, err);

    if (rv == APR_SUCCESS) {
        rv = sal_where(&where, q, &run, err);
    }
    return rv == APR_SUCCESS ? sal_count(total, &where, &run, err) : rv;
}

json_t *sal_query_conditions(const sal_query_t *q)
{
    static const char *const words[][2] = {
        [SAL_OP_BARE] = { "is", "is not" },
        [SAL_OP_IS] = { "is exactly", "is not exactly" },
        [SAL_OP_CONTAINS] = { "contains", "does not contain" },
        [SAL_OP_STARTS] = { "starts with", "does not start with" },
        [SAL_OP_ENDS] = { "ends with", "does not end with" },
        [SAL_OP_REGEX] = { "matches the pattern", "does not match the pattern" },
        [SAL_OP_NULL] = { "does not exist", "exists" },
        [SAL_OP_TRUE] = { "is true", "is not true" },
        [SAL_OP_GE] = { "at least", "not at least" },
        [SAL_OP_LE] = { "at most", "not at most" },
        [SAL_OP_GT] = { "above", "not above" },
        [SAL_OP_LT] = { "below", "not below" }
    };
    json_t *out = json_array();

    for (int i = 0; i < q->conditions->nelts; i++) {
        const sal_condition_t *c = &APR_ARRAY_IDX(q->conditions, i, sal_condition_t);
        const char *w = words[c->op][c->negated];

        if (c->op == SAL_OP_BARE && c->field->match == SAL_MATCH_BOOL) {
            w = c->negated ? "is not" : "is";
        } else if (c->op == SAL_OP_BARE && c->field->match == SAL_MATCH_TEXT) {
            w = c->negated ? "has no word of" : "has a word of";
        }
        json_array_append_new(
            out, json_pack("{s:s, s:s, s:s, s:b}", "field", c->field->name, "words", w, "value",
                           c->op == SAL_OP_NULL || c->op == SAL_OP_TRUE ? "" : c->text, "not",
                           c->negated));
    }
    return out;
}
