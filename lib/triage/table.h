/*
 * Tables that people import: CSV or JSON, columns by name. Private to the room.
 */
#ifndef SAL_TRIAGE_TABLE_H
#define SAL_TRIAGE_TABLE_H

#include "base/error.h"

typedef struct table_column_t {
    const char *names[4]; /* by which it goes, NULL at the end */
    int required;
} table_column_t;

/*
 * Rows of n_columns texts each, "" where there is none; JSON numbers become texts. A first line of
 * CSV that names all required columns gives their order; else it is a row, and the columns stand in
 * the order given here. SAL_E_MALFORMED with the line or element.
 */
apr_status_t table_read(const char ****rows, int *n, const table_column_t *columns, int n_columns,
                        const char *text, size_t len, apr_pool_t *p, sal_error_t *err);

#endif
