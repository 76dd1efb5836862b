/*
 * Products as pages show them: the table, and which versions are featured. The file is read in
 * product_file.c.
 */
#include "triage/products.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"
#include "search/fields.h"
#include "triage/http.h"
#include "triage/versions.h"

enum { VERSIONS = 100, FILE_SECONDS = 10, FILE_MAX = 1 << 20, FRESH = 3600 };

/* ---- the table ---- */

static json_t *json_of(const sal_rows_t *rows, int row, int col, bool list, apr_pool_t *p)
{
    const char *text = sal_rows_text(rows, row, col);
    json_t *v;

    if (sal_json_parse(&v, text, strlen(text), p, NULL) != APR_SUCCESS ||
        !(list ? json_is_array(v) : json_is_object(v))) {
        v = sal_json_own(list ? json_array() : json_object(), p);
    }
    return v;
}

static void read_row(sal_product_page_t *out, const sal_rows_t *rows, int i, apr_pool_t *p)
{
    int n;

    *out = (sal_product_page_t){
        .name = sal_rows_text(rows, i, 0),
        .description = sal_rows_text(rows, i, 1),
        .sort = (int)sal_rows_int(rows, i, 2),
        .featured = (const char *const *)sal_rows_array(rows, i, 3, &n, p),
        .version_urls = json_of(rows, i, 4, false, p),
        .bug_links = json_of(rows, i, 5, true, p),
        .home_links = json_of(rows, i, 6, true, p),
        .in_buildhub = sal_rows_bool(rows, i, 7),
        .listed = sal_rows_bool(rows, i, 8),
    };
}

apr_status_t sal_product_pages(sal_product_page_t **out, int *n, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_product_pages, &rows, p, err, SAL_V_INT(SAL_PRODUCT_UNLISTED_MAX));

    *n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    *out = apr_pcalloc(p, sizeof(**out) * ((apr_size_t)*n + 1));
    for (int i = 0; i < *n; i++) {
        read_row(&(*out)[i], rows, i, p);
    }
    return rv;
}

apr_status_t sal_product_page(sal_product_page_t *out, const char *name, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_product_page, &rows, p, err, SAL_V_TEXT(name),
                                  SAL_V_INT(sal_search_field("product")->number));

    if (rv == APR_SUCCESS && !sal_rows_count(rows)) {
        return sal_fail(err, APR_ENOENT, "there is no product %s", name);
    }
    if (rv == APR_SUCCESS) {
        read_row(out, rows, 0, p);
    }
    return rv;
}

apr_status_t sal_product_page_put(const sal_product_page_t *page, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    apr_size_t n = 0;

    while (page->featured[n]) {
        n++;
    }
    return sal_db_exec(db, &sal_s_product_page_put, NULL, p, err, SAL_V_TEXT(page->name),
                       SAL_V_TEXT(page->description), SAL_V_INT(page->sort),
                       SAL_V_TEXTS((const char **)page->featured, n),
                       SAL_V_JSON(sal_json_text(page->version_urls, p)),
                       SAL_V_JSON(sal_json_text(page->bug_links, p)),
                       SAL_V_JSON(sal_json_text(page->home_links, p)),
                       SAL_V_BOOL(page->in_buildhub));
}

/* ---- versions ---- */

typedef struct version_list_t {
    apr_array_header_t *rows; /* of sal_product_version_row_t */
    sal_db_t *db;
    apr_pool_t *p;
} version_list_t;

static sal_product_version_row_t *find(const version_list_t *list, const char *version)
{
    sal_product_version_row_t *rows = (sal_product_version_row_t *)list->rows->elts;

    for (int i = 0; i < list->rows->nelts; i++) {
        if (!strcmp(rows[i].version, version)) {
            return &rows[i];
        }
    }
    return NULL;
}

static sal_product_version_row_t *add(version_list_t *list, const char *version)
{
    sal_product_version_row_t *row = find(list, version);

    if (!row && list->rows->nelts < VERSIONS) {
        row = apr_array_push(list->rows);
        *row = (sal_product_version_row_t){ .version = version };
    }
    return row;
}

static void add_featured(version_list_t *list, const char *version)
{
    sal_product_version_row_t *row = add(list, version);

    if (row) {
        row->featured = true;
    }
}

/* A version that a file names; of a beta all betas, too. */
static void add_named(version_list_t *list, const char *version)
{
    const char *b = strchr(version, 'b');

    if (b && b[1]) {
        add_featured(list, apr_pstrmemdup(list->p, version, (apr_size_t)(b - version) + 1));
    }
    add_featured(list, version);
}

/* What a path finds: a member of that very name, else member by member. */
static const char *in_file(const json_t *doc, const char *path)
{
    const json_t *v = json_object_get(doc, path);

    return json_string_value(v ? v : sal_json_path(doc, path));
}

/* The files of the product: {URL: document}. */
static apr_status_t files_of(json_t **out, const sal_product_page_t *page, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    const char **urls = apr_pcalloc(p, sizeof(char *) * (json_object_size(page->version_urls) + 1));
    apr_status_t rv = APR_SUCCESS;
    sal_rows_t *rows = NULL;
    apr_size_t n = 0;
    const char *key;
    json_t *url;

    *out = sal_json_own(json_object(), p);
    json_object_foreach(page->version_urls, key, url)
    {
        if (json_is_string(url)) {
            urls[n++] = json_string_value(url);
        }
    }
    if (n) {
        rv = sal_db_exec(db, &sal_s_product_files, &rows, p, err, SAL_V_TEXTS(urls, n));
    }
    for (int i = 0; rows && rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        json_object_set(*out, sal_rows_text(rows, i, 0), json_of(rows, i, 1, false, p));
    }
    return rv;
}

static apr_status_t add_auto(version_list_t *list, const char *product, sal_error_t *err)
{
    const char **versions;
    apr_status_t rv = sal_versions_featured(&versions, product, list->db, list->p, err);

    for (int i = 0; rv == APR_SUCCESS && versions[i]; i++) {
        add_featured(list, versions[i]);
    }
    return rv;
}

static apr_status_t add_item(version_list_t *list, const sal_product_page_t *page, const char *item,
                             const json_t *files, sal_error_t *err)
{
    const char *dot = strchr(item, '.'), *url = NULL, *version;

    if (!strcmp(item, "auto")) {
        return add_auto(list, page->name, err);
    }
    if (dot) {
        url = sal_json_str(page->version_urls,
                           apr_pstrmemdup(list->p, item, (apr_size_t)(dot - item)));
    }
    if (!url) {
        add_featured(list, item);
        return APR_SUCCESS;
    }
    version = in_file(json_object_get(files, url), dot + 1);
    if (version && *version && strlen(version) <= SAL_VERSION_TEXT_MAX) {
        add_named(list, version);
    }
    return APR_SUCCESS;
}

typedef struct seen_t {
    const char *version;
    char key[SAL_VERSION_KEY];
} seen_t;

static int newest_first(const void *a, const void *b)
{
    const seen_t *x = a, *y = b;
    int c = strcmp(y->key, x->key);

    return c ? c : strcmp(x->version, y->version);
}

/* Those that crashes came from; what is no version comes last. */
static apr_status_t add_seen(version_list_t *list, const char *product, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(list->db, &sal_s_product_versions_seen, &rows, list->p, err,
                                  SAL_V_TEXT(product), SAL_V_INT(VERSIONS));
    int n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    seen_t *seen = apr_pcalloc(list->p, sizeof(*seen) * ((apr_size_t)n + 1));

    for (int i = 0; i < n; i++) {
        seen[i].version = sal_rows_text(rows, i, 0);
        if (!sal_version_key(seen[i].key, seen[i].version)) {
            seen[i].key[0] = '\0';
        }
    }
    qsort(seen, (size_t)n, sizeof(*seen), newest_first);
    for (int i = 0; i < n; i++) {
        (void)add(list, seen[i].version);
    }
    return rv;
}

static apr_status_t add_active(version_list_t *list, const char *product, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_versions_active(&rows, product, list->db, list->p, err);

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        sal_product_version_row_t *row = add(list, sal_rows_text(rows, i, 0));

        if (row) {
            row->active = true;
            row->n = sal_rows_int(rows, i, 1);
        }
    }
    return rv;
}

apr_status_t sal_product_versions(sal_product_version_row_t **out, int *n,
                                  const sal_product_page_t *page, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    version_list_t list = { apr_array_make(p, 32, sizeof(sal_product_version_row_t)), db, p };
    json_t *files;
    apr_status_t rv = files_of(&files, page, db, p, err);

    for (int i = 0; rv == APR_SUCCESS && page->featured[i]; i++) {
        rv = add_item(&list, page, page->featured[i], files, err);
    }
    if (rv == APR_SUCCESS) {
        rv = add_active(&list, page->name, err);
    }
    if (rv == APR_SUCCESS) {
        rv = add_seen(&list, page->name, err);
    }
    *out = (sal_product_version_row_t *)list.rows->elts;
    *n = list.rows->nelts;
    return rv;
}

const char *sal_version_channel(const char *version)
{
    static const char *const names[][2] = {
        { "alpha", "alpha" }, { "beta", "beta" }, { "release", "release" }, { "xsr", "esr" }
    };
    char key[SAL_VERSION_KEY];
    const char *behind;

    if (!sal_version_key(key, version) || !(behind = strchr(key, '-'))) {
        return "";
    }
    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strstr(behind, names[i][0])) {
            return names[i][1];
        }
    }
    return "";
}

/* ---- files of versions ---- */

/* An empty object if it cannot be had: what was there an hour ago may be long out of date. */
static apr_status_t fetch(json_t **doc, const char *url, apr_pool_t *p, sal_error_t *err)
{
    const http_get_t get = { .url = url, .seconds = FILE_SECONDS, .max = FILE_MAX };
    sal_error_t why = { 0 };
    char *body;
    size_t len;
    apr_status_t rv = http_get(&body, &len, &get, p, err);

    *doc = NULL;
    if (rv == APR_SUCCESS && (rv = sal_json_parse(doc, body, len, p, &why)) != APR_SUCCESS) {
        *doc = NULL;
        (void)http_blame(url, rv, &why, p, err);
    }
    if (rv == APR_SUCCESS && !json_is_object(*doc)) {
        *doc = NULL;
        rv = sal_fail(err, SAL_E_MALFORMED, "%s: is no JSON object", url);
    }
    if (!*doc) {
        *doc = sal_json_own(json_object(), p);
    }
    return rv;
}

static apr_status_t fetch_and_put(const char *url, apr_time_t now, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_error_t why = { 0 };
    json_t *doc;
    apr_status_t rv = fetch(&doc, url, p, err);
    apr_status_t put = sal_db_exec(db, &sal_s_product_file_put, NULL, p, &why, SAL_V_TEXT(url),
                                   SAL_V_TIME(now), SAL_V_JSON(sal_json_text(doc, p)));

    if (put != APR_SUCCESS && err) {
        *err = why;
    }
    return put != APR_SUCCESS ? put : rv;
}

apr_status_t sal_product_files_fetch(int64_t *n, apr_time_t now, apr_time_t deadline, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_product_files_wanted, &rows, p, err,
                                  SAL_V_TIME(now - apr_time_from_sec(FRESH)));
    apr_status_t first = rv;
    apr_pool_t *sub;

    *n = 0;
    apr_pool_create(&sub, p);
    for (int i = 0; rv != SAL_E_NODB && first != SAL_E_DB && i < sal_rows_count(rows) &&
                    !(deadline && apr_time_now() >= deadline);
         i++) {
        sal_error_t one = { 0 };

        rv = fetch_and_put(sal_rows_text(rows, i, 0), now, db, sub, &one);
        *n += rv == APR_SUCCESS;
        if (rv != APR_SUCCESS && first == APR_SUCCESS) {
            first = rv;
            if (err) {
                *err = one;
            }
        }
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    return first;
}
