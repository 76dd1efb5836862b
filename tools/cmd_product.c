/*
 * salvage product: the products that may send crashes, for collectors with `CrashProducts listed`,
 * and what pages say of them.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "crash/products.h"
#include "input.h"
#include "product_pages.h"
#include "product_versions.h"

#define USAGE_ADD                                                                                  \
    "product add NAME [--package NAME]... [--version PATTERN]... [--description TEXT] "            \
    "[--featured VERSION|auto]... [-c FILE]"
#define USAGE_REMOVE "product remove NAME... [-c FILE]"
#define USAGE_LIST "product list [-c FILE]"
#define USAGE_IMPORT "product import FILE|FOLDER [-c FILE]"
#define USAGE_SHOW "product show NAME [-c FILE]"

typedef struct request_t {
    const char *conf;
    const char **args; /* behind the verb */
    int nargs;
    apr_array_header_t *packages, *versions, *featured; /* of const char * */
    const char *description;
} request_t;

static const apr_getopt_option_t options[] = {
    { "package", 'p', 1, "an Android package that the product has; may be repeated" },
    { "version", 'V', 1, "a version that it has, '*' for anything; may be repeated" },
    { "description", 'd', 1, "what it is, for pages" },
    { "featured", 'f', 1, "a version that pages put first, or auto; may be repeated" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static int add(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_product_t product = { .name = req->args[0] };
    sal_error_t err;

    APR_ARRAY_PUSH(req->packages, const char *) = NULL;
    APR_ARRAY_PUSH(req->versions, const char *) = NULL;
    product.packages = (const char *const *)req->packages->elts;
    product.versions = (const char *const *)req->versions->elts;
    if (sal_product_put(&product, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return product_page_change(req->args[0], req->description, req->featured, db, p);
}

static int remove_all(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    int code = CMD_OK;

    for (int i = 0; i < req->nargs; i++) {
        sal_error_t err;

        if (sal_product_drop(req->args[i], db, p, &err) != APR_SUCCESS) {
            code = cmd_fail_err(&err);
        }
    }
    return code;
}

static void print_list(const char *const *list)
{
    putchar('\t');
    for (; list && *list; list++) {
        printf("%s%s", *list, list[1] ? " " : "");
    }
}

static int list(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_products_t products;
    sal_error_t err;

    (void)req;
    if (sal_products_load(&products, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("product\tpackages\tversions");
    for (int i = 0; i < products.n; i++) {
        fputs(products.list[i].name, stdout);
        print_list(products.list[i].packages);
        print_list(products.list[i].versions);
        putchar('\n');
    }
    return CMD_OK;
}

typedef struct import_t {
    sal_products_t products;
} import_t;

static apr_status_t put_all(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const import_t *in = baton;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < in->products.n && rv == APR_SUCCESS; i++) {
        rv = sal_product_put(&in->products.list[i], db, p, err);
    }
    return rv;
}

static int import(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    import_t in;
    sal_error_t err;

    if (product_is_page(req->args[0], p)) {
        return product_pages_import(req->args[0], db, p);
    }
    if (sal_products_read(&in.products, req->args[0], p, &err) != APR_SUCCESS ||
        sal_db_txn(db, put_all, &in, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d product%s\n", in.products.n, in.products.n == 1 ? "" : "s");
    return CMD_OK;
}

static int show(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    return product_page_show(req->args[0], db, p);
}

static const struct {
    const char *name, *usage, *need;
    int min, max, details; /* arguments; whether --package and --version make sense */
    int (*run)(const request_t *req, sal_db_t *db, apr_pool_t *p);
} verbs[] = {
    { "add", USAGE_ADD, "name one product", 1, 1, 1, add },
    { "remove", USAGE_REMOVE, "name the products", 1, 10000, 0, remove_all },
    { "list", USAGE_LIST, "nothing more is needed", 0, 0, 0, list },
    { "import", USAGE_IMPORT, "name one file of products, or a folder", 1, 1, 0, import },
    { "show", USAGE_SHOW, "name one product", 1, 1, 0, show },
};

static int details_given(const request_t *req)
{
    return req->packages->nelts || req->versions->nelts || req->featured->nelts || req->description;
}

static int dispatch(const char *verb, const request_t *req, apr_pool_t *p)
{
    if (!strcmp(verb, "versions") && !details_given(req)) {
        return product_versions(req->args, req->nargs, req->conf, p);
    }
    for (apr_size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        sal_db_t *db;

        if (strcmp(verb, verbs[i].name)) {
            continue;
        }
        if (req->nargs < verbs[i].min || req->nargs > verbs[i].max) {
            return cmd_usage(verbs[i].usage, "%s", verbs[i].need);
        }
        if (!verbs[i].details && details_given(req)) {
            return cmd_usage(verbs[i].usage, "details of a product belong to add");
        }
        db = cmd_db_open(req->conf, p);
        return db ? verbs[i].run(req, db, p) : CMD_FAILED;
    }
    return cmd_usage("product add|remove|list|import|show|versions ...",
                     "say add, remove, list, import, show or versions");
}

int cmd_product(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, tool_stdin_args(argc, argv, p), p);
    request_t req = { 0 };
    const char *value;
    apr_status_t rv;
    int c;

    req.packages = apr_array_make(p, 4, sizeof(const char *));
    req.versions = apr_array_make(p, 4, sizeof(const char *));
    req.featured = apr_array_make(p, 4, sizeof(const char *));
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE_ADD "\n       salvage " USAGE_REMOVE
                 "\n       salvage " USAGE_LIST "\n       salvage " USAGE_IMPORT
                 "\n       salvage " USAGE_SHOW "\n       salvage " USAGE_VERSIONS);
            return CMD_OK;
        } else if (c == 'c') {
            req.conf = value;
        } else if (c == 'd') {
            req.description = value;
        } else {
            APR_ARRAY_PUSH(c == 'p'   ? req.packages
                           : c == 'f' ? req.featured
                                      : req.versions,
                           const char *) = value;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    return dispatch(os->ind < argc ? os->argv[os->ind] : "", &req, p);
}
