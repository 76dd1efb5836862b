/*
 * The texts of conf/schema/, compiled in (made by embed-fields.sh).
 */
#ifndef SAL_PROCESS_FIELDS_GEN_H
#define SAL_PROCESS_FIELDS_GEN_H

extern const char sal_fields_processed_text[];
extern const char sal_fields_raw_text[];
extern const char sal_process_tables_text[];

#endif
