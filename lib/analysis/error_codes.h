/*
 * Names of exception codes and error numbers of the systems that write minidumps.
 */
#ifndef SAL_ANALYSIS_ERROR_CODES_H
#define SAL_ANALYSIS_ERROR_CODES_H

#include <stdint.h>
#include "analysis/error_codes.inc"

typedef enum {
#define SAL_CODE_TABLE(name, first, rows) SAL_CODES_##name,
    SAL_CODE_TABLES(SAL_CODE_TABLE)
#undef SAL_CODE_TABLE
        SAL_CODES_none
} sal_code_table_t;

/* Name of a code in a table, or NULL. Static text. */
const char *sal_code_name(sal_code_table_t table, uint32_t code);

#endif
