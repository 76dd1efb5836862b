/*
 * Looking up what conditions say in the dictionary: one statement a condition.
 */
#include "search/resolve.h"

#include <apr_strings.h>

#include "search/match.h"

enum { MAX_IDS = 20000 }; /* above, the dictionary is joined instead of listed */

/* Whole values are found through the hash index, which holds any length. */
static void whole_value(sal_sql_t *sql, const char *text)
{
    sal_sql_add(sql, "md5(t.value)::uuid = md5(");
    sal_sql_param(sql, SAL_V_TEXT(text), "::text)::uuid AND t.value = ");
    sal_sql_param(sql, SAL_V_TEXT(text), "::text");
}

static apr_status_t test_value(sal_sql_t *sql, bool *none, const sal_condition_t *c,
                               sal_error_t *err)
{
    bool whole = c->op == SAL_OP_IS || (c->op == SAL_OP_BARE && c->field->match != SAL_MATCH_TEXT);
    apr_status_t rv;

    *none = false;
    if (whole && c->field->match != SAL_MATCH_LIST) {
        whole_value(sql, c->text);
        return APR_SUCCESS;
    }
    if (c->field->match == SAL_MATCH_LIST && c->field->store == SAL_STORE_TERM) {
        /* one term is the whole list */
        sal_sql_add(sql, "EXISTS (SELECT FROM unnest(string_to_array(t.value, ';')) e(v) WHERE ");
        rv = sal_match_text(sql, none, c, "e.v", err);
        sal_sql_add(sql, ")");
        return rv;
    }
    return sal_match_text(sql, none, c, "t.value", err);
}

apr_status_t sal_resolve(sal_ids_t *out, const sal_condition_t *c, sal_run_t *run, sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(run->p);
    sal_rows_t *rows;
    bool none;
    apr_status_t rv;

    *out = (sal_ids_t){ .where = sal_sql_make(run->p) };
    sal_sql_add(out->where, "t.field = ");
    sal_sql_param(out->where, SAL_V_INT(c->field->number), "::smallint AND ");
    rv = test_value(out->where, &none, c, err);
    if (rv != APR_SUCCESS || none) {
        return rv;
    }
    sal_sql_add(sql, "SELECT t.id FROM term t WHERE ");
    sal_sql_put(sql, out->where);
    sal_sql_addf(sql, " LIMIT %d", MAX_IDS + 1);
    rv = sal_sql_run(sql, c->field->name, &rows, run, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->n = sal_rows_count(rows);
    out->many = out->n > MAX_IDS;
    out->ids = apr_palloc(run->p, sizeof *out->ids * (apr_size_t)(out->n + 1));
    for (int i = 0; i < out->n; i++) {
        out->ids[i] = sal_rows_int(rows, i, 0);
    }
    return APR_SUCCESS;
}

apr_status_t sal_resolve_frames(sal_ids_t *out, const sal_search_field_t *f,
                                const char *const *frames, int n, sal_run_t *run, sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(run->p);
    sal_rows_t *rows;
    apr_status_t rv;

    *out = (sal_ids_t){ 0 };
    sal_sql_add(sql, "SELECT t.id FROM unnest(");
    sal_sql_param(sql, SAL_V_TEXTS(frames, (apr_size_t)n), "::text[]");
    sal_sql_add(sql, ") WITH ORDINALITY u(v, o) JOIN term t ON t.field = ");
    sal_sql_param(sql, SAL_V_INT(f->number), "::smallint");
    sal_sql_add(sql, " AND md5(t.value)::uuid = md5(u.v)::uuid AND t.value = u.v ORDER BY u.o");
    rv = sal_sql_run(sql, f->name, &rows, run, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->n = sal_rows_count(rows);
    out->ids = apr_palloc(run->p, sizeof *out->ids * (apr_size_t)(out->n + 1));
    for (int i = 0; i < out->n; i++) {
        out->ids[i] = sal_rows_int(rows, i, 0);
    }
    return APR_SUCCESS;
}
