/*
 * Rows: the page is chosen by ids and numbers, and the texts of its rows alone are looked up.
 *
 * A sort by a dictionary field ranks the distinct values that occur by their texts and joins the
 * ranks, so that no text is joined to all rows.
 */
#include "search/hits.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"

/* ---- columns ---- */

static bool has_overflow(const sal_search_field_t *f, const sal_run_t *run)
{
    return run->overflow[f->number] && (f->store == SAL_STORE_TERM || f->store == SAL_STORE_TERMS);
}

/* The select expression of a column; x is the page's rows. */
static const char *column_sql(const sal_search_field_t *f, const sal_run_t *run)
{
    const char *name = f->name;
    const char *kept = has_overflow(f, run) ? apr_psprintf(run->p, "x.overflow->'%s'", name) : NULL;

    switch (f->store) {
    case SAL_STORE_TERM:
        return apr_psprintf(run->p, "coalesce(%s%s(SELECT value FROM term WHERE id = x.%s))",
                            kept ? kept : "", kept ? "->>0, " : "", name);
    case SAL_STORE_TERMS:
        return apr_psprintf(run->p,
                            "coalesce(%s%s(SELECT jsonb_agg(t.value ORDER BY o) FROM unnest(x.%s) "
                            "WITH ORDINALITY u(i, o) JOIN term t ON t.id = u.i), "
                            "CASE WHEN x.%s = '{}' THEN '[]'::jsonb END)",
                            kept ? kept : "", kept ? ", " : "", name, name);
    default:
        return apr_pstrcat(run->p, "x.", name, NULL);
    }
}

/* A list as pages and API show it: ';' lists and stacks as text, others as arrays. */
static json_t *list_value(const sal_search_field_t *f, const char *text, apr_pool_t *p)
{
    json_t *list = json_loads(text, 0, NULL), *out, *item;
    const char *between = f->match == SAL_MATCH_LIST ? ";" : " | ";
    apr_array_header_t *parts;
    size_t i;

    if (f->match != SAL_MATCH_LIST && !sal_field_is_stack(f)) {
        if (json_array_size(list) > 1) {
            return list;
        }
        out = json_array_size(list) ? json_incref(json_array_get(list, 0)) : json_null();
        json_decref(list);
        return out;
    }
    parts = apr_array_make(p, 16, sizeof(const char *));
    json_array_foreach(list, i, item)
    {
        APR_ARRAY_PUSH(parts, const char *) = i ? between : "";
        APR_ARRAY_PUSH(parts, const char *) = apr_pstrdup(p, json_string_value(item));
    }
    json_decref(list);
    return json_string(apr_array_pstrcat(p, parts, 0));
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
        return json_real(sal_rows_double(rows, row, col));
    case SAL_STORE_TIME:
        return json_string(sal_time_iso(sal_rows_time(rows, row, col), p));
    default:
        return json_string(sal_rows_text(rows, row, col));
    }
}

/* ---- order ---- */

/* The text that a dictionary field sorts by; `of` is its ids. Lists: least going up, most down. */
static const char *sort_text(const sal_sort_t *s, const char *of, apr_pool_t *p)
{
    const char *value = s->field->match == SAL_MATCH_LIST ? "lower(t.value)" : "t.value";

    if (s->field->store == SAL_STORE_TERM && s->field->match == SAL_MATCH_LIST) {
        return apr_psprintf(p,
                            "(SELECT %s(e) FROM term t, unnest(string_to_array(lower(t.value), "
                            "';')) e WHERE t.id = %s AND e <> '')",
                            s->descending ? "max" : "min", of);
    }
    if (s->field->store == SAL_STORE_TERM) {
        return apr_psprintf(p, "(SELECT %s FROM term t WHERE t.id = %s)", value, of);
    }
    if (sal_field_is_stack(s->field)) {
        return apr_psprintf(p,
                            "(SELECT coalesce(string_agg(t.value, ' | ' ORDER BY u.o), '') FROM "
                            "unnest(%s) WITH ORDINALITY u(i, o) JOIN term t ON t.id = u.i)",
                            of);
    }
    return apr_psprintf(p, "(SELECT %s(%s) FROM term t WHERE t.id = ANY(%s))",
                        s->descending ? "max" : "min", value, of);
}

/* The same where values stand outside the dictionary: by the text of every row. */
static const char *sort_overflow(const sal_sort_t *s, apr_pool_t *p)
{
    const char *name = s->field->name;
    const char *ids = sort_text(s, apr_pstrcat(p, "c.", name, NULL), p);
    bool list = s->field->match == SAL_MATCH_LIST;

    if (s->field->store == SAL_STORE_TERM || sal_field_is_stack(s->field)) {
        return apr_psprintf(p,
                            "CASE WHEN c.overflow ? '%s' THEN (c.overflow->'%s'->>0) COLLATE \"C\" "
                            "WHEN c.%s IS NOT NULL THEN %s END",
                            name, name, name, ids);
    }
    return apr_psprintf(
        p,
        "CASE WHEN c.overflow ? '%s' THEN (SELECT %s(%s) FROM %s y(x) WHERE x <> '') ELSE %s END",
        name, s->descending ? "max" : "min", list ? "lower(x COLLATE \"C\")" : "x COLLATE \"C\"",
        apr_psprintf(p,
                     list ? "unnest(string_to_array(c.overflow->'%s'->>0, ';'))"
                          : "jsonb_array_elements_text(c.overflow->'%s')",
                     name),
        ids);
}

static bool is_ranked(const sal_sort_t *s, const sal_run_t *run)
{
    return (s->field->store == SAL_STORE_TERM || s->field->store == SAL_STORE_TERMS) &&
           !has_overflow(s->field, run);
}

/* "WITH r0 AS (...) ": the ranks of dictionary values. */
static void add_ranks(sal_sql_t *sql, const sal_query_t *q, const sal_where_t *where,
                      const sal_run_t *run)
{
    const char *word = "WITH ";

    for (int i = 0; i < q->sort->nelts; i++) {
        const sal_sort_t *s = &APR_ARRAY_IDX(q->sort, i, sal_sort_t);

        if (!is_ranked(s, run)) {
            continue;
        }
        sal_sql_addf(
            sql,
            "%sr%d AS (SELECT id, rank() OVER (ORDER BY v) AS o FROM (SELECT d.id, %s AS v "
            "FROM (SELECT DISTINCT c.%s AS id FROM crash c WHERE ",
            word, i, sort_text(s, "d.id", run->p), s->field->name);
        sal_sql_put(sql, where->sql);
        sal_sql_add(sql, ") d) e WHERE id IS NOT NULL AND v IS NOT NULL) ");
        word = ", ";
    }
}

static void add_sort_columns(sal_sql_t *sql, const sal_query_t *q, const sal_run_t *run)
{
    for (int i = 0; i < q->sort->nelts; i++) {
        const sal_sort_t *s = &APR_ARRAY_IDX(q->sort, i, sal_sort_t);
        const char *by = is_ranked(s, run) ? apr_psprintf(run->p, "r%d.o", i)
                         : has_overflow(s->field, run)
                             ? sort_overflow(s, run->p)
                             : apr_psprintf(run->p, "c.%s", s->field->name);

        sal_sql_addf(sql, ", %s AS s%d", by, i);
    }
}

static void add_order(sal_sql_t *sql, const sal_query_t *q, const char *table, bool outer)
{
    sal_sql_add(sql, " ORDER BY ");
    if (q->sort->nelts == 0) {
        sal_sql_addf(sql, "%s.date DESC, ", table);
    }
    for (int i = 0; i < q->sort->nelts; i++) {
        const sal_sort_t *s = &APR_ARRAY_IDX(q->sort, i, sal_sort_t);

        /* a date is never missing, and its plain order is the index's */
        if (s->field->store == SAL_STORE_TIME) {
            sal_sql_addf(sql, "%s.date%s, ", table, s->descending ? " DESC" : "");
        } else {
            sal_sql_addf(sql, "%ss%d%s NULLS LAST, ", outer ? "x." : "", i,
                         s->descending ? " DESC" : "");
        }
    }
    sal_sql_addf(sql, "%s.uuid", table);
}

/* Only what comes after the last row of the page before: newest (or oldest) first, then by id. */
static void add_after(sal_sql_t *sql, const sal_query_t *q)
{
    bool up = q->sort->nelts && !APR_ARRAY_IDX(q->sort, 0, sal_sort_t).descending;

    sal_sql_addf(sql, " AND c.date %s ", up ? ">=" : "<=");
    sal_sql_param(sql, SAL_V_TIME(q->after), "::timestamptz AND (c.date <> ");
    sal_sql_param(sql, SAL_V_TIME(q->after), "::timestamptz OR c.uuid > ");
    sal_sql_param(sql, SAL_V_TEXT(q->after_uuid), "::uuid)");
}

/* ---- the statement ---- */

static void add_inner_columns(sal_sql_t *sql, const sal_search_field_t *const *column, int n,
                              const sal_run_t *run)
{
    bool overflow = false;

    sal_sql_add(sql, "c.uuid, c.date");
    for (int i = 0; i < n; i++) {
        if (column[i]->store != SAL_STORE_UUID && column[i]->store != SAL_STORE_TIME) {
            sal_sql_addf(sql, ", c.%s", column[i]->name);
        }
        overflow = overflow || has_overflow(column[i], run);
    }
    sal_sql_add(sql, overflow ? ", c.overflow" : "");
}

static sal_sql_t *statement(const sal_query_t *q, const sal_where_t *where,
                            const sal_search_field_t *const *column, int n, const sal_run_t *run)
{
    sal_sql_t *sql = sal_sql_make(run->p);

    add_ranks(sql, q, where, run);
    sal_sql_add(sql, "SELECT ");
    for (int i = 0; i < n; i++) {
        sal_sql_add(sql, i ? ", " : "");
        sal_sql_add(sql, column_sql(column[i], run));
    }
    sal_sql_add(sql, n ? "" : "1");
    sal_sql_add(sql, " FROM (SELECT ");
    add_inner_columns(sql, column, n, run);
    add_sort_columns(sql, q, run);
    sal_sql_add(sql, " FROM crash c");
    for (int i = 0; i < q->sort->nelts; i++) {
        const sal_sort_t *s = &APR_ARRAY_IDX(q->sort, i, sal_sort_t);

        if (is_ranked(s, run)) {
            sal_sql_addf(sql, " LEFT JOIN r%d ON r%d.id = c.%s", i, i, s->field->name);
        }
    }
    sal_sql_add(sql, " WHERE ");
    sal_sql_put(sql, where->sql);
    if (q->after_uuid) {
        add_after(sql, q);
    }
    add_order(sql, q, "c", false);
    sal_sql_addf(sql, " LIMIT %d OFFSET %d) x", q->limit, q->offset);
    add_order(sql, q, "x", true);
    return sql;
}

apr_status_t sal_hits(json_t **out, const sal_query_t *q, const sal_where_t *where,
                      const sal_search_field_t *const *column, int n, sal_run_t *run,
                      sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv;

    *out = json_array();
    if (where->nothing || q->limit == 0) {
        return APR_SUCCESS;
    }
    rv = sal_sql_run(statement(q, where, column, n, run), "hits", &rows, run, err);
    if (rv != APR_SUCCESS) {
        json_decref(*out);
        *out = NULL;
        return rv;
    }
    for (int r = 0; r < sal_rows_count(rows); r++) {
        json_t *hit = json_object();

        for (int c = 0; c < n; c++) {
            json_object_set_new(hit, column[c]->name, cell(column[c], rows, r, c, run->p));
        }
        json_array_append_new(*out, hit);
    }
    return APR_SUCCESS;
}
