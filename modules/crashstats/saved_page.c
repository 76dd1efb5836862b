/*
 * Saved searches: the list, their links, and what changes them.
 */
#include "crashstats/search.h"

#include <apr_strings.h>

#include "base/json.h"
#include "common/person.h"
#include "render/format.h"
#include "triage/saved.h"

enum { FORM_MAX = 65536 };

typedef struct work_t {
    crashstats_req_t *q;
    const char *key, *name, *query, *action;
    bool shared;
    sal_saved_t one, *list;
    int n;
} work_t;

/* ---- the list ---- */

static apr_status_t read_list(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_saved_list(&w->list, &w->n, w->q->who.user ? w->q->who.user_id : 0, db, p, err);
}

json_t *crashstats_saved_row(crashstats_req_t *q, const sal_saved_t *s)
{
    apr_pool_t *p = q->r->pool;
    sal_ask_t *ask = sal_ask_read(s->query, q->pii, p);
    json_t *locked = sal_ask_locked(ask);
    const char *sentence = sal_ask_sentence(ask);
    bool mine = q->who.user && s->owner == q->who.user_id;
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:i, s:b}", "key", s->key, "name", s->name,
        "owner", s->owner_name, "sentence", *sentence ? sentence : "all crashes", "shared",
        s->shared, "mine", mine, "changed", sal_format_time(s->changed, 1, p), "iso",
        sal_format_datetime(s->changed, p), "alerts", s->alerts, "any_alerts", s->alerts > 0);

    if (json_array_size(locked)) {
        json_object_set_new(row, "locked", json_true());
    }
    json_decref(locked);
    return row;
}

static int show_list(crashstats_req_t *q, int status, const char *problem)
{
    work_t w = { .q = q };
    sal_error_t err = { 0 };
    json_t *data, *mine, *others;
    const char *csrf;

    if (web_with_db(q->r, read_list, &w, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    csrf = q->who.user && !q->who.by_token ? web_form_token(q->r, &q->who, &err) : NULL;
    mine = json_array();
    others = json_array();
    for (int i = 0; i < w.n; i++) {
        json_t *row = crashstats_saved_row(q, &w.list[i]);

        json_array_append_new(json_is_true(json_object_get(row, "mine")) ? mine : others, row);
    }
    data = json_pack("{s:s, s:b, s:b, s:b, s:o, s:o, s:s}", "title", "Saved searches",
                     "plain_title", 1, "any_mine", json_array_size(mine) > 0, "any_others",
                     json_array_size(others) > 0, "mine", mine, "others", others, "csrf",
                     csrf ? csrf : "");
    if (problem) {
        json_object_set_new(data, "problem", json_string(problem));
    }
    return crashstats_page(q, status, "saved", "Search", data);
}

/* ---- a link ---- */

static apr_status_t find(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_saved_find(&w->one, w->key, db, p, err);
}

static int no_such(crashstats_req_t *q)
{
    return crashstats_message(q, HTTP_NOT_FOUND, "There is no such saved search",
                              "Its owner may have deleted it.");
}

/* Values of conditions may be protected data themselves: who may not use the field does not see
   them either. */
static int follow(crashstats_req_t *q, const char *key)
{
    work_t w = { .q = q, .key = key };
    sal_error_t err = { 0 };
    apr_status_t rv = web_with_db(q->r, find, &w, &err);
    json_t *locked;
    size_t n;

    if (APR_STATUS_IS_ENOENT(rv)) {
        return no_such(q);
    }
    if (rv != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    locked = sal_ask_locked(sal_ask_read(w.one.query, q->pii, q->r->pool));
    n = json_array_size(locked);
    json_decref(locked);
    if (n) {
        return crashstats_message(q, HTTP_FORBIDDEN, "This search uses protected fields",
                                  "It needs the permission View Personal Identifiable "
                                  "Information.");
    }
    return web_redirect(q->r, HTTP_MOVED_TEMPORARILY,
                        apr_pstrcat(q->r->pool, "/search/?", w.one.query, NULL));
}

/* "KEY/" of a path: KEY, or NULL. */
static const char *key_of(const char *rest, apr_pool_t *p)
{
    apr_size_t n = strspn(rest, "0123456789abcdef");

    return n && n <= 64 && (!rest[n] || strcmp(rest + n, "/") == 0) ? apr_pstrmemdup(p, rest, n)
                                                                    : NULL;
}

int crashstats_saved(crashstats_req_t *q, const char *rest)
{
    const char *key = key_of(rest, q->r->pool);

    return !*rest ? show_list(q, HTTP_OK, NULL) : key ? follow(q, key) : no_such(q);
}

/* ---- changes ---- */

static apr_status_t change(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;
    int64_t owner = w->q->who.user_id;

    if (!w->key) {
        return sal_saved_put(&w->key, owner, w->name, w->query, w->shared, db, p, err);
    }
    if (strcmp(w->action, "delete") == 0) {
        return sal_saved_drop(owner, w->key, db, p, err);
    }
    return sal_saved_share(owner, w->key, strcmp(w->action, "share") == 0, db, p, err);
}

bool crashstats_may_change(crashstats_req_t *q, apr_table_t *form, int *rc)
{
    if ((*rc = crashstats_require(q, 0)) != DECLINED) {
        return false;
    }
    if (!web_form_trusted(q->r, &q->who, web_form_sent(q->r, form))) {
        *rc = crashstats_message(q, HTTP_FORBIDDEN, "The form is too old",
                                 "Open the page again and repeat what you did.");
        return false;
    }
    return true;
}

int crashstats_saved_change(crashstats_req_t *q, const char *rest)
{
    apr_table_t *form = web_form(q->r, FORM_MAX);
    const char *query = web_param(form, "query"), *action = web_param(form, "action");
    work_t w = { .q = q,
                 .key = key_of(rest, q->r->pool),
                 .name = crashstats_trimmed(web_param(form, "name"), q->r->pool),
                 .action = action ? action : "",
                 .shared = web_param(form, "shared") != NULL };
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc;

    if (!crashstats_may_change(q, form, &rc)) {
        return rc;
    }
    if (*rest && (!w.key || (strcmp(w.action, "delete") && strcmp(w.action, "share") &&
                             strcmp(w.action, "unshare")))) {
        return no_such(q);
    }
    w.query =
        sal_ask_query(sal_ask_first_page(sal_ask_read(query ? query : "", q->pii, q->r->pool)));
    rv = web_with_db(q->r, change, &w, &err);
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG) {
        return show_list(q, HTTP_BAD_REQUEST, err.message);
    }
    if (APR_STATUS_IS_ENOENT(rv)) {
        return no_such(q);
    }
    return rv == APR_SUCCESS ? web_redirect(q->r, HTTP_SEE_OTHER, "/search/saved/")
                             : crashstats_sick(q, &err);
}
