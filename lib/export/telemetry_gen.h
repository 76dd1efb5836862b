/*
 * The text of conf/schema/telemetry.tsv, compiled in (made by embed-telemetry.sh).
 */
#ifndef SAL_EXPORT_TELEMETRY_GEN_H
#define SAL_EXPORT_TELEMETRY_GEN_H

extern const char sal_telemetry_text[];

#endif
