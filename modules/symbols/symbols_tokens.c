/*
 * API tokens of their owner: list, make, extend, revoke. What the page and the API share, and the
 * API itself. The text of a token is in the answer that made it, and nowhere else.
 */
#include "symbols_books.h"

#include <apr_strings.h>

#include "base/text.h"

APLOG_USE_MODULE(symbols);

enum {
    DEFAULT_DAYS = 365,
    CRASHSTATS_DAYS = 90,
    MAX_DAYS = 36525,
    MAX_TOKENS = 1000,
    NOTES_MAX = 2000,
    SHOWN = 6
};

/* ---- reading forms ---- */

static int permission_of(const char *text, sal_permission_t *out)
{
    int64_t id;

    while (*text == ' ') {
        text++;
    }
    return sal_parse_int(text, 1, 64, &id) && sal_permission_at(out, (int)id - 1);
}

static void read_permissions(symbols_new_token_t *out, json_t **errors, const char **forbidden,
                             symbols_req_t *q, apr_table_t *form)
{
    apr_array_header_t *values = web_param_all(form, "permissions", q->r->pool);

    for (int i = 0; i < values->nelts; i++) {
        char *rest = apr_pstrdup(q->r->pool, APR_ARRAY_IDX(values, i, const char *)), *state;

        for (char *one = apr_strtok(rest, ",", &state); one; one = apr_strtok(NULL, ",", &state)) {
            sal_permission_t p;

            if (!permission_of(one, &p)) {
                symbols_form_error(errors, "permissions", "Unknown permission %s",
                                   sal_upload_repr(one, q->r->pool));
                return;
            }
            out->permissions |= p.bit;
            if (!(symbols_token_rights(q) & p.bit)) {
                *forbidden = q->crashstats ? "You do not have this permission"
                                           : apr_pstrcat(q->r->pool, p.title,
                                                         " not a valid permission", NULL);
            }
        }
    }
    if (!out->permissions && !q->crashstats) { /* there one may do what everybody may */
        symbols_form_error(errors, "permissions", "This field is required.");
    } else if (!sal_permissions_combine(out->permissions)) {
        symbols_form_error(errors, "permissions", "Invalid combination of permissions");
    }
}

static int64_t read_days(json_t **errors, const char *field, const char *text, apr_pool_t *p)
{
    int64_t days = 0;

    if (!sal_parse_int(text, 1, MAX_DAYS, &days)) {
        symbols_form_error(errors, field, "Invalid number of days (%s)", sal_upload_repr(text, p));
    }
    return days;
}

static size_t characters(const char *text)
{
    size_t n = 0;

    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

/*
 * Whoever has signed in may make tokens for Crash Stats; what concerns symbols needs the right to
 * manage tokens. A token makes no other there, or it would never end.
 */
int symbols_token_rights(const symbols_req_t *q)
{
    static const int crashstats = SAL_PERM_VIEW_PII | SAL_PERM_VIEW_RAWDUMP |
                                  SAL_PERM_RUN_CUSTOM_QUERIES | SAL_PERM_RUN_LONG_QUERIES |
                                  SAL_PERM_REPROCESS_CRASHES;
    int held = q->who.permissions;

    return q->crashstats && !(held & SAL_PERM_MANAGE_TOKENS) ? held & crashstats : held;
}

int symbols_token_read(symbols_new_token_t *out, json_t **errors, const char **forbidden,
                       symbols_req_t *q, apr_table_t *form)
{
    const char *expires = web_param(form, "expires"), *notes = web_param(form, "notes");

    *out = (symbols_new_token_t){ .notes = notes ? notes : "" };
    *forbidden = NULL;
    read_permissions(out, errors, forbidden, q, form);
    if ((!expires || !*expires) && q->crashstats) {
        out->days = CRASHSTATS_DAYS;
    } else if (!expires || !*expires) {
        symbols_form_error(errors, "expires", "This field is required.");
    } else {
        out->days = read_days(errors, "expires", expires, q->r->pool);
    }
    if (characters(out->notes) > NOTES_MAX) {
        symbols_form_error(errors, "notes", "Text too long");
    }
    return !*errors && !*forbidden;
}

/* ---- work ---- */

typedef struct {
    symbols_req_t *q;
    symbols_new_token_t *made;
    int64_t id, owner, days;
    sal_token_t *tokens;
    int n;
} work_t;

static apr_status_t work_list(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_token_list(&w->tokens, &w->n, w->q->who.user, db, p, err);
}

static apr_status_t work_make(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;
    const char *user = w->q->who.user;
    apr_status_t rv = work_list(db, baton, p, err);

    if (rv == APR_SUCCESS && w->n >= MAX_TOKENS) {
        rv = sal_fail(err, SAL_E_DENIED, "Too many tokens; delete some first");
    }
    return rv == APR_SUCCESS
               ? sal_token_create_by(&w->made->plain, &w->made->id, user, user,
                                     w->made->permissions,
                                     w->q->r->request_time + apr_time_from_sec(w->days * 86400),
                                     w->made->notes, db, p, err)
               : rv;
}

static apr_status_t work_drop(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_token_revoke_by(w->id, w->owner, w->q->who.user, db, p, err);
}

static apr_status_t work_extend(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_token_extend_by(w->id, w->owner, (int)w->days, w->q->who.user, db, p, err);
}

apr_status_t symbols_token_make(symbols_req_t *q, symbols_new_token_t *t, sal_error_t *err)
{
    work_t w = { .q = q, .made = t, .days = t->days };

    return web_with_db(q->r, work_make, &w, err);
}

/* Administrators may end anybody's token, and extend only their own. */
apr_status_t symbols_token_drop(symbols_req_t *q, int64_t id, sal_error_t *err)
{
    work_t w = { .q = q,
                 .id = id,
                 .owner =
                     q->who.permissions & SAL_PERM_ADMIN && !q->crashstats ? 0 : q->who.user_id };

    return web_with_db(q->r, work_drop, &w, err);
}

apr_status_t symbols_token_extend(symbols_req_t *q, int64_t id, int64_t days, sal_error_t *err)
{
    work_t w = { .q = q, .id = id, .owner = q->who.user_id, .days = days };

    return web_with_db(q->r, work_extend, &w, err);
}

/* ---- documents ---- */

static json_t *permissions_of(int bits)
{
    json_t *out = json_array();
    sal_permission_t each;

    for (int i = 0; sal_permission_at(&each, i); i++) {
        if (bits & each.bit) {
            json_array_append_new(out, json_pack("{s:s, s:i}", "name", each.title, "id", each.id));
        }
    }
    return out;
}

static json_t *token_doc(const sal_token_t *t, apr_pool_t *p)
{
    return json_pack("{s:I, s:o, s:b, s:s, s:o, s:s, s:o, s:o}", "id", (json_int_t)t->id,
                     "expires_at", sal_books_time(t->expires), "is_expired",
                     t->state == SAL_TOKEN_EXPIRED, "key",
                     apr_pstrcat(p, apr_pstrndup(p, t->prefix, SHOWN), "\xe2\x80\xa6", NULL),
                     "permissions", permissions_of(t->permissions), "notes", t->notes, "created_at",
                     sal_books_time(t->created), "last_used_at", sal_books_time(t->last_used));
}

apr_status_t symbols_token_list(json_t **out, symbols_req_t *q, const char *state, sal_error_t *err)
{
    work_t w = { .q = q };
    apr_status_t rv = web_with_db(q->r, work_list, &w, err);
    json_t *tokens = json_array();
    int expired = 0;

    for (int i = 0; rv == APR_SUCCESS && i < w.n; i++) {
        int old = w.tokens[i].state == SAL_TOKEN_EXPIRED;

        expired += old;
        if (!strcmp(state, "all") || old == !strcmp(state, "expired")) {
            json_array_append_new(tokens, token_doc(&w.tokens[i], q->r->pool));
        }
    }
    if (rv != APR_SUCCESS) {
        json_decref(tokens);
        return rv;
    }
    *out = json_pack("{s:o, s:o, s:{s:i, s:i, s:i}}", "tokens", tokens, "permissions",
                     permissions_of(symbols_token_rights(q)), "totals", "all", w.n, "active",
                     w.n - expired, "expired", expired);
    return APR_SUCCESS;
}

/* ---- the API ---- */

static int list(symbols_req_t *q)
{
    const char *state = web_param(q->query, "state");
    json_t *doc, *errors = NULL;
    sal_error_t err = { 0 };

    state = state ? state : "";
    if (*state && strcmp(state, "all") && strcmp(state, "expired")) {
        symbols_form_error(&errors, "state", "Unrecognized state value %s",
                           sal_upload_repr(state, q->r->pool));
        return symbols_form_errors(q, errors);
    }
    return symbols_token_list(&doc, q, state, &err) == APR_SUCCESS
               ? web_reply_json(q->r, HTTP_OK, doc)
               : symbols_api_sick(q, &err);
}

static int make(symbols_req_t *q, apr_table_t *form)
{
    symbols_new_token_t t;
    json_t *errors = NULL;
    const char *forbidden;
    sal_error_t err = { 0 };

    if (!symbols_token_read(&t, &errors, &forbidden, q, form)) {
        return errors ? symbols_form_errors(q, errors)
                      : web_reply_error(q->r, HTTP_FORBIDDEN, "%s", forbidden);
    }
    if (symbols_token_make(q, &t, &err) != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    return web_reply_json(
        q->r, HTTP_CREATED,
        json_pack("{s:b, s:{s:I, s:s}}", "ok", 1, "token", "id", (json_int_t)t.id, "key", t.plain));
}

static int changed(symbols_req_t *q, apr_status_t rv, const sal_error_t *err, int64_t days)
{
    if (APR_STATUS_IS_ENOENT(rv)) {
        return web_reply_error(q->r, HTTP_NOT_FOUND, "No Token matches the given query.");
    }
    if (rv != APR_SUCCESS) {
        return symbols_api_sick(q, err);
    }
    return web_reply_json(q->r, HTTP_OK,
                          days ? json_pack("{s:b, s:I}", "ok", 1, "days", (json_int_t)days)
                               : json_pack("{s:b}", "ok", 1));
}

static int extend(symbols_req_t *q, int64_t id, apr_table_t *form)
{
    const char *text = web_param(form, "days");
    json_t *errors = NULL;
    int64_t days = text && *text ? read_days(&errors, "days", text, q->r->pool) : DEFAULT_DAYS;
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (errors) {
        return symbols_form_errors(q, errors);
    }
    rv = id ? symbols_token_extend(q, id, days, &err) : APR_ENOENT;
    return changed(q, rv, &err, days);
}

static int drop(symbols_req_t *q, int64_t id)
{
    sal_error_t err = { 0 };
    apr_status_t rv = id ? symbols_token_drop(q, id, &err) : APR_ENOENT;

    return changed(q, rv, &err, 0);
}

/* Changes need a token, a form of ours, or the word of the browser. */
int symbols_api_forged(symbols_req_t *q, apr_table_t *form)
{
    if (web_form_trusted(q->r, &q->who, web_form_sent(q->r, form))) {
        return DECLINED;
    }
    return web_reply_error(q->r, HTTP_FORBIDDEN,
                           "CSRF verification failed: send the csrf_token of /api/_auth/ as "
                           "X-CSRFToken");
}

static int may_manage(symbols_req_t *q)
{
    return (q->who.permissions & SAL_PERM_MANAGE_TOKENS) != 0;
}

static int one_route(symbols_req_t *q, const char *rest)
{
    apr_table_t *form = web_form(q->r, 65536);
    const char *tail = rest + strspn(rest, "0123456789");
    int64_t id = symbols_path_id(apr_pstrmemdup(q->r->pool, rest, (apr_size_t)(tail - rest)));
    int extending = !strcmp(tail, "/extend") || !strcmp(tail, "/extend/"), rc;

    if (!extending && *tail && strcmp(tail, "/")) {
        return symbols_api_not_found(q);
    }
    if ((rc = symbols_api_method(q, extending ? "POST" : "DELETE")) != DECLINED) {
        return rc;
    }
    if ((rc = symbols_api_forged(q, form)) != DECLINED) {
        return rc;
    }
    return extending ? extend(q, id, form) : drop(q, id);
}

int symbols_api_tokens(symbols_req_t *q, const char *rest)
{
    apr_table_t *form;
    int rc;

    if (!strncmp(rest, "/token/", 7)) {
        return one_route(q, rest + 7);
    }
    if (*rest && strcmp(rest, "/")) {
        return symbols_api_not_found(q);
    }
    if ((rc = symbols_api_method(q, "GET, HEAD, POST")) != DECLINED) {
        return rc;
    }
    if (!may_manage(q)) {
        return web_reply_error(q->r, HTTP_FORBIDDEN, "Forbidden");
    }
    if (q->r->method_number == M_GET) {
        return list(q);
    }
    form = web_form(q->r, 65536);
    return (rc = symbols_api_forged(q, form)) != DECLINED ? rc : make(q, form);
}
