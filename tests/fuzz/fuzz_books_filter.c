/*
 * Filters of sizes and dates from arbitrary text: refused with one line, or conditions that are few
 * and in range.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "books/filter.h"

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

static void check(apr_status_t rv, const apr_array_header_t *conds, const sal_error_t *err,
                  int64_t min)
{
    if (rv != APR_SUCCESS) {
        if (!*err->message) {
            abort();
        }
        return;
    }
    if (conds->nelts > SAL_BOOKS_CONDS_MAX + 1) {
        abort();
    }
    for (int i = 0; i < conds->nelts; i++) {
        const sal_books_cond_t *c = &APR_ARRAY_IDX(conds, i, sal_books_cond_t);

        if (c->cmp > SAL_CMP_GE || (!c->null && c->value < min)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sal_error_t err = { .message = "" };
    apr_array_header_t *conds = NULL;
    apr_status_t rv;
    apr_pool_t *p;
    char *text;

    apr_pool_create(&p, root);
    text = apr_pstrmemdup(p, (const char *)data, size);
    rv = sal_books_sizes(&conds, text, p, &err);
    check(rv, conds, &err, 0);
    err = (sal_error_t){ .message = "" };
    rv = sal_books_dates(&conds, text, apr_time_from_sec(1795354200), p, &err);
    check(rv, conds, &err, -apr_time_from_sec(86400));
    apr_pool_destroy(p);
    return 0;
}
