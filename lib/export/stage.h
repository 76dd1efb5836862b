/*
 * A stored report as the body of a POST to another collector, which keeps its crash id: what
 * Socorro's stage submitter sends, byte for byte (docs/export.md).
 */
#ifndef SAL_EXPORT_STAGE_H
#define SAL_EXPORT_STAGE_H

#include <stdio.h>
#include <jansson.h>
#include "crash/crash_store.h"
#include "process/schema.h"

#define SAL_STAGE_BOUNDARY "01659896d5dc42cabd7f3d8a3dcdd3bb"
#define SAL_STAGE_AGENT "stage-submitter/2.0"

/* What is left out. */
enum { SAL_STAGE_STRIP_PROTECTED = 1, SAL_STAGE_STRIP_DUMPS = 2 };

typedef struct sal_stage_dump_t {
    const char *name; /* "dump" and "" are sent as upload_file_minidump */
    sal_span_t data;
} sal_stage_dump_t;

typedef struct sal_stage_report_t {
    FILE *body; /* a temporary file, written out; closed with the pool */
    apr_uint64_t size;
    bool gzip;         /* Content-Encoding */
    const char *agent; /* User-Agent: the reporter's */
} sal_stage_report_t;

/*
 * The body for a raw crash document and its dumps. fields: of the raw crash, for what is protected.
 * APR_ENOSPC: no room in the temporary directory.
 */
SAL_API apr_status_t sal_stage_form(sal_stage_report_t *out, const json_t *raw,
                                    const sal_stage_dump_t *dumps, int n, int strip,
                                    const sal_fields_t *fields, apr_pool_t *p, sal_error_t *err);

/* The same of a stored crash; APR_ENOENT if there is none (any more). */
SAL_API apr_status_t sal_stage_report(sal_stage_report_t *out, const char *crash_id, int strip,
                                      const sal_fields_t *fields, sal_crash_store_t *store,
                                      apr_pool_t *p, sal_error_t *err);

#endif
