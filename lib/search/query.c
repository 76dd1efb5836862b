/*
 * Queries: reading conditions, and the three questions asked of them.
 */
#include "search/query_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "base/text.h"

static const apr_time_t day = APR_INT64_C(24) * 3600 * APR_USEC_PER_SEC;

sal_query_t *sal_query_make(apr_time_t now, bool pii, apr_pool_t *p)
{
    sal_query_t *q = apr_pcalloc(p, sizeof *q);

    q->p = p;
    q->now = now;
    q->pii = pii;
    q->conditions = apr_array_make(p, 8, sizeof(sal_condition_t));
    q->limit = 100;
    q->descending = true;
    return q;
}

/* ---- operators ---- */

typedef struct {
    const char *prefix;
    sal_op_t op;
} prefix_t;

/* In matching order; the first that fits wins, anything else is part of the value. */
static const prefix_t of_text[] = { { "=", SAL_OP_IS },    { "~", SAL_OP_CONTAINS },
                                    { "$", SAL_OP_ENDS },  { "^", SAL_OP_STARTS },
                                    { "@", SAL_OP_REGEX }, { "__null__", SAL_OP_NULL },
                                    { "", SAL_OP_BARE } };
static const prefix_t of_enum[] = { { "__null__", SAL_OP_NULL }, { "", SAL_OP_BARE } };
static const prefix_t of_number[] = { { ">=", SAL_OP_GE },         { "<=", SAL_OP_LE },
                                      { "<", SAL_OP_LT },          { ">", SAL_OP_GT },
                                      { "__null__", SAL_OP_NULL }, { "", SAL_OP_BARE } };
static const prefix_t of_bool[] = { { "__true__", SAL_OP_TRUE },
                                    { "__null__", SAL_OP_NULL },
                                    { "", SAL_OP_BARE } };

static const prefix_t *prefixes(const sal_search_field_t *f)
{
    switch (f->match) {
    case SAL_MATCH_BOOL:
        return of_bool;
    case SAL_MATCH_NUMBER:
    case SAL_MATCH_DATE:
        return of_number;
    default:
        return f->type == SAL_TYPE_ENUM ? of_enum : of_text;
    }
}

static void split_value(sal_condition_t *c, const char *value)
{
    const prefix_t *x = prefixes(c->field);

    if (*value == '!') {
        c->negated = true;
        value++;
    }
    while (strncmp(value, x->prefix, strlen(x->prefix)) != 0) {
        x++;
    }
    c->op = x->op;
    c->text = value + strlen(x->prefix);
}

static bool truth(const char *s)
{
    return strcmp(s, "true") == 0 || strcmp(s, "t") == 0 || strcmp(s, "1") == 0 ||
           strcmp(s, "y") == 0 || strcmp(s, "yes") == 0;
}

static apr_status_t read_number(sal_condition_t *c, sal_error_t *err)
{
    bool whole = c->field->store == SAL_STORE_INT;
    char *end;
    int64_t v;

    if (c->op == SAL_OP_NULL) {
        return APR_SUCCESS;
    }
    if (whole && sal_parse_int(c->text, INT64_MIN, INT64_MAX, &v)) {
        c->number = (double)v;
        return APR_SUCCESS;
    }
    c->number = strtod(c->text, &end);
    if (end == c->text || *end || !isfinite(c->number) || whole) {
        return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter %s: not a valid %s",
                        c->field->name, whole ? "int" : "float");
    }
    return APR_SUCCESS;
}

/* What follows the operator, in the terms of the field's kind. */
static apr_status_t finish(sal_condition_t *c, sal_error_t *err)
{
    apr_size_t len = strlen(c->text);

    if (c->field->match == SAL_MATCH_NUMBER) {
        return read_number(c, err);
    }
    if (c->field->match == SAL_MATCH_BOOL && c->op == SAL_OP_BARE) {
        c->op = SAL_OP_TRUE;
        c->negated = c->negated != !truth(c->text);
    }
    /* "68.0b" stands for every beta of 68.0 */
    if (strcmp(c->field->name, "version") == 0 && c->op == SAL_OP_BARE && len > 1 &&
        c->text[len - 1] == 'b') {
        c->op = SAL_OP_STARTS;
    }
    return APR_SUCCESS;
}

/* Of several bounds the tightest holds. */
static apr_status_t narrow(sal_query_t *q, const sal_condition_t *c, sal_error_t *err)
{
    apr_time_t t;

    if (c->op == SAL_OP_BARE || c->op == SAL_OP_NULL || c->negated) {
        return sal_fail(err, SAL_E_MALFORMED, "date must have a prefix operator");
    }
    if (!sal_time_parse(
            strlen(c->text) == 10 ? apr_pstrcat(q->p, c->text, "T00:00:00", NULL) : c->text, &t)) {
        return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter date: not a valid datetime");
    }
    t -= t % APR_USEC_PER_SEC;
    if (c->op == SAL_OP_GE || c->op == SAL_OP_GT) {
        if (t >= q->from) {
            q->from = t;
            q->from_after = c->op == SAL_OP_GT;
        }
    } else if (!q->to || t <= q->to) {
        q->to = t;
        q->to_upto = c->op == SAL_OP_LE;
    }
    return APR_SUCCESS;
}

apr_status_t sal_query_filter(sal_query_t *q, const char *field, const char *value,
                              sal_error_t *err)
{
    sal_condition_t c = { .field = sal_search_field(field) };
    apr_status_t rv;

    if (!c.field || (c.field->is_protected && !q->pii)) {
        return APR_SUCCESS;
    }
    if (!sal_utf8_valid(value, strlen(value))) {
        return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter %s: not valid UTF-8",
                        c.field->name);
    }
    split_value(&c, apr_pstrdup(q->p, value));
    if (c.field->match == SAL_MATCH_DATE) {
        return narrow(q, &c, err);
    }
    rv = finish(&c, err);
    if (rv == APR_SUCCESS) {
        APR_ARRAY_PUSH(q->conditions, sal_condition_t) = c;
    }
    return rv;
}

apr_status_t sal_query_window(const sal_query_t *q, apr_time_t *from, apr_time_t *to,
                              sal_error_t *err)
{
    *to = q->to ? q->to + (q->to_upto ? APR_USEC_PER_SEC : 0) : q->now;
    *from = q->from ? q->from + (q->from_after ? 1 : 0) : *to - 7 * day;
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

    if (f && (!f->is_protected || q->pii) &&
        (f->store == SAL_STORE_TIME || f->store == SAL_STORE_INT || f->store == SAL_STORE_BOOL ||
         f->store == SAL_STORE_DOUBLE)) {
        q->sort = f;
        q->descending = descending;
    }
}

/* ---- rows ---- */

/* The select expression of a column; x is the page's rows. */
static const char *column_sql(const sal_search_field_t *f, apr_pool_t *p)
{
    switch (f->store) {
    case SAL_STORE_TERM:
        return apr_psprintf(p,
                            "coalesce((SELECT value FROM term WHERE id = x.%s), "
                            "x.overflow->'%s'->>0)",
                            f->name, f->name);
    case SAL_STORE_TERMS:
        return apr_psprintf(p,
                            "(SELECT json_agg(t.value ORDER BY o) FROM unnest(x.%s) WITH "
                            "ORDINALITY u(i, o) JOIN term t ON t.id = u.i)",
                            f->name);
    default:
        return apr_pstrcat(p, "x.", f->name, NULL);
    }
}

/* A list as pages and API show it: ';' lists and stacks as text, others as arrays. */
static json_t *list_value(const sal_search_field_t *f, const char *text, apr_pool_t *p)
{
    json_t *list = json_loads(text, 0, NULL), *out, *item;
    const char *joined = "", *between = f->match == SAL_MATCH_LIST ? ";" : " | ";
    size_t i;

    if (json_array_size(list) == 0) {
        json_decref(list);
        return json_null();
    }
    if (f->match != SAL_MATCH_LIST && strcmp(f->name, "proto_signature") != 0) {
        if (json_array_size(list) > 1) {
            return list;
        }
        out = json_incref(json_array_get(list, 0));
        json_decref(list);
        return out;
    }
    json_array_foreach(list, i, item)
    {
        joined = apr_pstrcat(p, joined, i ? between : "", json_string_value(item), NULL);
    }
    json_decref(list);
    return json_string(joined);
}

static json_t *cell(const sal_search_field_t *f, const sal_rows_t *rows, int row, int col,
                    apr_pool_t *p)
{
    if (sal_rows_null(rows, row, col)) {
        return json_null();
    }
    switch (f->store) {
    case SAL_STORE_TERMS:
        return list_value(f, sal_rows_text(rows, row, col), p);
    case SAL_STORE_INT:
        return json_integer(sal_rows_int(rows, row, col));
    case SAL_STORE_BOOL:
        return json_boolean(sal_rows_bool(rows, row, col));
    case SAL_STORE_DOUBLE:
        return json_real(strtod(sal_rows_text(rows, row, col), NULL));
    case SAL_STORE_TIME:
        return json_string(sal_time_iso(sal_rows_time(rows, row, col), p));
    default:
        return json_string(sal_rows_text(rows, row, col));
    }
}

/* Turns names into fields; those the reader may not see are left out. */
static apr_status_t find_columns(const sal_search_field_t **out, int *found, const sal_query_t *q,
                                 const char *const *columns, int n, sal_error_t *err)
{
    *found = 0;
    for (int i = 0; i < n; i++) {
        const sal_search_field_t *f = sal_search_field(columns[i]);

        if (!f) {
            return sal_fail(err, SAL_E_MALFORMED, "Unknown field '%s'", columns[i]);
        }
        if (!f->is_protected || q->pii) {
            out[(*found)++] = f;
        }
    }
    return APR_SUCCESS;
}

static void rows_sql(sal_sql_t *sql, const sal_query_t *q, const sal_search_field_t *const *f,
                     int n, const char *where, apr_pool_t *p)
{
    const char *order = q->sort ? q->sort->name : "date";
    const char *down = q->descending ? " DESC NULLS LAST" : " NULLS LAST";

    sal_sql_add(sql, "SELECT ");
    for (int i = 0; i < n; i++) {
        sal_sql_add(sql, i ? ", " : "");
        sal_sql_add(sql, column_sql(f[i], p));
    }
    sal_sql_add(sql, n ? "" : "1");
    sal_sql_add(sql, " FROM (SELECT * FROM crash WHERE ");
    sal_sql_add(sql, where);
    /* date is never null, and the plain order is the index's */
    sal_sql_add(sql, apr_psprintf(p,
                                  " ORDER BY %s%s, uuid LIMIT %d OFFSET %d) x ORDER BY %s%s, "
                                  "uuid",
                                  order, q->sort ? down : " DESC", q->limit, q->offset, order,
                                  q->sort ? down : " DESC"));
}

apr_status_t sal_query_rows(json_t **hits, sal_query_t *q, const char *const *columns, int n,
                            sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_search_field_t **f = apr_palloc(p, sizeof *f * (apr_size_t)(n + 1));
    sal_sql_t *where = sal_sql_make(p), *sql = sal_sql_make(p);
    sal_rows_t *rows;
    bool nothing;
    apr_status_t rv;

    rv = find_columns(f, &n, q, columns, n, err);
    if (rv == APR_SUCCESS) {
        rv = sal_sql_where(where, &nothing, q, db, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *hits = json_array();
    if (nothing || q->limit == 0) {
        return APR_SUCCESS;
    }
    sql->params = where->params;
    rows_sql(sql, q, f, n, apr_array_pstrcat(p, where->text, 0), p);
    rv = sal_sql_run(sql, &rows, db, p, err);
    if (rv != APR_SUCCESS) {
        json_decref(*hits);
        *hits = NULL;
        return rv;
    }
    for (int r = 0; r < sal_rows_count(rows); r++) {
        json_t *hit = json_object();

        for (int c = 0; c < n; c++) {
            json_object_set_new(hit, f[c]->name, cell(f[c], rows, r, c, p));
        }
        json_array_append_new(*hits, hit);
    }
    return APR_SUCCESS;
}

apr_status_t sal_query_count(int64_t *total, sal_query_t *q, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(p);
    sal_rows_t *rows;
    bool nothing;
    apr_status_t rv;

    *total = 0;
    sal_sql_add(sql, "SELECT count(*) FROM crash WHERE ");
    rv = sal_sql_where(sql, &nothing, q, db, err);
    if (rv != APR_SUCCESS || nothing) {
        return rv;
    }
    rv = sal_sql_run(sql, &rows, db, p, err);
    if (rv == APR_SUCCESS) {
        *total = sal_rows_int(rows, 0, 0);
    }
    return rv;
}

apr_status_t sal_query_facet(json_t **out, sal_query_t *q, const char *field, int size,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_search_field_t *f = sal_search_field(field);
    sal_sql_t *sql = sal_sql_make(p);
    sal_rows_t *rows;
    bool nothing;
    apr_status_t rv;

    if (!f || f->store != SAL_STORE_TERM || (f->is_protected && !q->pii)) {
        return sal_fail(err, SAL_E_MALFORMED, "Unknown field '%s'", field);
    }
    /* ties break by text, so every group that ties with the last one is fetched before the cut */
    sal_sql_add(sql, apr_psprintf(p,
                                  "SELECT t.value, g.n FROM (SELECT %s AS id, count(*) AS n "
                                  "FROM crash WHERE %s IS NOT NULL AND ",
                                  f->name, f->name));
    rv = sal_sql_where(sql, &nothing, q, db, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = json_array();
    if (nothing) {
        return APR_SUCCESS;
    }
    sal_sql_add(sql, apr_psprintf(p,
                                  " GROUP BY 1 ORDER BY 2 DESC FETCH FIRST %d ROWS WITH TIES) g "
                                  "JOIN term t ON t.id = g.id ORDER BY g.n DESC, t.value "
                                  "LIMIT %d",
                                  size, size));
    rv = sal_sql_run(sql, &rows, db, p, err);
    if (rv != APR_SUCCESS) {
        json_decref(*out);
        *out = NULL;
        return rv;
    }
    for (int r = 0; r < sal_rows_count(rows); r++) {
        json_array_append_new(*out, json_pack("{s:s, s:I}", "term", sal_rows_text(rows, r, 0),
                                              "count", (json_int_t)sal_rows_int(rows, r, 1)));
    }
    return APR_SUCCESS;
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

        if (c->op == SAL_OP_BARE && c->field->match == SAL_MATCH_TEXT) {
            w = c->negated ? "has no word of" : "has a word of";
        }
        json_array_append_new(
            out, json_pack("{s:s, s:s, s:s, s:b}", "field", c->field->name, "words", w, "value",
                           c->op == SAL_OP_NULL || c->op == SAL_OP_TRUE ? "" : c->text, "not",
                           c->negated));
    }
    return out;
}
