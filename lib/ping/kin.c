/*
 * Kin of a minidump. Nothing is written when a ping or report comes: the hash is asked for.
 */
#include "ping/kin.h"

#define AROUND apr_time_from_sec(60 * 86400)

static json_t *list_of(const sal_rows_t *rows, const char *id)
{
    json_t *list = json_array();

    for (int i = 0; i < sal_rows_count(rows); i++) {
        json_array_append_new(list, json_pack("{s:s, s:s}", id, sal_rows_text(rows, i, 0),
                                              "received", sal_rows_text(rows, i, 1)));
    }
    return list;
}

apr_status_t sal_kin_of_dump(json_t **out, const char *sha256, const char *not_this,
                             apr_time_t around, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *pings, *reports;
    apr_status_t rv = sal_db_exec(db, &sal_s_ping_kin, &pings, p, err, SAL_V_TEXT(sha256),
                                  SAL_V_INT(SAL_KIN_MAX));

    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_report_kin, &reports, p, err, SAL_V_TEXT(sha256),
                         SAL_V_TIME(around - AROUND), SAL_V_TIME(around + AROUND),
                         SAL_V_TEXT(not_this), SAL_V_INT(SAL_KIN_MAX));
    }
    if (rv == APR_SUCCESS) {
        *out = json_pack("{s:o, s:o}", "pings", list_of(pings, "document_id"), "reports",
                         list_of(reports, "crash_id"));
    }
    return rv;
}
