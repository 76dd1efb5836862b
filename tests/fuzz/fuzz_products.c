/*
 * Text that people or clients write and throttling reads: a file of products, the result of a rule,
 * JSON values as rules see them, a TelemetryEnvironment. The first byte chooses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "crash/products.h"
#include "crash/throttle.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *root;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return apr_pool_create(&root, NULL);
}

/* What was accepted can be found again; what was not has a line. */
static void products(char *text, size_t size, apr_pool_t *p)
{
    sal_error_t err = { .message = "" };
    sal_products_t list;

    if (sal_products_parse(&list, text, size, "F", p, &err) != APR_SUCCESS) {
        if (strncmp(err.message, "F line ", 7) != 0) {
            abort();
        }
        return;
    }
    for (int i = 0; i < list.n && i < 100; i++) {
        const sal_product_t *found = sal_products_find(&list, list.list[i].name);

        if (found != &list.list[i] ||
            (*found->packages && !sal_products_package_ok(&list, found->name, *found->packages)) ||
            (!*found->versions && !sal_products_version_ok(&list, found->name, ""))) {
            abort();
        }
    }
}

static void result(const char *text, apr_pool_t *p)
{
    sal_throttle_rule_t rule = { .name = "x" };

    if (!sal_throttle_parse_result(text, &rule, p) && !(rule.percent >= 0 && rule.percent <= 100)) {
        abort();
    }
    (void)sal_throttle_name_ok(text);
    (void)sal_throttle_old_buildid(text, 730, apr_time_from_sec(1764547200));
}

/* Any JSON object: each of its values has a text, and that of a container is within its bound. */
static void seen(char *text, size_t size, apr_pool_t *p)
{
    sal_annotations_t *a = sal_annotations_make(1 << 20, p);
    const char *value;

    if (sal_annotations_json(a, text, size, p, NULL) != APR_SUCCESS) {
        return;
    }
    value = sal_annotations_seen(a, "k", p);
    if (sal_annotations_get(a, "k") && !value) {
        abort();
    }
    if (value && strlen(value) > 4 * strlen(sal_annotations_get(a, "k") ?: "") + 8) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    char *text;

    if (size < 1) {
        return 0;
    }
    apr_pool_create(&p, root);
    text = apr_pstrmemdup(p, (const char *)data + 1, size - 1);
    switch (data[0]) {
    case 'r':
        result(text, p);
        break;
    case 's':
        seen(text, size - 1, p);
        break;
    case 't':
        (void)sal_throttle_windows_upto(text, 9600, p);
        break;
    default:
        products(text, size - 1, p);
    }
    apr_pool_destroy(p);
    return 0;
}
