/*
 * The view model of a report page: documents in, template data out.
 *
 * The documents must already be reduced to what the reader may see; nothing here decides about
 * rights, it only says beside a field that a right is missing. No request, no database, no HTML.
 */
#ifndef SAL_RENDER_REPORT_H
#define SAL_RENDER_REPORT_H

#include <stdbool.h>
#include <jansson.h>
#include "base/error.h"

typedef struct sal_report_in_t {
    const char *id;
    const json_t *processed;             /* reduced unless pii */
    const json_t *annotations;           /* raw crash, public part */
    const json_t *protected_annotations; /* the rest, NULL if the reader may not see it */
    const char *const *dumps;            /* names of dumps, NULL-terminated */
    bool pii;                            /* holds view_pii */
    bool rawdump;                        /* holds view_rawdump */
} sal_report_in_t;

/* New reference: the data of templates/report.mustache (docs/pages.md lists its members). */
SAL_API json_t *sal_report_view(const sal_report_in_t *in, apr_pool_t *p);

/*
 * Why a processed crash has no stack, in one line for people, or NULL if it has one. Lives in p
 * or in the document.
 */
SAL_API const char *sal_report_failure(const json_t *processed, apr_pool_t *p);

#endif
