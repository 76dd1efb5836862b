/*
 * The engine of site administration. What tables there are, site_tables.c knows.
 */
#include "admin/site.h"

#include <string.h>
#include <apr_strings.h>

enum { DETAIL = 500 };

const sal_site_table_t *sal_site_find(const char *name)
{
    const sal_site_table_t *t = sal_site_tables();

    while (t->name && strcmp(t->name, name)) {
        t++;
    }
    return t->name ? t : NULL;
}

bool sal_site_may_add(const sal_site_table_t *t)
{
    return t->insert || (t->put && t->adds);
}

bool sal_site_may_edit(const sal_site_table_t *t)
{
    return t->get && (t->update || t->put);
}

bool sal_site_may_drop(const sal_site_table_t *t)
{
    return t->remove || t->drop;
}

apr_status_t sal_site_list(sal_rows_t **out, const sal_site_table_t *t, const char *text, int limit,
                           int64_t offset, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, t->list, out, p, err, SAL_V_TEXT(text && *text ? text : NULL),
                       SAL_V_INT(limit + 1), SAL_V_INT(offset));
}

/* What the database says of a value, for the reader. */
static apr_status_t worded(apr_status_t rv, sal_error_t *err)
{
    const char *state = err->sqlstate;

    if (rv != SAL_E_DB) {
        return rv;
    }
    if (!strcmp(state, "23505")) {
        return sal_fail(err, SAL_E_EXISTS, "There is such a row already");
    }
    if (!strcmp(state, "23503")) {
        return sal_fail(err, SAL_E_MALFORMED, "Something that is named here does not exist");
    }
    if (!strncmp(state, "22", 2)) {
        return sal_fail(err, SAL_E_MALFORMED, "A value is no number, time, list or document");
    }
    if (!strncmp(state, "23", 2)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "A value is empty, too long, or none of those allowed");
    }
    return rv;
}

apr_status_t sal_site_get(sal_rows_t **out, const sal_site_table_t *t, const char *id, sal_db_t *db,
                          apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = worded(sal_db_exec(db, t->get, out, p, err, SAL_V_TEXT(id)), err);

    if (rv == SAL_E_MALFORMED || (rv == APR_SUCCESS && sal_rows_count(*out) == 0)) {
        return sal_fail(err, APR_ENOENT, "There is no such row");
    }
    return rv;
}

/* ---- changes ---- */

typedef enum { PUT, DROP, ACT } what_t;

typedef struct {
    const sal_site_table_t *table;
    const sal_site_change_t *change;
    what_t what;
} work_t;

/* "severity=critical message=..." */
static const char *detail_of(const sal_site_table_t *t, const sal_site_change_t *c, apr_pool_t *p)
{
    const char *out = "";
    int i = 0;

    for (const sal_site_column_t *col = t->columns; col->name && i < c->n; col++) {
        if (col->flags & SAL_SITE_EDIT) {
            out = apr_pstrcat(p, out, *out ? " " : "", col->name, "=", c->values[i++], NULL);
        }
    }
    if (strlen(out) > DETAIL) { /* at the begin of a character */
        apr_size_t n = DETAIL;

        while (n && ((unsigned char)out[n] & 0xc0) == 0x80) {
            n--;
        }
        out = apr_pstrmemdup(p, out, n);
    }
    return out;
}

static apr_status_t audit(const work_t *w, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_site_change_t *c = w->change;
    const char *verb = w->what == DROP  ? "delete"
                       : w->what == ACT ? w->table->action
                       : c->id          ? "change"
                                        : "add";

    return sal_db_exec(db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT(c->actor),
                       SAL_V_TEXT(apr_pstrcat(p, "site.", w->table->name, ".", verb, NULL)),
                       SAL_V_TEXT(c->id  ? c->id
                                  : c->n ? c->values[0]
                                         : ""),
                       SAL_V_TEXT(w->what == PUT ? detail_of(w->table, c, p) : ""));
}

static apr_status_t run_statement(const work_t *w, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_site_change_t *c = w->change;
    const sal_stmt_t *stmt = w->what == DROP ? w->table->remove
                             : c->id         ? w->table->update
                                             : w->table->insert;
    sal_val_t *params = apr_pcalloc(p, ((apr_size_t)c->n + 1) * sizeof(*params));
    sal_rows_t *rows;
    apr_status_t rv;
    int n = 0;

    if (c->id) {
        params[n++] = SAL_V_TEXT(c->id);
    }
    for (int i = 0; i < c->n && w->what == PUT; i++) {
        params[n++] = SAL_V_TEXT(c->values[i]);
    }
    rv = sal_db_run(db, stmt, params, n, &rows, p, err);
    return rv == APR_SUCCESS && sal_rows_affected(rows) == 0
               ? sal_fail(err, APR_ENOENT, "There is no such row")
               : rv;
}

static apr_status_t change(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const work_t *w = baton;
    sal_site_change_fn special = w->what == PUT    ? w->table->put
                                 : w->what == DROP ? w->table->drop
                                                   : w->table->act;
    apr_status_t rv = special ? special(w->change, db, p, err) : run_statement(w, db, p, err);

    return rv == APR_SUCCESS ? audit(w, db, p, err) : rv;
}

/* Special changes have transactions of their own; the entry of the audit log follows. */
static apr_status_t work(work_t *w, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    bool special =
        (w->what == PUT && w->table->put) || (w->what == DROP && w->table->drop) || w->what == ACT;

    return worded(special ? change(db, w, p, err) : sal_db_txn(db, change, w, p, err), err);
}

apr_status_t sal_site_put(const sal_site_table_t *t, const sal_site_change_t *c, sal_db_t *db,
                          apr_pool_t *p, sal_error_t *err)
{
    work_t w = { t, c, PUT };

    return work(&w, db, p, err);
}

apr_status_t sal_site_drop(const sal_site_table_t *t, const sal_site_change_t *c, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    work_t w = { t, c, DROP };

    return work(&w, db, p, err);
}

apr_status_t sal_site_act(const sal_site_table_t *t, const sal_site_change_t *c, sal_db_t *db,
                          apr_pool_t *p, sal_error_t *err)
{
    work_t w = { t, c, ACT };

    return work(&w, db, p, err);
}

/* ---- how this installation is ---- */

apr_status_t sal_site_sizes(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_site_sizes, NULL, 0, out, p, err);
}

apr_status_t sal_site_partitions(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_site_partitions, NULL, 0, out, p, err);
}

apr_status_t sal_site_facts(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_site_facts, NULL, 0, out, p, err);
}
