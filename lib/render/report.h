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
#include "process/schema.h"
#include "render/buglink.h"
#include "render/vcs.h"

/* The build id of a module whose sources are stored here, or NULL. */
typedef const char *(*sal_report_sources_fn)(void *baton, const json_t *module);

typedef struct sal_report_in_t {
    const char *id;
    const json_t *processed;             /* reduced unless pii */
    const json_t *annotations;           /* raw crash, public part */
    const json_t *protected_annotations; /* the rest, NULL if the reader may not see it */
    const char *const *dumps;            /* names of dumps, NULL-terminated */
    bool pii;                            /* holds view_pii */
    bool rawdump;                        /* holds view_rawdump */

    /* What follows may be left out: NULL. */
    const sal_fields_t *fields; /* of processed crashes: what fields mean, who may see them */
    const sal_vcs_t *vcs;
    sal_report_sources_fn sources;
    void *sources_baton;
    const char *build_link;              /* where a build is described */
    const char *gpu_vendor, *gpu_device; /* names of the graphics adapter */
    const json_t *why;                   /* sal_signature_explain */
    const char *recomputed;              /* the signature by today's lists */
    const json_t *bugs;                  /* [{"id", "url", "summary", "status", "open"}] */
    const json_t *bug_links;             /* sal_bug_links */
    const sal_bug_text_t *bug;
    /* {"total", "results", "total_reference", "date"}: sal_correlate_get and its totals */
    const json_t *correlations;
} sal_report_in_t;

/* New reference: the data of templates/report.mustache (docs/pages.md lists its members). */
SAL_API json_t *sal_report_view(const sal_report_in_t *in, apr_pool_t *p);

/*
 * The stack of the crashing thread for copying: plain text, or Markdown with the head of a bug. In
 * p; "" if there is none.
 */
SAL_API const char *sal_report_stack_plain(const json_t *processed, const sal_vcs_t *vcs,
                                           apr_pool_t *p);
SAL_API const char *sal_report_stack_markdown(const json_t *processed, const sal_vcs_t *vcs,
                                              apr_pool_t *p);

/*
 * Why a processed crash has no stack, in one line for people, or NULL if it has one. Lives in p
 * or in the document.
 */
SAL_API const char *sal_report_failure(const json_t *processed, apr_pool_t *p);

#endif
