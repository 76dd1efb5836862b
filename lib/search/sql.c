/*
 * Fragments of statements, and running what became of them.
 */
#include "search/sql.h"

#include <stdarg.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"

static const char mark[] = "\001";

sal_sql_t *sal_sql_make(apr_pool_t *p)
{
    sal_sql_t *sql = apr_pcalloc(p, sizeof *sql);

    sql->p = p;
    sql->text = apr_array_make(p, 32, sizeof(const char *));
    sql->params = apr_array_make(p, 8, sizeof(sal_val_t));
    return sql;
}

void sal_sql_add(sal_sql_t *sql, const char *piece)
{
    APR_ARRAY_PUSH(sql->text, const char *) = piece;
}

void sal_sql_addf(sal_sql_t *sql, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    sal_sql_add(sql, apr_pvsprintf(sql->p, fmt, ap));
    va_end(ap);
}

void sal_sql_param(sal_sql_t *sql, sal_val_t value, const char *cast)
{
    APR_ARRAY_PUSH(sql->params, sal_val_t) = value;
    sal_sql_add(sql, mark);
    sal_sql_add(sql, cast);
}

void sal_sql_put(sal_sql_t *sql, const sal_sql_t *other)
{
    apr_array_cat(sql->text, other->text);
    apr_array_cat(sql->params, other->params);
}

const char *sal_sql_text(const sal_sql_t *sql)
{
    apr_array_header_t *out = apr_array_make(sql->p, sql->text->nelts + 1, sizeof(const char *));
    int n = 0;

    for (int i = 0; i < sql->text->nelts; i++) {
        const char *piece = APR_ARRAY_IDX(sql->text, i, const char *);

        APR_ARRAY_PUSH(out, const char *) =
            strcmp(piece, mark) == 0 ? apr_psprintf(sql->p, "$%d", ++n) : piece;
    }
    return apr_array_pstrcat(sql->p, out, 0);
}

/* ---- notes ---- */

static json_t *param_json(const sal_val_t *v, apr_pool_t *p)
{
    json_t *list;

    if (v->is_null) {
        return json_null();
    }
    switch (v->type) {
    case SAL_T_INT:
        return json_integer(v->i);
    case SAL_T_BOOL:
        return json_boolean(v->i);
    case SAL_T_DOUBLE:
        return json_real(v->d);
    case SAL_T_TIME:
        return json_string(sal_time_iso(v->i, p));
    case SAL_T_INT_ARRAY:
        list = json_array();
        for (apr_size_t i = 0; i < v->len; i++) {
            json_array_append_new(list, json_integer(((const int64_t *)v->data)[i]));
        }
        return list;
    case SAL_T_TEXT_ARRAY:
        list = json_array();
        for (apr_size_t i = 0; i < v->len; i++) {
            json_array_append_new(list, json_string(((const char *const *)v->data)[i]));
        }
        return list;
    default:
        return json_string(v->data);
    }
}

static void note(const sal_sql_t *sql, const char *text, const char *what, const sal_rows_t *rows,
                 apr_time_t took, sal_run_t *run)
{
    json_t *params = json_array();

    for (int i = 0; i < sql->params->nelts; i++) {
        json_array_append_new(params,
                              param_json(&APR_ARRAY_IDX(sql->params, i, sal_val_t), run->p));
    }
    json_array_append_new(run->trace,
                          json_pack("{s:s, s:s, s:o, s:i, s:f}", "for", what, "sql", text,
                                    "parameters", params, "rows", rows ? sal_rows_count(rows) : 0,
                                    "milliseconds", (double)took / 1000));
}

/* ---- running ---- */

/* In the words of users, where it is their doing. */
static apr_status_t judge(apr_status_t rv, const sal_error_t *e, sal_error_t *err)
{
    if (rv == SAL_E_DB && (strcmp(e->sqlstate, "2201B") == 0 || strcmp(e->sqlstate, "54000") == 0 ||
                           strcmp(e->sqlstate, "54001") == 0)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "Search query is too complex to execute. Simplify the search pattern and "
                        "try again.");
    }
    if (rv == SAL_E_DB && strcmp(e->sqlstate, "57014") == 0) {
        return sal_fail(err, APR_TIMEUP,
                        "Search query timed out. Simplify the search pattern and try again.");
    }
    if (rv != APR_SUCCESS && err) {
        *err = *e;
    }
    return rv;
}

apr_status_t sal_sql_run(const sal_sql_t *sql, const char *what, sal_rows_t **rows, sal_run_t *run,
                         sal_error_t *err)
{
    sal_error_t e = { 0 };
    const char *text = sal_sql_text(sql);
    apr_time_t begin = apr_time_now();
    apr_status_t rv = sal_db_run_text(run->db, text, (const sal_val_t *)sql->params->elts,
                                      sql->params->nelts, rows, run->p, &e);

    if (run->trace && rv == APR_SUCCESS) {
        note(sql, text, what, rows ? *rows : NULL, apr_time_now() - begin, run);
    }
    return judge(rv, &e, err);
}

static bool command(sal_db_t *db, const char *text)
{
    PGresult *res = PQexec(sal_db_conn(db), text);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;

    PQclear(res);
    return ok;
}

apr_status_t sal_sql_run_within(const sal_sql_t *sql, const char *what, sal_rows_t **rows,
                                sal_run_t *run, sal_error_t *err)
{
    apr_time_t left = run->ends - apr_time_now();
    apr_status_t rv;

    if (!run->txn || !run->ends) {
        return sal_sql_run(sql, what, rows, run, err);
    }
    left = left < apr_time_from_msec(30) ? 20 : apr_time_as_msec(left) * 7 / 10;
    if (!command(run->db, apr_psprintf(run->p,
                                       "SAVEPOINT part; SET LOCAL statement_timeout = "
                                       "%" APR_TIME_T_FMT,
                                       left))) {
        return sal_fail(err, SAL_E_DB, "search: no savepoint");
    }
    rv = sal_sql_run(sql, what, rows, run, err);
    if (rv == APR_TIMEUP && !command(run->db, "ROLLBACK TO SAVEPOINT part")) {
        return sal_fail(err, SAL_E_DB, "search: no way back to the savepoint");
    }
    return rv;
}
