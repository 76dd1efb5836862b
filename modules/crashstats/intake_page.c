/*
 * /about/intake/: what became of POSTs to the collector, for who runs it: the ledger's sums of a
 * day, the latest refusals, and the rows of one id. The ledger knows nothing personal, but what
 * clients a host has is not for everybody.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "base/text.h"
#include "crash/ledger.h"
#include "db/token.h"
#include "render/format.h"

enum { DAY = 86400, SUMS = 50, ROWS = 100 };

typedef struct {
    const char *id; /* NULL: the latest refusals */
    sal_rows_t *sums, *rows;
} ledger_t;

static apr_status_t ask(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ledger_t *l = baton;
    sal_ledger_filter_t sums = { .since = DAY, .limit = SUMS };
    sal_ledger_filter_t rows = { .crash_id = l->id, .refused = !l->id, .limit = ROWS };
    apr_status_t rv = sal_ledger_sums(&l->sums, &sums, db, p, err);

    return rv == APR_SUCCESS ? sal_ledger_list(&l->rows, &rows, db, p, err) : rv;
}

static json_t *table_of(const sal_rows_t *rows, const char *const *names, int n, apr_pool_t *p)
{
    json_t *list = json_array();

    for (int i = 0; i < sal_rows_count(rows); i++) {
        json_t *one = json_object();

        for (int c = 0; c < n; c++) {
            const char *value = sal_rows_text(rows, i, c);

            json_object_set_new(one, names[c], json_string(value));
            if (!strcmp(names[c], "size")) {
                json_object_set_new(one, names[c],
                                    json_string(sal_format_bytes(sal_rows_int(rows, i, c), p)));
            }
        }
        json_array_append_new(list, one);
    }
    return list;
}

int crashstats_intake(crashstats_req_t *q, const char *rest)
{
    static const char *const sums[] = { "outcome", "reason", "agent", "count", "size" };
    static const char *const rows[] = { "received", "outcome", "reason", "status",
                                        "size",     "agent",   "id" };
    apr_pool_t *p = q->r->pool;
    const char *id = web_param(q->query, "id");
    ledger_t l = { .id = id && *id ? sal_utf8_clean(id, strlen(id), p) : NULL };
    sal_error_t err = { 0 };
    json_t *data;

    (void)rest;
    if (!(q->who.permissions & (SAL_PERM_VIEW_PII | SAL_PERM_ADMIN))) {
        return crashstats_message(q, HTTP_FORBIDDEN, "This page is for who runs the collector",
                                  "It needs \xe2\x80\x9cView Personal Identifiable "
                                  "Information\xe2\x80\x9d, or the right to administer.");
    }
    if (web_with_db(q->r, ask, &l, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    data = json_pack("{s:s, s:b, s:s, s:b, s:b}", "title", "Intake", "plain_title", 1, "wanted",
                     l.id ? l.id : "", "any_sums", sal_rows_count(l.sums) > 0, "any_rows",
                     sal_rows_count(l.rows) > 0);
    json_object_set_new(data, "sums", table_of(l.sums, sums, 5, p));
    json_object_set_new(data, "rows", table_of(l.rows, rows, 7, p));
    return crashstats_page(q, HTTP_OK, "intake", NULL, data);
}
