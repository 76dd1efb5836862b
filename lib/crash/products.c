/*
 * Lists of products: the file, the table, questions. The watch is in product_watch.c.
 */
#include "crash/products.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "base/text.h"

#define FILE_MAX (1 << 20)
#define BAD_TEXT "a control character, no UTF-8, or over 255 bytes"

/* ---- the file ---- */

typedef struct reader_t {
    apr_array_header_t *products; /* of sal_product_t */
    apr_array_header_t *packages, *versions;
    const char *path;
    int line;
    apr_pool_t *pool;
} reader_t;

static const char *const *closed(apr_array_header_t *a)
{
    APR_ARRAY_PUSH(a, const char *) = NULL;
    return (const char *const *)a->elts;
}

/* The product before this line is complete. */
static void close_product(reader_t *r)
{
    if (r->products->nelts) {
        sal_product_t *last = &APR_ARRAY_IDX(r->products, r->products->nelts - 1, sal_product_t);

        last->packages = closed(r->packages);
        last->versions = closed(r->versions);
    }
    r->packages = apr_array_make(r->pool, 4, sizeof(const char *));
    r->versions = apr_array_make(r->pool, 4, sizeof(const char *));
}

static bool text_ok(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        if (iscntrl((unsigned char)text[i])) {
            return false;
        }
    }
    return len >= 1 && len <= SAL_PRODUCT_NAME_MAX && sal_utf8_valid(text, len);
}

static apr_status_t malformed(const reader_t *r, const char *what, sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED, "%s line %d: %s", r->path, r->line, what);
}

static apr_status_t read_product(reader_t *r, const char *name, sal_error_t *err)
{
    if (!text_ok(name)) {
        return malformed(r, BAD_TEXT, err);
    }
    for (int i = 0; i < r->products->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(r->products, i, sal_product_t).name, name)) {
            return malformed(r, "this product is there already", err);
        }
    }
    if (r->products->nelts == SAL_PRODUCTS_MAX) {
        return malformed(r, "too many products", err);
    }
    close_product(r);
    APR_ARRAY_PUSH(r->products, sal_product_t) = (sal_product_t){ .name = name };
    return APR_SUCCESS;
}

static apr_status_t read_detail(reader_t *r, char *text, sal_error_t *err)
{
    apr_size_t word = strcspn(text, " \t");
    char *value = text + word + strspn(text + word, " \t");
    apr_array_header_t *into = NULL;

    if (!r->products->nelts) {
        return malformed(r, "indented, but there is no product above it", err);
    }
    if (word == 7 && !strncmp(text, "package", word)) {
        into = r->packages;
    } else if (word == 7 && !strncmp(text, "version", word)) {
        into = r->versions;
    }
    if (!into || !*value) {
        return malformed(r, "indented lines are `package NAME` or `version PATTERN`", err);
    }
    if (!text_ok(value)) {
        return malformed(r, BAD_TEXT, err);
    }
    APR_ARRAY_PUSH(into, const char *) = value;
    return APR_SUCCESS;
}

static apr_status_t read_line(reader_t *r, char *line, sal_error_t *err)
{
    bool indented = *line == ' ' || *line == '\t';
    char *text = line + strspn(line, " \t"), *end = text + strlen(text);

    while (end > text && strchr(" \t\r", end[-1])) {
        *--end = '\0';
    }
    if (!*text || *text == '#') {
        return APR_SUCCESS;
    }
    return indented ? read_detail(r, text, err) : read_product(r, text, err);
}

apr_status_t sal_products_parse(sal_products_t *out, char *text, apr_size_t size, const char *path,
                                apr_pool_t *p, sal_error_t *err)
{
    reader_t r = { .path = path, .pool = p };
    char *end = text + size, *next;
    apr_status_t rv = APR_SUCCESS;

    r.products = apr_array_make(p, 16, sizeof(sal_product_t));
    close_product(&r);
    for (; text < end && rv == APR_SUCCESS; text = next) {
        char *stop = memchr(text, '\n', (apr_size_t)(end - text));

        r.line++;
        next = stop ? stop + 1 : end;
        if (memchr(text, '\0', (apr_size_t)(next - text))) {
            return malformed(&r, "a NUL", err);
        }
        rv = read_line(&r, apr_pstrmemdup(p, text, (apr_size_t)((stop ? stop : end) - text)), err);
    }
    close_product(&r);
    out->n = r.products->nelts;
    out->list = (const sal_product_t *)r.products->elts;
    return rv;
}

apr_status_t sal_products_read(sal_products_t *out, const char *path, apr_pool_t *p,
                               sal_error_t *err)
{
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, FILE_MAX, p, err);

    return rv == APR_SUCCESS ? sal_products_parse(out, text, size, path, p, err) : rv;
}

/* ---- the table ---- */

apr_status_t sal_products_load(sal_products_t *out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_product_t *list;
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_products_list, &rows, p, err, SAL_V_INT(SAL_PRODUCTS_MAX));
    int n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;

    list = apr_pcalloc(p, (apr_size_t)(n + 1) * sizeof(*list));
    for (int i = 0; i < n; i++) {
        int count;

        list[i].name = sal_rows_text(rows, i, 0);
        list[i].packages = (const char *const *)sal_rows_array(rows, i, 1, &count, p);
        list[i].versions = (const char *const *)sal_rows_array(rows, i, 2, &count, p);
    }
    if (rv == APR_SUCCESS) {
        *out = (sal_products_t){ n, list };
    }
    return rv;
}

static int count_of(const char *const *list)
{
    int n = 0;

    while (list && list[n]) {
        n++;
    }
    return n;
}

static bool all_ok(const char *const *list)
{
    for (; list && *list; list++) {
        if (!text_ok(*list)) {
            return false;
        }
    }
    return true;
}

apr_status_t sal_product_put(const sal_product_t *product, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    if (!text_ok(product->name) || !all_ok(product->packages) || !all_ok(product->versions) ||
        isspace((unsigned char)*product->name)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "names, packages and versions are 1 to %d bytes of UTF-8 without control "
                        "characters",
                        SAL_PRODUCT_NAME_MAX);
    }
    return sal_db_exec(db, &sal_s_products_put, NULL, p, err, SAL_V_TEXT(product->name),
                       SAL_V_TEXTS(product->packages, (apr_size_t)count_of(product->packages)),
                       SAL_V_TEXTS(product->versions, (apr_size_t)count_of(product->versions)));
}

apr_status_t sal_product_drop(const char *name, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_products_drop, &rows, p, err, SAL_V_TEXT(name));

    if (rv == APR_SUCCESS && sal_rows_affected(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "there is no product \"%s\"", name);
    }
    return rv;
}

/* ---- questions ---- */

const sal_product_t *sal_products_find(const sal_products_t *list, const char *name)
{
    for (int i = 0; list && i < list->n; i++) {
        if (!strcmp(list->list[i].name, name)) {
            return &list->list[i];
        }
    }
    return NULL;
}

static bool fits(const char *const *list, const char *text, bool pattern)
{
    if (!list || !*list) {
        return true;
    }
    if (strlen(text) > SAL_PRODUCT_NAME_MAX) {
        return false; /* nor is it worth the time that a pattern with many stars would take */
    }
    for (; *list; list++) {
        if (pattern ? fnmatch(*list, text, FNM_NOESCAPE) == 0 : strcmp(*list, text) == 0) {
            return true;
        }
    }
    return false;
}

bool sal_products_package_ok(const sal_products_t *list, const char *product, const char *package)
{
    const sal_product_t *found = sal_products_find(list, product);

    return !found || fits(found->packages, package, false);
}

bool sal_products_version_ok(const sal_products_t *list, const char *product, const char *version)
{
    const sal_product_t *found = sal_products_find(list, product);

    return !found || fits(found->versions, version, true);
}
