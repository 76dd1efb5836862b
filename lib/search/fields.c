/*
 * The compiled field table and its look-ups.
 */
#include "search/fields.h"

#include <string.h>

#define PUBLIC false
#define PROTECTED true
#define SAL_FIELD(num, id, type, match, store, bits, source, access)                               \
    { num, #id, SAL_TYPE_##type, SAL_MATCH_##match, SAL_STORE_##store, bits, source, access },
static const sal_search_field_t fields[] = {
#include "search/fields.def"
};
#undef SAL_FIELD

enum { N_FIELDS = (int)(sizeof fields / sizeof fields[0]) };

const sal_search_field_t *sal_search_fields(int *n)
{
    *n = N_FIELDS;
    return fields;
}

const sal_search_field_t *sal_search_field(const char *name)
{
    int low = 0, high = N_FIELDS - 1;

    while (low <= high) {
        int mid = (low + high) / 2;
        int c = strcmp(name, fields[mid].name);

        if (c == 0) {
            return &fields[mid];
        }
        if (c < 0) {
            high = mid - 1;
        } else {
            low = mid + 1;
        }
    }
    return NULL;
}

const sal_search_field_t *sal_search_field_numbered(int number)
{
    for (int i = 0; i < N_FIELDS; i++) {
        if (fields[i].number == number) {
            return &fields[i];
        }
    }
    return NULL;
}

bool sal_field_is_stack(const sal_search_field_t *f)
{
    return f->store == SAL_STORE_TERMS && strcmp(f->name, "proto_signature") == 0;
}
