/*
 * Rows of crash pings, partitions, retention. What is in a ping was read before.
 */
#include "ping/ping_store.h"

#include <string.h>

#include "base/json.h"

static apr_status_t put(sal_rows_t **rows, const sal_ping_t *g, const char *product,
                        const char *body, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_ping_put, rows, p, err, SAL_V_TEXT(g->path.document_id),
                       SAL_V_INT(g->path.dialect),
                       g->crash_time ? SAL_V_TIME(g->crash_time) : SAL_V_NULL(SAL_T_TIME),
                       SAL_V_TEXT(g->path.app), SAL_V_TEXT(product), SAL_V_TEXT(g->channel),
                       SAL_V_TEXT(g->version), SAL_V_TEXT(g->build), SAL_V_TEXT(g->os),
                       SAL_V_TEXT(g->os_version), SAL_V_TEXT(g->arch), SAL_V_TEXT(g->process_type),
                       SAL_V_TEXT(g->utility_actor), SAL_V_TEXT(g->reason),
                       SAL_V_TEXT(g->dump_sha256), SAL_V_JSON(body));
}

apr_status_t sal_ping_put(bool *fresh, const sal_ping_t *ping, const char *product, sal_db_t *db,
                          apr_pool_t *p, sal_error_t *err)
{
    const char *body = sal_json_text(ping->body, p);
    sal_error_t why = { .message = "" };
    sal_rows_t *rows;
    apr_status_t rv;

    if (!body) {
        return sal_fail(err, APR_ENOMEM, "no memory for the body of a ping");
    }
    rv = put(&rows, ping, product, body, db, p, &why);
    if (rv == SAL_E_DB && !strcmp(why.sqlstate, "23514")) { /* no partition for now */
        rv = sal_ping_partitions(db, apr_time_now(), 0, p, &why);
        rv = rv == APR_SUCCESS ? put(&rows, ping, product, body, db, p, &why) : rv;
    }
    if (rv != APR_SUCCESS) {
        if (err) {
            *err = why;
        }
        return rv;
    }
    *fresh = sal_rows_affected(rows) > 0;
    return APR_SUCCESS;
}

apr_status_t sal_ping_partitions(sal_db_t *db, apr_time_t now, int weeks, apr_pool_t *p,
                                 sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i <= weeks; i++) {
        rv = sal_db_exec(db, &sal_s_ping_partition, NULL, p, err,
                         SAL_V_TIME(now + i * apr_time_from_sec(7 * 86400)));
    }
    return rv;
}

apr_status_t sal_ping_expire(int *weeks, int days, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_ping_expire, &rows, p, err,
                    SAL_V_TIME(apr_time_now() - apr_time_from_sec((apr_int64_t)days * 86400)));

    *weeks = rv == APR_SUCCESS ? (int)sal_rows_int(rows, 0, 0) : 0;
    return rv;
}
