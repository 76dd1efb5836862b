/*
 * The page of a person's API tokens. Changes are POST forms that carry a signature of ours; a new
 * token is shown in the answer of the form that made it, once.
 */
#include "symbols_books.h"

#include <apr_strings.h>

#include "base/text.h"
#include "render/format.h"

APLOG_USE_MODULE(symbols);

static void show_token(json_t *t, apr_pool_t *p)
{
    static const int lock = SAL_PERM_VIEW_PII | SAL_PERM_VIEW_RAWDUMP;
    json_t *each;
    size_t i;

    symbols_show_time(t, "expires_at", "expires", p);
    symbols_show_time(t, "created_at", "created", p);
    symbols_show_time(t, "last_used_at", "used", p);
    if (!*json_string_value(json_object_get(t, "notes"))) {
        json_object_set_new(t, "notes", json_string("(no note)"));
    }
    json_array_foreach(json_object_get(t, "permissions"), i, each)
    {
        sal_permission_t known;

        if (sal_permission_at(&known, (int)json_integer_value(json_object_get(each, "id")) - 1)) {
            json_object_set_new(each, "lock", json_boolean((known.bit & lock) != 0));
        }
    }
}

static const char *address(const symbols_req_t *q)
{
    return q->crashstats ? "/api/tokens/" : "/tokens/";
}

static void put_states(symbols_req_t *q, json_t *data, const char *now)
{
    apr_pool_t *p = q->r->pool;
    static const char *const states[][2] = { { "", "Active" },
                                             { "expired", "Expired" },
                                             { "all", "All" } };
    const json_t *totals = json_object_get(data, "totals");
    json_t *list = json_array();

    for (size_t i = 0; i < 3; i++) {
        const char *name = *states[i][0] ? states[i][0] : "active";

        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:b}", "text", states[i][1], "href",
                      *states[i][0] ? apr_pstrcat(p, address(q), "?state=", states[i][0], NULL)
                                    : address(q),
                      "count",
                      apr_psprintf(p, "%d", (int)json_integer_value(json_object_get(totals, name))),
                      "here", strcmp(now, states[i][0]) == 0));
    }
    json_object_set_new(data, "states", list);
}

static bool may_make(const symbols_req_t *q)
{
    return q->crashstats ? !q->who.by_token : (q->who.permissions & SAL_PERM_MANAGE_TOKENS) != 0;
}

/* The page, with what a form has just done (members of `done`, stolen, may be NULL). */
static int tokens_page(symbols_req_t *q, int status, json_t *done)
{
    const char *state = web_param(q->query, "state"), *csrf;
    apr_pool_t *p = q->r->pool;
    sal_error_t err = { 0 };
    json_t *data, *one;
    size_t i;

    state = state && (!strcmp(state, "expired") || !strcmp(state, "all")) ? state : "";
    if (!(csrf = web_form_token(q->r, &q->who, &err)) ||
        symbols_token_list(&data, q, state, &err) != APR_SUCCESS) {
        json_decref(done);
        return symbols_page_sick(q, &err);
    }
    json_array_foreach(json_object_get(data, "tokens"), i, one)
    {
        show_token(one, p);
    }
    put_states(q, data, state);
    json_object_set_new(data, "any_tokens",
                        json_boolean(json_array_size(json_object_get(data, "tokens")) > 0));
    json_object_set_new(data, "may_make", json_boolean(may_make(q)));
    json_object_set_new(data, "crashstats", json_boolean(q->crashstats));
    json_object_set_new(data, "at", json_string(address(q)));
    json_object_set_new(data, "any_permissions",
                        json_boolean(json_array_size(json_object_get(data, "permissions")) > 0));
    json_object_set_new(data, "csrf", json_string(csrf));
    json_object_set_new(data, "title", json_string("API tokens"));
    json_object_set_new(data, "tabs", symbols_tabs(q, "Tokens"));
    json_object_set_new(data, "url", json_string(ap_construct_url(p, "", q->r)));
    if (done) {
        json_object_update(data, done);
        json_decref(done);
    }
    return symbols_page(q, status, "tokens", data);
}

static int refused(symbols_req_t *q, int status, json_t *errors, const char *text)
{
    json_t *done = json_object();

    if (errors) {
        symbols_put_problem(done, errors);
    } else {
        json_object_set_new(done, "any_problem", json_true());
        json_object_set_new(done, "problems",
                            json_pack("[{s:s, s:s}]", "field", "permissions", "text", text));
    }
    return tokens_page(q, status, done);
}

static int make(symbols_req_t *q, apr_table_t *form)
{
    symbols_new_token_t t;
    json_t *errors = NULL;
    const char *forbidden;
    sal_error_t err = { 0 };

    if (!symbols_token_read(&t, &errors, &forbidden, q, form)) {
        return refused(q, errors ? HTTP_BAD_REQUEST : HTTP_FORBIDDEN, errors, forbidden);
    }
    if (symbols_token_make(q, &t, &err) != APR_SUCCESS) {
        return symbols_page_sick(q, &err);
    }
    return tokens_page(q, HTTP_CREATED,
                       json_pack("{s:s, s:s}", "new_token", t.plain, "new_notes",
                                 *t.notes ? t.notes : "without a note"));
}

static int change(symbols_req_t *q, int64_t id, const char *what, apr_table_t *form)
{
    const char *days = web_param(form, "days");
    sal_error_t err = { 0 };
    apr_status_t rv;
    int64_t n = 365;

    if (!strcmp(what, "extend")) {
        if (days && *days && !sal_parse_int(days, 1, 36525, &n)) {
            return symbols_page_message(q, HTTP_BAD_REQUEST, "Invalid number of days", days);
        }
        rv = symbols_token_extend(q, id, n, &err);
    } else {
        rv = symbols_token_drop(q, id, &err);
    }
    if (APR_STATUS_IS_ENOENT(rv)) {
        return symbols_page_message(q, HTTP_NOT_FOUND, "There is no such token",
                                    "It may have been deleted, or it is somebody else's.");
    }
    return rv == APR_SUCCESS ? web_redirect(q->r, HTTP_SEE_OTHER, address(q))
                             : symbols_page_sick(q, &err);
}

/* "/ID/extend" or "/ID/delete"; 0: neither. */
static int64_t change_path(const char *rest, const char **what, apr_pool_t *p)
{
    const char *slash = *rest == '/' ? strchr(rest + 1, '/') : NULL;

    if (!slash || (strcmp(slash, "/extend") && strcmp(slash, "/delete"))) {
        return 0;
    }
    *what = slash + 1;
    return symbols_path_id(apr_pstrmemdup(p, rest + 1, (apr_size_t)(slash - rest - 1)));
}

static int take_form(symbols_req_t *q, const char *rest)
{
    const char *what = NULL;
    apr_table_t *form = web_form(q->r, 65536);
    int64_t id;

    if (!web_form_trusted(q->r, &q->who, web_form_sent(q->r, form))) {
        return symbols_page_message(q, HTTP_FORBIDDEN, "The form is too old",
                                    "Open the page again and repeat what you did.");
    }
    if (!*rest || !strcmp(rest, "/")) {
        return may_make(q) ? make(q, form)
                           : refused(q, HTTP_FORBIDDEN, NULL,
                                     q->crashstats ? "tokens are made by people"
                                                   : "making tokens needs Manage Your API Tokens");
    }
    if ((id = change_path(rest, &what, q->r->pool)) > 0) {
        return change(q, id, what, form);
    }
    return symbols_page_message(q, HTTP_NOT_FOUND, "There is no such page", "");
}

int symbols_page_tokens(symbols_req_t *q, const char *rest)
{
    int rc;

    if ((rc = symbols_page_anonymous(q)) != DECLINED) {
        return rc;
    }
    if (q->r->method_number == M_POST) {
        return take_form(q, rest);
    }
    return *rest && strcmp(rest, "/")
               ? symbols_page_message(q, HTTP_NOT_FOUND, "There is no such page", "")
               : tokens_page(q, HTTP_OK, NULL);
}

/* "/delete/ID/", upstream's address, as ours. */
static const char *own_path(const char *rest, apr_pool_t *p)
{
    apr_size_t n = strspn(rest + 8, "0123456789");

    return apr_pstrcat(p, "/", apr_pstrmemdup(p, rest + 8, n),
                       rest[8 + n] && strcmp(rest + 8 + n, "/") ? "/" : "/delete", NULL);
}

int symbols_page_api_tokens(symbols_req_t *q, const char *rest)
{
    bool list = !*rest || !strcmp(rest, "/"), drop = !strncmp(rest, "/delete/", 8);

    q->crashstats = true;
    if (drop && q->r->method_number != M_POST) {
        return web_allow(q->r, "POST");
    }
    if (!drop && !(list && web_wants_html(q->r) &&
                   (q->r->method_number == M_GET || q->r->method_number == M_POST))) {
        q->crashstats = false;
        return DECLINED;
    }
    if (!q->conf->templates) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!q->who.user && q->r->method_number == M_GET) {
        return web_redirect(q->r, HTTP_MOVED_TEMPORARILY, "/login/?next=%2Fapi%2Ftokens%2F");
    }
    return symbols_page_tokens(q, drop ? own_path(rest, q->r->pool) : rest);
}
