/*
 * Raw symbol files as they are uploaded: what they are, their ids, their sections. The first byte
 * says whether the rest is the whole file.
 */
#include <apr_general.h>
#include "symbols/object_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static apr_pool_t *root;
    uint64_t offset, length;
    sal_object_t o;
    apr_pool_t *p;
    sal_span_t file;

    if (size < 1) {
        return 0;
    }
    if (!root) {
        apr_initialize();
        apr_pool_create(&root, NULL);
    }
    apr_pool_create(&p, root);
    file = (sal_span_t){ data + 1, size - 1, false };
    sal_object_read(&o, file, data[0] & 1, p);
    if (sal_elf_section(&offset, &length, file, ".text", NULL) == APR_SUCCESS &&
        !sal_span_has(&file, offset, length)) {
        __builtin_trap();
    }
    apr_pool_destroy(p);
    return 0;
}
