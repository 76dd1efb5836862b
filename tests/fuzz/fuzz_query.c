/*
 * Search conditions, a "field=value" on each line. Beyond not crashing: a window is at most a year,
 * and what is refused says why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "search/query.h"

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

static void add_line(sal_query_t *q, char *line)
{
    char *value = strchr(line, '=');
    sal_error_t err = { 0 };

    if (!value) {
        sal_query_sort(q, line);
        return;
    }
    *value++ = '\0';
    if (sal_query_filter(q, line, value, &err) != APR_SUCCESS && !err.message[0]) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const apr_time_t year = APR_INT64_C(366) * 86400 * APR_USEC_PER_SEC;
    apr_time_t now = APR_INT64_C(1795351766) * APR_USEC_PER_SEC, from, to;
    apr_pool_t *p;
    sal_query_t *q;
    char *text, *end;

    apr_pool_create(&p, root);
    q = sal_query_make(now, size & 1, p);
    text = apr_pstrmemdup(p, (const char *)data, size);
    for (int i = 0; i < 100 && text; i++) {
        end = strchr(text, '\n');
        if (end) {
            *end++ = '\0';
        }
        add_line(q, text);
        text = end;
    }
    if (sal_query_window(q, &from, &to, NULL) == APR_SUCCESS && to - from > year) {
        abort();
    }
    json_decref(sal_query_conditions(q));
    apr_pool_destroy(p);
    return 0;
}
