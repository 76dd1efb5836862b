/*
 * /siteadmin/: tables that staff keep, through one list and one form for all of them (lib/admin).
 *
 *   /siteadmin/NAME/            list: q, page; POST action, id...: the table's action
 *   /siteadmin/NAME/edit/?id=   form of a row; without id of a new one; POST writes it
 *   /siteadmin/NAME/delete/     POST id
 */
#include "crashstats/crashstats.h"
#include "crashstats/siteadmin.h"

#include <apr_strings.h>

#include "admin/site.h"
#include "base/text.h"
#include "common/person.h"
#include "db/people.h"
#include "db/token.h"
#include "render/format.h"

enum { PER_PAGE = 50, MAX_PAGE = 2000, MAX_ROWS = 1000, MAX_FIELDS = 20 };

typedef struct {
    const sal_site_table_t *table;
    sal_site_change_t change;
    const char *text, *id;
    apr_array_header_t *ids; /* const char *: rows of an action */
    int page, done;
    enum { LIST, GET, PUT, DROP, ACT } what;
    sal_rows_t *rows, *groups;
} work_t;

static apr_status_t act_on_all(work_t *w, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < w->ids->nelts && i < MAX_ROWS && rv == APR_SUCCESS; i++) {
        w->change.id = APR_ARRAY_IDX(w->ids, i, const char *);
        rv = sal_site_act(w->table, &w->change, db, p, err);
        w->done += rv == APR_SUCCESS;
    }
    return rv;
}

static apr_status_t work(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;
    apr_status_t rv = APR_SUCCESS;

    switch (w->what) {
    case LIST:
        return sal_site_list(&w->rows, w->table, w->text, PER_PAGE,
                             (int64_t)(w->page - 1) * PER_PAGE, db, p, err);
    case GET:
        rv = w->id ? sal_site_get(&w->rows, w->table, w->id, db, p, err) : APR_SUCCESS;
        return rv == APR_SUCCESS ? sal_groups_list(&w->groups, db, p, err) : rv;
    case PUT:
        return sal_site_put(w->table, &w->change, db, p, err);
    case DROP:
        return sal_site_drop(w->table, &w->change, db, p, err);
    default:
        return act_on_all(w, db, p, err);
    }
}

static const char *at(const sal_site_table_t *t, const char *rest, apr_pool_t *p)
{
    return apr_pstrcat(p, "/siteadmin/", t->name, "/", rest, NULL);
}

static json_t *head_of(crashstats_req_t *q, const sal_site_table_t *t, const char *here)
{
    json_t *data =
        json_pack("{s:s, s:b, s:s, s:s, s:s, s:[{s:s, s:s}]}", "title", t->title, "plain_title", 1,
                  "about", t->about, "table", t->name, "at", at(t, "", q->r->pool), "crumbs",
                  "text", "Administration", "href", "/siteadmin/");

    if (here) {
        json_t *crumbs = json_object_get(data, "crumbs");

        json_array_append_new(
            crumbs, json_pack("{s:s, s:s}", "text", t->title, "href", at(t, "", q->r->pool)));
        json_array_append_new(crumbs, json_pack("{s:s, s:s}", "text", here, "href", ""));
    } else {
        json_array_append_new(json_object_get(data, "crumbs"),
                              json_pack("{s:s, s:s}", "text", t->title, "href", ""));
    }
    return data;
}

static int failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    if (APR_STATUS_IS_ENOENT(rv)) {
        return crashstats_message(q, HTTP_NOT_FOUND, "There is no such row",
                                  "Somebody may have deleted it.");
    }
    return crashstats_sick(q, err);
}

/* ---- the list ---- */

static const char *shown(const sal_site_column_t *c, const char *value, apr_pool_t *p)
{
    int64_t n;

    switch (c->kind) {
    case SAL_SITE_RIGHTS:
        return sal_parse_int(value, 0, 1 << 30, &n) ? sal_permission_names((int)n, p) : value;
    case SAL_SITE_BOOL:
        return *value ? "yes" : "no";
    default:
        return value;
    }
}

static json_t *row_view(const work_t *w, int row, apr_pool_t *p)
{
    json_t *cells = json_array();
    bool first = true;
    int i = 1;

    for (const sal_site_column_t *c = w->table->columns; c->name; c++) {
        if (c->flags & SAL_SITE_LIST) {
            json_array_append_new(
                cells, json_pack("{s:s, s:s, s:b, s:b, s:b, s:b}", "text",
                                 shown(c, sal_rows_text(w->rows, row, i), p), "label", c->title,
                                 "first", first, "mono", c->kind == SAL_SITE_MONO, "count",
                                 c->kind == SAL_SITE_COUNT, "time", c->kind == SAL_SITE_TIME));
            first = false;
            i++;
        }
    }
    return json_pack("{s:s, s:s, s:o}", "id", sal_rows_text(w->rows, row, 0), "encoded",
                     sal_format_urlencode(sal_rows_text(w->rows, row, 0), p), "cells", cells);
}

static json_t *heads(const sal_site_table_t *t)
{
    json_t *out = json_array();

    for (const sal_site_column_t *c = t->columns; c->name; c++) {
        if (c->flags & SAL_SITE_LIST) {
            json_array_append_new(
                out, json_pack("{s:s, s:b}", "name", c->title, "count", c->kind == SAL_SITE_COUNT));
        }
    }
    return out;
}

static void put_pager(crashstats_req_t *q, json_t *data, const work_t *w, int n)
{
    apr_pool_t *p = q->r->pool;
    const char *prefix =
        apr_pstrcat(p, at(w->table, "?q=", p), sal_format_urlencode(w->text, p), "&page=", NULL);
    int from = (w->page - 1) * PER_PAGE + 1, to = from + (n > PER_PAGE ? PER_PAGE : n) - 1;
    json_t *pager;

    if (w->page == 1 && n <= PER_PAGE) {
        return;
    }
    pager = json_pack("{s:s}", "info", apr_psprintf(p, "%d to %d", from, to));
    if (w->page > 1) {
        json_object_set_new(pager, "prev",
                            json_string(apr_psprintf(p, "%s%d", prefix, w->page - 1)));
    }
    if (n > PER_PAGE) {
        json_object_set_new(pager, "next",
                            json_string(apr_psprintf(p, "%s%d", prefix, w->page + 1)));
    }
    json_object_set_new(data, "pager", pager);
}

/* ready: "saved" or the like, said above the list. */
static int list_page(crashstats_req_t *q, const sal_site_table_t *t)
{
    const char *text = web_param(q->query, "q"), *page = web_param(q->query, "page");
    work_t w = { .table = t, .what = LIST, .text = text ? text : "", .page = 1 };
    apr_pool_t *p = q->r->pool;
    json_t *data, *rows = json_array();
    sal_error_t err = { 0 };
    const char *csrf;
    int64_t n;
    int count;

    w.page = page && sal_parse_int(page, 1, MAX_PAGE, &n) ? (int)n : 1;
    if (web_with_db(q->r, work, &w, &err) != APR_SUCCESS ||
        !(csrf = web_form_token(q->r, &q->who, &err))) {
        json_decref(rows);
        return crashstats_sick(q, &err);
    }
    count = sal_rows_count(w.rows);
    for (int i = 0; i < count && i < PER_PAGE; i++) {
        json_array_append_new(rows, row_view(&w, i, p));
    }
    data = head_of(q, t, NULL);
    json_object_set_new(data, "heads", heads(t));
    json_object_set_new(data, "any_rows", json_boolean(count > 0));
    json_object_set_new(data, "rows", rows);
    json_object_set_new(data, "q", json_string(w.text));
    json_object_set_new(data, "csrf", json_string(csrf));
    json_object_set_new(data, "adds", json_boolean(sal_site_may_add(t)));
    json_object_set_new(data, "edits", json_boolean(sal_site_may_edit(t)));
    json_object_set_new(data, "drops", json_boolean(sal_site_may_drop(t)));
    json_object_set_new(data, "changes",
                        json_boolean(sal_site_may_edit(t) || sal_site_may_drop(t)));
    json_object_set_new(data, "action", json_string(t->action ? t->action : ""));
    json_object_set_new(data, "action_title", json_string(t->action ? t->action_title : ""));
    put_pager(q, data, &w, count);
    return crashstats_page(q, HTTP_OK, "siteadmin-list", NULL, data);
}

/* ---- the form ---- */

static bool has_word(const char *list, const char *word)
{
    apr_size_t n = strlen(word);

    for (const char *found = list; (found = strstr(found, word)); found += n) {
        if ((found == list || found[-1] == ' ') && (!found[n] || found[n] == ',')) {
            return true;
        }
    }
    return false;
}

static json_t *choice(const char *value, const char *text, bool chosen)
{
    return json_pack("{s:s, s:s, s:b}", "value", value, "text", text, "chosen", chosen);
}

static json_t *choices_of(const sal_site_column_t *c, const char *value, const sal_rows_t *groups)
{
    json_t *out = json_array();
    sal_permission_t each;
    int64_t bits = 0;

    (void)sal_parse_int(value, 0, 1 << 30, &bits);
    for (const char *const *one = c->choices; one && *one; one++) {
        json_array_append_new(out, choice(*one, *one, !strcmp(*one, value)));
    }
    for (int i = 0; c->kind == SAL_SITE_RIGHTS && sal_permission_at(&each, i); i++) {
        json_array_append_new(out, choice(each.name, each.title, (bits & each.bit) != 0));
    }
    for (int i = 0; c->kind == SAL_SITE_GROUPS && i < sal_rows_count(groups); i++) {
        const char *name = sal_rows_text(groups, i, 0);

        json_array_append_new(out, choice(name, name, has_word(value, name)));
    }
    return out;
}

static json_t *field_view(const sal_site_column_t *c, const char *value, bool made,
                          const sal_rows_t *groups)
{
    bool many = c->kind == SAL_SITE_RIGHTS || c->kind == SAL_SITE_GROUPS;

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "name", c->name, "label",
        c->title, "value", value, "help", c->help ? c->help : "", "choices",
        choices_of(c, value, groups), "many", many, "one", c->kind == SAL_SITE_CHOICE, "check",
        c->kind == SAL_SITE_BOOL, "long", c->kind == SAL_SITE_LONG, "on", *value != '\0', "fixed",
        made && (c->flags & SAL_SITE_FIXED), "required", (c->flags & SAL_SITE_REQUIRED) != 0);
}

/* values NULL: those of the row, or of a new one. */
static int form_page(crashstats_req_t *q, work_t *w, int status, const char *const *values,
                     const char *problem)
{
    json_t *data, *fields = json_array();
    sal_error_t err = { 0 };
    apr_status_t rv;
    const char *csrf;
    int i = 0;

    w->what = GET;
    if ((rv = web_with_db(q->r, work, w, &err)) != APR_SUCCESS ||
        !(csrf = web_form_token(q->r, &q->who, &err))) {
        json_decref(fields);
        return failed(q, rv, &err);
    }
    for (const sal_site_column_t *c = w->table->columns; c->name; c++) {
        if (c->flags & SAL_SITE_EDIT) {
            const char *fresh = c->kind == SAL_SITE_BOOL ? "t" : "";
            const char *value = values ? values[i] : w->id ? sal_rows_text(w->rows, 0, i) : fresh;

            json_array_append_new(fields, field_view(c, value, w->id != NULL, w->groups));
            i++;
        }
    }
    data = head_of(q, w->table, w->id ? "Change" : "New");
    json_object_set_new(data, "heading", json_string(w->id ? "Change" : "New"));
    json_object_set_new(data, "fields", fields);
    json_object_set_new(data, "id", json_string(w->id ? w->id : ""));
    json_object_set_new(data, "made", json_boolean(w->id != NULL));
    json_object_set_new(data, "drops", json_boolean(w->id && sal_site_may_drop(w->table)));
    json_object_set_new(data, "csrf", json_string(csrf));
    json_object_set_new(data, "problem", json_string(problem ? problem : ""));
    return crashstats_page(q, status, "siteadmin-form", NULL, data);
}

/* All values of a field that may have many: rights as a number, names with commas. */
static const char *many_of(const sal_site_column_t *c, apr_table_t *form, apr_pool_t *p)
{
    apr_array_header_t *all = web_param_all(form, c->name, p);
    const char *out = "";
    int bits = 0;

    for (int i = 0; i < all->nelts && i < 100; i++) {
        const char *one = APR_ARRAY_IDX(all, i, const char *);

        bits |= sal_permission_bit(one);
        out = apr_pstrcat(p, out, *out ? ", " : "", one, NULL);
    }
    return c->kind == SAL_SITE_RIGHTS ? apr_psprintf(p, "%d", bits) : out;
}

/* NULL, or what is missing. */
static const char *read_form(work_t *w, apr_table_t *form, apr_pool_t *p)
{
    const char **values = apr_pcalloc(p, MAX_FIELDS * sizeof(*values)), *problem = NULL;
    int n = 0;

    for (const sal_site_column_t *c = w->table->columns; c->name && n < MAX_FIELDS; c++) {
        const char *value = web_param(form, c->name);

        if (!(c->flags & SAL_SITE_EDIT)) {
            continue;
        }
        if (c->kind == SAL_SITE_BOOL) {
            value = value && *value ? "t" : "";
        } else if (c->kind == SAL_SITE_RIGHTS || c->kind == SAL_SITE_GROUPS) {
            value = many_of(c, form, p);
        } else {
            value = crashstats_trimmed(value, p);
        }
        if (!*value && (c->flags & SAL_SITE_REQUIRED) && !problem &&
            !(w->id && (c->flags & SAL_SITE_FIXED))) {
            problem = apr_pstrcat(p, c->title, ": this field is required.", NULL);
        }
        values[n++] = value;
    }
    w->change.values = values;
    w->change.n = n;
    return problem;
}

static int write_row(crashstats_req_t *q, work_t *w, apr_table_t *form)
{
    const char *problem = read_form(w, form, q->r->pool);
    sal_error_t err = { 0 };
    apr_status_t rv;

    w->what = PUT;
    w->change.id = w->id;
    if (problem) {
        return form_page(q, w, HTTP_BAD_REQUEST, w->change.values, problem);
    }
    rv = web_with_db(q->r, work, w, &err);
    if (rv == SAL_E_MALFORMED || rv == SAL_E_EXISTS || (APR_STATUS_IS_ENOENT(rv) && !w->id)) {
        return form_page(q, w, HTTP_BAD_REQUEST, w->change.values,
                         APR_STATUS_IS_ENOENT(rv) ? "Something that is named here does not exist"
                                                  : err.message);
    }
    return rv == APR_SUCCESS ? web_redirect(q->r, HTTP_SEE_OTHER, at(w->table, "", q->r->pool))
                             : failed(q, rv, &err);
}

static int drop_row(crashstats_req_t *q, work_t *w)
{
    sal_error_t err = { 0 };
    apr_status_t rv;

    w->what = DROP;
    w->change.id = w->id ? w->id : "";
    rv = web_with_db(q->r, work, w, &err);
    if (rv == SAL_E_MALFORMED) {
        rv = APR_ENOENT;
    }
    return rv == APR_SUCCESS ? web_redirect(q->r, HTTP_SEE_OTHER, at(w->table, "", q->r->pool))
                             : failed(q, rv, &err);
}

static int act_on_rows(crashstats_req_t *q, work_t *w, apr_table_t *form)
{
    sal_error_t err = { 0 };
    apr_status_t rv;

    w->what = ACT;
    w->ids = web_param_all(form, "id", q->r->pool);
    rv = web_with_db(q->r, work, w, &err);
    return rv == APR_SUCCESS ? web_redirect(q->r, HTTP_SEE_OTHER, at(w->table, "", q->r->pool))
                             : failed(q, rv == SAL_E_MALFORMED ? APR_ENOENT : rv, &err);
}

/* ---- routes ---- */

static json_t *cards(crashstats_req_t *q, int right)
{
    json_t *out = json_array();

    for (const sal_site_table_t *t = sal_site_tables(); t->name; t++) {
        if (t->right == right) {
            json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "title", t->title, "about",
                                                 t->about, "href", at(t, "", q->r->pool)));
        }
    }
    return out;
}

static int index_page(crashstats_req_t *q)
{
    return crashstats_page(q, HTTP_OK, "siteadmin", NULL,
                           json_pack("{s:s, s:b, s:o, s:o, s:b, s:[{s:s, s:s}]}", "title",
                                     "Administration", "plain_title", 1, "people",
                                     cards(q, SAL_PERM_ADMIN), "tables", cards(q, SAL_PERM_STAFF),
                                     "admin", (q->who.permissions & SAL_PERM_ADMIN) != 0, "crumbs",
                                     "text", "Administration", "href", ""));
}

/* The table of "NAME/rest", *rest behind the slash; NULL: there is none. */
static const sal_site_table_t *table_of(const char **rest, apr_pool_t *p)
{
    const char *slash = strchr(*rest, '/');
    const sal_site_table_t *t =
        slash ? sal_site_find(apr_pstrmemdup(p, *rest, (apr_size_t)(slash - *rest))) : NULL;

    *rest = slash ? slash + 1 : *rest;
    return t;
}

static int right_of(const sal_site_table_t *t)
{
    return t->right == SAL_PERM_ADMIN ? SAL_PERM_ADMIN : SAL_PERM_STAFF | SAL_PERM_ADMIN;
}

/* Pages of administrators are kept by nobody, whatever other rights they have. */
static void keep_private(crashstats_req_t *q)
{
    apr_table_setn(q->r->headers_out, "Cache-Control", "private, no-store");
}

int crashstats_siteadmin(crashstats_req_t *q, const char *rest)
{
    int rc = crashstats_require(q, SAL_PERM_STAFF | SAL_PERM_ADMIN);
    work_t w = { .what = GET };

    if (rc != DECLINED) {
        return rc;
    }
    keep_private(q);
    if (!*rest) {
        return index_page(q);
    }
    if ((rc = siteadmin_status(q, rest)) != DECLINED) {
        return rc;
    }
    if (!(w.table = table_of(&rest, q->r->pool))) {
        return crashstats_message(q, HTTP_NOT_FOUND, NULL, NULL);
    }
    if ((rc = crashstats_require(q, right_of(w.table))) != DECLINED) {
        return rc;
    }
    if (!*rest) {
        return list_page(q, w.table);
    }
    w.id = web_param(q->query, "id");
    if (strcmp(rest, "edit/") ||
        (w.id ? !sal_site_may_edit(w.table) : !sal_site_may_add(w.table))) {
        return crashstats_message(q, HTTP_NOT_FOUND, NULL, NULL);
    }
    return form_page(q, &w, HTTP_OK, NULL, NULL);
}

/* The form's token has been looked at (routes.c). */
int crashstats_siteadmin_form(crashstats_req_t *q, const char *rest)
{
    apr_table_t *form = web_form(q->r, 1 << 20);
    const char *action = web_param(form, "action");
    work_t w = { .change = { .actor = q->who.user } };
    int rc = crashstats_require(q, SAL_PERM_STAFF | SAL_PERM_ADMIN);

    if (rc != DECLINED) {
        return rc;
    }
    keep_private(q);
    if (!(w.table = table_of(&rest, q->r->pool))) {
        return crashstats_message(q, HTTP_NOT_FOUND, NULL, NULL);
    }
    if ((rc = crashstats_require(q, right_of(w.table))) != DECLINED) {
        return rc;
    }
    w.id = web_param(form, "id");
    w.id = w.id && *w.id ? w.id : NULL;
    if (!strcmp(rest, "edit/") && (w.id ? sal_site_may_edit(w.table) : sal_site_may_add(w.table))) {
        return write_row(q, &w, form);
    }
    if (!strcmp(rest, "delete/") && sal_site_may_drop(w.table)) {
        return drop_row(q, &w);
    }
    if (!*rest && w.table->action && action && !strcmp(action, w.table->action)) {
        return act_on_rows(q, &w, form);
    }
    return crashstats_message(q, HTTP_NOT_FOUND, NULL, NULL);
}
