/*
 * Parameters of a Super Search, a "name=value" on each line. Beyond not crashing: what is refused
 * says why, a window is at most a year, and conditions of a reader without the right name no
 * protected field.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "search/super.h"

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

static void add_lines(sal_super_t *s, char *text)
{
    while (text) {
        char *end = strchr(text, '\n'), *value;

        if (end) {
            *end++ = '\0';
        }
        value = strchr(text, '=');
        if (value) {
            *value++ = '\0';
            sal_super_param(s, text, value);
        }
        text = end;
    }
}

static void check_conditions(json_t *conditions)
{
    json_t *one;
    size_t i;

    json_array_foreach(conditions, i, one)
    {
        if (sal_search_field(sal_json_str(one, "field"))->is_protected) {
            abort();
        }
    }
    json_decref(conditions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const apr_time_t year = APR_INT64_C(366) * 86400 * APR_USEC_PER_SEC;
    apr_time_t now = APR_INT64_C(1795351766) * APR_USEC_PER_SEC, from, to;
    sal_super_reader_t reader = { .strict = size & 1 };
    sal_error_t err = { 0 };
    apr_pool_t *p;
    sal_super_t *s;

    apr_pool_create(&p, root);
    s = sal_super_make(&reader, now, p);
    add_lines(s, apr_pstrmemdup(p, (const char *)data, size));
    if (sal_super_window(s, &from, &to, &err) == APR_SUCCESS) {
        if (to - from > year) {
            abort();
        }
        check_conditions(sal_super_conditions(s));
    } else if (!err.message[0]) {
        abort();
    }
    apr_pool_destroy(p);
    return 0;
}
