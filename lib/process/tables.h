/*
 * Tables that rules look things up in: names of systems, processors, products, hosts. Data, since
 * they change when nothing else does; conf/process-tables.tsv, compiled in as default.
 *
 * Read-only once loaded; may be shared by threads.
 */
#ifndef SAL_PROCESS_TABLES_H
#define SAL_PROCESS_TABLES_H

#include "base/conf.h"
#include "process/schema.h"

typedef struct sal_process_tables_t sal_process_tables_t;

/*
 * Reads a file; tables that it does not hold are the compiled-in ones. path NULL: all are.
 * SAL_E_MALFORMED names file and line.
 */
SAL_API apr_status_t sal_process_tables_load(sal_process_tables_t **out, const char *path,
                                             apr_pool_t *p, sal_error_t *err);

/* The data files that processing goes by. */
typedef struct sal_process_data_t {
    sal_fields_t *processed, *raw;
    sal_process_tables_t *tables;
} sal_process_data_t;

/*
 * Reads what salvage.conf names: `schema` (directory of processed_crash.tsv and raw_crash.tsv),
 * `fields-extra`, `process-tables`. What it does not name, or conf NULL: compiled in.
 */
SAL_API apr_status_t sal_process_data_read(sal_process_data_t **out, const sal_conf_t *conf,
                                           apr_pool_t *p, sal_error_t *err);

#endif
