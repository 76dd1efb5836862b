/*
 * JSON annotations: what is accepted makes a document that reads back, and the reader stays within
 * the text.
 */
#include "fuzz_collect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + !size); /* of its very size, so that ASan sees an overrun */
    sal_annotations_t *a;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    a = sal_annotations_make(1 << 20, p);
    if (size) {
        memcpy(copy, data, size);
    }
    if (sal_annotations_json(a, copy, size, p, NULL) == APR_SUCCESS) {
        must(sal_annotations_count(a) <= SAL_ANNOTATIONS_MAX);
        check_document(a, p);
    }
    free(copy);
    apr_pool_destroy(p);
    return 0;
}
