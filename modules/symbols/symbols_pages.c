/*
 * Pages of the symbols server: routes, the frame, the lists of uploads and files.
 *
 * A page asks what the API asks, in one unit of work, and turns the documents into what templates
 * show: texts of sizes and times, links. Everything works without scripts.
 */
#include "symbols_books.h"

#include <apr_strings.h>

#include "render/format.h"
#include "render/list.h"

APLOG_USE_MODULE(symbols);

/* ---- the frame ---- */

int symbols_page(symbols_req_t *q, int status, const char *name, json_t *data)
{
    const web_page_t page = { .r = q->r,
                              .templates = q->conf->templates,
                              .shared = q->conf->shared,
                              .user = q->who.user,
                              .permissions = q->who.permissions,
                              .place = "Symbols" };

    if (!json_object_get(data, "plain_title")) {
        json_object_set_new(data, "plain_title", json_true());
    }
    return web_page(&page, status, name, data);
}

int symbols_page_message(symbols_req_t *q, int status, const char *title, const char *text)
{
    return symbols_page(q, status, "message",
                        json_pack("{s:s, s:s, s:s, s:i}", "title", title, "heading", title, "text",
                                  text, "code", status));
}

int symbols_page_sick(symbols_req_t *q, const sal_error_t *err)
{
    if (err->code == SAL_E_DENIED) {
        return symbols_page_message(q, HTTP_FORBIDDEN, "That is not allowed", err->message);
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL2044: no page of the books: %s",
                  err->message);
    apr_table_setn(q->r->err_headers_out, "Retry-After", "15");
    return symbols_page_message(q, HTTP_SERVICE_UNAVAILABLE, "The database does not answer",
                                "Symbols can still be downloaded. Try again soon.");
}

int symbols_page_anonymous(symbols_req_t *q)
{
    request_rec *r = q->r;
    const char *in = q->conf->shared ? sal_conf_get(q->conf->shared, "sign-in-url", NULL) : NULL;
    json_t *data;

    if (q->who.user) {
        return DECLINED;
    }
    data = json_pack("{s:s}", "title", "Sign in");
    if (in) {
        json_object_set_new(data, "enter",
                            json_string(apr_pstrcat(r->pool, in, "?next=",
                                                    sal_format_urlencode(r->uri, r->pool), NULL)));
    }
    return symbols_page(q, HTTP_FORBIDDEN, "symbols-sign-in", data);
}

static void add_tab(json_t *tabs, const char *here, const char *name, const char *href)
{
    json_array_append_new(tabs, json_pack("{s:s, s:s, s:b}", "name", name, "href", href, "here",
                                          strcmp(name, here) == 0));
}

json_t *symbols_tabs(symbols_req_t *q, const char *here)
{
    json_t *tabs = json_array();

    add_tab(tabs, here, "Uploads", "/uploads/");
    if (symbols_sees_all(q)) {
        add_tab(tabs, here, "Files", "/uploads/files/");
    }
    add_tab(tabs, here, "Missing", "/uploads/missing/");
    add_tab(tabs, here, "Statistics", "/uploads/statistics/");
    add_tab(tabs, here, "Upload now", "/uploads/upload/");
    add_tab(tabs, here, "Tokens", "/tokens/");
    add_tab(tabs, here, "Help", "/uploads/help/");
    return tabs;
}

/* ---- what rows show ---- */

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text ? text : "";
}

void symbols_show_size(json_t *o, const char *name, const char *as, apr_pool_t *p)
{
    json_int_t size = json_integer_value(json_object_get(o, name));

    json_object_set_new(o, as, json_string(sal_format_bytes(size, p)));
}

void symbols_show_time(json_t *o, const char *name, const char *as, apr_pool_t *p)
{
    const char *iso = text_of(o, name);

    if (strlen(iso) >= 16) {
        json_object_set_new(o, as, json_string(apr_psprintf(p, "%.10s %.5s", iso, iso + 11)));
    }
}

void symbols_show_count(json_t *o, const char *name, const char *as, apr_pool_t *p)
{
    json_object_set_new(
        o, as, json_string(sal_format_count(json_integer_value(json_object_get(o, name)), p)));
}

void symbols_show_upload(json_t *u, apr_pool_t *p)
{
    json_object_set_new(u, "pieces", sal_format_pieces(text_of(u, "filename")));
    symbols_show_size(u, "size", "size_text", p);
    symbols_show_time(u, "created_at", "created", p);
    symbols_show_time(u, "completed_at", "completed", p);
    symbols_show_count(u, "members", "members_text", p);
    symbols_show_count(u, "files_count", "stored_text", p);
    json_object_set_new(u, "skipped_text",
                        json_string(sal_format_count(
                            (apr_int64_t)json_array_size(json_object_get(u, "skipped_keys")), p)));
    json_object_set_new(u, "email", json_string(text_of(json_object_get(u, "user"), "email")));
}

void symbols_show_file(json_t *f, apr_pool_t *p)
{
    char *name = apr_pstrdup(p, text_of(f, "key")), *id = strchr(name, '/'), *leaf;

    if (id && (leaf = strchr(id + 1, '/'))) {
        *id++ = '\0';
        *leaf++ = '\0';
        json_object_set_new(f, "module", sal_format_pieces(name));
        json_object_set_new(f, "module_id", json_string(id));
        json_object_set_new(f, "leaf", sal_format_pieces(leaf));
        json_object_set_new(f, "leaf_text", json_string(leaf));
    }
    symbols_show_size(f, "size", "stored_text", p);
    symbols_show_size(f, "original_size", "size_text", p);
    symbols_show_time(f, "created_at", "created", p);
}

/* ---- lists ---- */

/* The query string without `name` and `page`, ending in '&' or '?'. */
const char *symbols_query_without(symbols_req_t *q, const char *path, const char *name)
{
    const apr_array_header_t *a = apr_table_elts(q->query);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_pool_t *p = q->r->pool;
    const char *out = apr_pstrcat(p, path, "?", NULL);

    for (int i = 0; i < a->nelts && i < 20; i++) {
        if (strcmp(e[i].key, name) && strcmp(e[i].key, "page") && *e[i].val) {
            out = apr_pstrcat(p, out, sal_format_urlencode(e[i].key, p), "=",
                              sal_format_urlencode(e[i].val, p), "&", NULL);
        }
    }
    return out;
}

static void add_choice(json_t *list, const char *text, const char *prefix, const char *value,
                       const char *now, apr_pool_t *p)
{
    json_array_append_new(
        list,
        json_pack("{s:s, s:s, s:b}", "text", text, "href", apr_pstrcat(p, prefix, value, NULL),
                  "here", strcmp(now, strchr(value, '=') ? strchr(value, '=') + 1 : "") == 0));
}

static const char *given(symbols_req_t *q, const char *name)
{
    const char *value = web_param(q->query, name);

    return value ? value : "";
}

/* What the form showed is shown again. */
static void put_form(symbols_req_t *q, json_t *data, const char *const *names)
{
    json_t *form = json_object();
    bool any = false;

    for (; *names; names++) {
        json_object_set_new(form, *names, json_string(given(q, *names)));
        any = any || *given(q, *names);
    }
    json_object_set_new(data, "form", form);
    json_object_set_new(data, "any_filter", json_boolean(any));
}

static void put_kinds(symbols_req_t *q, json_t *data, const char *path)
{
    const char *prefix = symbols_query_without(q, path, "upload_type");
    const char *now = given(q, "upload_type");
    json_t *list = json_array();

    add_choice(list, "All", prefix, "", now, q->r->pool);
    add_choice(list, "Regular", prefix, "upload_type=regular", now, q->r->pool);
    add_choice(list, "Try", prefix, "upload_type=try", now, q->r->pool);
    json_object_set_new(data, "kinds", list);
}

/* With a number of pages where rows were counted, without where they were not. */
void symbols_put_pager(symbols_req_t *q, json_t *data, const sal_books_page_t *page, int64_t number,
                       int per_page, const char *path)
{
    apr_pool_t *p = q->r->pool;
    const char *prefix = apr_pstrcat(p, symbols_query_without(q, path, "page"), "page=", NULL);
    int64_t from = (number - 1) * per_page + 1;
    int64_t to = from - 1 + (int64_t)json_array_size(page->rows);
    json_t *pager;

    if (to < from) {
        return;
    }
    if (page->total >= 0) {
        json_object_set_new(data, "pager",
                            sal_list_pager((int)number,
                                           (int)((page->total + per_page - 1) / per_page), from, to,
                                           page->total, prefix, p));
        return;
    }
    pager =
        json_pack("{s:s}", "info",
                  apr_psprintf(p, "%s to %s", sal_format_count(from, p), sal_format_count(to, p)));
    if (number > 1) {
        json_object_set_new(
            pager, "prev",
            json_string(apr_psprintf(p, "%s%" APR_INT64_T_FMT, prefix, (apr_int64_t)number - 1)));
    }
    if (page->has_next) {
        json_object_set_new(
            pager, "next",
            json_string(apr_psprintf(p, "%s%" APR_INT64_T_FMT, prefix, (apr_int64_t)number + 1)));
    }
    json_object_set_new(data, "pager", pager);
}

/* The first text of each field that could not be read. */
void symbols_put_problem(json_t *data, json_t *errors)
{
    const char *field;
    json_t *texts, *list = json_array();

    json_object_foreach(errors, field, texts)
    {
        json_array_append_new(
            list, json_pack("{s:s, s:O}", "field", field, "text", json_array_get(texts, 0)));
    }
    json_object_set_new(data, "problems", list);
    json_object_set_new(data, "any_problem", json_true());
    json_decref(errors);
}

typedef struct {
    const char *title, *path, *template, *rows;
    symbols_list_t list;
    web_db_fn work;
    void (*show)(json_t *row, apr_pool_t *p);
    const char *const *fields;
} list_page_t;

static int list_page(symbols_req_t *q, const list_page_t *l)
{
    json_t *errors = NULL, *data, *row;
    symbols_list_work_t w = { 0 };
    sal_books_find_t find;
    sal_error_t err = { 0 };
    int status = HTTP_OK;
    size_t i;

    symbols_read_find(&find, &errors, q, l->list);
    w.find = &find;
    if (!errors && web_with_db(q->r, l->work, &w, &err) != APR_SUCCESS) {
        return symbols_page_sick(q, &err);
    }
    data = json_pack("{s:s, s:o}", "title", l->title, "tabs",
                     symbols_tabs(q, l->list == SYMBOLS_LIST_FILES ? "Files" : "Uploads"));
    put_form(q, data, l->fields);
    put_kinds(q, data, l->path);
    json_object_set_new(data, "sees_all", json_boolean(symbols_sees_all(q)));
    if (errors) {
        symbols_put_problem(data, errors);
        status = HTTP_BAD_REQUEST;
    } else {
        json_array_foreach(w.page.rows, i, row)
        {
            l->show(row, q->r->pool);
        }
        symbols_put_pager(q, data, &w.page, find.page, find.per_page, l->path);
        json_object_set_new(data, "any_rows", json_boolean(json_array_size(w.page.rows) > 0));
        json_object_set_new(data, "rows", w.page.rows);
        if (w.page.total >= 0) {
            json_object_set_new(data, "total",
                                json_string(sal_format_count(w.page.total, q->r->pool)));
        }
    }
    return symbols_page(q, status, l->template, data);
}

static int uploads_page(symbols_req_t *q)
{
    static const char *const fields[] = { "user", "size", "created_at", "upload_type", NULL };
    static const list_page_t page = { .title = "Symbol uploads",
                                      .path = "/uploads/",
                                      .template = "symbols-uploads",
                                      .list = SYMBOLS_LIST_UPLOADS,
                                      .work = symbols_work_uploads,
                                      .show = symbols_show_upload,
                                      .fields = fields };

    return list_page(q, &page);
}

static int files_page(symbols_req_t *q)
{
    static const char *const fields[] = { "key",     "size",    "created_at", "upload_type",
                                          "product", "version", "channel",    NULL };
    static const list_page_t page = { .title = "Symbol files",
                                      .path = "/uploads/files/",
                                      .template = "symbols-files",
                                      .list = SYMBOLS_LIST_FILES,
                                      .work = symbols_work_files,
                                      .show = symbols_show_file,
                                      .fields = fields };

    if (!symbols_sees_all(q)) {
        return symbols_page_message(q, HTTP_FORBIDDEN, "Files of everybody",
                                    "This list needs the permission View All Symbols Uploads. "
                                    "Your own files are listed with your uploads.");
    }
    return list_page(q, &page);
}

/* ---- routes ---- */

static int is_path(const char *uri, const char *path)
{
    size_t n = strlen(path);

    return !strncmp(uri, path, n) && (!uri[n] || !strcmp(uri + n, "/"));
}

static int help_page(symbols_req_t *q)
{
    const char *url = ap_construct_url(q->r->pool, "", q->r);

    return symbols_page(q, HTTP_OK, "symbols-help",
                        json_pack("{s:s, s:o, s:s}", "title", "Symbols help", "tabs",
                                  symbols_tabs(q, "Help"), "url", url));
}

static int uploads_route(symbols_req_t *q, const char *rest)
{
    int rc;

    if (is_path(rest, "/help")) {
        return help_page(q);
    }
    if (is_path(rest, "/missing")) {
        return symbols_page_missing(q);
    }
    if ((rc = symbols_page_anonymous(q)) != DECLINED) {
        return rc;
    }
    if (!*rest || !strcmp(rest, "/")) {
        return uploads_page(q);
    }
    if (is_path(rest, "/files")) {
        return files_page(q);
    }
    if (is_path(rest, "/statistics")) {
        return symbols_page_statistics(q);
    }
    if (is_path(rest, "/upload")) {
        return symbols_page_upload_now(q);
    }
    if (!strncmp(rest, "/upload/", 8)) {
        return symbols_page_upload(q, symbols_path_id(rest + 8));
    }
    if (!strncmp(rest, "/files/file/", 12)) {
        return symbols_page_file(q, symbols_path_id(rest + 12));
    }
    return symbols_page_message(q, HTTP_NOT_FOUND, "There is no such page",
                                "The address may be mistyped, or from an older version.");
}

/* Where to go after signing in: a path of ours and nothing else. */
static int signed_in(symbols_req_t *q)
{
    const char *next = web_param(q->query, "next");

    if (!q->who.user) {
        return symbols_page_message(q, HTTP_FORBIDDEN, "Nobody can sign in here",
                                    "This server has no authentication for people; see "
                                    "docs/pages.md.");
    }
    if (!web_is_own_path(next)) {
        next = "/";
    }
    return web_redirect(q->r, HTTP_SEE_OTHER, next);
}

static int signed_out(symbols_req_t *q)
{
    q->who.user = NULL;
    /* A browser forgets Basic credentials when they are refused. */
    apr_table_setn(q->r->err_headers_out, "WWW-Authenticate", "Basic realm=\"Salvage\"");
    return symbols_page_message(q, HTTP_UNAUTHORIZED, "Signed out",
                                "Close the browser if it still remembers you.");
}

static int allowed_method(symbols_req_t *q)
{
    return q->r->method_number == M_GET ||
           (q->r->method_number == M_POST && !strncmp(q->r->uri, "/tokens/", 8));
}

int symbols_pages(request_rec *r)
{
    symbols_req_t q = { .r = r, .conf = symbols_conf(r), .query = web_query(r) };
    sal_error_t err = { 0 };
    const char *uri = r->uri;

    web_page_headers(r);
    if (!strcmp(uri, "/missingsymbols.csv") || is_path(uri, "/missingsymbols")) {
        int rc = symbols_api_method(&q, "GET, HEAD");

        return rc != DECLINED         ? rc
               : strchr(uri + 1, '.') ? symbols_missing_csv(&q)
                                      : symbols_missing_json(&q);
    }
    if (!q.conf->templates) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "SAL2045: SetHandler symbols-pages needs SalvageConfig in this server");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (web_person(r, &q.who, &err) != APR_SUCCESS) {
        return symbols_page_sick(&q, &err);
    }
    if (!allowed_method(&q)) {
        return web_allow(r, "GET, HEAD");
    }
    if (!strncmp(uri, "/uploads", 8)) {
        return uploads_route(&q, uri + 8);
    }
    if (!strncmp(uri, "/tokens", 7)) {
        return symbols_page_tokens(&q, uri + 7);
    }
    return is_path(uri, "/signout") ? signed_out(&q) : signed_in(&q);
}
