/*
 * Tables as rules see them.
 */
#ifndef SAL_PROCESS_TABLES_PRIVATE_H
#define SAL_PROCESS_TABLES_PRIVATE_H

#include "process/tables.h"

typedef enum {
    TABLE_WINDOWS,
    TABLE_MACOS,
    TABLE_ANDROID_ABI,
    TABLE_BETA_PRODUCT,
    TABLE_BETA_RENAME,
    TABLE_SYMBOL_HOST,
    TABLE_THEME,
    TABLE_DISTRIBUTION,
    TABLE_CRASH_REASON,
    TABLES
} table_t;

typedef struct table_row_t {
    const char *key, *value;
    int64_t number[3]; /* of a version in the key */
    bool later;        /* later versions, too */
} table_row_t;

/* The rows of a table in the order of the file. */
const table_row_t *table_rows(const sal_process_tables_t *tables, table_t which, size_t *n);
/* The value of a key, or NULL. */
const char *table_value(const sal_process_tables_t *tables, table_t which, const char *key);

#endif
