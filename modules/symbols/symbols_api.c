/*
 * The JSON API of the symbols server: who may ask what, and the answers of lists and single ones.
 * Names, texts and statuses are Tecken's (docs/symbols.md, "API").
 */
#include "symbols_books.h"

#include <stdarg.h>
#include <apr_strings.h>

#include "base/text.h"

APLOG_USE_MODULE(symbols);

#define NO_COUNT 1000000 /* what Tecken says where it does not count */

int symbols_sees_all(const symbols_req_t *q)
{
    return (q->who.permissions & SAL_PERM_VIEW_ALL_UPLOADS) != 0;
}

/* ---- refusals ---- */

int symbols_api_sick(symbols_req_t *q, const sal_error_t *err)
{
    int status = web_status_of(err->code);

    if (status == HTTP_FORBIDDEN) {
        return web_reply_error(q->r, status, "%s", err->message);
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL2040: no answer from the books: %s",
                  err->message);
    if (status == HTTP_SERVICE_UNAVAILABLE) {
        apr_table_setn(q->r->err_headers_out, "Retry-After", "15");
        return web_reply_error(q->r, status, "The database does not answer, try again later");
    }
    return web_reply_error(q->r, HTTP_INTERNAL_SERVER_ERROR, "Internal Server Error");
}

int symbols_api_not_found(symbols_req_t *q)
{
    const char *uri = sal_utf8_clean(q->r->uri, strlen(q->r->uri), q->r->pool);

    return web_reply_json(q->r, HTTP_NOT_FOUND,
                          json_pack("{s:s, s:s}", "error", "Not Found", "path", uri));
}

/* DECLINED if the method is one of allow ("GET, HEAD"). */
int symbols_api_method(symbols_req_t *q, const char *allow)
{
    request_rec *r = q->r;

    if (ap_find_token(r->pool, allow, r->method)) {
        return DECLINED;
    }
    apr_table_setn(r->headers_out, "Allow", allow);
    return web_reply_error(r, HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed (%s): %s",
                           sal_utf8_clean(r->method, strlen(r->method), r->pool),
                           sal_utf8_clean(r->uri, strlen(r->uri), r->pool));
}

void symbols_form_error(json_t **errors, const char *field, const char *fmt, ...)
{
    json_t *list;
    char text[600];
    va_list args;

    va_start(args, fmt);
    apr_vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    sal_utf8_cut(text, sizeof(text) - 1);
    if (!*errors) {
        *errors = json_object();
    }
    list = json_object_get(*errors, field);
    if (!list) {
        list = json_array();
        json_object_set_new(*errors, field, list);
    }
    json_array_append_new(list, json_string(text));
}

int symbols_form_errors(symbols_req_t *q, json_t *errors)
{
    return web_reply_json(q->r, HTTP_BAD_REQUEST, json_pack("{s:o}", "errors", errors));
}

static int needs_login(symbols_req_t *q)
{
    return q->who.user ? DECLINED
                       : web_reply_error(q->r, HTTP_FORBIDDEN,
                                         "This requires an Auth-Token to authenticate the request");
}

/* ---- reading filters ---- */

static const char *param(symbols_req_t *q, const char *name)
{
    const char *value = web_param(q->query, name);

    return value && *value ? value : NULL;
}

static void read_conds(apr_array_header_t **out, json_t **errors, symbols_req_t *q,
                       const char *name, int dates)
{
    const char *text = web_param(q->query, name);
    sal_error_t err = { 0 };
    apr_status_t rv = dates ? sal_books_dates(out, text, q->r->request_time, q->r->pool, &err)
                            : sal_books_sizes(out, text, q->r->pool, &err);

    if (rv != APR_SUCCESS) {
        symbols_form_error(errors, name, "%s", err.message);
    }
}

int64_t symbols_read_page(json_t **errors, symbols_req_t *q)
{
    const char *text = param(q, "page");
    int64_t n = 1;

    if (text && !sal_parse_int(text, INT64_MIN, INT64_MAX, &n)) {
        symbols_form_error(errors, "page", "Not a number %s", sal_upload_repr(text, q->r->pool));
    }
    return n < 1 ? 1 : n;
}

static int is_true(const char *text)
{
    return text && (!strcasecmp(text, "true") || !strcmp(text, "1") || !strcasecmp(text, "yes") ||
                    !strcasecmp(text, "on"));
}

static void read_order(sal_books_find_t *find, json_t **errors, symbols_req_t *q)
{
    const char *sort = param(q, "sort"), *reverse = param(q, "reverse");

    if (sort && strcmp(sort, "size") && strcmp(sort, "created_at")) {
        symbols_form_error(errors, "sort", "Invalid sort %s", sal_upload_repr(sort, q->r->pool));
        return;
    }
    find->by_size = sort && !strcmp(sort, "size");
    /* Newest first, unless an order was asked for without "reverse". */
    find->ascending = reverse ? !is_true(reverse) : sort != NULL;
}

/* "!x" means not x. */
static const char *negatable(const char *text, bool *negated)
{
    *negated = text && *text == '!';
    text = *negated ? text + 1 : text;
    while (text && *text == ' ') {
        text++;
    }
    return text && *text ? text : NULL;
}

static void read_keys(sal_books_find_t *find, symbols_req_t *q)
{
    char *rest = apr_pstrdup(q->r->pool, param(q, "key") ? param(q, "key") : ""), *one, *state;

    find->keys = apr_array_make(q->r->pool, 4, sizeof(const char *));
    for (one = apr_strtok(rest, ",", &state); one && find->keys->nelts < SAL_BOOKS_CONDS_MAX;
         one = apr_strtok(NULL, ",", &state)) {
        while (*one == ' ') {
            one++;
        }
        for (char *end = one + strlen(one); end > one && end[-1] == ' '; end--) {
            end[-1] = '\0';
        }
        if (*one) {
            APR_ARRAY_PUSH(find->keys, const char *) = one;
        }
    }
}

static void read_kind(sal_books_find_t *find, json_t **errors, symbols_req_t *q)
{
    const char *kind = param(q, "upload_type");

    if (!kind) {
        return;
    }
    find->kind = !strcmp(kind, "try") ? 1 : !strcmp(kind, "regular") ? 2 : 0;
    if (!find->kind) {
        symbols_form_error(errors, "upload_type",
                           "Select a valid choice. %s is not one of the available choices.", kind);
    }
}

void symbols_read_find(sal_books_find_t *find, json_t **errors, symbols_req_t *q,
                       symbols_list_t list)
{
    memset(find, 0, sizeof(*find));
    find->page = symbols_read_page(errors, q);
    read_conds(&find->size, errors, q, "size", 0);
    read_conds(&find->created, errors, q, "created_at", 1);
    read_conds(&find->completed, errors, q, "completed_at", 1);
    read_kind(find, errors, q);
    if (list == SYMBOLS_LIST_UPLOADS) {
        find->per_page = SYMBOLS_PER_PAGE_UPLOADS;
        find->user = negatable(param(q, "user"), &find->not_user);
        find->owner = symbols_sees_all(q) ? 0 : q->who.user_id;
        read_order(find, errors, q);
        return;
    }
    find->per_page = SYMBOLS_PER_PAGE_FILES;
    find->bucket = negatable(param(q, "bucket_name"), &find->not_bucket);
    find->product = param(q, "product");
    find->version = param(q, "version");
    find->channel = param(q, "channel");
    read_keys(find, q);
}

/* ---- work ---- */

apr_status_t symbols_work_uploads(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    symbols_list_work_t *w = baton;

    return sal_books_uploads(&w->page, w->find, db, p, err);
}

apr_status_t symbols_work_files(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    symbols_list_work_t *w = baton;

    return sal_books_files(&w->page, w->find, db, p, err);
}

apr_status_t symbols_work_upload(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    symbols_one_work_t *w = baton;

    return sal_books_upload(&w->doc, &w->owner, w->id, w->max_files, db, p, err);
}

apr_status_t symbols_work_file(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    symbols_one_work_t *w = baton;

    return sal_books_file(&w->doc, &w->owner, w->id, db, p, err);
}

/* ---- lists ---- */

static json_t *total_of(const sal_books_page_t *page)
{
    return json_integer(page->total < 0 ? NO_COUNT : page->total);
}

static int list_uploads(symbols_req_t *q)
{
    symbols_list_work_t w = { 0 };
    sal_books_find_t find;
    json_t *errors = NULL;
    sal_error_t err = { 0 };

    symbols_read_find(&find, &errors, q, SYMBOLS_LIST_UPLOADS);
    if (errors) {
        return symbols_form_errors(q, errors);
    }
    w.find = &find;
    if (web_with_db(q->r, symbols_work_uploads, &w, &err) != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    return web_reply_json(
        q->r, HTTP_OK,
        json_pack("{s:b, s:o, s:i, s:{s:s, s:b}, s:b, s:o}", "can_view_all", symbols_sees_all(q),
                  "uploads", w.page.rows, "batch_size", find.per_page, "order_by", "sort",
                  find.by_size ? "size" : "created_at", "reverse", !find.ascending, "has_next",
                  w.page.has_next, "total", total_of(&w.page)));
}

static int list_files(symbols_req_t *q)
{
    symbols_list_work_t w = { 0 };
    sal_books_find_t find;
    json_t *errors = NULL;
    sal_error_t err = { 0 };

    if (!symbols_sees_all(q)) {
        return web_reply_error(q->r, HTTP_FORBIDDEN, "Forbidden");
    }
    symbols_read_find(&find, &errors, q, SYMBOLS_LIST_FILES);
    if (errors) {
        return symbols_form_errors(q, errors);
    }
    w.find = &find;
    if (web_with_db(q->r, symbols_work_files, &w, &err) != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    return web_reply_json(q->r, HTTP_OK,
                          json_pack("{s:o, s:b, s:i, s:o}", "files", w.page.rows, "has_next",
                                    w.page.has_next, "batch_size", find.per_page, "total",
                                    total_of(&w.page)));
}

/* ---- single ones ---- */

int64_t symbols_path_id(const char *text)
{
    size_t n = strspn(text, "0123456789");
    char digits[20];
    int64_t id = 0;

    if (n < 1 || n >= sizeof(digits) || (text[n] && strcmp(text + n, "/"))) {
        return 0;
    }
    memcpy(digits, text, n);
    digits[n] = '\0';
    return sal_parse_int(digits, 1, INT64_MAX, &id) ? id : 0;
}

const char *symbols_key_path(symbols_req_t *q, const char *key, int is_try)
{
    const char *path = apr_pstrcat(q->r->pool, SYMBOLS_PREFIX, is_try ? "try/" : "", key, NULL);

    return ap_os_escape_path(q->r->pool, path, 1);
}

static int may_see(const symbols_req_t *q, int64_t owner)
{
    return symbols_sees_all(q) || (owner && owner == q->who.user_id);
}

/* what: "Upload" or "FileUpload". */
static int no_such(symbols_req_t *q, const char *what)
{
    return web_reply_error(q->r, HTTP_NOT_FOUND, "No %s matches the given query.", what);
}

static int one_upload(symbols_req_t *q, int64_t id)
{
    symbols_one_work_t w = { .id = id, .max_files = 1000000 };
    sal_error_t err = { 0 };
    apr_status_t rv = id ? web_with_db(q->r, symbols_work_upload, &w, &err) : APR_ENOENT;

    if (APR_STATUS_IS_ENOENT(rv)) {
        return no_such(q, "Upload");
    }
    if (rv != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    if (!may_see(q, w.owner)) {
        json_decref(w.doc);
        return web_reply_error(q->r, HTTP_FORBIDDEN, "Insufficient access to view this upload");
    }
    return web_reply_json(q->r, HTTP_OK, json_pack("{s:o}", "upload", w.doc));
}

static int one_file(symbols_req_t *q, int64_t id)
{
    symbols_one_work_t w = { .id = id };
    sal_error_t err = { 0 };
    apr_status_t rv = id ? web_with_db(q->r, symbols_work_file, &w, &err) : APR_ENOENT;

    if (APR_STATUS_IS_ENOENT(rv)) {
        return no_such(q, "FileUpload");
    }
    if (rv != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    if (!may_see(q, w.owner)) {
        json_decref(w.doc);
        return web_reply_error(q->r, HTTP_FORBIDDEN, "Insufficient access to view this file");
    }
    json_object_set_new(
        w.doc, "url",
        json_string(symbols_key_path(q, json_string_value(json_object_get(w.doc, "key")),
                                     json_is_true(json_object_get(w.doc, "try_symbols")))));
    return web_reply_json(q->r, HTTP_OK, json_pack("{s:o}", "file", w.doc));
}

/* ---- who am I, numbers, one module ---- */

static json_t *user_permissions(const symbols_req_t *q)
{
    json_t *out = json_array();
    sal_permission_t each;

    for (int i = 0; sal_permission_at(&each, i); i++) {
        if (q->who.permissions & each.bit) {
            json_array_append_new(out, json_pack("{s:i, s:s, s:s}", "id", each.id, "codename",
                                                 each.codename, "name", each.title));
        }
    }
    return out;
}

static int whoami(symbols_req_t *q)
{
    const sal_conf_t *shared = q->conf->shared;
    const char *in = shared ? sal_conf_get(shared, "sign-in-url", "/signin") : "/signin";
    const char *out = shared ? sal_conf_get(shared, "sign-out-url", "/signout") : "/signout";
    const char *csrf = NULL;
    sal_error_t err = { 0 };
    json_t *doc;

    if (!q->who.user) {
        return web_reply_json(
            q->r, HTTP_OK,
            json_pack("{s:n, s:s}", "user", "sign_in_url", ap_construct_url(q->r->pool, in, q->r)));
    }
    doc = json_pack("{s:{s:s, s:b, s:b, s:o}, s:s}", "user", "email", q->who.user, "is_active", 1,
                    "is_superuser", (q->who.permissions & SAL_PERM_ADMIN) != 0, "permissions",
                    user_permissions(q), "sign_out_url", ap_construct_url(q->r->pool, out, q->r));
    if (!q->who.by_token && (csrf = web_form_token(q->r, &q->who, &err))) {
        json_object_set_new(doc, "csrf_token", json_string(csrf));
    }
    return web_reply_json(q->r, HTTP_OK, doc);
}

typedef struct {
    int64_t owner;
    apr_time_t now;
    json_t *doc;
} stats_t;

static apr_status_t work_stats(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    stats_t *s = baton;

    return sal_books_stats(&s->doc, s->owner, s->now, db, p, err);
}

static int stats(symbols_req_t *q)
{
    stats_t s = { symbols_sees_all(q) ? 0 : q->who.user_id, q->r->request_time, NULL };
    sal_error_t err = { 0 };

    if (web_with_db(q->r, work_stats, &s, &err) != APR_SUCCESS) {
        return symbols_api_sick(q, &err);
    }
    json_object_set_new(s.doc, "all_uploads", json_boolean(symbols_sees_all(q)));
    return web_reply_json(q->r, HTTP_OK, json_pack("{s:{s:o}}", "stats", "uploads", s.doc));
}

typedef struct {
    const char *file, *id;
    json_t *doc;
} syminfo_t;

static apr_status_t work_syminfo(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    syminfo_t *s = baton;

    return sal_books_syminfo(&s->doc, s->file, s->id, db, p, err);
}

static int syminfo_answer(symbols_req_t *q, json_t *doc)
{
    const char *key = json_string_value(json_object_get(doc, "key"));
    const char *path = symbols_key_path(q, key, json_is_true(json_object_get(doc, "is_try")));

    json_object_set_new(doc, "url", json_string(ap_construct_url(q->r->pool, path, q->r)));
    json_object_del(doc, "key");
    json_object_del(doc, "is_try");
    return web_reply_json(q->r, HTTP_OK, doc);
}

/* "<file>/<HEX>", for everybody and from every page. */
static int syminfo(symbols_req_t *q, const char *rest)
{
    static const char none[] = "Code file / id Not Found";
    request_rec *r = q->r;
    const char *slash = strchr(rest, '/'), *id;
    sal_error_t err = { 0 };
    syminfo_t s = { 0 };
    apr_status_t rv;
    size_t n;
    int rc;

    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin", "*");
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Methods", "GET");
    if ((rc = symbols_api_method(q, "GET")) != DECLINED) {
        return rc;
    }
    if (r->header_only) { /* httpd takes HEAD for GET; here it is not */
        apr_table_setn(r->headers_out, "Allow", "GET");
        return HTTP_METHOD_NOT_ALLOWED;
    }
    id = slash ? slash + 1 : "";
    n = strspn(id, "0123456789abcdefABCDEF");
    if (!slash || slash == rest || n < 1 || (id[n] && strcmp(id + n, "/")) ||
        !sal_utf8_valid(rest, strlen(rest))) {
        return symbols_api_not_found(q);
    }
    s.file = apr_pstrmemdup(r->pool, rest, (apr_size_t)(slash - rest));
    s.id = apr_pstrmemdup(r->pool, id, n);
    ap_str_toupper((char *)(uintptr_t)s.id);
    rv = web_with_db(r, work_syminfo, &s, &err);
    if (APR_STATUS_IS_ENOENT(rv)) {
        return web_reply(r, HTTP_NOT_FOUND, "text/plain; charset=utf-8", none, sizeof(none) - 1);
    }
    return rv == APR_SUCCESS ? syminfo_answer(q, s.doc) : symbols_api_sick(q, &err);
}

/* ---- routes ---- */

static int uploads_route(symbols_req_t *q, const char *rest)
{
    int rc =
        symbols_api_method(q, symbols_api_may_delete(rest) ? "GET, HEAD, DELETE" : "GET, HEAD");

    if (rc != DECLINED || (rc = needs_login(q)) != DECLINED) {
        return rc;
    }
    if (q->r->method_number == M_DELETE) {
        return symbols_api_delete(q, rest);
    }
    if (!*rest || !strcmp(rest, "/")) {
        return list_uploads(q);
    }
    if (!strcmp(rest, "/files") || !strcmp(rest, "/files/")) {
        return list_files(q);
    }
    if (!strncmp(rest, "/upload/", 8)) {
        return one_upload(q, symbols_path_id(rest + 8));
    }
    if (!strncmp(rest, "/files/file/", 12)) {
        return one_file(q, symbols_path_id(rest + 12));
    }
    return symbols_api_not_found(q);
}

static int is_path(const char *uri, const char *path)
{
    size_t n = strlen(path);

    return !strncmp(uri, path, n) && (!uri[n] || !strcmp(uri + n, "/"));
}

static int route(symbols_req_t *q)
{
    const char *uri = q->r->uri;
    int rc;

    if (!strncmp(uri, "/api/syminfo/", 13)) {
        return syminfo(q, uri + 13);
    }
    if (!strncmp(uri, "/api/uploads", 12)) {
        return uploads_route(q, uri + 12);
    }
    if (!strncmp(uri, "/api/tokens", 11)) {
        if ((rc = symbols_page_api_tokens(q, uri + 11)) != DECLINED) {
            return rc;
        }
        return (rc = needs_login(q)) != DECLINED ? rc : symbols_api_tokens(q, uri + 11);
    }
    if (is_path(uri, "/api/_auth")) {
        return (rc = symbols_api_method(q, "GET, HEAD")) != DECLINED ? rc : whoami(q);
    }
    if (is_path(uri, "/api/stats")) {
        rc = symbols_api_method(q, "GET, HEAD");
        return rc != DECLINED || (rc = needs_login(q)) != DECLINED ? rc : stats(q);
    }
    return symbols_api_not_found(q);
}

int symbols_api(request_rec *r)
{
    symbols_req_t q = { .r = r, .conf = symbols_conf(r), .query = web_query(r) };
    sal_error_t err = { 0 };

    web_page_headers(r);
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-store");
    /* A module's symbols are asked for by anybody, and without a thought of who it is. */
    if (strncmp(r->uri, "/api/syminfo/", 13) && web_person(r, &q.who, &err) != APR_SUCCESS) {
        return symbols_api_sick(&q, &err);
    }
    return route(&q);
}
