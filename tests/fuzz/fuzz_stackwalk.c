/*
 * Any bytes as a minidump: a document or a failure with a name, within bounds of time and memory,
 * and text for people of whatever document there is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include "analysis/stackwalk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *root;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    apr_initialize();
    return apr_pool_create(&root, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sal_stackwalk_opts_t opts = { .details = true };
    sal_span_t dump = { data, size, false };
    sal_error_t err = { .code = 0 };
    json_t *doc = NULL;
    apr_pool_t *p;

    apr_pool_create(&p, root);
    if (sal_stackwalk_bytes(&doc, dump, &opts, p, &err) == APR_SUCCESS) {
        if (!json_object_get(doc, "crash_info") || !*sal_stackwalk_human(doc, 0, p)) {
            abort();
        }
        json_decref(doc);
    } else if (!strstr(err.message, " - ")) {
        abort();
    }
    apr_pool_destroy(p);
    return 0;
}
