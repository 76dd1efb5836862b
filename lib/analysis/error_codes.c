/*
 * Looks names up in the generated tables.
 */
#include <stddef.h>
#include <stdint.h>

struct code_row {
    uint32_t code;
    uint32_t name; /* offset in code_names */
};

#define SAL_CODE_DATA
#include "analysis/error_codes.h"

static const struct {
    uint16_t first, rows;
} tables[] = {
#define SAL_CODE_TABLE(name, first, rows) { first, rows },
    SAL_CODE_TABLES(SAL_CODE_TABLE)
#undef SAL_CODE_TABLE
};

const char *sal_code_name(sal_code_table_t table, uint32_t code)
{
    size_t low, high;

    if (table >= SAL_CODES_none) {
        return NULL;
    }
    low = tables[table].first;
    high = low + tables[table].rows;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (code_rows[middle].code == code) {
            return code_names + code_rows[middle].name;
        }
        if (code_rows[middle].code < code) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
