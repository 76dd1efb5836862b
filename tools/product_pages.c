/*
 * Files that describe products: one a product, as lib/triage reads them.
 */
#include "product_pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_file_info.h>
#include <apr_strings.h>

#include "base/json.h"
#include "input.h"
#include "triage/products.h"

enum { FILES_MAX = 10000 };

static int is_json(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && !strcmp(name + len - 5, ".json");
}

int product_is_page(const char *path, apr_pool_t *p)
{
    apr_finfo_t info;

    return is_json(path) ||
           (apr_stat(&info, path, APR_FINFO_TYPE, p) == APR_SUCCESS && info.filetype == APR_DIR);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The file itself, or the files of a folder by name; NULL after saying what is wrong. */
static apr_array_header_t *files_of(const char *path, apr_pool_t *p)
{
    apr_array_header_t *files = apr_array_make(p, 16, sizeof(const char *));
    apr_finfo_t info;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, path, p) != APR_SUCCESS) {
        APR_ARRAY_PUSH(files, const char *) = path;
        return files;
    }
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS && files->nelts < FILES_MAX) {
        if (is_json(info.name)) {
            APR_ARRAY_PUSH(files, const char *) = apr_pstrcat(p, path, "/", info.name, NULL);
        }
    }
    apr_dir_close(dir);
    qsort(files->elts, (size_t)files->nelts, sizeof(const char *), by_name);
    if (!files->nelts) {
        (void)cmd_fail("%s: there is no .json file in it", path);
        return NULL;
    }
    return files;
}

static apr_status_t put_all(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const apr_array_header_t *pages = baton;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < pages->nelts && rv == APR_SUCCESS; i++) {
        rv = sal_product_page_put(&APR_ARRAY_IDX(pages, i, sal_product_page_t), db, p, err);
    }
    return rv;
}

static int named_twice(const apr_array_header_t *pages, const char *path)
{
    const sal_product_page_t *all = (const sal_product_page_t *)pages->elts;

    for (int i = 0; i + 1 < pages->nelts; i++) {
        if (!strcmp(all[i].name, all[pages->nelts - 1].name)) {
            (void)cmd_fail("%s: product %s stands in another file, too", path, all[i].name);
            return 1;
        }
    }
    return 0;
}

int product_pages_import(const char *path, sal_db_t *db, apr_pool_t *p)
{
    apr_array_header_t *files = files_of(path, p);
    apr_array_header_t *pages = apr_array_make(p, 16, sizeof(sal_product_page_t));
    sal_error_t err;

    for (int i = 0; files && i < files->nelts; i++) {
        const char *file = APR_ARRAY_IDX(files, i, const char *);
        char *text;
        size_t size;

        if (tool_read_file(&text, &size, file, p) != CMD_OK) {
            return CMD_FAILED;
        }
        if (sal_product_page_parse(apr_array_push(pages), text, size, file, p, &err) !=
            APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
        if (named_twice(pages, file)) {
            return CMD_FAILED;
        }
    }
    if (!files) {
        return CMD_FAILED;
    }
    if (sal_db_txn(db, put_all, pages, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d product%s\n", pages->nelts, pages->nelts == 1 ? "" : "s");
    return CMD_OK;
}

int product_page_show(const char *name, sal_db_t *db, apr_pool_t *p)
{
    sal_product_page_t page;
    sal_error_t err;
    json_t *doc;

    if (sal_product_page(&page, name, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    doc = sal_json_own(sal_product_page_json(&page), p);
    json_dumpf(doc, stdout, JSON_INDENT(2));
    putchar('\n');
    return CMD_OK;
}

int product_page_change(const char *name, const char *description,
                        const apr_array_header_t *featured, sal_db_t *db, apr_pool_t *p)
{
    const char **list = apr_pcalloc(p, sizeof(char *) * ((apr_size_t)featured->nelts + 1));
    sal_product_page_t page;
    sal_error_t err;

    if (!description && !featured->nelts) {
        return CMD_OK;
    }
    for (int i = 0; i < featured->nelts; i++) {
        list[i] = APR_ARRAY_IDX(featured, i, const char *);
    }
    if (sal_product_page(&page, name, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    page.description = description ? description : page.description;
    page.featured = featured->nelts ? list : page.featured;
    return sal_product_page_put(&page, db, p, &err) == APR_SUCCESS ? CMD_OK : cmd_fail_err(&err);
}
