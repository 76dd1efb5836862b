/*
 * What aggregations group by: ids where there is a dictionary, so that the texts of the shown
 * buckets alone are looked up.
 */
#include "search/agg.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

static void histogram_key(sal_key_t *key, const sal_agg_t *agg)
{
    sal_sql_t *sql = key->expr;

    if (agg->field->store != SAL_STORE_TIME) {
        key->type = "double precision";
        sal_sql_addf(sql, "floor(c.%s::double precision / ", agg->field->name);
        sal_sql_param(sql, SAL_V_DOUBLE(agg->interval), "::double precision) * ");
        sal_sql_param(sql, SAL_V_DOUBLE(agg->interval), "::double precision");
        return;
    }
    key->type = "timestamp";
    if (agg->unit) {
        sal_sql_addf(sql, "date_trunc('%s', c.%s AT TIME ZONE 'UTC')", agg->unit, agg->field->name);
    } else {
        /* counted from a Monday */
        sal_sql_addf(sql,
                     "date_bin(make_interval(secs => %" APR_INT64_T_FMT
                     "), c.%s AT TIME ZONE 'UTC', timestamp '2001-01-01')",
                     agg->seconds, agg->field->name);
    }
}

/* Elements of a list that stand in the dictionary, in column overflow, or in both. */
static const char *all_elements(const sal_search_field_t *f, int number, apr_pool_t *p)
{
    bool list = f->match == SAL_MATCH_LIST;
    const char *more = apr_psprintf(p,
                                    list ? "unnest(string_to_array(c.overflow->'%s'->>0, ';'))"
                                         : "jsonb_array_elements_text(c.overflow->'%s')",
                                    f->name);

    return apr_psprintf(p,
                        " CROSS JOIN LATERAL (SELECT DISTINCT %s COLLATE \"C\" AS e FROM "
                        "(SELECT t.value AS v FROM unnest(c.%s) i JOIN term t ON t.id = i "
                        "UNION ALL SELECT x FROM %s x WHERE x <> '') q) e%d",
                        list ? "lower(v COLLATE \"C\")" : "v", f->name, more, number);
}

static void list_key(sal_key_t *key, const sal_search_field_t *f, int number, const sal_run_t *run)
{
    if (run->overflow[f->number]) {
        key->kind = SAL_KEY_TEXT;
        key->from = all_elements(f, number, run->p);
    } else {
        key->kind = f->match == SAL_MATCH_LIST ? SAL_KEY_FOLDED : SAL_KEY_TERM;
        key->type = "int";
        key->from =
            apr_psprintf(run->p, " CROSS JOIN LATERAL unnest(c.%s) AS e%d(e)", f->name, number);
    }
    sal_sql_addf(key->expr, "e%d.e", number);
}

static void stack_key(sal_key_t *key, const sal_search_field_t *f, const sal_run_t *run)
{
    if (!run->overflow[f->number]) {
        key->kind = SAL_KEY_STACK;
        key->type = "int[]";
        sal_sql_addf(key->expr, "c.%s", f->name);
        return;
    }
    key->kind = SAL_KEY_TEXT;
    sal_sql_addf(key->expr,
                 "CASE WHEN c.overflow ? '%s' THEN (c.overflow->'%s'->>0) COLLATE \"C\" "
                 "WHEN c.%s = '{}' THEN '' ELSE (SELECT string_agg(t.value, ' | ' ORDER BY u.o) "
                 "FROM unnest(c.%s) WITH ORDINALITY u(i, o) JOIN term t ON t.id = u.i) END",
                 f->name, f->name, f->name, f->name);
}

static void term_key(sal_key_t *key, const sal_search_field_t *f, int number, const sal_run_t *run)
{
    const char *name = f->name;

    if (f->match == SAL_MATCH_LIST) {
        /* one term holds the whole list */
        key->kind = SAL_KEY_TEXT;
        key->from = apr_psprintf(run->p,
                                 " JOIN term l%d ON l%d.id = c.%s CROSS JOIN LATERAL (SELECT "
                                 "DISTINCT x FROM unnest(string_to_array(lower(l%d.value), ';')) "
                                 "x WHERE x <> '') e%d(e)",
                                 number, number, name, number, number);
        sal_sql_addf(key->expr, "e%d.e", number);
    } else if (run->overflow[f->number]) {
        key->kind = SAL_KEY_TEXT;
        sal_sql_addf(key->expr,
                     "coalesce((c.overflow->'%s'->>0) COLLATE \"C\", "
                     "(SELECT t.value FROM term t WHERE t.id = c.%s))",
                     name, name);
    } else {
        key->kind = SAL_KEY_TERM;
        key->type = "int";
        sal_sql_addf(key->expr, "c.%s", name);
    }
}

void sal_key_make(sal_key_t *key, const sal_agg_t *agg, int number, const sal_run_t *run)
{
    const sal_search_field_t *f = agg->field;

    *key = (sal_key_t){
        .kind = SAL_KEY_PLAIN, .agg = agg, .type = "text", .from = "", .expr = sal_sql_make(run->p)
    };
    if (agg->kind == SAL_AGG_HISTOGRAM) {
        histogram_key(key, agg);
        return;
    }
    switch (f->store) {
    case SAL_STORE_TERM:
        term_key(key, f, number, run);
        return;
    case SAL_STORE_TERMS:
        if (sal_field_is_stack(f)) {
            stack_key(key, f, run);
        } else {
            list_key(key, f, number, run);
        }
        return;
    case SAL_STORE_TEXT:
        key->kind = SAL_KEY_TEXT;
        break;
    case SAL_STORE_UUID:
        key->type = "uuid";
        break;
    case SAL_STORE_INT:
        key->type = "bigint";
        break;
    case SAL_STORE_DOUBLE:
        key->type = "double precision";
        break;
    case SAL_STORE_BOOL:
        key->type = "boolean";
        break;
    case SAL_STORE_TIME:
        key->type = "timestamptz";
        break;
    }
    sal_sql_addf(key->expr, "c.%s", f->name);
}

const char *sal_key_shown(const sal_key_t *key)
{
    if (key->agg->kind == SAL_AGG_HISTOGRAM) {
        return key->agg->field->store == SAL_STORE_TIME
                   ? "to_char(k, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                   : "k::text";
    }
    switch (key->agg->field->store) {
    case SAL_STORE_BOOL:
        return "CASE WHEN k THEN 'T' ELSE 'F' END";
    case SAL_STORE_TIME:
        return "to_char(k AT TIME ZONE 'UTC', CASE WHEN date_trunc('second', k) = k THEN "
               "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"' ELSE 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"' END)";
    default:
        return "k::text";
    }
}

json_t *sal_key_json(const sal_agg_t *agg, const char *shown)
{
    if (agg->kind == SAL_AGG_HISTOGRAM) {
        return agg->field->store == SAL_STORE_TIME ? json_string(shown)
                                                   : json_real(strtod(shown, NULL));
    }
    switch (agg->field->store) {
    case SAL_STORE_INT:
        return json_integer(strtoll(shown, NULL, 10));
    case SAL_STORE_DOUBLE:
        return json_real(strtod(shown, NULL));
    default:
        return json_string(shown);
    }
}
